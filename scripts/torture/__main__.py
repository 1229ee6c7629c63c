"""`make torture`: power cuts, kills, hostile frames and failing disks, at any size, with one line of totals."""

import os
import sys
from collections import Counter

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import planted
from .disk import OK, DiskError, watched
from .run import FAILURES, FRAMES, KILLS, POWER_CUTS, Part, parts, run
from .tally import Tally

COUNT = click.IntRange(min=0)


@click.command()
@click.option("--kills", type=COUNT, default=20, show_default=True, help="SIGKILLs of the real daemon.")
@click.option("--power-cuts", type=COUNT, default=200, show_default=True, help="Power cuts of the ledger.")
@click.option("--frames", type=COUNT, default=20_000, show_default=True, help="Replayed or mutated frames.")
@click.option("--failures", type=COUNT, default=100, show_default=True, help="Failing operations of the disk.")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes a run again, but for the kills' moments.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time.  [default: one a core]")
@click.option("--plant", type=click.Choice(planted.PLANTS), help="Plant a bug: the run must then fail.")
def main(
    kills: int, power_cuts: int, frames: int, failures: int, seed: int, jobs: int | None, plant: str | None
) -> None:
    """Torture the concentrator and compare what comes out with what was measured.

    Status 0 only if nothing is off, 1 otherwise; 2 where this Python's SQLite cannot be watched.
    """
    numbers = {KILLS: kills, POWER_CUTS: power_cuts, FAILURES: failures, FRAMES: frames}
    work = [part for kind, number in numbers.items() for part in parts(kind, number, seed, plant or "")]
    try:
        with watched(lambda _: OK):
            pass
    except DiskError as error:
        click.echo(f"torture: {error}", err=True)
        sys.exit(2)
    total = _run(work, jobs or os.cpu_count() or 1)
    for word in total.words:
        click.echo(f"torture: {word}", err=True)
    click.echo(total.line())
    sys.exit(1 if total.off else 0)


def _run(work: list[Part], jobs: int) -> Tally:
    """Do the work while a person watches, on stderr."""
    sizes: Counter[str] = Counter()
    for part in work:
        sizes[part.kind] += part.number
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {kind: bars.add_task(kind, total=size) for kind, size in sizes.items()}
        return run(work, jobs, lambda part: bars.advance(tasks[part.kind], part.number))


if __name__ == "__main__":
    main()
