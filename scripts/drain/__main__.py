"""`make drain`: the MDMS is away for hours of simulated time and comes back; prints how fast the outbox drained."""

from __future__ import annotations

import asyncio
import sys

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.encryption import MODES, STRICT
from paillier.private.key import generate_keypair

from ..bench_gateway.daemon import DaemonFailed
from ..bench_gateway.measure import CORES
from .run import DrainFailed, Plan, drain
from .say import lines, table

INTERVAL_S = 900


@click.command()
@click.option("--hours", type=click.FloatRange(0.25), default=6.0, show_default=True, help="Without the MDMS.")
@click.option("--meters", type=click.IntRange(2), default=100, show_default=True, help="In the street.")
@click.option(
    "--detail-s", type=click.IntRange(0), default=60, show_default=True, help="A row every so often; 0: none."
)
@click.option("--interval-s", type=click.IntRange(300), default=INTERVAL_S, show_default=True, help="Of the readings.")
@click.option(
    "--pace", type=click.FloatRange(0), default=10.0, show_default=True, help="The street's, while it drains."
)
@click.option("--mode", type=click.Choice(MODES), default=STRICT, show_default=True, help="The accumulator's.")
@click.option("--key-bits", type=int, default=3072, show_default=True, help="Length of the Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
@click.option("--outbox-max-mb", type=click.IntRange(1), default=4000, show_default=True, help="The daemon's bound.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the meters' moments.")
def main(
    hours: float,
    meters: int,
    detail_s: int,
    interval_s: int,
    pace: float,
    mode: str,
    key_bits: int,
    unsafe_small_key: bool,
    outbox_max_mb: int,
    seed: int,
) -> None:
    """Measure how fast a real concentrator's outbox drains when an MDMS comes back.

    Status 1 where a report or a row is lost or doubled; a figure that is not reached is printed as such.
    """
    if 10_800 % interval_s or (detail_s and interval_s % detail_s):
        stop("--interval-s must divide three hours, and --detail-s the interval", 2)
    settings: dict[str, object] = {"accumulator": mode, "outbox_max_mb": outbox_max_mb}
    plan = Plan(meters, hours, interval_s, detail_s, pace, seed, settings)
    try:
        key = generate_keypair(key_bits, unsafe_small_key=unsafe_small_key).public
        with _bar() as bar:
            task = bar.add_task("hours without the MDMS", total=plan.back_s)
            found = asyncio.run(drain(plan, key, CORES[-1] if CORES else None, lambda done: bar.advance(task, done)))
    except (DrainFailed, DaemonFailed, ValueError) as error:
        stop(str(error), 1)
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, highlight=False)
    rows = f"a row every {detail_s} s" if detail_s else "no rows"
    console.print(f"{meters} meters, intervals of {interval_s} s, {rows}, {mode}, {key_bits} bits", soft_wrap=True)
    console.print(table(plan, found))
    for line in lines(plan, found):
        console.print(line, soft_wrap=True)
    sys.exit(1 if found.off else 0)


def stop(message: str, status: int) -> None:
    """End with one clear line."""
    click.echo(f"drain: {message}", err=True)
    sys.exit(status)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


if __name__ == "__main__":
    main()
