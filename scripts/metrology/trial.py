"""The trials of `make metrology`: accuracy over the range, nothing connected, an hour's energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from . import mains
from .meter import RANGE_A, Bench, current_of, job, measure

PERCENT = (1, 2, 5, 10, 20, 50, 100)
RECORD_S = 20
REPEATED = 10  # a record is measured so many times in a row: a meter gives whole blocks, 0.2 s of the whole
MWH_S = 3600


@dataclass(frozen=True)
class Result:
    """One load at one share of the range: error of its energy in per cent of the truth."""

    bench: str
    load: str
    percent: float
    error: float
    quality: int


def measured(
    bench: Bench,
    seconds: int = RECORD_S,
    loads: tuple[mains.Load, ...] = mains.LOADS,
    percents: tuple[float, ...] = PERCENT,
    firmware: Path | None = None,
) -> list[Result]:
    """Measure loads at shares of the range with the bench's meter, which is calibrated.

    ``firmware``: another one than ours, with a planted bug.
    """
    cases = [(load, percent) for load in loads for percent in percents]
    jobs = []
    for number, (load, percent) in enumerate(cases):
        current = current_of(load, RANGE_A * percent / 100)
        path = bench.record(f"load-{number}", current, seconds, 100 + number)
        jobs.append(job(bench, path, REPEATED * seconds, REPEATED * seconds))
    found = measure(bench.folder, jobs) if firmware is None else measure(bench.folder, jobs, firmware)
    results = []
    for (load, percent), lines in zip(cases, found, strict=True):
        truth = bench.truth(current_of(load, RANGE_A * percent / 100)) * REPEATED * seconds * 1000 / MWH_S
        (line,) = lines
        energy = (line["measured"] or [None])[0]
        error = 100 * (energy / truth - 1) if energy is not None else -100.0
        results.append(Result(bench.name, load.name, percent, error, (line["measured"] or [0, 0, 0])[2]))
    for number in range(len(cases)):
        (bench.folder / f"load-{number}.counts").unlink()
    return results


def nothing_connected(bench: Bench, seconds: int = 60) -> tuple[int, list[str]]:
    """Return the mWh that a calibrated meter counts with nothing connected, and what it found wrong."""
    path = bench.record("nothing", {}, seconds, 7)
    (lines,) = measure(bench.folder, [job(bench, path, seconds, seconds)])
    taken = lines[0]["measured"]
    return taken[0] + taken[1], lines[0]["found"]


@dataclass(frozen=True)
class Hour:
    """An hour's energies in mWh: added up from the meter's periods; of the same counts by floats; the truth."""

    counted: int
    integrated: float
    truth: float
    periods: int

    @property
    def unconserved(self) -> float:
        """Return how far the counted energy is from that of the counts, in per cent."""
        return 100 * (self.counted / self.integrated - 1)


def hour(bench: Bench, values: dict[str, Any]) -> Hour:
    """Count an hour of virtual time in periods of ten seconds. ``values``: the bench's calibration.

    The hour is one minute of the mains sixty times: its cycles are whole in number, so that nothing jumps.
    """
    current = mains.scaled(mains.LOADS[2].shape, RANGE_A / 4)
    path = bench.record("hour", current, 60, 11)
    (lines,) = measure(bench.folder, [job(bench, path, 3600)])
    counted = sum(line["measured"][0] for line in lines)
    counts = memoryview(path.read_bytes()).cast("H")
    return Hour(counted, 1000 * mean_watts(bench, values, counts), bench.truth(current) * 1000, len(lines))


def mean_watts(bench: Bench, values: dict[str, Any], counts: Sequence[int]) -> float:
    """Return the mean power (clamp alone: apparent) of a record under a calibration, in floats, sample by sample."""
    amperes = _volts(counts[:: bench.channels], values["adc"])
    gain = values["current_ua_per_v"] / 1e6
    if bench.channels == 1:
        square = fmean(a * a for a in amperes) - (values["noise_uv"] / 1e6) ** 2
        return float(values["nominal_mv"] / 1000 * gain * math.sqrt(square))
    volts = _volts(counts[1::2], values["adc"])
    turn = 2 * math.pi * bench.hertz / bench.rate_hz
    error = math.radians(values["phase_mdeg"] / 1000)
    now = fmean(v * a for v, a in zip(volts, amperes, strict=True))
    before = fmean(v * a for v, a in zip(volts[1:], amperes, strict=False))
    mean = (math.sin(turn - error) * now + math.sin(error) * before) / math.sin(turn)
    return float(values["voltage_uv_per_v"] / 1e6 * gain * mean)


def _volts(counts: Sequence[int], adc: Sequence[Sequence[int]]) -> list[float]:
    """Return a channel's volts at the pin without their mean."""
    known = {}
    for count in set(counts):
        place = max(n for n, point in enumerate(adc[:-1]) if point[0] <= count)
        (c0, uv0), (c1, uv1) = adc[place], adc[place + 1]
        known[count] = (uv0 + (uv1 - uv0) * (count - c0) / (c1 - c0)) / 1e6
    volts = [known[count] for count in counts]
    mean = fmean(volts)
    return [v - mean for v in volts]


def benches(folder: Path) -> list[Bench]:
    """Return what is tried: both kinds of meter, slow and fast sampling, both mains."""
    kinds = [(channels, rate, hertz) for channels in (2, 1) for rate in (1000, 2000, 4000) for hertz in (50, 60)]
    made = []
    for number, (channels, rate_hz, hertz) in enumerate(kinds):
        place = folder / f"meter-{number}"
        place.mkdir(parents=True, exist_ok=True)
        bench = Bench(place, channels, rate_hz, hertz)
        made.append(replace(bench, chip=replace(bench.chip, seed=number + 1)))
    return made
