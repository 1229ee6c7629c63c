"""A stretch of loads in a few figures: peaks, the load duration curve, completeness, a day at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from .interval import Interval

DURATION_POINTS = 101


@dataclass(frozen=True, slots=True)
class DaySum:
    """One local day. ``intervals`` were released, ``expected`` is how many the day has."""

    day: date
    import_mwh: int
    export_mwh: int
    peak_w: float
    peak_at: int
    intervals: int
    contributions: int
    contributions_expected: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what meters were to send is in the sums: contributions of all that were expected."""

    contributions: int
    expected: int

    @property
    def share(self) -> float | None:
        """The share from 0 to 1; None where nothing was expected."""
        return self.contributions / self.expected if self.expected else None


def completeness(intervals: Sequence[Interval]) -> Completeness:
    """Return how complete some intervals are, released or not."""
    return Completeness(sum(each.contributors for each in intervals), sum(each.expected for each in intervals))


def load_duration(intervals: Sequence[Interval], points: int = DURATION_POINTS) -> list[tuple[float, float]]:
    """Return (share of the time, power in W that was reached or exceeded in it), falling, of what was released.

    Every interval counts by its length. Empty where nothing was released.
    """
    powers = sorted(
        ((power, each.end - each.start) for each in intervals if (power := each.power_w()) is not None), reverse=True
    )
    if not powers:
        return []
    total = sum(length for _, length in powers)
    found: list[tuple[float, float]] = []
    place, passed = 0, powers[0][1]
    for point in range(points):
        at = total * point / (points - 1)
        while passed < at and place < len(powers) - 1:
            place += 1
            passed += powers[place][1]
        found.append((point / (points - 1), powers[place][0]))
    return found


def day_sums(intervals: Sequence[Interval], zone: tzinfo) -> list[DaySum]:
    """Return the local days of some intervals, which are in order; days without a released one are left out."""
    days: dict[date, list[Interval]] = {}
    day, ends = date.min, 0
    for each in intervals:
        if each.start >= ends:  # the calendar is asked once a day: it takes longer than all the rest
            day = datetime.fromtimestamp(each.start, zone).date()
            after = day + timedelta(days=1)
            ends = int(datetime(after.year, after.month, after.day, tzinfo=zone).timestamp())
        days.setdefault(day, []).append(each)
    return [found for day, several in days.items() if (found := _sum_of(day, several)) is not None]


def _sum_of(day: date, several: Sequence[Interval]) -> DaySum | None:
    powers = [(power, each.start) for each in several if (power := each.power_w()) is not None]
    if not powers:
        return None
    peak_w, peak_at = max(powers, key=lambda found: found[0])
    whole = completeness(several)
    return DaySum(
        day,
        sum(each.import_mwh or 0 for each in several),
        sum(each.export_mwh or 0 for each in several),
        peak_w,
        peak_at,
        len(powers),
        whole.contributions,
        whole.expected,
    )
