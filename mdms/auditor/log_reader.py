"""Follows the key holder's exported log and verifies each entry once, in order, as the file grows.

Strategy: only where each verified line begins, and its name, are remembered; what a page shows is read and verified
again, so that a file changed behind the reader's back is found where somebody looks. `start_again` forgets it all.
"""

import os
import threading
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

from Crypto.PublicKey.ECC import EccKey

from ..keyholder.log import EMPTY, Head, LogBroken, verify_log
from ..keyholder.messages import Entry
from .log_index import LogIndex

A_LOOK_S = 1.0  # machine time that one request spends on verifying what is new
LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class LogState:
    """How far a log is verified. ``broken`` is what is wrong with the first entry that does not verify."""

    head: Head
    whole: bool
    broken: str | None


class LogReader:
    """One exported log. Safe to share between threads. ``index`` is told of each entry as it is verified."""

    def __init__(self, path: Path, deployment: str, public_key: EccKey | None, index: LogIndex | None = None) -> None:
        assert public_key is not None, "release_log and log_key come together"
        self._path = path
        self._deployment = deployment
        self._key = public_key
        self._index = index
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._starts = array("Q")
        self._names = bytearray()
        self._end = 0
        self._head = EMPTY
        self._file: tuple[int, int] | None = None
        if self._index is not None:
            self._index.forget()

    def start_again(self) -> None:
        """Forget what was verified, so that the next look begins with the first entry."""
        with self._lock:
            self._forget()

    def look(self, within_s: float = A_LOOK_S) -> LogState:
        """Verify what is new, for as long as one request may take; raises OSError where the file cannot be read."""
        deadline = time.monotonic() + within_s
        with self._lock, self._path.open("rb") as file:
            self._notice_another_file(file.fileno())
            file.seek(self._end)
            while line := file.readline(LONGEST_LINE):
                if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                    break  # being written just now
                try:
                    verified = verify_log([line], self._deployment, self._key, self._head)
                except LogBroken as error:
                    return LogState(self._head, True, str(error))
                self._starts.append(self._end)
                self._end += len(line)
                self._head = verified.head
                self._names += bytes.fromhex(self._head.hash)
                if self._index is not None:
                    self._index.note(verified.entries[0])
                if time.monotonic() > deadline:
                    return LogState(self._head, False, None)
            return LogState(self._head, True, None)

    def _notice_another_file(self, descriptor: int) -> None:
        about = os.fstat(descriptor)
        now = (about.st_dev, about.st_ino)
        if now != self._file or about.st_size < self._end:
            self._forget()
            self._file = now

    def entries(self, newest: int, count: int) -> list[Entry]:
        """Return verified entries number ``newest`` and ``count`` - 1 before it, newest first.

        Raises LogBroken where a line is no longer the one that was verified, OSError where it cannot be read.
        """
        with self._lock, self._path.open("rb") as file:
            last = min(newest, len(self._starts))
            first = max(1, last - count + 1)
            if last < 1:
                return []
            before = Head(first - 1, self._names[(first - 2) * 32 : (first - 1) * 32].hex()) if first > 1 else EMPTY
            file.seek(self._starts[first - 1])
            lines = [file.readline(LONGEST_LINE) for _ in range(first, last + 1)]
            wanted = self._names[(last - 1) * 32 : last * 32].hex()
        verified = verify_log(lines, self._deployment, self._key, before)
        if verified.head.hash != wanted:
            raise LogBroken(f"entry {last}: is not the one that was verified before")
        return verified.entries[::-1]
