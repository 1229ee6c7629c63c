"""How far a run has come: a bar on a terminal, a line for each tenth elsewhere."""

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

TENTHS = 10


class Progress(Protocol):
    """What a run tells of itself."""

    def begin(self, what: str, total: int) -> None:
        """Say that a stage of so many steps begins."""

    def advance(self, steps: int = 1) -> None:
        """Say that steps of it are done."""

    def end(self) -> None:
        """Say that nothing follows."""


class Bars:
    """A bar for each stage, with what is left of its time."""

    def __init__(self, console: Console) -> None:
        self._bar = Bar(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=4,
        )
        self._bar.start()

    def begin(self, what: str, total: int) -> None:
        self._task = self._bar.add_task(what, total=total)

    def advance(self, steps: int = 1) -> None:
        self._bar.advance(self._task, steps)

    def end(self) -> None:
        self._bar.stop()


class Lines:
    """Plain lines, for a log: one where a stage begins and one for each tenth of it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._what, self._total, self._done, self._told = "", 0, 0, 0
        self._since = time.monotonic()

    def begin(self, what: str, total: int) -> None:
        self._what, self._total, self._done, self._told = what, total, 0, 0
        self._since = time.monotonic()
        self._write(f"{what}: 0 of {total}")

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        tenth = TENTHS * self._done // max(self._total, 1)
        if tenth > self._told:
            self._told = tenth
            self._write(f"{self._what}: {self._done} of {self._total}, {time.monotonic() - self._since:.0f} s")

    def end(self) -> None:
        pass


def progress_on(console: Console, write: Callable[[str], None]) -> Progress:
    """Return bars for a terminal, lines for anything else."""
    return Bars(console) if console.is_terminal else Lines(write)
