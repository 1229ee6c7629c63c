"""What a meter saw becomes its calibration: pure arithmetic, no I/O. Raises Nonsense for what cannot be used.

One point: gain = known amperes / measured volts at the pin, the converter's noise taken off. Two points: the gain
that is off by the least relative squares; if they disagree, no gain fits and something else is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

Observation = dict[str, Any]  # one line of the meter's bench.observe
Values = dict[str, Any]  # what bench.write takes

LEAST_BLOCKS = 10
STEADY = 0.01  # a load whose rms wanders by more than this (one standard deviation) is no standard to calibrate by
CLEAR = 10.0  # a load must stand out so many times above the noise
AGREE = 0.02  # how far two points may be from the gain between them
LARGEST_NOISE_UV = 20_000.0
LEAST_OFTEN = 8
POINTS = 17
TOP = 4095
MOST_UV = 4_634_000


class Nonsense(ValueError):
    """What was observed cannot be calibrated by; the text says why and what to do."""


@dataclass(frozen=True)
class Zero:
    """With nothing flowing: rms noise and bias of the current's pin, microvolts; blocks' mean length in turns."""

    noise_uv: float
    bias_uv: float
    turns: float


@dataclass(frozen=True)
class Known:
    """A known load: rms amperes, mains volts (None: no voltage channel), power factor (1: a heater)."""

    amperes: float
    volts: float | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Point:
    """A load as it was seen: rms microvolts at the pins, noise taken off; angle by which the current seems to lag."""

    current_uv: float
    voltage_uv: float | None
    lag: float | None  # radians


def zero(seen: Sequence[Observation]) -> Zero:
    """Return the noise and the bias of a clamp with nothing in it."""
    _enough(seen)
    noise = math.sqrt(fmean(line["current_uv2"] for line in seen))
    if noise > LARGEST_NOISE_UV:
        raise Nonsense(
            f"{noise / 1000:.1f} mV on the clamp's pin with nothing connected: something flows, or the clamp is not"
            " plugged in; open the circuit and begin again"
        )
    return Zero(noise, fmean(line["bias_uv"] for line in seen), fmean(line["turns"] for line in seen))


def point(seen: Sequence[Observation], at_rest: Zero, rate_hz: int, nominal_hz: int) -> Point:
    """Return a load as it was seen; refuses one that is too small, not steady, clipped, or of a reversed clamp."""
    _enough(seen)
    squares = [line["current_uv2"] - at_rest.noise_uv**2 for line in seen]
    mean = fmean(squares)
    if mean < (CLEAR * at_rest.noise_uv) ** 2 or mean <= 0:
        raise Nonsense("the load is too small to calibrate by: take one of a third of the range or more")
    roots = [math.sqrt(max(square, 0)) for square in squares]
    if pstdev(roots) > STEADY * fmean(roots):
        raise Nonsense("the load is not steady: take a heater without a thermostat, wait a minute, and begin again")
    if "voltage_uv2" not in seen[0]:
        return Point(math.sqrt(mean), None, None)
    volts = math.sqrt(fmean(line["voltage_uv2"] for line in seen))
    known = [line["millihertz"] for line in seen if line["millihertz"]]
    turn = 2 * math.pi * (fmean(known) / 1000 if known else nominal_hz) / rate_hz
    apparent = volts * math.sqrt(mean)
    now = fmean(line["now_uv2"] for line in seen) / apparent
    before = fmean(line["before_uv2"] for line in seen) / apparent
    if now < 0:
        raise Nonsense("the power comes out negative: turn the clamp around on its conductor and begin again")
    return Point(math.sqrt(mean), volts, math.atan2((now * math.cos(turn) - before) / math.sin(turn), now))


def calibrate(held: Values, at_rest: Zero, points: Sequence[tuple[Point, Known]], adc: Sequence[Any] | None) -> Values:
    """Return the values to be written: those that ``held`` has, with gains, phase, noise, bias and threshold anew."""
    for _, known in points:
        _plausible(known)
    gain = _gain([(p.current_uv / 1e6, known.amperes * 1e6) for p, known in points], "the loads")
    values = dict(held)
    if adc is not None:
        values["adc"] = adc
    values["current_ua_per_v"] = round(gain)
    values["noise_uv"] = round(at_rest.noise_uv)
    values["bias_uv"] = round(at_rest.bias_uv)
    noise_a = at_rest.noise_uv / 1e6 * gain / 1e6
    with_volts = [(p, known) for p, known in points if p.voltage_uv is not None and known.volts is not None]
    if not with_volts:
        # Six standard deviations of what the noise leaves in the mean square of one block.
        least_a = noise_a * math.sqrt(6 * math.sqrt(2 / at_rest.turns))
        values["no_load_mw"] = round(1000 * least_a * values["nominal_mv"] / 1000)
        return values
    volts_gain = _gain([((p.voltage_uv or 0) / 1e6, (k.volts or 0) * 1e6) for p, k in with_volts], "the voltages")
    values["voltage_uv_per_v"] = round(volts_gain)
    leads = [math.acos(known.factor) - (p.lag or 0) for p, known in with_volts]
    values["phase_mdeg"] = round(1000 * math.degrees(fmean(leads)))
    if abs(values["phase_mdeg"]) > 20_000:
        raise Nonsense(
            f"the current is {values['phase_mdeg'] / 1000:.0f} degrees off the voltage: is the load a heater, and are"
            " clamp and voltage on the same phase?"
        )
    # Six standard deviations of the power of a current that is noise.
    values["no_load_mw"] = round(
        1000 * 6 * noise_a * fmean(k.volts or 0 for _, k in with_volts) / math.sqrt(at_rest.turns)
    )
    return values


def _gain(pairs: Sequence[tuple[float, float]], what: str) -> float:
    """Return the gain from measured to known values that has the least relative squares of errors."""
    shares = [measured / known for measured, known in pairs]
    if min(shares) <= 0:
        raise Nonsense(f"{what}: nothing was measured where something was known")
    gain = sum(shares) / sum(share * share for share in shares)
    worst = max(abs(gain * share - 1) for share in shares)
    if worst > AGREE:
        raise Nonsense(f"{what} contradict each other by {200 * worst:.1f} %: was one of them read wrongly?")
    return gain


def _plausible(known: Known) -> None:
    if not 0.1 <= known.amperes <= 1000:
        raise Nonsense(f"{known.amperes:g} A is no load to calibrate by")
    if known.volts is not None and not 50 <= known.volts <= 500:
        raise Nonsense(f"{known.volts:g} V is no mains voltage")
    if not 0.5 <= known.factor <= 1:
        raise Nonsense("the power factor of a known load is 0.5 to 1; 1 is a heater")


def _enough(seen: Sequence[Observation]) -> None:
    if len(seen) < LEAST_BLOCKS:
        raise Nonsense("the meter gave too few blocks: is its converter running?")
    if any(line["rails"] for line in seen):
        raise Nonsense("the input is at the end of the converter's range: a smaller load, or the bias is wrong")
    if any(line["lost"] for line in seen):
        raise Nonsense("the meter lost samples: stop what else runs on it and begin again")


# --- The converter's table --------------------------------------------------------------------------------------


def table(pairs: Sequence[tuple[float, float, int]]) -> list[list[int]] | None:
    """Return [counts, microvolts] points from what the chip's own calibration says, or None where that is too little.

    ``pairs``: mean count, mean microvolts, how often. A cubic is laid through them, for the characteristic is smooth
    and each pair is noisy; outside of what was seen the line of its end goes on.
    """
    good = [pair for pair in pairs if pair[2] >= LEAST_OFTEN]
    if len(good) < 4 or good[-1][0] - good[0][0] < 400:
        return None
    scale = good[-1][0]
    curve = _fit([(count / scale, uv, often) for count, uv, often in good], 3)
    first, last = good[0][0] / scale, good[-1][0] / scale

    def microvolts(count: float) -> float:
        x = count / scale
        inside = min(max(x, first), last)
        slope = sum(n * c * inside ** (n - 1) for n, c in enumerate(curve) if n)
        return sum(c * inside**n for n, c in enumerate(curve)) + slope * (x - inside)

    counts = [round(TOP * n / (POINTS - 1)) for n in range(POINTS)]
    points = [[count, min(max(round(microvolts(count)), 0), MOST_UV)] for count in counts]
    if any(later[1] <= earlier[1] for earlier, later in pairwise(points)):
        raise Nonsense("the chip's own calibration does not rise with its counts: the converter is not usable")
    return points


def _fit(rows: Sequence[tuple[float, float, int]], degree: int) -> list[float]:
    """Return the coefficients, lowest first, of the polynomial of least weighted squares (normal equations)."""
    size = degree + 1
    matrix = [[sum(w * x ** (i + j) for x, _, w in rows) for j in range(size)] for i in range(size)]
    right = [sum(w * y * x**i for x, y, w in rows) for i in range(size)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda row, i=i: abs(matrix[row][i]))  # type: ignore[misc]
        matrix[i], matrix[pivot], right[i], right[pivot] = matrix[pivot], matrix[i], right[pivot], right[i]
        for row in range(i + 1, size):
            factor = matrix[row][i] / matrix[i][i]
            matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[i], strict=True)]
            right[row] -= factor * right[i]
    found = [0.0] * size
    for i in reversed(range(size)):
        found[i] = (right[i] - sum(matrix[i][j] * found[j] for j in range(i + 1, size))) / matrix[i][i]
    return found
