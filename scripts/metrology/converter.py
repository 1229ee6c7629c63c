"""An emulated converter of the ESP32's kind, and the files of counts that it gives. It shares no code with the meter.

What it has of a real one at 11 dB: 12 bits, nothing below about 100 mV, a reference that differs from chip to chip,
a characteristic that bows by a dozen counts within the linear range (150 to 2450 mV) and flattens above it, steps of
unequal width, Gaussian noise, and a chip's own calibration (read_uv) in steps of 1 mV with an error of its own.
What it does not have: steps as unequal as the data sheet allows, noise that changes with the radio, drift with
temperature.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .mains import POINTS

TOP = 4095
SKEW_S = 60e-6  # the voltage is converted so much later than the current
DRIFT = 0.01  # the mains' frequency wanders by 1 % up and down in a record


@dataclass(frozen=True)
class Chip:
    """One converter. ``reference``: how much its scale is off; ``noise``: counts rms; ``bow``: counts."""

    seed: int
    reference: float = 1.035
    noise: float = 3.0
    bow: float = 12.0
    unequal: float = 0.2  # of a count: how far a step's place is off (standard deviation)

    def counts(self, millivolts: float) -> float:
        """Return the characteristic without noise and steps, clipped."""
        place = (millivolts * self.reference - 142) / 3012  # of the whole range
        value = TOP * place + self.bow * math.sin(2 * math.pi * (place - 0.07))
        if millivolts > 2450:
            value -= 0.00015 * TOP * ((millivolts - 2450) / 10) ** 2 / 4
        return min(max(value, 0), TOP)

    def own_microvolts(self, count: int) -> int:
        """Return what the chip's own calibration makes of a count: 1 mV steps, 1 % and 2 mV off, a quarter bowed."""
        low, high = 0.0, 3300.0
        for _ in range(24):
            middle = (low + high) / 2
            if self.counts(middle) < count:
                low = middle
            else:
                high = middle
        residue = 0.25 * self.bow * 0.74 * math.sin(2 * math.pi * (low - 300) / 3000)
        return 1000 * round(low * 1.01 + 2 + residue)


@dataclass(frozen=True)
class Input:
    """A channel's pin: millivolts of bias and the cycle of what is added to them."""

    bias: float
    cycle: list[float]


def record(chip: Chip, inputs: list[Input], hertz: float, rate_hz: int, seconds: int, seed: int) -> array[int]:
    """Return the counts of a record, the channels in turn; its cycles are whole in number, so that it repeats.

    The frequency wanders by DRIFT about ``hertz``; the record has as many cycles as fit.
    """
    source = random.Random(f"{chip.seed} {seed}")  # noqa: S311 - noise, not a secret
    places = random.Random(chip.seed)  # noqa: S311
    curve = [chip.counts(tenth / 4) for tenth in range(4 * 3400)]
    edges = [places.gauss(0, chip.unequal) for _ in range(TOP + 2)]
    turns = rate_hz * seconds
    cycles = round(hertz * seconds)
    wander = DRIFT * seconds / (2 * math.pi)  # its derivative over the record's angle is DRIFT
    counts = array("H", bytes(4 * turns if len(inputs) == 2 else 2 * turns))
    gauss, noise, at = source.gauss, chip.noise, 0
    for n in range(turns):
        share = n / turns
        phase = cycles * share + hertz * wander * math.sin(2 * math.pi * share)
        for number, pin in enumerate(inputs):
            place = (phase + number * SKEW_S * hertz) % 1 * POINTS
            millivolts = pin.bias + pin.cycle[int(place)]
            value = curve[min(max(int(4 * millivolts), 0), len(curve) - 1)] + gauss(0, noise)
            whole = int(value + 0.5)
            value += edges[whole] if 0 <= whole <= TOP else 0
            counts[at] = min(max(int(value + 0.5), 0), TOP)
            at += 1
    return counts


def write(path: Path, counts: array[int]) -> None:
    """Write a record as the meter's Waveform reads it."""
    path.write_bytes(counts.tobytes())


def write_own(path: Path, chip: Chip, counts: Sequence[int]) -> None:
    """Write what the chip's own calibration says to each count of a record."""
    said = {count: chip.own_microvolts(count) for count in set(counts)}
    path.write_bytes(array("I", (said[count] for count in counts)).tobytes())
