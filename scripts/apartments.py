"""Makes readings of the apartments-2016 data set: ten real apartments, one-minute powers, as interval energies."""

import csv
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from .energy import format_wh
from .readings import COLUMNS

SHARED = Path(__file__).resolve().parents[2] / "shared"
MINUTES_PER_HOUR = 60


class BadData(Exception):
    """The data set is missing or not what it should be."""


def data_file() -> Path:
    """Return the data set's place: $HUSHMETER_SHARED or ../shared beside the project."""
    return Path(os.environ.get("HUSHMETER_SHARED", SHARED)) / "data" / "apartments-2016" / "readings.csv"


def energies(path: Path, interval_s: int) -> Iterator[tuple[str, int, int]]:
    """Yield (apartment, interval start, mWh) of every whole interval.

    A minute of P milliwatts is P / 60 mWh. The running sum is rounded down once and the remainder carried on, so that
    a register never drifts. The data set's local times are taken for UTC. Raises BadData.
    """
    totals: dict[str, int] = {}  # mW minutes
    told: dict[str, int] = {}  # mWh that have been yielded
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                at = datetime.fromisoformat(row.pop("minute_start")).replace(tzinfo=UTC)
                minute_end = int(at.timestamp()) + 60
                for name, text in row.items():
                    totals[name] = totals.get(name, 0) + int(Decimal(text) * 1_000_000)
                    if minute_end % interval_s == 0:
                        whole = totals[name] // MINUTES_PER_HOUR
                        yield name, minute_end - interval_s, whole - told.get(name, 0)
                        told[name] = whole
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, ValueError, InvalidOperation):
        raise BadData(f"{path} is not the apartments-2016 data set") from None


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="readings.csv of the data set; found beside the project.")
@click.option("--interval-s", default=900, show_default=True, help="Length of an interval; a multiple of 60.")
@click.option("--days", default=1, show_default=True, help="How many days from 2016-01-01 on, at most 7.")
@click.option("--neighbourhood", default="apartments", show_default=True, help="The name that all ten get.")
def main(data: Path | None, interval_s: int, days: int, neighbourhood: str) -> None:
    """Write readings for `make replay` to standard output."""
    if interval_s <= 0 or interval_s % 60 or 86400 % interval_s:
        click.echo("apartments: --interval-s must be a multiple of 60 that divides a day", err=True)
        sys.exit(2)
    first = int(datetime(2016, 1, 1, tzinfo=UTC).timestamp())
    writer = csv.writer(sys.stdout, lineterminator="\n")
    try:
        rows = [row for row in energies(data or data_file(), interval_s) if row[1] < first + days * 86400]
    except BadData as error:
        click.echo(f"apartments: {error}", err=True)
        sys.exit(2)
    writer.writerow(COLUMNS)
    writer.writerows((name, neighbourhood, start, format_wh(energy)) for name, start, energy in rows)


if __name__ == "__main__":
    main()
