"""One measurement: a street, a daemon, a stand-in MDMS, a run of the meters against them, and what it all took."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from paillier import PublicKey

from ..conductor import HOST, Conductor
from . import street
from .daemon import Daemon, Usage
from .drive import Drive, DriveFailed, Driven, Plan
from .mdms import StandIn
from .stages import Stage
from .street import Meter

PHE = "phe"
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@dataclass(frozen=True)
class Load:
    """What a run puts on the daemon. ``rate``: readings a second; None: as many as it takes.

    ``burst``: readings that a meter has in flight. ``seconds``: at most. ``settings`` go into gateway.toml.
    """

    mode: str
    meters: int
    readings: int
    burst: int
    interval_s: int
    seconds: float
    rate: float | None = None
    profile: bool = False
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """What a run took. Latencies are from a frame's sending to its durable ACK, at the meter, in milliseconds."""

    load: Load
    readings: int
    seconds: float
    cpu_s: float
    idle_rss_mb: float
    peak_rss_mb: float
    latencies_ms: tuple[float, float, float]  # the 50th, 90th and 99th percentile
    uploads: int
    reports: int
    stages: tuple[Stage, ...]

    @property
    def per_second(self) -> float:
        """Readings a second, each acknowledged."""
        return self.readings / self.seconds if self.seconds else 0.0

    @property
    def cpu_us(self) -> float:
        """Microseconds of the daemon's core for one reading."""
        return self.cpu_s / self.readings * 1e6


def seal(
    count: int, rounds: int, interval_s: int, advanced: Callable[[int], None]
) -> tuple[list[Meter], list[list[bytes]]]:
    """Return meters and, for each, its sealed readings in order."""
    meters = [Meter(number, interval_s) for number in range(count)]
    frames = []
    for meter in meters:
        frames.append([meter.seal() for _ in range(rounds)])
        advanced(rounds)
    return meters, frames


async def measure(
    key: PublicKey, load: Load, sealing: Callable[[int], None], advanced: Callable[[int], None]
) -> Measurement:
    """Run once. Raises DaemonFailed or DriveFailed."""
    rounds = -(-load.readings // load.meters)
    meters, frames = seal(load.meters, rounds, load.interval_s, sealing)
    plan = Plan(meters, frames, load.interval_s, load.burst, load.rate, load.seconds)
    conductor = Conductor()
    mdms = StandIn(street.DEPLOYMENT)
    with tempfile.TemporaryDirectory(prefix="hushmeter-bench-") as name, _drivers_cores():
        settings = {
            "accumulator": "strict" if load.mode == PHE else load.mode,
            "clock": f"conducted:{HOST}:{await conductor.listen()}",
            "grace_s": plan.grace_s,
            "unsafe_small_key": key.bits < 2048,
            **load.settings,
        }
        made = street.set_up(Path(name) / "gateway", key, meters, load.interval_s, settings, mdms.port)
        daemon = Daemon(made.config, CORES[-1] if CORES else None, phe=load.mode == PHE, profile=load.profile)
        try:
            port = await daemon.start()
            before = daemon.usage()
            driven = await Drive(plan, conductor, advanced).run(port)
            after = daemon.usage()
        finally:
            await conductor.close()
            stages = await daemon.stop()
            mdms.close()
    return _measurement(load, driven, before, after, mdms, stages)


def _measurement(
    load: Load, driven: Driven, before: Usage, after: Usage, mdms: StandIn, stages: list[Stage]
) -> Measurement:
    if driven.readings < 2:
        raise DriveFailed("the run was over before there were two readings: give it more --seconds")
    cuts = quantiles([latency * 1000 for latency in driven.latencies_s], n=100, method="inclusive")
    return Measurement(
        load=load,
        readings=driven.readings,
        seconds=driven.seconds,
        cpu_s=after.cpu_s - before.cpu_s,
        idle_rss_mb=before.rss_mb,
        peak_rss_mb=after.peak_rss_mb,
        latencies_ms=(cuts[49], cuts[89], cuts[98]),
        uploads=mdms.uploads,
        reports=mdms.reports,
        stages=tuple(stages),
    )


@contextmanager
def _drivers_cores() -> Iterator[None]:
    """Keep this process off the daemon's core, where there is another."""
    if len(CORES) < 2:
        yield
        return
    os.sched_setaffinity(0, CORES[:-1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)
