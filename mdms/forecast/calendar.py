"""From released intervals to days of the neighbourhood's own calendar, and back to intervals.

A day has as many slots as its ordinary length has intervals. Where the clock changes, the hour that is missing is
unknown and the hour that comes twice is the mean of both: a curve goes by the clock on the wall, as people do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta, tzinfo

import numpy as np

from .day_ahead import Curve, DayAhead, Forecast

DAY_S = 86_400


def slots_of(interval_s: int) -> int:
    """Return how many intervals an ordinary day has; ``interval_s`` divides three hours."""
    return DAY_S // interval_s


def slot_of(start: int, interval_s: int, zone: tzinfo) -> tuple[date, int]:
    """Return the local day of an interval that starts then (UTC seconds), and its place in that day."""
    local = datetime.fromtimestamp(start, zone)
    return local.date(), (local.hour * 3600 + local.minute * 60 + local.second) // interval_s


def days_of(intervals: Iterable[tuple[int, int]], interval_s: int, zone: tzinfo) -> Iterator[tuple[date, Curve]]:
    """Yield the days of (start, energy) in order of time, from the first to the last; NaN where nothing is known.

    Days without a single interval between two others are yielded as well, so that a week stays a week.
    """
    day: date | None = None
    totals, counts = np.zeros(0), np.zeros(0)
    for start, energy in intervals:
        found, slot = slot_of(start, interval_s, zone)
        while day is not None and day < found:
            yield day, _means(totals, counts)
            day += timedelta(days=1)
            totals, counts = np.zeros(slots_of(interval_s)), np.zeros(slots_of(interval_s))
        if day is None:
            day, totals, counts = found, np.zeros(slots_of(interval_s)), np.zeros(slots_of(interval_s))
        totals[slot] += energy
        counts[slot] += 1
    if day is not None:
        yield day, _means(totals, counts)


def forecast_day(intervals: Iterable[tuple[int, int]], interval_s: int, zone: tzinfo, day: date) -> Forecast | None:
    """Return the forecast of a local day from what was released of the days before it; None without any."""
    model = DayAhead(slots_of(interval_s))
    for each, energies in days_of(intervals, interval_s, zone):
        if each >= day:
            break
        model.observe(each, energies)
    return model.forecast(day)


def _means(totals: Curve, counts: Curve) -> Curve:
    means: Curve = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    return means
