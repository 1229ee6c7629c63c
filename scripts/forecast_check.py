"""`make forecast`: measures the day-ahead forecast beside seasonal-naive ones on a year of real homes."""

import csv
import os
import sys
from datetime import date, timedelta
from pathlib import Path

import click
import numpy as np

from mdms.forecast.accuracy import Accuracy, Forecaster, evaluate
from mdms.forecast.baselines import DAILY, WEEKLY, SeasonalNaive
from mdms.forecast.day_ahead import CONFIDENCE, Curve, DayAhead

from .apartments import SHARED, BadData

HOURS = 24
SKIPPED = 60  # days that are learnt only: the 61st is the first that is evaluated
FIRST_DAY = date(2016, 8, 1)  # of the data set: its first row is the hour before that day
WANTED = {"weekly": 0.30, "daily": 0.12}  # how far the error is to be below each seasonal-naive one, as a share


def data_file() -> Path:
    """Return the data set's place: $HUSHMETER_SHARED or ../shared beside the project."""
    return Path(os.environ.get("HUSHMETER_SHARED", SHARED)) / "data" / "fontana-homes-2016" / "hourly.csv"


def read_homes(path: Path) -> Curve:
    """Return the whole days of every home in kWh an hour, days x hours x homes. Raises BadData."""
    try:
        with path.open(newline="") as file:
            homes = [
                [float(value) for name, value in row.items() if name.startswith("home_")]
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError) as error:
        raise BadData(f"{path} cannot be read: {error}") from None
    whole = (len(homes) - 1) // HOURS
    if whole < 1 or not homes[0]:
        raise BadData(f"{path} holds no whole day of a home")
    found: Curve = np.array(homes[1 : 1 + whole * HOURS]).reshape(whole, HOURS, -1)
    return found


def read_days(path: Path) -> list[tuple[date, Curve]]:
    """Return the whole days of the homes' sum in kWh an hour. Raises BadData."""
    return [(FIRST_DAY + timedelta(days=number), day) for number, day in enumerate(read_homes(path).sum(axis=2))]


def measure(days: list[tuple[date, Curve]]) -> dict[str, Accuracy]:
    """Return the accuracy of the model and of what it must beat, by their names."""
    forecasters: dict[str, Forecaster] = {
        "day-ahead": DayAhead(HOURS),
        "weekly": SeasonalNaive(WEEKLY),
        "daily": SeasonalNaive(DAILY),
    }
    return {name: evaluate(forecaster, days, SKIPPED) for name, forecaster in forecasters.items()}


@click.command()
def main() -> None:
    """Measure the day-ahead forecast on the sum of the Fontana homes, rolling, from day 61. Exit 1 where it misses."""
    try:
        found = measure(read_days(data_file()))
    except BadData as error:
        click.echo(f"forecast: {error}", err=True)
        sys.exit(2)
    model = found["day-ahead"]
    click.echo(f"17 homes, hourly, {model.days} days, each forecast at midnight from the days before it; no weather")
    missed = False
    for name, wanted in WANTED.items():
        below = 1 - model.mape / found[name].mape
        missed |= below < wanted
        click.echo(
            f"{name + ' seasonal-naive':24} MAPE {found[name].mape:6.1%}   ours is {below:.0%} below it,"
            f" wanted {wanted:.0%} or more"
        )
    click.echo(f"{'day-ahead':24} MAPE {model.mape:6.1%}")
    covered = "none was given" if model.covered is None else f"{model.covered:.1%} of what came lay in it"
    click.echo(f"interval of {CONFIDENCE:.0%}: {covered}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
