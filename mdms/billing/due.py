"""Which bill of a tenancy is to be asked for next.

The key holder opens a bill only for exactly every unspent window up to a period's end, so there is never more than
one request to make for a tenancy, and asking for it early would only be refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from typing import Protocol

from protocol import wire
from protocol.windows import Span, windows

from ..periods import Periods, has_ended, last_window

# What the meter did not plainly measure: a clamp alone, or a fault or a calibration that made it guess.
ESTIMATES = wire.APPARENT_ONLY | wire.ESTIMATED


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """A reported window. ``spent``: it stands in a bill that was opened, and never enters another.

    ``quality``: the bits of its readings.
    """

    start: int
    present: int
    expected: int
    filled: bool
    spent: bool
    quality: int = 0

    @property
    def estimated(self) -> bool:
        """Say whether intervals are missing, or were not plainly measured."""
        return self.present < self.expected or bool(self.quality & ESTIMATES)


@dataclass(frozen=True, slots=True)
class DueBill:
    """A bill to ask for: its period and the starts of its windows, in order.

    ``windows`` counts those with energy, ``estimated`` those of them in which intervals are missing or were not
    plainly measured.
    """

    period: Span
    starts: tuple[int, ...]
    windows: int
    estimated: int


@lru_cache(maxsize=4096)
def next_period(
    periods: Periods, zone: tzinfo, first_window: int, until: int | None, last_decided: int | None
) -> Span | None:
    """Return the first period of a tenancy that has no decision, or None where there is none.

    ``last_decided`` is the start of the latest period that has one; ``until`` ends the tenancy.
    """
    if last_decided is not None:
        decided = periods.holding(last_decided, zone)
        period = periods.after(decided, zone) if decided else None
    else:
        # A fixed period owns what came before it, too: it is the only one there is.
        start = first_window if periods.fixed is None else max(first_window, periods.fixed.start)
        period = periods.holding(start, zone)
    if period is None or (until is not None and period.start >= until):
        return None
    return period


def due_bill(
    period: Span, zone: tzinfo, first_window: int, until: int | None, stored: Sequence[StoredWindow]
) -> DueBill | None:
    """Return the bill of a period whose windows are all there, or None as long as one is missing."""
    end = period.end if until is None else min(period.end, until)
    spent = {window.start for window in stored if window.spent}
    unspent = {window.start: window for window in stored if not window.spent}
    starts = tuple(span.start for span in windows(first_window, end, zone) if span.start not in spent)
    if not all(start in unspent for start in starts):
        return None
    filled = [unspent[start] for start in starts if unspent[start].filled]
    estimated = sum(window.estimated for window in filled)
    return DueBill(period, starts, len(filled), estimated)


class StoredWindows(Protocol):
    """What is stored of one tenancy's windows. Asked only once a period is over, the cheap question first."""

    def reported(self, window_start: int) -> bool:
        """Say whether the window that starts at a time is there."""

    def until(self, end: int) -> Sequence[StoredWindow]:
        """Return the windows that start before a time, in order."""


def next_due_bill(
    periods: Periods,
    zone: tzinfo,
    first_window: int,
    until: int | None,
    last_decided: int | None,
    stored: StoredWindows,
    now: int,
) -> DueBill | None:
    """Return the next bill of a tenancy if its period is over at ``now`` and complete, else None."""
    period = next_period(periods, zone, first_window, until, last_decided)
    if period is None or not has_ended(period, zone, now):
        return None
    end = period.end if until is None else min(period.end, until)
    last = last_window(Span(period.start, end), zone)
    # Windows are reported in order: as long as the last is not there, nothing else need be looked at.
    if last is not None and last.start >= first_window and not stored.reported(last.start):
        return None
    return due_bill(period, zone, first_window, until, stored.until(end))
