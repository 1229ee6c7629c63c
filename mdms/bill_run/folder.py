"""The folder of a run: a PDF for each bill and a table of all. Whatever stands there under its name is whole.

Rule 1: bills are personal. The folder and what is in it are their owner's alone.
Rule 2: a file gets its name when its bytes are durable. So a run that was killed anywhere finds what it had, and makes
the rest.
Rule 3: one folder holds one run. Another's, or one begun by another tariff or in another language, is left alone.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CannotStart, ConfigError

ABOUT, TABLE = "bill-run.json", "bills.csv"
UNFINISHED = ".unfinished"
COLUMNS = (
    "neighbourhood",
    "pseudonym",
    "period_start",
    "period_end",
    "status",
    "tariff",
    "import_mwh",
    "export_mwh",
    "windows",
    "estimated",
    "adjusted",
    "currency",
    "total",
    "file",
)


class BillFolder:
    """The files of one run. Raises ConfigError for a folder of something else, CannotStart where it cannot write."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        wanted = msgspec.json.format(msgspec.json.encode(about, order="sorted")) + b"\n"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            there = path / ABOUT
            if not there.exists():
                if any(one.suffix != UNFINISHED for one in path.iterdir()):
                    raise ConfigError(
                        f"{path} is no folder of a billing run, and not empty: nothing is written into it"
                    )
                self._write(ABOUT, wanted)
            elif there.read_bytes() != wanted:
                raise ConfigError(
                    f"{path} is the folder of another billing run, or was begun with other tariffs or in another "
                    f"language (see {ABOUT} in it): give another --out"
                )
            for left in path.glob(f"*{UNFINISHED}"):
                left.unlink()
        except OSError as error:
            raise self._failed(error) from None

    def has(self, name: str) -> bool:
        """Say whether a bill's file is there."""
        return (self.path / name).exists()

    def keep(self, name: str, content: bytes) -> None:
        """Write a bill's file."""
        try:
            self._write(name, content)
        except OSError as error:
            raise self._failed(error) from None

    def keep_table(self, rows: Iterable[Sequence[object]]) -> None:
        """Write the table of all bills, in place of an earlier one."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        self.keep(TABLE, text.getvalue().encode())
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _write(self, name: str, content: bytes) -> None:
        # Two runs at once each write their own, and what they give the name to is the same.
        unfinished = self.path / f"{name}.{os.getpid()}{UNFINISHED}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, self.path / name)

    def _failed(self, error: OSError) -> CannotStart:
        return CannotStart(f"{self.path}: {error.strerror}; what was written stays: run the same command again")
