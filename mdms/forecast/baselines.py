"""What a forecast must beat: the same interval of yesterday, and of the same weekday of last week.

Seasonal-naive forecasts as in Hyndman and Athanasopoulos, Forecasting: Principles and Practice, chapter 5.
"""

from __future__ import annotations

from collections import deque
from datetime import date

from .day_ahead import Curve, Forecast

DAILY = 1
WEEKLY = 7


class SeasonalNaive:
    """Forecasts a day by the one that was observed ``season`` days before."""

    def __init__(self, season: int) -> None:
        self._past: deque[Curve] = deque(maxlen=season)

    def observe(self, day: date, energies: Curve) -> None:
        """Keep a day that has ended."""
        self._past.append(energies)

    def forecast(self, day: date) -> Forecast | None:
        """Return the day one season ago; None before the first season is over."""
        return Forecast(self._past[0], None, None) if len(self._past) == self._past.maxlen else None
