"""What the emulated RP2040's pins see, what its meter is to make of it, and the check that it does."""

import math
from dataclasses import dataclass

from protocol import wire

INTERVAL_S = 10
RATE_HZ = 1000
AMPERES, VOLTS = 8.0, 230.0
LAG_DEG = 30.0  # of the current behind the voltage
FACTOR = math.cos(math.radians(LAG_DEG))
CLAMP_DEG = 1.5  # by how much the clamp shows the current too early
CONSERVED = 0.001

# A clamp of 20 A a volt and a transformer of 600 V a volt around the middle of the range, and the calibration that says
# so: the emulated converter gives a 4096th of 3.3 V a count. It converts the voltage half a turn behind the current,
# which is 9 degrees at 50 Hz; what the calibration corrects is the clamp's phase error less this.
CALIBRATION = {"adc": [[0, 0], [4095, 3299194]], "current_ua_per_v": 20_000_000, "bias_uv": 1_650_000}
PHASE_MDEG = round(1000 * (CLAMP_DEG - 360 * 50 * 0.5 / RATE_HZ))
CURRENT = {"volts": 1.65, "sines": [[AMPERES / 20 * math.sqrt(2), 50, CLAMP_DEG - LAG_DEG]], "noise": 0.002}
VOLTAGE = {"volts": 1.65, "sines": [[VOLTS / 600 * math.sqrt(2), 50, 0]], "noise": 0.002}


@dataclass(frozen=True)
class Load:
    """A board's converter, what its pins see, and what is to be measured of it."""

    channels: int
    watts: float
    quality: int

    @property
    def adc(self):
        return {"0": CURRENT, "1": VOLTAGE} if self.channels == 2 else {"0": CURRENT}

    @property
    def settings(self):
        calibration = {**CALIBRATION, "phase_mdeg": PHASE_MDEG, "voltage_uv_per_v": 600_000_000}
        held = calibration if self.channels == 2 else CALIBRATION
        return {"channels": self.channels, "rate_hz": RATE_HZ, "interval_s": INTERVAL_S, "calibration": held}

    @property
    def mwh_a_second(self):
        return self.watts / 3.6


CLAMP = Load(1, VOLTS * AMPERES, wire.APPARENT_ONLY)
BOTH = Load(2, VOLTS * AMPERES * FACTOR, 0)


def check_energy(figures, load, say):
    """Over ten seconds, from every second on: what was measured is what the waveform held in as many turns."""
    rate_hz = RATE_HZ
    worst, windows = 0, 0
    for number, begun in enumerate(figures):
        ended = next((each for each in figures[number:] if each["turns"] - begun["turns"] >= 10 * rate_hz), None)
        if ended:
            held = load.mwh_a_second * (ended["turns"] - begun["turns"]) / rate_hz
            worst = max(worst, abs((ended["mwh"] - begun["mwh"]) / held - 1))
            windows += 1
    say(f"RP2040: energy over ten seconds through the ADC: at most {worst:.3%} off, of {windows} windows")
    assert windows and worst <= CONSERVED
    # The converter keeps the time, and what is measured follows it by a ring and an open block at most.
    converted, ms = (figures[-1][key] - figures[0][key] for key in ("converted", "ms"))
    say(f"RP2040: {converted} turns converted in {ms} ms")
    assert abs(converted - ms * rate_hz / 1000) <= 5
    assert all(0 <= each["converted"] - each["turns"] <= rate_hz for each in figures)
