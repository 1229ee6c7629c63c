"""How good a forecaster is: a rolling evaluation, day by day, each forecast made before its day is shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .day_ahead import Curve, Forecast


class Forecaster(Protocol):
    """Whatever learns days in order and forecasts the next."""

    def observe(self, day: date, energies: Curve) -> None:
        """Learn a day that has ended."""

    def forecast(self, day: date) -> Forecast | None:
        """Return what is expected of the next day."""


class Accuracy(NamedTuple):
    """``mape``: mean absolute percentage error, as a share. ``covered``: of what came, how much lay in the interval.

    ``days`` were evaluated. ``covered`` is None where no forecast had an interval.
    """

    mape: float
    covered: float | None
    days: int


def evaluate(forecaster: Forecaster, days: Iterable[tuple[date, Curve]], skipped: int) -> Accuracy:
    """Return the accuracy over every day after the first ``skipped``, which are learnt only.

    Intervals of which nothing is known, or in which nothing was drawn, have no percentage and are left out.
    Raises ValueError where no day is left.
    """
    errors: list[Curve] = []
    covered: list[NDArray[np.bool_]] = []
    for number, (day, energies) in enumerate(days):
        forecast = forecaster.forecast(day) if number >= skipped else None
        if forecast is not None:
            counted = energies > 0
            errors.append(np.abs(forecast.expected - energies)[counted] / energies[counted])
            if forecast.low is not None and forecast.high is not None:
                covered.append(((forecast.low <= energies) & (energies <= forecast.high))[counted])
        forecaster.observe(day, energies)
    if not errors:
        raise ValueError("no day is left to be evaluated")
    share = float(np.mean(np.concatenate(covered))) if covered else None
    return Accuracy(float(np.mean(np.concatenate(errors))), share, len(errors))
