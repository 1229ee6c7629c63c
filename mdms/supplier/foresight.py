"""Forecast and privacy label of a neighbourhood, from what was released; kept until a day more has ended.

Strategy: both look at months of intervals, so each is worked out once for a day and remembered. They depend on whole
days before it alone, and what was released never changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from ..forecast.calendar import days_of, forecast_day, slot_of
from ..loads import Interval
from ..loads.summary import completeness
from ..privacy import Leakage, measure_leakage
from ..rosters import RosterBook
from ..store import Store
from .days import span_of
from .questions import intervals_within

LEARNT_DAYS = 120  # behind the day: what is older has faded
LABEL_DAYS = 28  # of completeness
ADVISED_HOMES = 50
KEPT = 256

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ForecastPoint:
    """One interval's expected import in mWh, and what bounds 90 % of what comes (None while that is not known)."""

    start: int
    end: int
    expected_mwh: int
    low_mwh: int | None
    high_mwh: int | None


@dataclass(frozen=True, slots=True)
class PrivacyLabel:
    """How well a neighbourhood's sums hide a home.

    ``fewest``: homes in the smallest sum that was opened in the last four weeks; ``share``: of the contributions that
    were expected; ``leakage``: what an attack on the sums gave away, None while there are too few days.
    """

    fewest: int | None
    share: float | None
    leakage: Leakage | None

    @property
    def warns(self) -> bool:
        """Whether fewer homes hide each other than is advised."""
        return self.fewest is not None and self.fewest < ADVISED_HOMES


class Foresight:
    """Answers for one deployment; safe to share between threads."""

    def __init__(self, store: Store, book: RosterBook) -> None:
        self._store = store
        self._book = book
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def forecast(self, name: str, day: date) -> list[ForecastPoint]:
        """Return the forecast of a local day from the days before it; empty where there are none."""
        past = self._past(name, day)
        return self._once(("forecast", name, day, len(past)), lambda: self._forecast(name, day, past))

    def label(self, name: str, day: date) -> PrivacyLabel:
        """Return the label by the days before ``day``."""
        past = self._past(name, day)
        return self._once(("label", name, day, len(past)), lambda: self._label(name, day, past))

    def _past(self, name: str, day: date) -> list[Interval]:
        zone = self._book.zone(name)
        start = span_of(day - timedelta(days=LEARNT_DAYS), zone).start
        found = intervals_within(self._store, name, start, span_of(day, zone).start)
        return [each for each in found if each.import_mwh is not None]

    def _forecast(self, name: str, day: date, past: list[Interval]) -> list[ForecastPoint]:
        zone, interval_s = self._book.zone(name), self._interval_s(name, day)
        energies = [(each.start, each.import_mwh or 0) for each in past if each.end - each.start == interval_s]
        forecast = forecast_day(energies, interval_s, zone, day)
        if forecast is None:
            return []
        span = span_of(day, zone)
        points = []
        for start in range(span.start, span.end, interval_s):
            _, slot = slot_of(start, interval_s, zone)
            low, high = (None if each is None else round(each[slot]) for each in (forecast.low, forecast.high))
            points.append(ForecastPoint(start, start + interval_s, round(forecast.expected[slot]), low, high))
        return points

    def _label(self, name: str, day: date, past: list[Interval]) -> PrivacyLabel:
        zone, interval_s = self._book.zone(name), self._interval_s(name, day)
        recent_from = span_of(day - timedelta(days=LABEL_DAYS), zone).start
        recent = [each for each in past if each.start >= recent_from]
        same = [each for each in past if each.end - each.start == interval_s]
        leakage = None
        if same:
            days = list(days_of([(each.start, each.import_mwh or 0) for each in same], interval_s, zone))
            leakage = measure_leakage(days, sum(each.contributors for each in same) / len(same))
        fewest = min((each.contributors for each in recent), default=None)
        return PrivacyLabel(fewest, completeness(recent).share, leakage)

    def _interval_s(self, name: str, day: date) -> int:
        roster = self._book.in_force(name, span_of(day, self._book.zone(name)).start)
        assert roster is not None, "a neighbourhood has a roster"
        return int(roster.interval_s)

    def _once(self, key: Hashable, work: Callable[[], _Result]) -> _Result:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: _Result = self._kept[key]
                return kept
        done = work()
        with self._lock:
            self._kept[key] = done
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return done
