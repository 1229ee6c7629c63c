"""Validation flags on released loads, in the manner of VEE (validation, estimation, editing) for aggregates.

A flag says "look here" and changes nothing: a released sum is never edited, and nothing is estimated into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from .interval import Interval

MISSING = "missing"
WITHHELD = "withheld"
INCOMPLETE = "incomplete"
SPIKE = "spike"
REPEATED = "repeated"
EMPTY = "empty"
WORDS = {
    MISSING: "no report of this interval came",
    WITHHELD: "reported, and not opened",
    INCOMPLETE: "not every meter is in this sum",
    SPIKE: "far above what this hour usually draws",
    REPEATED: "the same sum to the milliwatt-hour as the interval before",
    EMPTY: "meters contributed, and the sum is zero",
}
SPIKE_TIMES = 3.0
SPIKE_DAYS = 28
SPIKE_LEAST = 7  # days with this interval before a spike is one
DAY_S = 86_400


class Flag(NamedTuple):
    """What is to be looked at: when, which test, and in words."""

    start: int
    kind: str
    words: str


def flags(intervals: Sequence[Interval], interval_s: int, start: int, end: int) -> Iterator[Flag]:
    """Yield the flags of start <= t < end in order; ``intervals`` are in order and may begin earlier.

    What begins before ``start`` is what a spike is judged by.
    """
    found = {each.start: each for each in intervals}
    first = -(-start // interval_s) * interval_s
    for at in range(first, end, interval_s):
        for kind in _kinds(found, at, interval_s):
            yield Flag(at, kind, WORDS[kind])


def _kinds(found: dict[int, Interval], at: int, interval_s: int) -> Iterator[str]:
    each = found.get(at)
    if each is None:
        yield MISSING
        return
    if not each.is_complete:
        yield INCOMPLETE
    if each.import_mwh is None:
        yield WITHHELD
        return
    before = found.get(at - interval_s)
    if each.import_mwh == 0 and not each.export_mwh and each.contributors:
        yield EMPTY
    elif before is not None and (before.import_mwh, before.export_mwh) == (each.import_mwh, each.export_mwh):
        yield REPEATED
    usual = [
        then.import_mwh
        for days in range(1, SPIKE_DAYS + 1)
        if (then := found.get(at - days * DAY_S)) is not None and then.import_mwh is not None
    ]
    if len(usual) >= SPIKE_LEAST and each.import_mwh > SPIKE_TIMES * max(median(usual), 1):
        yield SPIKE
