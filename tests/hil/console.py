"""What a board says on its console, kept line by line while nobody types there."""

import json
import threading

from serial import Serial


class Console:
    """Reads from construction to ``close``; ``lines`` is what came."""

    def __init__(self, path):
        self.lines = []
        self._port = Serial(path, timeout=0.2)
        self._thread = threading.Thread(target=self._read)
        self._open = True
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open = False
        self._thread.join()
        self._port.close()

    def _read(self):
        rest = b""
        while self._open:
            *whole, rest = (rest + self._port.read(4096)).split(b"\n")
            self.lines += [line.decode(errors="replace").strip() for line in whole]

    def figures(self, name):
        """Return every line of JSON that has this name, in order."""
        told = [json.loads(line) for line in self.lines if line.startswith("{") and line.endswith("}")]
        return [each for each in told if name in each]

    def sound(self):
        """Return True; raises AssertionError once a traceback has come, with what the board said."""
        if any("Error" in line for line in self.lines):
            raise AssertionError("\n".join(self.lines[-40:]))
        return True
