"""How well somebody who watches a neighbourhood's sums can tell whether one average home was away.

k is a floor and no safety: what hides a home is how much the sum of the others varies unforeseen. That is in the
released sums themselves, so an attack on them is run and its success counted:

- the attacker knows every earlier day of the sum, forecasts the next one as the supplier does (`forecast.DayAhead`),
  and so has what was not foreseen of it;
- a home is taken out of a day: the average home, the neighbourhood's mean day over its contributors;
- he is shown the day as it was, or the day without that home, and says which it is by the test that is best where
  errors are normal: Fisher's linear discriminant (Annals of Eugenics 7, 1936), his covariance shrunk towards its
  diagonal (Ledoit and Wolf, Journal of Multivariate Analysis 88, 2004, with a fixed weight);
- who guesses is right half of the time. A home that is away for a week is looked for in seven days together.

The setting is that of Buescher et al. (PoPETs 2017), "Two Is Not Enough: Privacy Assessment of Aggregation Schemes in
Smart Metering": two candidates, one sum, success against guessing. A home with other habits than the average one, or a
car that charges, is easier to see: the figure is a measurement of one attack and no bound on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from ..forecast.day_ahead import Curve, DayAhead

LEARNT_DAYS = 21  # before the first day that is attacked
LEAST_DAYS = 14  # that must be attacked before there is a figure
WEEK = 7
SHRINKAGE = 0.3
GUESSING = 0.5


class Leakage(NamedTuple):
    """Shares of right answers, 0.5 for who guesses: about one day, and about a week (None below two weeks of days).

    ``days`` were attacked.
    """

    day: float
    week: float | None
    days: int


def measure_leakage(days: Sequence[tuple[date, Curve]], contributors: float) -> Leakage | None:
    """Return the success of the attack on a sum of about ``contributors`` homes; None for too few whole days.

    ``days`` are in order, each with its intervals' energies in any one unit; one with a gap is learnt and not
    attacked. Raises ValueError for less than one contributor.
    """
    if contributors < 1:
        raise ValueError("a sum has one contributor at least")
    found = [scores for scores in attacked(days, contributors) if scores is not None]
    if len(found) < LEAST_DAYS:
        return None
    with_home, without = (np.array(each) for each in zip(*found, strict=True))
    day = float(np.mean((with_home > 0).astype(float) + (without < 0)) / 2)
    weeks = len(found) // WEEK
    together = [np.add.reduceat(each[: weeks * WEEK], range(0, weeks * WEEK, WEEK)) for each in (with_home, without)]
    week = float(np.mean((together[0] > 0).astype(float) + (together[1] < 0)) / 2) if weeks >= 2 else None
    return Leakage(day, week, len(found))


def attacked(days: Sequence[tuple[date, Curve]], contributors: float) -> list[tuple[float, float] | None]:
    """Return what the attacker's test says of each day with the home and without it: above 0 for "it was there".

    None for a day that is learnt only.
    """
    scores: list[tuple[float, float] | None] = []
    errors: list[Curve] = []
    total, seen = np.zeros(0), 0
    model: DayAhead | None = None
    for day, energies in days:
        if model is None:
            model, total = DayAhead(len(energies)), np.zeros(len(energies))
        expected = model.expected(day)
        whole = not np.isnan(energies).any()
        score = None
        if expected is not None and whole:
            error = energies - expected
            if len(errors) >= LEARNT_DAYS:
                home = total / seen / contributors
                score = _scores(np.array(errors), error, home)
            errors.append(error)
        scores.append(score)
        if whole:
            total, seen = total + energies, seen + 1
        model.observe(day, energies)
    return scores


def _scores(past: Curve, error: Curve, home: Curve) -> tuple[float, float]:
    """Return the discriminant of a day as it was, and of the same day without the home."""
    usual = past.mean(axis=0)
    covariance = np.cov(past, rowvar=False).reshape(len(home), len(home))
    variances = np.diag(np.diag(covariance))
    floor = np.eye(len(home)) * (np.trace(covariance) / len(home) * 1e-6 + 1e-12)
    weights = np.linalg.solve((1 - SHRINKAGE) * covariance + SHRINKAGE * variances + floor, home)
    middle = usual - home / 2
    return float(weights @ (error - middle)), float(weights @ (error - home - middle))
