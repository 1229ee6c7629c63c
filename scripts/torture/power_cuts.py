"""Power cuts of the ledger: a day is recorded, cut at any operation, and lived on from what a disk may hold.

The recording is of the concentrator's own parts on Python's own SQLite (disk.py). After a cut the files are made as
the disk may hold them (platter.py) and opened with the same ledger on the real file system. Then the homes send what
was not acknowledged, and a part of what was; the day goes on to its end, and everything that the utility was sent,
before and after, must be what was measured.
"""

import functools
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from gateway import damage
from gateway.holdings import enrolled
from gateway.ledger import Ledger, LedgerError
from protocol import wire

from . import planted
from .disk import SYNC, Operation, watched
from .memory import memory
from .platter import Platter, shared_index
from .quiet import quiet
from .street import GRACE_S, HOMES, INTERVAL_S, START, WINDOW_S, Concentrator, Home, Sealed, Utility, differences
from .tally import Tally

LEDGER = "ledger.sqlite3"
INTERVALS = 2 * WINDOW_S // INTERVAL_S  # midnight is between the two windows: erasure and its checkpoint are in
CUTS_OF_A_DAY = 25
CHECKPOINT_PAGES = 24  # SQLite's 1000 would not be reached: a day's checkpoints are to be in the recording
LATE_S = INTERVAL_S + GRACE_S + 600  # how long after its interval's end one reading comes
REPLAYED = 0.3


def as_the_daemon(path: Path) -> Ledger:
    """Open a ledger as the daemon does at its start: examined first, and nothing that was kept may look lost."""
    return damage.open_ledger(path, start_empty=False, now=START)


@dataclass
class Mark:
    """What the world knew when a number of operations had been done."""

    operations: int
    step: int
    acknowledged: frozenset[tuple[bytes, int]]  # (title, interval number)
    enrolled: bool
    utility: Utility


@dataclass
class Day:
    """A day's sending, by seed: what each step sends, and when. Deterministic but for the encryption."""

    seed: str
    homes: list[Home] = field(default_factory=list)
    steps: list[tuple[int, list[list[Sealed]]]] = field(default_factory=list)  # (now, batches)
    late: frozenset[tuple[bytes, int]] = frozenset()

    def __post_init__(self) -> None:
        chance = Random(self.seed)  # noqa: S311 - a seed makes a run again
        self.homes = [Home(index) for index in range(HOMES)]
        due: dict[int, list[Sealed]] = {}
        late = (chance.randrange(HOMES), chance.randrange(INTERVALS))
        for at in range(INTERVALS):
            start = START + at * INTERVAL_S
            for index, home in enumerate(self.homes):
                sealed = home.measure(start, chance)
                wait = LATE_S if (index, at) == late else 10
                due.setdefault(start + INTERVAL_S + wait, []).append(sealed)
        self.late = frozenset({(self.homes[late[0]].title, START + late[1] * INTERVAL_S)})
        for now, frames in sorted(due.items()):
            chance.shuffle(frames)
            size = chance.randint(1, HOMES)
            self.steps.append((now, [frames[at : at + size] for at in range(0, len(frames), size)]))

    @property
    def until(self) -> int:
        """When its last window ends, UTC seconds."""
        return START + INTERVALS * INTERVAL_S


@dataclass
class Recording:
    """A day's operations in order, what the world knew in between, and the shared index at each sync."""

    day: Day
    operations: list[Operation] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    shared: list[tuple[int, bytes]] = field(default_factory=list)

    def mark_at(self, cut: int) -> Mark:
        """Return what the world knew after ``cut`` operations."""
        return [mark for mark in self.marks if mark.operations <= cut][-1]


def record(day: Day, folder: Path, plant: str | None = None) -> Recording:
    """Live a day whole and record it."""
    recording = Recording(day)
    utility = Utility()
    acknowledged: set[tuple[bytes, int]] = set()

    def watch(operation: Operation) -> int:
        if operation.kind == SYNC:
            if plant == planted.LYING_DISK:
                return 0
            index = folder / f"{LEDGER}-shm"
            if index.exists():
                recording.shared.append((len(recording.operations), index.read_bytes()))
        recording.operations.append(operation)
        return 0

    def mark(step: int, *, enrolled: bool = True) -> None:
        known = frozenset(acknowledged)
        recording.marks.append(Mark(len(recording.operations), step, known, enrolled, utility.copy()))

    with watched(watch):
        mark(0, enrolled=False)
        concentrator = Concentrator(folder / LEDGER, planted.LateLedger if plant == planted.EARLY_ACK else Ledger)
        concentrator.ledger.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if plant == planted.LAZY_SYNC:
            concentrator.ledger.execute("PRAGMA synchronous=NORMAL")
        try:
            concentrator.enrol(day.homes)
            mark(0)
            for step, (now, batches) in enumerate(day.steps):
                for batch in batches:
                    answers = concentrator.take([each.frame for each in batch], now)
                    acknowledged.update(
                        (each.title, each.number) for each in batch if verdict_of(each, answers, day.homes) is not None
                    )
                    mark(step)
                concentrator.closing.close((now + GRACE_S) * 1000)
                mark(step)
                while concentrator.upload(utility, taken=functools.partial(mark, step)):
                    mark(step)
        finally:
            concentrator.ledger.close()
    mark(len(day.steps) - 1)
    return recording


