"""The ledger of a run: measured = billed + queued + quarantined, to the milliwatt-hour.

It is independent of what it checks. Measured, queued and quarantined are sums over the street's own record of true
energies; the stores, the concentrator and the MDMS only name which (meter, interval) they hold. Billed alone is what
the key holder released. Nothing here is a difference of two sums, and nothing is decrypted.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

Reading = tuple[str, int]
"""(system title in hex, interval start): names a reading and says nothing of it."""


class Stretch(NamedTuple):
    """All readings of a meter that end after ``after`` and not after ``until`` (UTC seconds)."""

    title: str
    after: int
    until: int


class Given(NamedTuple):
    """A reading that the operator has released from quarantine, and which window takes its energy.

    That is the first filled one of ``window`` or later (its start) whose last register is of ``after`` or later.
    """

    title: str
    start: int
    window: int
    after: int

    def in_one_of(self, windows: Iterable[tuple[str, int, int, int]]) -> bool:
        """Say whether the energy is in one of these (title, window start, register from, register to)."""
        return any(
            title == self.title and start >= self.window and before < until and until >= self.after
            for title, start, before, until in windows
        )


class Balance(msgspec.Struct, frozen=True):
    """``ledger.json``; energies in mWh, the last two count frames."""

    readings: int
    measured_mwh: int
    billed_mwh: int
    queued_mwh: int
    quarantined_mwh: int
    duplicates: int
    refused: int

    def balances(self) -> bool:
        """Say whether every milliwatt-hour is accounted for."""
        return self.measured_mwh == self.billed_mwh + self.queued_mwh + self.quarantined_mwh


class Named(NamedTuple):
    """Which readings a place names: one by one, and by stretches of time."""

    readings: set[Reading]
    stretches: list[Stretch]

    def among(self, measured: Iterable[Reading], interval_s: int) -> set[Reading]:
        """Return those of the measured readings that are named here."""
        by_title: dict[str, list[Stretch]] = {}
        for stretch in self.stretches:
            by_title.setdefault(stretch.title, []).append(stretch)
        return {
            (title, start)
            for title, start in measured
            if (title, start) in self.readings
            or any(s.after < start + interval_s <= s.until for s in by_title.get(title, ()))
        }


class Measured(NamedTuple):
    """What each meter measured in each interval, mWh."""

    imported: dict[Reading, int]
    exported: dict[Reading, int]


def read_measured(path: Path, interval_s: int) -> Measured:
    """Return the street's own record by interval. A line repeated after a crash counts once."""
    lines: dict[Reading, tuple[int, int]] = {}
    with path.open() as file:
        for line in file:
            title, begun, taken, given = line.rstrip("\n").split(",")
            lines[title, int(begun)] = int(taken), int(given)
    measured = Measured({}, {})
    for (title, start), energies in lines.items():
        name = title, start - start % interval_s
        for total, energy in zip(measured, energies, strict=True):
            total[name] = total.get(name, 0) + energy
    return measured


def named_by_concentrator(path: Path) -> tuple[Named, set[Reading], dict[str, int]]:
    """Return (queued, quarantined, counts) as a concentrator's ledger file names them.

    Queued are the readings that an unsealed window holds, and the stretches of the reports without a verdict.
    """
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        waiting = db.execute(
            "SELECT hex(r.title), r.interval_start FROM readings r"
            " JOIN windows w ON w.title = r.title AND w.window_start = r.window"
        )
        readings = {(title.lower(), start) for title, start in waiting}
        reports = db.execute(
            "SELECT hex(title), register_from, register_to FROM outbox"
            " WHERE title IS NOT NULL AND (verdict IS NULL OR verdict NOT IN ('stored', 'duplicate'))"
        )
        stretches = [Stretch(title.lower(), after, until) for title, after, until in reports]
        held = {(t.lower(), s) for t, s in db.execute("SELECT hex(title), interval_start FROM quarantine")}
        counts = dict(db.execute("SELECT kind, number FROM counts"))
    db.close()
    return Named(readings, stretches), held, counts


def released_by_concentrator(path: Path) -> list[Given]:
    """Return what was released from quarantine, as a concentrator's ledger file names it."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        rows = db.execute(
            "SELECT hex(title), interval_start, window, after FROM quarantine_decisions WHERE decision = 'released'"
        ).fetchall()
    db.close()
    return [Given(title.lower(), start, window, after) for title, start, window, after in rows]


def balance(
    measured: Mapping[Reading, int],
    interval_s: int,
    *,
    billed_mwh: int,
    billed: list[Stretch],
    queued: Named,
    quarantined: set[Reading],
    counts: Mapping[str, int],
    released: Iterable[Reading] = (),
) -> Balance:
    """Return the ledger. A reading that several places name is taken where it is furthest on.

    For instance one that is billed while its acknowledgement is still on the way, so that the meter names it too.
    ``released`` are those let out of quarantine whose energy is in no bill yet, though its own time may be billed.
    """
    aside = quarantined & measured.keys()
    let_out = set(released) & measured.keys()
    done = Named(set(), billed).among(measured, interval_s) - let_out
    waiting = (queued.among(measured, interval_s) | let_out) - aside - done
    kinds = ("corrupt", "unknown meter", "stale epoch", "wrong key or forged", "conflict")
    return Balance(
        readings=len(measured),
        measured_mwh=sum(measured.values()),
        billed_mwh=billed_mwh,
        queued_mwh=sum(measured[name] for name in waiting),
        quarantined_mwh=sum(measured[name] for name in aside),
        duplicates=counts.get("duplicate", 0),
        refused=sum(counts.get(kind, 0) for kind in kinds),
    )
