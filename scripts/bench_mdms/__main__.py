"""`make bench-mdms`: has a real MDMS take in a street's signed windows, and prints what it sustained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import sqlalchemy
from rich import box
from rich.console import Console
from rich.table import Table as Grid

from paillier.keys import LEAST_BITS, MOST_BITS
from paillier.private.key import generate_keypair

from ..bench.figures import Figure
from ..bench.machine import this_machine
from ..bench.progress import stop
from ..bench.say import lines_of_figures
from ..postgres import Postgres, PostgresFailed
from .measure import Measurement, WrongAnswer, measure
from .server import ServerFailed
from .street import Street

SQLITE = "SQLite"
POSTGRESQL = "PostgreSQL"
PER_SECOND = 2000.0
FIGURE_BITS = 3072
LEAST_UNSAFE_BITS = 512
MOST_BATCH = 100
STAGES = ("signature", "validation", "database")


BENCH = "bench-mdms"


@click.command()
@click.option("--reports", type=click.IntRange(300), default=20_000, show_default=True, help="Windows in all, about.")
@click.option(
    "--batch", type=click.IntRange(1, MOST_BATCH), default=MOST_BATCH, show_default=True, help="In an upload."
)
@click.option("--meters", type=click.IntRange(1), default=1000, show_default=True, help="Of the street.")
@click.option("--connections", type=click.IntRange(1, 8), default=2, show_default=True, help="Concentrators at once.")
@click.option(
    "--database",
    "databases",
    type=click.Choice([SQLITE, POSTGRESQL], case_sensitive=False),
    multiple=True,
    help="May be repeated.  [default: both]",
)
@click.option("--key-bits", type=int, default=FIGURE_BITS, show_default=True, help="Length of the Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
def main(
    reports: int,
    batch: int,
    meters: int,
    connections: int,
    databases: tuple[str, ...],
    key_bits: int,
    unsafe_small_key: bool,
) -> None:
    """Measure ingest over HTTP: signed windows a second, and the share of signatures, validation and database.

    Every commit is durable on both databases. A figure that the run does not reach is printed as such; the status
    is 0. Exit 1 where a report is not stored.
    """
    if not (LEAST_UNSAFE_BITS if unsafe_small_key else LEAST_BITS) <= key_bits <= MOST_BITS or key_bits % 2:
        stop(BENCH, f"--key-bits {key_bits}: a key has an even number of bits, {LEAST_BITS} to {MOST_BITS}", 2)
    street = Street(generate_keypair(key_bits, unsafe_small_key=unsafe_small_key).public, meters)
    bodies = street.batches(reports // batch * batch, batch)
    measured: list[Measurement] = []
    for name in dict.fromkeys(databases or (SQLITE, POSTGRESQL)):
        for profile in (False, True):
            try:
                measured.append(run(street, name, bodies, batch, connections, profile=profile))
            except (ServerFailed, WrongAnswer, PostgresFailed, OSError) as error:
                stop(BENCH, f"{name}: {error}", 1)
    show(measured, key_bits)


def run(
    street: Street, name: str, bodies: Sequence[bytes], batch: int, connections: int, *, profile: bool
) -> Measurement:
    """Return what a server did on a new database."""
    if name == SQLITE:
        return measure(street, name, _sqlite, bodies, batch, connections, profile=profile)
    database = Postgres(durable=True)
    try:
        return measure(street, name, lambda _: database.url, bodies, batch, connections, profile=profile)
    finally:
        database.stop()


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'mdms.sqlite3'}"


def show(measured: Sequence[Measurement], bits: int) -> None:
    """Print a run."""
    console = Console()
    console.print(str(this_machine([("SQLAlchemy", sqlalchemy.__version__)])), soft_wrap=True, highlight=False)
    grid = Grid(title=f"signed windows of two {bits}-bit ciphertexts", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("database", "reports", "/s", "CPU µs", "/CPU s", "MB"):
        grid.add_column(heading, justify="left" if heading == "database" else "right", no_wrap=True)
    for each in (each for each in measured if not each.stages):
        numbers = (each.per_second, each.cpu_s / each.reports * 1e6, each.per_cpu_second, each.peak_mb)
        grid.add_row(each.database, f"{each.reports:,}", *(f"{number:,.0f}" for number in numbers))
    console.print(grid)
    for each in (each for each in measured if each.stages):
        console.print(shares(each), soft_wrap=True, highlight=False)
    console.print()
    for line in lines_of_figures(figures(measured, bits)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def shares(each: Measurement) -> str:
    """Return where the server's CPU time went, in a run of its own under timers."""
    rest = each.cpu_s - sum(each.stages.get(name, 0.0) for name in STAGES)
    parts = [*((name, each.stages.get(name, 0.0)) for name in STAGES), ("HTTP, JSON and the rest", rest)]
    said = [f"{name} {spent / each.cpu_s:.0%} ({spent / each.reports * 1e6:.0f} µs)" for name, spent in parts]
    return f"{each.database}, where the server's CPU time goes, a report: {', '.join(said)}"


def figures(measured: Sequence[Measurement], bits: int) -> list[Figure]:
    """Return the figures; None for what this run has not measured with a key of full length."""
    found = {each.database: each for each in measured if not each.stages and bits == FIGURE_BITS}
    wanted = []
    for name in (SQLITE, POSTGRESQL):
        each = found.get(name)
        wanted += [
            Figure(f"{name}, reports/s as it ran", PER_SECOND, each.per_second if each else None, "/s"),
            Figure(
                f"{name}, reports for a second of the server's CPU",
                PER_SECOND,
                each.per_cpu_second if each else None,
                "/s",
            ),
        ]
    return wanted


if __name__ == "__main__":
    main()
