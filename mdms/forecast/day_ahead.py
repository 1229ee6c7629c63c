"""The day-ahead model: one ridge regression for each interval of the day, learnt anew with every day that ends.

The target is the logarithm of an interval's energy, so that an error counts by its share of the load, as it does in
the mean absolute percentage error. What it is explained by is known when the day before has ended: the same interval
one, two and seven days ago, the mean of the same weekday in the last four weeks, two exponentially weighted means of
the same interval, the level of yesterday and of its evening, and whether the day is a weekend. No weather: on the
homes that it was measured on, yesterday's temperature made it no better.

Neighbouring intervals learn from each other (a Gaussian kernel over the time of day), old days fade, and the ridge
pulls the weights towards a plain mean of what was seen, so that the second day already has a sensible forecast
(Hoerl and Kennard, Technometrics 12, 1970; exponential forgetting as in recursive least squares).

The model is given days one after the other and is asked about the next: it cannot see what it forecasts.
"""

from __future__ import annotations

from collections import deque
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

FADING = 0.995  # of a day's weight with each day that follows
RIDGE = 1.0
NEIGHBOURS_H = 1.5  # width of the kernel over the time of day
FAST, SLOW = 0.2, 0.1  # of the weighted means: what a new day counts for
OFFSET = 0.015  # of the first day's mean, added before the logarithm: an empty interval has none
EVENING = 8  # the last eighth of a day
WEEK = 7
WEEKS = 4
REMEMBERED = WEEK * WEEKS
# In the order of `_explain`: the same day's mean over weeks, the faster mean, and yesterday, and the rest nothing.
PRIOR = (0.0, 0.2, 0.0, 0.0, 0.3, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
INTERVAL_DAYS = 60  # whose errors the interval of confidence is taken from
LEAST_INTERVAL_DAYS = 14
CONFIDENCE = 0.9
LEAST_NEIGHBOUR = 0.5  # of the kernel: whose errors count as an interval's own


class Forecast(NamedTuple):
    """Energies of a day's intervals, in the unit that was observed; ``low`` and ``high`` bound 90 % of what comes.

    They are None until two weeks of forecasts have been compared with what came.
    """

    expected: Curve
    low: Curve | None
    high: Curve | None


class DayAhead:
    """Learns from whole days of ``slots`` intervals each and forecasts the next one."""

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError("a day has one interval at least")
        self._slots = slots
        self._scale = 0.0
        self._past: deque[Curve] = deque(maxlen=REMEMBERED)
        self._fast = self._slow = np.zeros(slots)
        terms = len(PRIOR)
        self._moments = np.zeros((slots, terms, terms))
        self._products = np.zeros((slots, terms))
        self._errors: deque[Curve] = deque(maxlen=INTERVAL_DAYS)
        self._kernel = _kernel(slots)

    def observe(self, day: date, energies: Curve) -> None:
        """Learn a day that has ended: its intervals' energies, not negative, NaN where one is missing.

        Days come in order, one after the other. Raises ValueError for another number of intervals.
        """
        if energies.shape != (self._slots,) or (energies < 0).any():
            raise ValueError(f"a day has {self._slots} energies, none of them negative")
        if not self._past:
            if not np.isnan(energies).all():
                self._begin(energies)
            return
        seen = self._logarithm(energies)
        known = ~np.isnan(seen)
        explained = self._explain(day)
        self._errors.append(seen - self._expected(explained))
        terms = explained * known[:, None]
        self._moments = FADING * self._moments + terms[:, :, None] * terms[:, None, :]
        self._products = FADING * self._products + terms * np.where(known, seen, 0.0)[:, None]
        filled = np.where(known, seen, self._fast)
        self._fast = self._fast + FAST * (filled - self._fast)
        self._slow = self._slow + SLOW * (filled - self._slow)
        self._past.append(filled)

    def forecast(self, day: date) -> Forecast | None:
        """Return what is expected of the day after the last one that was observed; None before the first."""
        if not self._past:
            return None
        expected = self._expected(self._explain(day))
        if len(self._errors) < LEAST_INTERVAL_DAYS:
            return Forecast(self._energy(expected), None, None)
        low, high = self._bounds()
        return Forecast(self._energy(expected), self._energy(expected + low), self._energy(expected + high))

    def expected(self, day: date) -> Curve | None:
        """Return the same without an interval of confidence, which takes longer than all the rest."""
        return self._energy(self._expected(self._explain(day))) if self._past else None

    def _begin(self, energies: Curve) -> None:
        mean = float(np.nanmean(energies))
        self._scale = mean if mean > 0 else 1.0
        seen = self._logarithm(energies)
        first = np.where(np.isnan(seen), np.nanmean(seen), seen)
        self._fast, self._slow = first.copy(), first.copy()
        self._past.append(first)

    def _logarithm(self, energies: Curve) -> Curve:
        seen: Curve = np.log(energies / self._scale + OFFSET)
        return seen

    def _energy(self, logarithm: Curve) -> Curve:
        energies: Curve = np.maximum(np.exp(logarithm) - OFFSET, 0.0) * self._scale
        return energies

    def _explain(self, day: date) -> Curve:
        """Return what explains a day, intervals x terms, in the order of PRIOR."""

        def ago(days: int) -> Curve:
            return self._past[-days] if len(self._past) >= days else self._fast

        def level(value: float) -> Curve:
            return np.full(self._slots, value)

        weeks = [self._past[-WEEK * k] for k in range(1, WEEKS + 1) if len(self._past) >= WEEK * k]
        same_weekday = np.mean(weeks, axis=0) if weeks else self._fast
        yesterday = ago(1)
        evening = yesterday[-max(1, self._slots // EVENING) :]
        columns = (
            level(1.0),
            yesterday,
            ago(2),
            ago(WEEK),
            same_weekday,
            self._fast,
            self._slow,
            level(float(yesterday.mean())),
            level(float(evening.mean())),
            level(float(self._fast.mean())),
            level(float(day.isoweekday() >= 6)),
            level(float(day.isoweekday() == 7)),
        )
        return np.stack(columns, axis=1)

    def _expected(self, explained: Curve) -> Curve:
        ridge = RIDGE * np.eye(len(PRIOR))
        moments = np.tensordot(self._kernel, self._moments, 1) + ridge
        products = np.tensordot(self._kernel, self._products, 1) + RIDGE * np.array(PRIOR)
        weights = np.linalg.solve(moments, products[:, :, None])[:, :, 0]
        expected: Curve = (explained * weights).sum(axis=1)
        return expected

    def _bounds(self) -> tuple[Curve, Curve]:
        """Return how far what came was below and above what was expected, of each interval and its neighbours."""
        errors = np.array(self._errors)
        near = int((self._kernel[0] > LEAST_NEIGHBOUR).sum()) // 2
        places = np.arange(self._slots)[:, None] + np.arange(-near, near + 1)
        around = errors[:, places % self._slots].swapaxes(0, 1).reshape(self._slots, -1)
        low, high = np.nanquantile(around, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=1)
        return low, high


def _kernel(slots: int) -> Curve:
    """Return how much each interval learns from each other: Gaussian in the hours between them, round the clock."""
    places = np.arange(slots)
    apart = np.abs(places[:, None] - places)
    hours = np.minimum(apart, slots - apart) * 24 / slots
    weights = np.exp(-0.5 * (hours / NEIGHBOURS_H) ** 2)
    weights[weights < 1e-3] = 0.0
    kernel: Curve = weights
    return kernel