def verdict_of(sealed: Sealed, answers: list[bytes], homes: list[Home]) -> int | None:
    """Return the verdict that a frame's home reads in the answers, or None."""
    (home,) = [each for each in homes if each.title == sealed.title]
    for answer in answers:
        verdict = home.answered(answer).get(sealed.name)
        if verdict is not None:
            return verdict
    return None


def live_on(recording: Recording, cut: int, chance: Random, folder: Path, tally: Tally) -> None:
    """Live a day to its end from a folder as a cut has left it, and compare everything."""
    day, mark = recording.day, recording.mark_at(cut)
    if mark.enrolled and chance.random() < 0.5:  # of the daemon's first start; it may be lost
        damage.lock_of(folder / LEDGER).write_text(damage.KEPT)
    concentrator = Concentrator(folder / LEDGER, as_the_daemon)
    try:
        if mark.enrolled:  # the records are erased by now: a meter that is gone is gone for good
            tally.lost += sum(enrolled.get(concentrator.ledger, home.title) is None for home in day.homes)
        concentrator.enrol(day.homes)
        tally.lost += sum(not concentrator.holds(title, number) for title, number in mark.acknowledged)
        tally.acknowledged += len(mark.acknowledged)
        utility = mark.utility.copy()
        held: set[tuple[bytes, int]] = set(mark.acknowledged)
        for step, (now, batches) in enumerate(day.steps):
            frames = [each for batch in batches for each in batch]
            again = [each for each in frames if (each.title, each.number) in held and chance.random() < REPLAYED]
            if step < mark.step:
                frames = []
            new = [each for each in frames if (each.title, each.number) not in held]
            present = max(now, day.steps[mark.step][0])
            if new or again:
                answers = concentrator.take([each.frame for each in (*again, *new)], present)
                for each in again:
                    tally.twice += verdict_of(each, answers, day.homes) != wire.DUPLICATE
                if any(verdict_of(each, answers, day.homes) is None for each in new):
                    tally.breaks("a frame got no answer")
            if step >= mark.step:
                concentrator.closing.close((present + GRACE_S) * 1000)
                while concentrator.upload(utility):
                    pass
        while concentrator.upload(utility):
            pass
        found = differences(utility, day.homes, day.until, day.late)
        tally.mwh_off += found.mwh_off
        tally.twice += found.twice
        tally.lost += found.missing
        tally.words += found.words[:3]
    finally:
        concentrator.ledger.close()


def cut_power(seed: str, cuts: int, plant: str | None = None) -> Tally:
    """Record one day, cut it ``cuts`` times, and live on from each."""
    tally = Tally()
    chance = Random(f"{seed} cuts")  # noqa: S311
    with quiet(), tempfile.TemporaryDirectory(dir=memory(), prefix="hushmeter-") as name:
        folder = Path(name)
        (folder / "day").mkdir()
        recording = record(Day(seed), folder / "day", plant)
        platter, done = Platter(), 0
        for cut in sorted(chance.randint(0, len(recording.operations)) for _ in range(cuts)):
            platter.do(recording.operations[done:cut])
            done = cut
            one = Tally(cuts=1)
            left = platter.after_cut(chance)
            earlier = [index for at, index in recording.shared if at <= cut]
            index = shared_index(chance, earlier)
            if index is not None:
                left[f"{LEDGER}-shm"] = index
            with tempfile.TemporaryDirectory(dir=folder) as after:
                for file, data in left.items():
                    (Path(after) / file).write_bytes(data)
                try:
                    with planted.bug(plant):
                        live_on(recording, cut, chance, Path(after), one)
                except (LedgerError, sqlite3.Error, AssertionError) as error:
                    one.breaks(f"{type(error).__name__}: {error}")
            if one.off:
                where = f"power cut before operation {cut} of {len(recording.operations)}, day {seed}"
                one.words = [f"{where}: {'; '.join(one.words) or 'acknowledged lost or known again'}"]
            tally.add(one)
    return tally
