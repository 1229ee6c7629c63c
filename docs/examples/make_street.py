"""Makes street.csv: twelve homes that do not exist, one day, an interval every quarter of an hour.

    python docs/examples/make_street.py > docs/examples/street.csv

The same numbers at every run: they come from SHA-256 of a meter's name and the interval's start. Nothing here was
measured.
"""

import csv
import hashlib
import sys

FIRST = 1767225600  # 2026-01-01T00:00:00Z
INTERVAL_S = 900
INTERVALS = 96
METERS = tuple(f"home-{number:02d}" for number in range(1, 13))

# What a home draws around each hour of the day, in W: asleep, breakfast, away, supper, asleep.
MORNING_W = (90, 80, 80, 80, 80, 100, 250, 420, 300, 180, 150, 150)
EVENING_W = (200, 180, 150, 150, 180, 320, 520, 560, 480, 400, 280, 150)
DAY_W = MORNING_W + EVENING_W
KETTLE_WH = 90


def energy_mwh(meter: str, start: int) -> int:
    """Return an interval's energy: the hour's, up to a half more or less, and a kettle now and then."""
    digest = hashlib.sha256(f"{meter} {start}".encode()).digest()
    base = DAY_W[start // 3600 % 24] * INTERVAL_S * 1000 // 3600
    energy = base * (128 + digest[0]) // 256
    if digest[1] < DAY_W[start // 3600 % 24] // 10:
        energy += KETTLE_WH * 1000
    return energy


def main() -> None:
    """Write the readings to standard output."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("meter", "neighbourhood", "interval_start", "energy_wh"))
    for number in range(INTERVALS):
        start = FIRST + number * INTERVAL_S
        for meter in METERS:
            energy = energy_mwh(meter, start)
            writer.writerow((meter, "example", start, f"{energy // 1000}.{energy % 1000:03d}"))


if __name__ == "__main__":
    main()
