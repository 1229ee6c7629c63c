"""The figures that the concentrator is to reach, each with what this run measured of it, and what a Pi would sustain.

Nothing was run on a Pi: an estimate multiplies the daemon's CPU time by how much slower a Pi's core is thought to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config import Config
from gateway.encryption import FOLD, MODES, STRICT

from ..bench.figures import Figure
from .measure import PHE, Measurement

BITS = 3072
STRICT_PER_SECOND = 500.0
FOLD_TIMES = 10.0
LATENCY_MS = 50.0
LATENCY_RATE = 100.0
RSS_MB = 150.0
RSS_METERS = 1000
PIS = (("Pi 5", 4, 6), ("Pi 4", 7, 10))
HEADROOM = 0.5  # of one core, for readings; the rest is for closing, uploads and what comes late
STREETS = (10, 60, 900)  # seconds between a meter's readings
MOST_METERS = Config.max_connections


@dataclass(frozen=True)
class Estimate:
    """What one core of a Pi would sustain in a mode, at its slower and its faster guess: readings a second."""

    board: str
    mode: str
    slow: float
    fast: float

    def meters(self, interval_s: int) -> tuple[int, int]:
        """Return the street that half of that core would serve, a reading of each meter an interval."""
        slow, fast = (min(int(rate * HEADROOM * interval_s), MOST_METERS) for rate in (self.slow, self.fast))
        return slow, fast


def flooded(measured: Sequence[Measurement], mode: str) -> Measurement | None:
    """Return a mode's run at full speed."""
    return next((m for m in measured if m.load.mode == mode and m.load.rate is None), None)


def per_core(measurement: Measurement | None) -> float | None:
    """Return the readings of one second of the daemon's CPU time: what a core does that has nothing else to do."""
    return None if measurement is None or not measurement.cpu_s else 1e6 / measurement.cpu_us


def figures(measured: Sequence[Measurement], bits: int) -> list[Figure]:
    """Return every figure; None for what this run has not measured at the length and size that it is said for."""
    if bits != BITS:
        measured = []
    strict, fold, phe = (flooded(measured, mode) for mode in (STRICT, FOLD, PHE))
    sustained, folded = (None if m is None else m.per_second for m in (strict, fold))
    paced = next((m for m in measured if m.load.rate == LATENCY_RATE and m.load.mode == STRICT), None)
    crowded = [m.peak_rss_mb for m in measured if m.load.meters >= RSS_METERS and m.load.mode in MODES]
    strict_core, fold_core, phe_core = (per_core(m) for m in (strict, fold, phe))
    return [
        Figure("strict, durable ACKs, readings/s as it ran", STRICT_PER_SECOND, sustained, "/s"),
        Figure("strict, readings for a second of CPU", STRICT_PER_SECOND, strict_core, "/s"),
        Figure("fold, catching up, readings/s as it ran", FOLD_TIMES * STRICT_PER_SECOND, folded, "/s"),
        Figure("fold, catching up, readings for a second of CPU", FOLD_TIMES * STRICT_PER_SECOND, fold_core, "/s"),
        Figure(
            "strict at 100 readings/s, median frame to ACK",
            LATENCY_MS,
            paced.latencies_ms[0] if paced else None,
            "ms",
            True,
        ),
        Figure(f"most memory, {RSS_METERS:,} meters, table for a Pi", RSS_MB, max(crowded, default=None), "MB", True),
        Figure(
            "strict, CPU of a reading, to a build with phe",
            1.0,
            strict_core / phe_core if strict_core and phe_core else None,
        ),
    ]


def estimates(measured: Sequence[Measurement], bits: int) -> list[Estimate]:
    """Return what a Pi's core would sustain in every mode that was run at full speed with a key of full length."""
    found: list[Estimate] = []
    if bits != BITS:
        return found
    for mode in MODES:
        rate = per_core(flooded(measured, mode))
        if rate is not None:
            found += [Estimate(board, mode, rate / most, rate / least) for board, least, most in PIS]
    return found
