"""Counts of plain waveforms for the meter's tests: an ideal converter, 1 count = 1 mV, no noise unless asked for."""

import math
import random
from array import array

ADC = ((0, 0), (4095, 4095000))
MIDDLE = 2048


def sine(turns, rate_hz, hertz=50.0, amplitude=0.0, volts=None, lag_degrees=0.0, noise=0.0, bias=MIDDLE):
    """Return counts: a current of this amplitude (counts) and, with ``volts`` (amplitude), the voltage in turn."""
    source = random.Random(5) if hasattr(random, "Random") else random
    out = []
    for n in range(turns):
        angle = 2 * math.pi * hertz * n / rate_hz
        jitter = noise * (sum(source.random() for _ in range(12)) - 6) if noise else 0
        out.append(_clip(bias + amplitude * math.cos(angle - math.radians(lag_degrees)) + jitter))
        if volts is not None:
            out.append(_clip(MIDDLE + volts * math.cos(angle)))
    return array("H", out)


def _clip(value):
    return min(max(int(value + 0.5), 0), 4095)


def values(**changes):
    """Return a calibration's values for these waves: 1 A and 100 V a volt at the pin."""
    whole = {
        "current_ua_per_v": 10000000,
        "voltage_uv_per_v": 500000000,
        "phase_mdeg": 0,
        "noise_uv": 0,
        "bias_uv": 0,
        "no_load_mw": 5000,
        "nominal_mv": 230000,
        "nominal_hz": 50,
        "export": 0,
    }
    whole.update(changes)
    return whole
