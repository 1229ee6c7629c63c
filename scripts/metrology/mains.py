"""Voltages and currents as a house makes them, known exactly: their rms values and their power come from the series.

A current is a Fourier series over the mains cycle. The clamp's phase error is that of its magnetising inductance, a
first-order high pass: 3 degrees at the fundamental, less at the harmonics, as in a real transformer.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

HARMONICS = 49
POINTS = 4096  # of one cycle's table

Series = dict[int, complex]  # harmonic -> complex amplitude (peak): the value is Re(sum of a_k exp(i k angle))


def rms(series: Series) -> float:
    """Return the rms value of a series without a constant part."""
    return math.sqrt(sum(abs(a) ** 2 for a in series.values()) / 2)


def power(volts: Series, amperes: Series) -> float:
    """Return the mean of the product of two series."""
    return sum((volts[k] * amperes[k].conjugate()).real for k in volts.keys() & amperes.keys()) / 2


def crest_factor(series: Series) -> float:
    """Return peak over rms."""
    return max(abs(value) for value in cycle(series)) / rms(series)


def cycle(series: Series) -> list[float]:
    """Return one cycle's values at POINTS places."""
    values = [0.0] * POINTS
    for k, amplitude in series.items():
        for n in range(POINTS):
            turn = 2 * math.pi * (k * n % POINTS) / POINTS
            values[n] += amplitude.real * math.cos(turn) - amplitude.imag * math.sin(turn)
    return values


def scaled(series: Series, to_rms: float) -> Series:
    """Return the series with another rms value."""
    factor = to_rms / rms(series)
    return {k: factor * a for k, a in series.items()}


def through_clamp(series: Series, degrees: float) -> Series:
    """Return what a clamp gives whose current leads by ``degrees`` at the fundamental, its size there unchanged."""
    corner = math.tan(math.radians(degrees))

    def passes(k: int) -> complex:
        return 1j * k / (1j * k + corner)

    return {k: a * passes(k) / abs(passes(1)) for k, a in series.items()}


def _sine(lag_degrees: float = 0) -> Series:
    return {1: cmath.exp(-1j * math.radians(lag_degrees))}


def _pulses(crest: float) -> Series:
    """Return a rectifier's current: half-sine pulses at the voltage's peaks, as narrow as the crest factor asks."""
    width = 2 / crest**2  # of half a cycle: such pulses have an rms value of peak x sqrt(width / 2)
    series: Series = {}
    for k in range(1, HARMONICS + 1, 2):
        total = 0.0
        steps = 2000
        for n in range(steps):
            place = (n + 0.5) / steps - 0.5  # of the pulse
            total += math.cos(math.pi * place) * math.cos(k * math.pi * width * place)
        series[k] = complex(total * width / steps)
    return series


@dataclass(frozen=True)
class Load:
    """A shape of current against a voltage whose peak is at angle 0."""

    name: str
    shape: Series


VOLTAGE: Series = {1: 1 + 0j, 3: -0.01 + 0j, 5: 0.025 + 0.005j, 7: -0.01j}
LOADS = (
    Load("resistive", VOLTAGE),
    Load("inductive, 0.5", _sine(60)),
    Load("harmonics", {1: 1 + 0j, 3: 0.35 * cmath.exp(0.4j), 5: 0.2 * cmath.exp(-2j), 7: 0.1j}),
    Load("crest factor 3", _pulses(3)),
)
