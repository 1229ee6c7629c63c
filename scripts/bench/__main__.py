"""`make bench`: measures, prints, and writes what was asked for."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress as Bar

from paillier.keys import LEAST_BITS, MOST_BITS

from . import pages
from .progress import progress_bar
from .run import FULL, QUICK, Progress, run
from .say import show
from .timing import WrongAnswer

PEERS = Path("build/bench")
LENGTHS = (3072, 2048)
LEAST_UNSAFE_BITS = 512  # room for a sum that one half decrypts
FILE = click.Path(path_type=Path, dir_okay=False)
LEAST_WIDTH = 88  # of the tables: where nobody sits at a terminal they are not cut at its 80


@click.command()
@click.option("--bits", type=int, multiple=True, help="Length of the key; may be repeated.  [default: 3072 and 2048]")
@click.option("--quick", is_flag=True, help="Fewer and shorter batches: under a minute.")
@click.option("--json", "json_file", type=FILE, help="Write the rows to this file.")
@click.option("--plot", "plot_file", type=FILE, help="Draw the ratios, at the longest key, into this SVG file.")
@click.option("--write-docs", is_flag=True, help="Write table, plot and rows into the documentation.")
@click.option(
    "--peers", type=click.Path(path_type=Path, file_okay=False), default=PEERS, show_default=True, help="Their folder."
)
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
def main(
    bits: tuple[int, ...],
    quick: bool,
    json_file: Path | None,
    plot_file: Path | None,
    write_docs: bool,
    peers: Path,
    unsafe_small_key: bool,
) -> None:
    """Measure Paillier and the concentrator's path beside phe, pypaillier, lightphe and sf-heu, in one run.

    A figure that the run does not reach is printed as such; the status is 0. Exit 1 where a result is wrong.
    """
    for path in (json_file, plot_file):
        if path is not None and not path.absolute().parent.is_dir():
            click.echo(f"bench: {path.parent} is not a folder", err=True)
            sys.exit(2)
    least = LEAST_UNSAFE_BITS if unsafe_small_key else LEAST_BITS
    lengths = tuple(dict.fromkeys(bits or LENGTHS))
    for length in lengths:
        if not least <= length <= MOST_BITS or length % 2:
            click.echo(f"bench: --bits {length}: a key has an even number of bits, {least} to {MOST_BITS}", err=True)
            sys.exit(2)
    effort = QUICK if quick else FULL
    try:
        with progress_bar(draws_itself=False) as bar:
            result = run(lengths, effort, peers.absolute(), small_keys=unsafe_small_key, progress=_progress(bar))
    except WrongAnswer as error:
        click.echo(f"bench: a wrong result is not timed: {error}", err=True)
        sys.exit(1)
    show(Console(width=max(LEAST_WIDTH, Console().width)), result)
    if json_file is not None:
        pages.write_json(json_file, result)
    if plot_file is not None:
        pages.write_plot(plot_file, result)
    if write_docs:
        for path in pages.write_docs(result, datetime.now(UTC).date()):
            click.echo(f"wrote {path}")


def _progress(bar: Bar) -> Progress:
    task = bar.add_task("", total=None)

    def preparing(what: str) -> None:
        bar.reset(task, description=f"preparing {what}", total=None)
        bar.refresh()

    def group(name: str, batches: int) -> None:
        bar.reset(task, description=name, total=batches)
        bar.refresh()

    def batch(_: object) -> None:
        bar.advance(task)
        bar.refresh()

    return Progress(preparing, group, batch)


if __name__ == "__main__":
    main()
