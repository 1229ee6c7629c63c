"""`make leakage`: what the sums of real homes give away, by their number; and whether the label says the same.

The label's attack (mdms/privacy) sees sums alone. Beside it stands one with more knowledge, on the same homes: it knows
the habits of every home up to yesterday, and tells which of two homes is in today's sum.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from mdms.forecast.day_ahead import Curve
from mdms.privacy import measure_leakage

from .apartments import BadData
from .forecast_check import FIRST_DAY, HOURS, data_file, read_homes

SIZES = (1, 2, 3, 5, 10, 17)
LARGER = (51, 102, 204)  # made of the same homes, each 17 in another week of the year
SEED = 1
HABIT = 0.1  # of a home's weighted mean day: what a new day counts for
LEARNT = 60  # days before the first that is attacked
PAIRS = 40


def larger(homes: Curve, size: int, random: np.random.Generator) -> Curve:
    """Return the sum, days x hours, of more homes than there are: the same street at other weeks of the year."""
    street = homes.sum(axis=2)
    weeks = random.choice(np.arange(1, len(street) // 7), size // homes.shape[2] - 1, replace=False)
    moved: Curve = street + sum(np.roll(street, 7 * int(week), axis=0) for week in weeks)
    return moved


def told_apart(homes: Curve, size: int, random: np.random.Generator) -> float:
    """Return how often two homes are told apart in a sum of ``size``: a share, 0.5 for who guesses.

    ``homes``: days x hours x homes. The attacker knows every home's own days before the one that he looks at.
    """
    habits = _habits(homes)
    right = [
        answer
        for _ in range(PAIRS)
        for answer in _answers(homes, habits, random.permutation(homes.shape[2])[: size + 1])
    ]
    return float(np.mean(right))


def _habits(homes: Curve) -> Curve:
    """Return each home's weighted mean day as it was before each day."""
    habits = np.zeros(homes.shape)
    habits[0] = homes[0]
    for day in range(1, len(homes)):
        habits[day] = habits[day - 1] + HABIT * (homes[day - 1] - habits[day - 1])
    return habits


def _answers(homes: Curve, habits: Curve, chosen: NDArray[np.int64]) -> Iterator[bool]:
    one, other, *rest = chosen.tolist()
    others, expected = homes[:, :, rest].sum(axis=2), habits[:, :, rest].sum(axis=2)
    errors = others + homes[:, :, one] - expected - habits[:, :, one]
    for day in range(LEARNT, len(homes)):
        past = errors[:day]
        covariance = np.cov(past, rowvar=False)
        covariance = 0.7 * covariance + 0.3 * np.diag(np.diag(covariance)) + 1e-6 * np.eye(HOURS)
        apart = habits[day, :, one] - habits[day, :, other]
        weights = np.linalg.solve(covariance, apart)
        middle = expected[day] + (habits[day, :, one] + habits[day, :, other]) / 2
        yield bool(weights @ (others[day] + homes[day, :, one] - middle) > 0)
        yield bool(weights @ (others[day] + homes[day, :, other] - middle) < 0)


def rows(path: Path) -> Iterator[tuple[int, float, float | None, float | None]]:
    """Yield (homes, label's day, label's week, two homes told apart) by the number of homes. Raises BadData."""
    homes = read_homes(path)
    random = np.random.default_rng(SEED)
    days = [FIRST_DAY + timedelta(days=number) for number in range(len(homes))]
    for size in (*SIZES, *LARGER):
        small = size <= homes.shape[2]
        total = homes[:, :, :size].sum(axis=2) if small else larger(homes, size, random)
        found = measure_leakage(list(zip(days, total, strict=True)), size)
        if found is None:
            raise BadData(f"{path} holds too few days")
        apart = told_apart(homes, size, random) if size + 1 <= homes.shape[2] else None
        yield size, found.day, found.week, apart


@click.command()
def main() -> None:
    """Print how often attacks on sums of real homes are right, by the number of homes; who guesses is right in 50 %."""
    click.echo("share of right answers; who guesses has 50 %")
    click.echo(f"{'homes':>6}  {'label: away a day':>18}  {'label: away a week':>18}  {'two homes told apart':>20}")
    try:
        for size, day, week, apart in rows(data_file()):
            cells = (f"{day:.0%}", "–" if week is None else f"{week:.0%}", "–" if apart is None else f"{apart:.0%}")
            click.echo(f"{size:>6}  {cells[0]:>18}  {cells[1]:>18}  {cells[2]:>20}")
    except BadData as error:
        click.echo(f"leakage: {error}", err=True)
        sys.exit(2)
    click.echo(
        "17 homes of one suburb; 51 and more are these homes at other weeks of the same year, so no other streets"
    )


if __name__ == "__main__":
    main()
