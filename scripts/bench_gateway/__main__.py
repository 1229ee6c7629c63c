"""`make bench-gateway`: runs the daemon under a street's load in every mode, and prints what it sustained."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import phe

from gateway.encryption import FOLD, MODES, STRICT
from paillier.keys import LEAST_BITS, MOST_BITS
from paillier.private.key import generate_keypair

from ..bench.machine import this_machine
from ..bench.progress import progress_bar, stop
from .daemon import DaemonFailed
from .drive import DriveFailed
from .figures import LATENCY_RATE
from .measure import PHE, Load, Measurement, measure
from .say import show, wide_console, write_json

LEAST_UNSAFE_BITS = 512
FOLD_DELAY_MS = 200
FOLD_BURST = 16  # what a meter has on its way at most: WINDOW of firmware/meter/link.py
FOLD_TIMES = 4  # as many readings as the other modes: a run of the same length
PHE_PART = 20  # of the readings: phe takes that much longer
INTERVAL_S = 10
FILE = click.Path(path_type=Path, dir_okay=False)
ALL = (*MODES, PHE)


BENCH = "bench-gateway"


@click.command()
@click.option("--meters", type=click.IntRange(2), default=1000, show_default=True, help="Meters, one connection each.")
@click.option("--readings", type=click.IntRange(2), default=10_000, show_default=True, help="Of a flooded run, about.")
@click.option("--seconds", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Of each run, at most.")
@click.option("--mode", "modes", type=click.Choice(ALL), multiple=True, help="May be repeated.  [default: all]")
@click.option("--rate", type=click.FloatRange(0), default=LATENCY_RATE, show_default=True, help="Paced run; 0: none.")
@click.option("--in-flight", type=click.IntRange(1, 512), default=FOLD_BURST, show_default=True, help="Fold mode's.")
@click.option("--key-bits", type=int, default=3072, show_default=True, help="Length of the Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
@click.option("--commit-delay-ms", type=click.IntRange(0), help="[default: the daemon's; 200 in fold mode]")
@click.option("--table-window-bits", type=click.IntRange(0, 12), help="[default: the daemon's, for a Pi]")
@click.option("--profile", is_flag=True, help="Time the stages inside the daemon too, in runs of their own.")
@click.option("--json", "json_file", type=FILE, help="Write the measurements to this file.")
def main(
    meters: int,
    readings: int,
    seconds: float,
    modes: tuple[str, ...],
    rate: float,
    in_flight: int,
    key_bits: int,
    unsafe_small_key: bool,
    commit_delay_ms: int | None,
    table_window_bits: int | None,
    profile: bool,
    json_file: Path | None,
) -> None:
    """Measure the real daemon over TCP: readings a second with durable ACKs, time to the ACK, memory, CPU.

    A figure that the run does not reach is printed as such; the status is 0. Exit 1 where the daemon answers wrongly.
    """
    if json_file is not None and not json_file.absolute().parent.is_dir():
        stop(BENCH, f"{json_file.parent} is not a folder", 2)
    if not (LEAST_UNSAFE_BITS if unsafe_small_key else LEAST_BITS) <= key_bits <= MOST_BITS or key_bits % 2:
        stop(
            "bench-gateway", f"--key-bits {key_bits}: a key has an even number of bits, {LEAST_BITS} to {MOST_BITS}", 2
        )
    settings: dict[str, object] = {}
    if commit_delay_ms is not None:
        settings["commit_delay_ms"] = commit_delay_ms
    if table_window_bits is not None:
        settings["table_window_bits"] = table_window_bits
    loads = [
        load
        for mode in dict.fromkeys(modes or ALL)
        for load in loads_of(mode, meters, readings, seconds, rate, in_flight, settings, profile=profile)
    ]
    key = generate_keypair(key_bits, unsafe_small_key=unsafe_small_key).public
    measured: list[Measurement] = []
    with progress_bar() as bar:
        for load in loads:
            task = bar.add_task(f"{load.mode}: sealing", total=load.meters * -(-load.readings // load.meters))
            running = bar.add_task(load.mode + (" profiled" if load.profile else ""), total=None)
            try:
                measured.append(
                    asyncio.run(
                        measure(key, load, lambda n, t=task: bar.advance(t, n), lambda n, t=running: bar.advance(t, n))  # type: ignore[misc]
                    )
                )
            except (DaemonFailed, DriveFailed) as error:
                bar.stop()
                stop(BENCH, f"{load.mode}: {error}", 1)
            bar.remove_task(task)
    machine = this_machine([("phe", phe.__version__)])
    show(wide_console(), measured, key_bits, machine)
    if json_file is not None:
        write_json(json_file, measured, key_bits, machine)


def loads_of(
    mode: str,
    meters: int,
    readings: int,
    seconds: float,
    rate: float,
    in_flight: int,
    settings: dict[str, object],
    *,
    profile: bool,
) -> list[Load]:
    """Return a mode's runs: at full speed, under timers where asked for, and for strict mode at a street's pace."""
    burst = 1
    if mode == FOLD:
        burst = in_flight
        settings = {"commit_delay_ms": FOLD_DELAY_MS, **settings}
        readings = max(FOLD_TIMES * readings, burst * meters)
    if mode == PHE:
        readings = max(readings // PHE_PART, 2)
        meters = min(meters, readings)
    flooded = Load(mode, meters, readings, burst, INTERVAL_S, seconds, settings=settings)
    loads = [flooded]
    if profile and mode != PHE:
        loads.append(Load(mode, meters, readings, burst, INTERVAL_S, seconds, profile=True, settings=settings))
    if mode == STRICT and rate:
        paced = min(readings, int(rate * seconds) + 1)
        loads.append(Load(mode, meters, paced, 1, INTERVAL_S, seconds, rate=rate, settings=settings))
    return loads


if __name__ == "__main__":
    main()
