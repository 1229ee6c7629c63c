"""How much may wait on this machine's disk, and for how long that lasts.

While the MDMS is away, closed reports wait in the outbox. When they fill it, or the disk is nearly full, frames are
not taken any more: not opened, not answered, so that each stays in its meter's own store, and the links stop reading.
Nothing is lost but the live view; loads whose time comes meanwhile close without those meters. It goes on by itself:
the uploader drains the outbox oldest first, and taking begins again below the bound.

Time does not stop: the closing of loads and windows goes on above the outbox's bound, with the few hundred bytes
that say "nothing came". Only below the disk's floor it waits too.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from .ledger import Ledger
from .segments import ROW_BYTES_IN_REPORT, rows_waiting

log = structlog.get_logger()

MB = 1_000_000
DAY_S = 86_400
MEASURED_S = 7 * DAY_S  # accepted reports are kept as long as that at least
LEAST_MEASURED_S = 3600


class Rate(NamedTuple):
    """What the meters cause: bytes of reports a day, and over how many seconds that was measured."""

    bytes_a_day: int
    measured_s: int


class Bounds:
    """The outbox's bound and the disk's floor of one ledger. Every method runs in the ledger's thread."""

    def __init__(self, ledger: Ledger, path: Path, *, outbox_max_mb: int, disk_floor_mb: int) -> None:
        self._ledger = ledger
        self._folder = path.parent
        self._max_bytes = outbox_max_mb * MB
        self._floor_bytes = disk_floor_mb * MB
        self._waiting = 0
        self._holding: str | None = None

    def waiting_bytes(self) -> int:
        """Return the bytes of the reports without a verdict, and what the rows that are in none yet will be there."""
        self._waiting = waiting_bytes(self._ledger.execute)
        return self._waiting

    def holds_frames(self) -> bool:
        """Say whether frames must stay with their meters for now; logged when it begins and ends."""
        reason = None
        if self.waiting_bytes() >= self._max_bytes:
            reason = "the outbox is full"
        if self.below_floor():
            reason = "the disk is nearly full"
        if reason != self._holding:
            if reason is not None:
                log.error("frames are not taken: the meters keep them", reason=reason, waiting_mb=self._waiting // MB)
            else:
                log.warning("frames are taken again", waiting_mb=self._waiting // MB)
        self._holding = reason
        return reason is not None

    def below_floor(self) -> bool:
        """Say whether less is free on the ledger's disk than must stay free: closings wait too."""
        return free_bytes(self._folder) < self._floor_bytes

    def announce(self, now: int) -> None:
        """Log the bound in days, as the daemon's start prints it."""
        rate = measured(self._ledger, now)
        free = max(0, free_bytes(self._folder) - self._floor_bytes)
        room = max(0, min(self._max_bytes - self.waiting_bytes(), free))
        log.info("outbox bound", **describe(self._waiting, self._max_bytes, room, rate))


def waiting_bytes(execute: Callable[..., sqlite3.Cursor]) -> int:
    """Return what waits for the MDMS, in bytes, from a ledger's ``execute``. Nothing is summed for it."""
    (reports,) = execute("SELECT bytes FROM outbox_waiting_bytes").fetchone()
    return reports + rows_waiting(execute) * ROW_BYTES_IN_REPORT  # type: ignore[no-any-return]


def free_bytes(folder: Path) -> int:
    """Return what an ordinary user may still write on the disk of a folder."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def measured(ledger: Ledger, now: int) -> Rate | None:
    """Return what was closed in the last week, accepted or not, as bytes a day; None before there is an hour of it."""
    return rate_of(ledger.execute(RATE_SQL, (now - MEASURED_S,)).fetchone())


# Accepted segments are gone; what they weighed is kept by the hour.
RATE_SQL = """
SELECT coalesce(sum(bytes), 0), min(created), max(created) FROM (
    SELECT length(document) AS bytes, created FROM outbox
    UNION ALL SELECT bytes, hour * 3600 AS created FROM segments_gone
) WHERE created >= ?
"""


def rate_of(row: tuple[int, int | None, int | None]) -> Rate | None:
    """Return the bytes a day of (bytes, first, last moment of closing), None where they are too close together."""
    size, first, last = row
    if first is None or last is None or last - first < LEAST_MEASURED_S:
        return None
    return Rate(size * DAY_S // (last - first), last - first)


def describe(waiting: int, most: int, room: int, rate: Rate | None) -> dict[str, float | int | str]:
    """Return what is said of the bound: MB, and days where the meters' bytes a day are known."""
    said: dict[str, float | int | str] = {
        "waiting_mb": round(waiting / MB, 1),
        "max_mb": round(most / MB, 1),
        "free_for_it_mb": round(room / MB, 1),
    }
    if rate is None or not rate.bytes_a_day:
        return {**said, "days": "not known yet: an hour of reports is needed to measure"}
    return {
        **said,
        "mb_a_day": round(rate.bytes_a_day / MB, 2),
        "measured_h": round(rate.measured_s / 3600, 1),
        "days": round(room / rate.bytes_a_day, 1),
    }


def in_words(waiting: int, outbox_max_mb: int, bytes_a_day: int | None) -> str:
    """Return the bound as status prints it, from what is measured."""
    room = max(0, outbox_max_mb * MB - waiting)
    begun = f"outbox bound: {waiting / MB:.1f} of {outbox_max_mb} MB"
    if not bytes_a_day:
        return f"{begun}; how long that lasts is not known yet: an hour of reports is needed to measure"
    return f"{begun}; at {bytes_a_day / MB:.2f} MB a day it lasts {room / bytes_a_day:.1f} days"
