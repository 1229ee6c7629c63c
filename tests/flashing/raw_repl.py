"""A board on a pty: speaks MicroPython's raw REPL, runs what it is given on the real unix port (raw_repl_worker.py).

mpremote cannot drive the unix port, which has no raw REPL; this is that and a reset button. Ctrl-C interrupts the main
program as a UART's interrupt does. Flash is a folder. What it is not: a chip, its speed, its memory, its UART.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
WORKER = Path(__file__).parent / "raw_repl_worker.py"
RESET = 75
PROMPT = b">>> "
RAW = b"raw REPL; CTRL-B to exit\r\n>"
INTERRUPT_S = 20
TITLE = "48534d0102030405"
OTHER = "48534d0a0b0c0d0e"


class StandIn:
    """A board that is switched on. ``folder``: its flash. ``pulled`` after so many pieces of code: the cable is out."""

    def __init__(self, folder, pulled_after=None):
        self.folder = folder
        self.codes = []  # every piece of code that was run
        self.pulled_after = pulled_after
        self.resets = 0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._raw = False
        self._buffer = b""
        self._worker = None
        self._at_prompt = False
        self._power_on("main")
        self._open = True
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open = False
        self._thread.join()
        self._power_off()
        os.close(self._master)
        os.close(self._slave)

    def _power_on(self, first):
        self._at_prompt = False
        self._tail = b""
        self._worker = subprocess.Popen(
            [MICROPYTHON, "-X", "heapsize=1M", WORKER, self.folder, first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        if first == "main":
            # From here on an interrupt finds its handler, as on a chip from the first instruction on.
            assert self._worker.stdout.readline() == b"boot\n"
        else:
            self._until_prompt()

    def _power_off(self):
        self._worker.kill()
        self._worker.wait()
        self._worker.stdin.close()
        self._worker.stdout.close()

    # --- The line -------------------------------------------------------------------------------------------------

    def _serve(self):
        while self._open:
            ready, _, _ = select.select([self._master, self._worker.stdout], [], [], 0.05)
            if self._worker.stdout in ready:
                self._relay()
            if self._master in ready:
                for byte in os.read(self._master, 4096):
                    self._take(bytes((byte,)))

    def _write(self, data):
        os.write(self._master, data)

    def _relay(self):
        """Pass on what the board prints outside of a raw REPL's answer."""
        data = os.read(self._worker.stdout.fileno(), 4096)
        if not data:
            self._reset()
            return
        self._tail = (self._tail + data)[-64:]
        self._at_prompt = self._at_prompt or self._tail.endswith(PROMPT)
        self._write(data.replace(b"\n", b"\r\n"))

    def _until_prompt(self):
        began = time.monotonic()
        while not self._at_prompt and time.monotonic() - began < INTERRUPT_S:
            if select.select([self._worker.stdout], [], [], 0.05)[0]:
                data = os.read(self._worker.stdout.fileno(), 4096)
                if not data:
                    break
                self._tail = (self._tail + data)[-64:]
                self._at_prompt = self._tail.endswith(PROMPT)

    def _died(self):
        try:
            return self._worker.wait(1) != RESET
        except subprocess.TimeoutExpired:
            return False

    def _reset(self):
        assert self._worker.wait() == RESET, "the interpreter died"
        self.resets += 1
        self._worker.stdin.close()
        self._worker.stdout.close()
        self._raw, self._buffer = False, b""
        self._power_on("main")

    def _take(self, byte):
        if byte == b"\x03":
            if not self._at_prompt:
                self._worker.send_signal(signal.SIGINT)
                self._until_prompt()
                if not self._at_prompt and self._died():
                    # The unix port raises a Ctrl-C wherever it stands, within a collection too, and ends by it; a
                    # chip raises it between two instructions and comes to the prompt.
                    self._power_off()
                    self._power_on("none")
            self._buffer = b""
        elif self._raw:
            self._take_raw(byte)
        elif not self._at_prompt:
            self._worker.stdin.write(byte)
        elif byte == b"\x01":
            self._raw = True
            self._write(RAW)

    def _take_raw(self, byte):
        if byte == b"\x01":
            if self._buffer == b"\x05A":
                self._buffer = b""
                self._write(b"R\x00")  # raw paste is understood, and not offered
            else:
                self._buffer = b""
                self._write(RAW)
        elif byte == b"\x02":
            self._raw = False
            self._write(b"\r\n" + PROMPT)
        elif byte != b"\x04":
            self._buffer += byte
        elif self._buffer:
            code, self._buffer = self._buffer, b""
            self._run(code)
        else:
            self._write(b"OK\r\nMPY: soft reboot\r\n")
            self._power_off()
            self._power_on("none")
            self._write(RAW)

    def _run(self, code):
        self.codes.append(code.decode())
        if self.pulled_after is not None and len(self.codes) > self.pulled_after:
            self._open = False
            return
        self._write(b"OK")
        self._worker.stdin.write(b"L%d\n" % len(code) + code)
        ends = 0
        while ends < 2:
            data = os.read(self._worker.stdout.fileno(), 4096)
            if not data:
                self._reset()
                return
            ends += data.count(b"\x04")
            self._write(data.replace(b"\n", b"\r\n"))
        self._write(b">")


def piece(folder, name):
    """Return what a stand-in's storage holds under a name."""
    path = Path(folder) / "meter" / name
    return path.read_bytes() if path.exists() else None


def package_targets():
    """Return the files that a board receives."""
    return [target for target, _ in json.loads((ROOT / "firmware" / "package.json").read_text())["urls"]]


def provisioning(title=TITLE, epoch=19700):
    """Return what an enrolment gives a meter; its keys are no secret of anybody's."""
    keys = ("hop_chain", "customer_chain", "hello_key", "time_key", "salt_secret")
    of = {name: bytes((number + 1,)).hex() * 32 for number, name in enumerate(keys)}
    return {"system_title": title, "epoch": epoch, "series": 1, **of}
