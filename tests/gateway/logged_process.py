"""A program of ours that runs as a process, and what it has logged on stderr."""

import contextlib
import json
import signal
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


class LoggedProcess:
    """Runs a command from the repository's root until it is stopped."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self.lines, self._news = [], threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    def said(self, text, times=1):
        """Wait until a line holds a text, that many times; returns the last such entry, where it is one of the log."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._found(text)) >= times, PATIENCE_S), self.lines
            line = self._found(text)[times - 1]
        return json.loads(line) if line.startswith("{") else line

    def _found(self, text):
        return [line for line in self.lines if text in line]

    def stop(self, number=signal.SIGTERM):
        """End it; returns its status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        return code


@contextlib.contextmanager
def starting(kind):
    """Yield what starts a process of a kind; whatever still runs at the end is killed."""
    running = []

    def start_one(*arguments):
        running.append(kind(*arguments))
        return running[-1]

    yield start_one
    for one in running:
        if not one.process.stderr.closed:
            one.stop(signal.SIGKILL)
