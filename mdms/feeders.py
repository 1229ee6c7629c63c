"""A feeder meter's daily energies, from a file that the utility keeps: NEIGHBOURHOOD.csv with the columns day, kwh.

Days are the neighbourhood's own, energies net of what flows back, to the milliwatt-hour. The file is read when it is
asked for: it grows by a line a day.
"""

import csv
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

COLUMNS = ["day", "kwh"]
MWH_PER_KWH = 1_000_000
MOST_LINES = 20_000
MOST_KWH = Decimal(10**9)


class BadFeederFile(Exception):
    """A feeder's file cannot be used; the message names the file and the line."""


def read_feeder(folder: Path, neighbourhood: str) -> dict[date, int]:
    """Return net mWh by day; empty where the neighbourhood has no feeder meter. Raises BadFeederFile."""
    path = folder / f"{neighbourhood}.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return _parsed(path.name, file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFeederFile(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _parsed(name: str, file: Iterable[str]) -> dict[date, int]:
    found: dict[date, int] = {}
    lines = csv.reader(file)
    if next(lines, None) != COLUMNS:
        raise BadFeederFile(f"{name}: line 1: must be {','.join(COLUMNS)}")
    for number, line in enumerate(lines, 2):
        if number > MOST_LINES:
            raise BadFeederFile(f"{name}: has more than {MOST_LINES} lines")
        try:
            day, kwh = date.fromisoformat(line[0]), Decimal(line[1])
        except (ValueError, InvalidOperation, IndexError):
            raise BadFeederFile(f"{name}: line {number}: must be a date and an energy in kWh") from None
        if len(line) != len(COLUMNS) or not kwh.is_finite() or kwh.copy_abs() > MOST_KWH:
            raise BadFeederFile(f"{name}: line {number}: must be a date and an energy in kWh, of 10^9 at most")
        mwh = kwh * MWH_PER_KWH
        if mwh != int(mwh):
            raise BadFeederFile(f"{name}: line {number}: an energy has six decimal digits at most")
        if day in found:
            raise BadFeederFile(f"{name}: line {number}: {day} stands in it twice")
        found[day] = int(mwh)
    return found
