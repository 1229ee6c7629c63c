"""A year of one neighbourhood or region in a few figures, for the page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta, tzinfo
from typing import Any

from ..loads import Interval
from ..loads.summary import completeness, day_sums, load_duration
from ..loads.vee import flags
from ..privacy import Leakage
from .days import span_of
from .foresight import PrivacyLabel

DAYS = 366
FLAG_DAYS = 7
SPIKE_HISTORY_DAYS = 28
MOST_FLAGS = 200


def first_of(last: date, zone: tzinfo) -> int:
    """Return where the year begins that ends with a local day, in UTC seconds."""
    return span_of(last - timedelta(days=DAYS - 1), zone).start


def year(intervals: Sequence[Interval], last: date, interval_s: int, zone: tzinfo, now: int) -> dict[str, Any]:
    """Return what the page shows of the year that ends with ``last``; flags of its last week, up to ``now``."""
    span = span_of(last, zone)
    flagged_from = span_of(last - timedelta(days=FLAG_DAYS - 1), zone).start
    judged_from = span_of(last - timedelta(days=FLAG_DAYS + SPIKE_HISTORY_DAYS), zone).start
    recent = [each for each in intervals if each.start >= judged_from]
    began = max(flagged_from, intervals[0].start) if intervals else span.end
    found = list(flags(recent, interval_s, began, min(span.end, now - now % interval_s)))
    whole = completeness(intervals)
    return {
        "last": last.isoformat(),
        "days": [asdict(day) | {"start": span_of(day.day, zone).start} for day in day_sums(intervals, zone)],
        "duration": load_duration(intervals),
        "completeness": whole.share,
        "flags": [flag._asdict() for flag in found[-MOST_FLAGS:]][::-1],
        "more_flags": max(0, len(found) - MOST_FLAGS),
    }


def label_json(label: PrivacyLabel) -> dict[str, Any]:
    """Return a privacy label for a page."""
    leakage: Leakage | None = label.leakage
    return {
        "fewest": label.fewest,
        "share": label.share,
        "warns": label.warns,
        "day": leakage.day if leakage else None,
        "week": leakage.week if leakage else None,
        "days": leakage.days if leakage else 0,
    }
