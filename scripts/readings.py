"""A file of readings, checked whole before anything is done with it."""

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

from .energy import parse_wh

COLUMNS = ("meter", "neighbourhood", "interval_start", "energy_wh")
MOST_ENERGY_MWH = (1 << 32) - 1  # the field of a READING
LAST_START = (1 << 32) - 10_801
MOST_COMPLAINTS = 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_SECONDS = re.compile(r"[0-9]{1,10}\Z")


class BadReadings(Exception):
    """The file cannot be used; ``complaints`` name the lines and the reasons."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


@dataclass
class Readings:
    """What a file says: ``homes`` maps meter to neighbourhood, ``energies`` (meter, interval start) to mWh."""

    interval_s: int
    homes: dict[str, str] = field(default_factory=dict)
    energies: dict[tuple[str, int], int] = field(default_factory=dict)

    def neighbourhoods(self) -> dict[str, list[str]]:
        """Return each neighbourhood's meters, sorted."""
        found: dict[str, list[str]] = {}
        for meter, neighbourhood in sorted(self.homes.items()):
            found.setdefault(neighbourhood, []).append(meter)
        return dict(sorted(found.items()))

    def first(self) -> int:
        """Return the start of the file's first interval."""
        return min(start for _, start in self.energies)

    def last(self) -> int:
        """Return the start of the file's last interval."""
        return max(start for _, start in self.energies)


def read(path: Path, interval_s: int) -> Readings:
    """Return the readings of a CSV file; raises BadReadings with every bad line, up to MOST_COMPLAINTS."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadReadings([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise BadReadings([f"{path}: is not UTF-8 text"]) from None
    rows = csv.reader(io.StringIO(text, newline=""))
    readings = Readings(interval_s)
    lines: dict[tuple[str, int], int] = {}
    complaints: list[str] = []
    try:
        header = next(rows, [])
        if sorted(header) != sorted(COLUMNS):
            raise BadReadings([f"line 1: the columns must be {','.join(COLUMNS)}, not {','.join(header)[:120]}"])
        for row in rows:
            if not row:
                continue
            try:
                _take(readings, dict(zip(header, row, strict=False)), len(row) == len(header), rows.line_num, lines)
            except ValueError as error:
                complaints.append(f"line {rows.line_num}: {error}")
    except csv.Error as error:
        complaints.append(f"line {rows.line_num}: {error}")
    if not complaints and not readings.energies:
        complaints.append(f"{path}: holds no reading")
    if complaints:
        more = len(complaints) - MOST_COMPLAINTS
        raise BadReadings(complaints[:MOST_COMPLAINTS] + ([f"... and {more} more lines"] if more > 0 else []))
    return readings


def _take(readings: Readings, row: dict[str, str], whole: bool, line: int, lines: dict[tuple[str, int], int]) -> None:
    """Check one row against the format and against every row before it; raises ValueError with the reason."""
    if not whole:
        raise ValueError(f"a row has {len(COLUMNS)} columns")
    meter, neighbourhood, start_text = row["meter"], row["neighbourhood"], row["interval_start"]
    for name, value in (("meter", meter), ("neighbourhood", neighbourhood)):
        if not _NAME.match(value):
            raise ValueError(f"{name} '{value[:80]}' is not 1 to 64 of A-Z, a-z, 0-9, '_' and '-'")
    if not _SECONDS.match(start_text) or int(start_text) > LAST_START:
        raise ValueError(f"interval_start '{start_text[:40]}' is not a time in Unix seconds")
    start = int(start_text)
    if start % readings.interval_s:
        raise ValueError(f"interval_start {start} is misaligned: no multiple of {readings.interval_s} s")
    energy = parse_wh(row["energy_wh"])
    if energy > MOST_ENERGY_MWH:
        raise ValueError("energy_wh is more than a meter can report of one interval")
    if readings.homes.setdefault(meter, neighbourhood) != neighbourhood:
        raise ValueError(f"meter {meter} is in two neighbourhoods, {readings.homes[meter]} and {neighbourhood}")
    if (meter, start) in lines:
        raise ValueError(f"meter {meter} has interval {start} already, on line {lines[meter, start]}")
    lines[meter, start] = line
    readings.energies[meter, start] = energy
