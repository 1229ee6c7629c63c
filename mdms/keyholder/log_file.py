"""The log's export: one signed entry per line, for the auditor and the daily publication of its head.

The database is the log; this file is a copy that is written after each commit. So it may be behind, and then catches
up, but never ahead: a file that holds more, or something else, means that the database was put back to an earlier
day, and with it what is spent.
"""

from pathlib import Path

import structlog

from ..errors import CannotStart
from .state import State

log = structlog.get_logger()


class LogFile:
    """Follows the log of a State in a file. Raises CannotStart where the file is not a part of that log."""

    def __init__(self, path: Path, state: State) -> None:
        self._path = path
        self._state = state
        try:
            self._written = self._common_part()
        except OSError as error:
            raise CannotStart(f"log file {path}: {error.strerror}") from None
        self._damaged = False
        if not self.follow():
            raise CannotStart(f"log file {path}: cannot be written")

    def _common_part(self) -> int:
        """Cut off a last line that a crash tore; return how many entries the file holds."""
        self._path.touch(mode=0o644)
        entries = self._state.entries()
        count = end = 0
        with self._path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if line[:-1].decode("utf-8", "replace") != next(entries, None):
                    raise CannotStart(
                        f"log file {self._path}: entry {count + 1} is not in the key holder's database; "
                        "was the database restored from a backup?"
                    )
                count += 1
                end += len(line)
            file.truncate(end)
        return count

    def follow(self) -> bool:
        """Append what the file lacks and flush it. False, and a log line, where the file cannot be written."""
        try:
            if self._damaged:
                self._written = self._common_part()
                self._damaged = False
            with self._path.open("ab") as file:
                for entry in self._state.entries(after=self._written):
                    file.write(entry.encode() + b"\n")
                    self._written += 1
        except OSError as error:
            # The decision stands in the database; the file catches up with the next one, or at the next start.
            self._damaged = True
            log.error("log file is behind", reason=error.strerror)
            return False
        return True
