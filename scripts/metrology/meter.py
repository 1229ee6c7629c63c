"""A meter on the emulated bench: its chip and its clamp, calibrated as a person would, then measured.

The calibration is that of scripts/calibrate, the measuring that of firmware/measure.py on MicroPython.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.calibrate import arithmetic
from scripts.calibrate.port import Meter, Unix

from . import converter, mains
from .converter import Chip, Input
from .mains import Load, Series

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"

# The range: peaks of crest factor 3 still lie in the converter's linear range, 1300 mV +- 1130 mV.
RANGE_A = 11.0
MV_PER_A = 1000 / 30  # an SCT-013-030
MV_PER_V = 1.74
BIAS_MV = (1312.0, 1295.0)
PHASE_DEG = 3.0
KNOWN_A = 4.3  # a heater of one kilowatt
PERIOD_S = 10
READS_HZ = 10_000  # how fast single conversions follow each other while the converter's table is made


@dataclass(frozen=True)
class Bench:
    """How a meter is built and fed. ``channels``: 1 clamp only, 2 with a voltage channel."""

    folder: Path
    channels: int
    rate_hz: int
    hertz: int
    volts: float = 230.0
    chip: Chip = field(default_factory=lambda: Chip(1))

    @property
    def name(self) -> str:
        kind = "clamp and voltage" if self.channels == 2 else "clamp alone"
        return f"{kind}, {self.rate_hz} Hz, {self.hertz} Hz mains"

    def record(self, name: str, current: Series, seconds: int, seed: int, rate_hz: int = 0) -> Path:
        """Write the counts of a current (amperes) and, with a voltage channel, of the mains."""
        seen = {k: MV_PER_A * a for k, a in mains.through_clamp(current, PHASE_DEG).items()}
        inputs = [Input(BIAS_MV[0], mains.cycle(seen))]
        if self.channels == 2:
            volts = mains.scaled(mains.VOLTAGE, MV_PER_V * self.volts)
            inputs.append(Input(BIAS_MV[1], mains.cycle(volts)))
        path = self.folder / f"{name}.counts"
        converter.write(path, converter.record(self.chip, inputs, self.hertz, rate_hz or self.rate_hz, seconds, seed))
        return path

    def truth(self, current: Series) -> float:
        """Return the watts of a current, or for a clamp alone the volt-amperes at the nominal voltage."""
        if self.channels == 1:
            return self.volts * mains.rms(current)
        return mains.power(mains.scaled(mains.VOLTAGE, self.volts), current)


def current_of(load: Load, amperes: float) -> Series:
    """Return the series of a load at an rms current; of 0 A the empty one."""
    return mains.scaled(load.shape, amperes) if amperes else {}


def calibrated(bench: Bench, phase: bool = True) -> dict[str, Any]:
    """Calibrate the bench's meter with one known load; returns the values. ``phase``: a planted bug leaves it out."""
    heater = mains.scaled(mains.VOLTAGE, KNOWN_A)
    port = Unix(MICROPYTHON, bench.folder, bench.channels, bench.rate_hz)
    meter = Meter(port)
    port.waveform = bench.record("pairs", heater, 4, 3, READS_HZ)
    port.microvolts = bench.folder / "pairs.uv"
    counts = memoryview(port.waveform.read_bytes()).cast("H")
    converter.write_own(port.microvolts, bench.chip, counts)
    held = meter.show()["calibration"]
    held["nominal_mv"], held["nominal_hz"] = round(1000 * bench.volts), bench.hertz
    adc = arithmetic.table(meter.pairs(6000))
    port.waveform, port.microvolts = bench.record("heater", heater, PERIOD_S, 1), None
    loaded = meter.observe(PERIOD_S, adc)
    port.waveform = bench.record("rest", {}, PERIOD_S, 2)
    at_rest = arithmetic.zero(meter.observe(PERIOD_S, adc))
    point = arithmetic.point(loaded, at_rest, bench.rate_hz, bench.hertz)
    known = arithmetic.Known(KNOWN_A, bench.volts if bench.channels == 2 else None)
    values = arithmetic.calibrate(held, at_rest, [(point, known)], adc)
    if not phase:
        values["phase_mdeg"] = 0
    return dict(meter.write(values)["calibration"])


def measure(folder: Path, jobs: list[dict[str, Any]], firmware: Path = ROOT / "firmware") -> list[list[dict[str, Any]]]:
    """Let the firmware measure; returns for each job its periods' lines."""
    path = folder / "jobs.json"
    path.write_text(json.dumps(jobs))
    done = subprocess.run(  # noqa: S603 - our own firmware
        [MICROPYTHON, "-X", "heapsize=8M", firmware / "measure.py", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    if done.returncode:
        raise RuntimeError(f"the firmware failed: {done.stderr or done.stdout}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [[line for line in lines if line["job"] == number] for number in range(len(jobs))]


def job(bench: Bench, waveform: Path, seconds: int, period_s: int = PERIOD_S) -> dict[str, Any]:
    """Return what firmware/measure.py takes."""
    return {
        "waveform": str(waveform),
        "channels": bench.channels,
        "rate_hz": bench.rate_hz,
        "state": str(bench.folder),
        "seconds": seconds,
        "period_s": period_s,
    }
