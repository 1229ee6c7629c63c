"""Billing windows and periods on the wall clock of a time zone (README.md, chapter 4).

All functions are pure: the zone is handed in, and a time is UTC seconds since 1970-01-01.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from . import wire

WINDOW_S = wire.WINDOW_S
_HOURS = range(0, 24, 3)


class Misaligned(ValueError):
    """Zone and interval do not fit: some window's edge is not an interval's edge."""


class Span(NamedTuple):
    """A half-open stretch of time: start <= t < end, UTC seconds."""

    start: int
    end: int


def _utc(day: date, hour: int, zone: tzinfo) -> int:
    # fold=0 takes the first of two equal wall times, and reads one that does not exist with the offset before it.
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC).timestamp())


def _local_day(at: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at, zone).date()


def _edges(first: date, last: date, zone: tzinfo) -> Iterator[int]:
    """Yield the starts of the windows of the local days first..last and the end of the last one.

    A wall-clock stretch that daylight saving leaves shorter than 3 hours is no window: it is joined to the next,
    so the edge behind it is dropped. The stretch before the first day is looked at as well, because a short
    evening joins the next day's first window.
    """
    walls = [_utc(first - timedelta(days=1), 21, zone)]
    day = first
    while day <= last:
        walls += [_utc(day, hour, zone) for hour in _HOURS]
        day += timedelta(days=1)
    walls += [_utc(day, 0, zone), _utc(day, 3, zone)]
    kept = walls[0]
    for wall in walls[1:]:
        if wall - kept >= WINDOW_S:
            kept = wall
            yield wall


def windows(start: int, end: int, zone: tzinfo) -> list[Span]:
    """Return the windows whose start lies in start <= t < end, in order; each holds 3 hours or more."""
    if end <= start:
        return []
    edges = list(_edges(_local_day(start, zone), _local_day(end - 1, zone), zone))
    return [Span(a, b) for a, b in pairwise(edges) if start <= a < end]


@lru_cache(maxsize=4096)
def window_of(at: int, zone: tzinfo) -> Span:
    """Return the window that holds a time. A billing run asks for the same ones of every customer."""
    day = _local_day(at, zone)
    edges = list(_edges(day - timedelta(days=1), day, zone))
    for a, b in pairwise(edges):
        if a <= at < b:
            return Span(a, b)
    raise AssertionError("the windows of two days cover the second")


def check_alignment(span: Span, interval_s: int, zone: tzinfo) -> None:
    """Raise Misaligned where an interval would straddle two windows.

    Looks at every window of the span; a deployment checks the years that it means to live.
    """
    if interval_s <= 0 or WINDOW_S % interval_s:
        raise Misaligned(f"an interval of {interval_s} s does not divide 3 hours")
    for window in windows(span.start, span.end, zone):
        if window.start % interval_s:
            raise Misaligned(
                f"in zone {zone} a billing window starts at {window.start}, inside an interval of {interval_s} s"
            )


def expected_intervals(window: Span, interval_s: int) -> int:
    """Return how many intervals a window holds."""
    return (window.end - window.start) // interval_s


def period_of(kind: str, at: int, zone: tzinfo) -> Span:
    """Return the billing period ('day' or 'month', local calendar) that holds the window that starts at ``at``.

    A period owns the windows that start in it: where daylight saving joins an evening to the next morning, that
    window belongs to the evening's period.
    """
    day = _local_day(at, zone)
    if kind == "day":
        return Span(_utc(day, 0, zone), _utc(day + timedelta(days=1), 0, zone))
    if kind == "month":
        first = day.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        return Span(_utc(first, 0, zone), _utc(following, 0, zone))
    raise ValueError(f"no such kind of period: {kind}")
