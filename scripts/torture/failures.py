"""A disk that fails: the n-th operation of a day, for a while, and the day must end right when the cause is gone.

An error is EIO of a write, sync, truncation or deletion, or ENOSPC of a write. It lasts for a number of operations. In
the same day the n-th thing that is sent is not, and one of its steps finds no room (causes.py).
What the concentrator then does is tried both ways: its parts go on as they are, or the process ends and is started
again. Behind the day the power is cut as well: a sync that failed must not have been taken for one that was done.
"""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from gateway.ledger import LedgerError

from . import planted
from .causes import KINDS, SPARE, Limit, Line, Unsent
from .disk import CREATE, FAILURES, FULL, OK, SYNC, WRITE, Operation, watched
from .memory import memory
from .platter import Platter
from .power_cuts import CHECKPOINT_PAGES, LEDGER, Day, as_the_daemon, verdict_of
from .quiet import quiet
from .street import GRACE_S, Concentrator, Sealed, Utility, differences
from .tally import Tally

TRIES = 40  # of one step: the longest cause is gone by then
LENGTHS = (1, 2, 7)  # operations that fail in a row


class Failing:
    """Lets the n-th operation and some behind it fail; records the others."""

    def __init__(self, first: int, length: int, *, full: bool) -> None:
        self._failing = range(first, first + length)
        self._full = full
        self.asked = 0
        self.refused = 0
        self.done: list[Operation] = []
        self.lazy = False

    def watch(self, operation: Operation) -> int:
        """Answer SQLite. ENOSPC is of writes; a file that is made is not asked for again."""
        if operation.kind == CREATE:
            self.done.append(operation)
            return OK
        self.asked += 1
        if self.asked - 1 in self._failing and (operation.kind == WRITE or not self._full):
            self.refused += 1
            return FULL if self._full else FAILURES[operation.kind]
        if not (self.lazy and operation.kind == SYNC):
            self.done.append(operation)
        return OK


class Pole:
    """A concentrator that lives a day on a failing disk, on a line that breaks, with no room for a while."""

    def __init__(self, day: Day, folder: Path, line: Line, limit: Limit, *, restarts: bool) -> None:
        self._line = line
        self._limit = limit
        self._day = day
        self._folder = folder
        self._restarts = restarts
        self._parts: Concentrator | None = None
        self.utility = Utility()
        self.acknowledged: set[tuple[bytes, int]] = set()
        self.done: list[Operation] = []

    def live(self) -> None:
        """Live the day. Raises RuntimeError where a step does not get done."""
        for step, (now, batches) in enumerate(self._day.steps):
            waiting = [each for batch in batches for each in batch]

            def work(step: int = step, now: int = now, waiting: list[Sealed] = waiting) -> None:
                parts = self._started()
                with self._limit.within(step, parts.ledger, self._folder / LEDGER):
                    self._work(parts, now, waiting)

            self._until_done(work)

    def _work(self, parts: Concentrator, now: int, waiting: list[Sealed]) -> None:
        for each in [each for each in waiting if (each.title, each.number) not in self.acknowledged]:
            verdict = verdict_of(each, parts.take([each.frame], now), self._day.homes)
            self._line.send()
            if verdict is not None:
                self.acknowledged.add((each.title, each.number))
        parts.closing.close((now + GRACE_S) * 1000)
        while parts.upload(self.utility, sent=self._line.send, taken=self._line.send):
            pass

    def stop(self) -> None:
        """Let go of the ledger, as a process that ends does."""
        parts, self._parts = self._parts, None
        if parts is not None:
            with contextlib.suppress(sqlite3.Error):
                parts.ledger.close()

    def _started(self) -> Concentrator:
        if self._parts is None:
            self._parts = Concentrator(self._folder / LEDGER, as_the_daemon)
            self._parts.ledger.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        self._parts.enrol(self._day.homes)
        return self._parts

    def _until_done(self, work: Callable[[], None]) -> None:
        problem = ""
        for _ in range(TRIES):
            try:
                work()
            except (sqlite3.Error, LedgerError, Unsent) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                return
            if self._restarts:
                self.stop()
        raise RuntimeError(f"it did not recover: {problem}")


def fail(seed: str, points: int, plant: str | None = None) -> Tally:
    """Live one day ``points`` times, each with another operation failing, spread evenly over the day.

    The parts of a run lie beside each other: where one has every seventh operation, seven parts have every one.
    """
    tally = Tally()
    part = seed.rpartition("/")[2]
    shift = int(part) if part.isdecimal() else 0
    chance = Random(f"{seed} failures")  # noqa: S311 - a seed makes a run again
    with quiet(), tempfile.TemporaryDirectory(dir=memory(), prefix="hushmeter-") as name:
        day = Day(seed)
        whole, line = Failing(0, 0, full=False), Line(0, 0)
        _live(day, Path(name) / "whole", whole, line, Limit(KINDS[0], -1, 0, 0), restarts=True)
        total = whole.asked
        for at in range(points):
            first = (at * total // points + shift) % total
            length, full, restarts = chance.choice(LENGTHS), chance.random() < 0.4, chance.random() < 0.5
            one = Tally(failures=1)
            failing = Failing(first, length, full=full)
            failing.lazy = plant == planted.LYING_DISK
            breaking = Line(at % line.sent, chance.choice(LENGTHS))
            kind = chance.choice(KINDS)
            limit = Limit(kind, at % len(day.steps), chance.choice(SPARE[kind]), chance.randint(1, 3))
            where = (
                f"{'ENOSPC' if full else 'EIO'} at operation {first} of {total}, {length} in a row, day {seed},"
                f" {'started again' if restarts else 'going on'}; the line breaks at {at % line.sent},"
                f" {kind} in step {at % len(day.steps)}"
            )
            try:
                pole = _live(day, Path(name) / str(at), failing, breaking, limit, restarts=restarts)
                _judge(day, pole, Path(name) / f"{at}-after", chance, one)
            except (RuntimeError, sqlite3.Error, LedgerError, AssertionError) as error:
                one.breaks(f"{type(error).__name__}: {error}")
            if one.off:
                one.words = [f"{where}: {'; '.join(one.words) or 'acknowledged lost'}"]
            tally.add(one)
    return tally


def _live(day: Day, folder: Path, failing: Failing, line: Line, limit: Limit, *, restarts: bool) -> Pole:
    folder.mkdir()
    pole = Pole(day, folder, line, limit, restarts=restarts)
    with watched(failing.watch):
        try:
            pole.live()
            pole.done = list(failing.done)  # the power is cut here, before the ledger is closed in order
        finally:
            pole.stop()
    return pole


def _judge(day: Day, pole: Pole, after: Path, chance: Random, tally: Tally) -> None:
    tally.acknowledged += len(pole.acknowledged)
    found = differences(pole.utility, day.homes, day.until, day.late)
    tally.mwh_off += found.mwh_off
    tally.twice += found.twice
    tally.lost += found.missing
    tally.words += found.words[:3]
    platter = Platter()
    platter.do(pole.done)
    after.mkdir()
    for file, data in platter.after_cut(chance).items():
        (after / file).write_bytes(data)
    parts = Concentrator(after / LEDGER, as_the_daemon)
    try:
        tally.lost += sum(not parts.holds(title, number) for title, number in pole.acknowledged)
    finally:
        parts.ledger.close()
