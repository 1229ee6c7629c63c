"""What a run prints, and the same for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table as Grid

from gateway.encryption import FOLD
from gateway.service import FOLDED_BATCH_FRAMES

from ..bench.machine import Machine
from ..bench.say import lines_of_figures
from .figures import STREETS, Estimate, estimates, figures
from .measure import PHE, Measurement

HEADINGS = ("mode", "load", "meters", "readings", "/s", "CPU µs", "CPU/s", "p50 ms", "p90", "p99", "MB")
LEAST_WIDTH = 120
NOTES = (
    "/s: readings acknowledged a second, as it ran; where others use the machine too, less than CPU/s: what one core"
    " would do that has nothing else to do. CPU: of the daemon's whole process, links and commits included.",
    "MB: most memory. p50 to p99: from a frame's sending to its durable ACK, at the meter. Flooded, that is the queue;"
    " paced, it is what a street feels.",
    "The daemon is a process of its own on one core, the meters and the stand-in MDMS in another on the others.",
    "Estimates: the daemon's CPU time, 4 to 6 times as long on a Pi 5 and 7 to 10 times on a Pi 4, catching up in fold"
    " mode; at most as many meters as the daemon takes connections. Windows that are sealed and uploads are left out.",
    "phe: the same daemon and the same frames, its ciphertexts from phe's raw_encrypt.",
)
FOLD_NOTE = (
    "fold: meters that catch up, {burst} readings of each in flight, a checkpoint after {delay} ms of waiting or"
    " {frames:,} frames. Frames are acknowledged at checkpoints only. At one reading a checkpoint of each meter it"
    " gains nothing over strict."
)


def wide_console() -> Console:
    """Return a console that has room for the table, a pipe included."""
    console = Console()
    return console if console.width >= LEAST_WIDTH else Console(width=LEAST_WIDTH)


def show(console: Console, measured: Sequence[Measurement], bits: int, machine: Machine) -> None:
    """Print a run."""
    console.print(str(machine), soft_wrap=True, highlight=False)
    console.print(_grid(f"{bits}-bit key", HEADINGS, [cells(each) for each in measured], 2))
    for each in (each for each in measured if each.stages):
        total = sum(stage.cpu_s for stage in each.stages) or 1.0
        rows = [
            (
                stage.name,
                f"{stage.cpu_s / each.readings * 1e6:.1f}",
                f"{stage.cpu_s / total:.0%}",
                f"{stage.calls / each.readings:.2f}",
            )
            for stage in sorted(each.stages, key=lambda stage: -stage.cpu_s)
        ]
        title = f"{each.load.mode}: where the daemon's CPU time goes, its timers included"
        console.print(_grid(title, ("stage", "µs a reading", "share", "calls"), rows, 1))
    guesses = [
        (g.mode, g.board, f"{g.slow:,.0f} to {g.fast:,.0f}", *(_street(g, interval_s) for interval_s in STREETS))
        for g in estimates(measured, bits)
    ]
    if guesses:
        headings = ("mode", "board", "readings/s", *(f"meters every {_length(length)}" for length in STREETS))
        console.print(
            _grid("estimate, nothing was run on a Pi: one core, half of it for readings", headings, guesses, 2)
        )
    for note in notes(measured):
        console.print(f"- {note}", highlight=False, markup=False)
    console.print()
    for line in lines_of_figures(figures(measured, bits)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def cells(each: Measurement) -> tuple[str, ...]:
    """Return a measurement as text."""
    load = each.load
    kind = f"paced {load.rate:g}/s" if load.rate else f"flooded, {load.burst} each" if load.burst > 1 else "flooded"
    kind += ", timed" if load.profile else ""
    numbers = (
        each.per_second,
        each.cpu_us,
        1e6 / each.cpu_us if each.cpu_s else 0.0,
        *each.latencies_ms,
        each.peak_rss_mb,
    )
    return load.mode, kind, f"{load.meters:,}", f"{each.readings:,}", *(f"{number:,.0f}" for number in numbers)


def _street(estimate: Estimate, interval_s: int) -> str:
    slow, fast = estimate.meters(interval_s)
    return f"{slow:,}" if slow == fast else f"{slow:,} to {fast:,}"


def _length(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def notes(measured: Sequence[Measurement]) -> list[str]:
    """Return what has to be known of the figures."""
    said = [note for note in NOTES if not note.startswith("phe") or any(m.load.mode == PHE for m in measured)]
    for each in measured:
        if each.load.mode == FOLD and each.load.rate is None:
            note = FOLD_NOTE.format(
                burst=each.load.burst, delay=each.load.settings.get("commit_delay_ms", "20"), frames=FOLDED_BATCH_FRAMES
            )
            said += [note] if note not in said else []
    return said


def write_json(path: Path, measured: Sequence[Measurement], bits: int, machine: Machine) -> None:
    """Write a run for programs."""
    runs = [
        {
            "mode": each.load.mode,
            "meters": each.load.meters,
            "readings": each.readings,
            "in_flight": each.load.burst,
            "paced_per_second": each.load.rate,
            "settings": each.load.settings,
            "seconds": each.seconds,
            "per_second": each.per_second,
            "cpu_us": each.cpu_us,
            "latency_ms": dict(zip(("p50", "p90", "p99"), each.latencies_ms, strict=True)),
            "idle_rss_mb": each.idle_rss_mb,
            "peak_rss_mb": each.peak_rss_mb,
            "reports": each.reports,
            "stages": each.stages,
        }
        for each in measured
    ]
    document = {"machine": str(machine), "bits": bits, "runs": runs}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def _grid(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Grid:
    """Return a table whose columns after the first ``texts`` are set to the right."""
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if at < texts else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid
