"""Holds a replay's output against its input, reading both as plain CSV: nothing of the system's own code is used."""

import csv
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import click

MOST_SAID = 10


class Check(NamedTuple):
    """What was compared, in counts, and everything that differs."""

    rows: int
    loads_released: int
    loads_withheld: int
    meters_billed: int
    differences: list[str]


def check(readings: Path, out: Path) -> Check:
    """Compare customers' rows, loads and bills with the file of readings, to the milliwatt-hour."""
    rows: dict[str, dict[int, Decimal]] = defaultdict(dict)
    loads: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    contributors: dict[tuple[str, int], int] = defaultdict(int)
    homes: dict[str, set[str]] = defaultdict(set)
    for row in table(readings):
        energy, start = Decimal(row["energy_wh"]), int(row["interval_start"])
        rows[row["meter"]][start] = energy
        loads[row["neighbourhood"], start] += energy
        contributors[row["neighbourhood"], start] += 1
        homes[row["neighbourhood"]].add(row["meter"])
    differences = _rows(rows, out)
    released = withheld = 0
    for row in table(out / "loads.csv"):
        name = row["neighbourhood"], int(row["interval_start"])
        if (int(row["contributors"]), int(row["expected"])) != (contributors[name], len(homes[name[0]])):
            differences.append(f"load {name}: {row['contributors']} of {row['expected']} contributors")
        if row["status"] == "released":
            released += 1
            if Decimal(row["energy_wh"]) != loads[name]:
                differences.append(f"load {name}: {row['energy_wh']} Wh, not {loads[name]}")
        else:
            withheld += 1
            if row["energy_wh"]:
                differences.append(f"load {name}: {row['status']}, and yet an energy")
    bills: dict[str, Decimal] = defaultdict(Decimal)
    for row in table(out / "bills.csv"):
        bills[row["meter"]] += Decimal(row["energy_wh"])
    for meter, energies in rows.items():
        if bills[meter] != sum(energies.values()):
            differences.append(f"bills of {meter}: {bills[meter]} Wh, not {sum(energies.values())}")
    return Check(sum(map(len, rows.values())), released, withheld, len(bills), differences)


def _rows(rows: dict[str, dict[int, Decimal]], out: Path) -> list[str]:
    differences = []
    for meter, energies in rows.items():
        found = {
            int(row["interval_start"]): Decimal(row["energy_wh"]) for row in table(out / "customer" / f"{meter}.csv")
        }
        for start in sorted(found.keys() | energies.keys()):
            if found.get(start) != energies.get(start):
                differences.append(f"row of {meter} at {start}: {found.get(start)}, not {energies.get(start)}")
    return differences


def table(path: Path) -> list[dict[str, str]]:
    """Return a CSV file's rows."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@click.command()
@click.option("--readings", type=click.Path(path_type=Path, exists=True), required=True, help="The replay's input.")
@click.option("--out", type=click.Path(path_type=Path, exists=True), required=True, help="The replay's output.")
def main(readings: Path, out: Path) -> None:
    """Compare a replay's output with its input. Exit 1 where anything differs."""
    result = check(readings, out)
    for line in result.differences[:MOST_SAID]:
        click.echo(line)
    click.echo(
        f"{result.rows} customers' rows, {result.loads_released} released and {result.loads_withheld} withheld loads,"
        f" bills of {result.meters_billed} meters: {len(result.differences)} differences"
    )
    sys.exit(1 if result.differences else 0)


if __name__ == "__main__":
    main()
