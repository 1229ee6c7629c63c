"""The check of the RP2040's energy, without a board: it is green for the meter and red for one that is 0.2 % off."""

import math
from array import array

import pytest
from loads import BOTH, CLAMP, RATE_HZ, check_energy

from firmware.meter import calibration
from firmware.meter.metrology import Metrology
from firmware.meter.sampler import Sampler

SECONDS = 16


def silent(text):
    """Take what the check says."""


def code(pin, seconds):
    """Return what the emulated converter gives (emulator/waveform.mjs), without noise."""
    volts = pin["volts"] + sum(
        amplitude * math.sin(2 * math.pi * hertz * seconds + math.radians(degrees))
        for amplitude, hertz, degrees in pin["sines"]
    )
    return max(0, min(4095, math.floor(volts / 3.3 * 4096)))


def figures(load, scale=1.0, **changed):
    """Return what rp2_main.py says once a second, of the firmware's own metrology.

    ``scale``: of the current in the device's calibration; ``changed``: other values of it.
    """
    values = {key: calibration.KEYS[key][0] for key in calibration.KEYS} | load.settings["calibration"] | changed
    values["current_ua_per_v"] = round(values["current_ua_per_v"] * scale)
    held = calibration.check(values)
    sampler = Sampler(load.channels, RATE_HZ, calibration.table(held.adc))
    metrology = Metrology(held.values, RATE_HZ)
    measured, said = 0, []
    for second in range(SECONDS):
        turns = range(second * RATE_HZ, (second + 1) * RATE_HZ)
        conversions = [(turn + channel / load.channels) / RATE_HZ for turn in turns for channel in range(load.channels)]
        counts = [code(load.adc[str(n % load.channels)], at) for n, at in enumerate(conversions)]
        for block in sampler.feed(array("H", counts), RATE_HZ):
            metrology.add(metrology.measure(block)[1], block.turns, 0)
            measured += block.turns
        converted = (second + 1) * RATE_HZ
        mwh = metrology.pending(load.channels == 2)[0]
        said.append({"turns": measured, "mwh": mwh, "converted": converted, "ms": (second + 1) * 1000})
    return said


@pytest.mark.parametrize("load", [CLAMP, BOTH], ids=["clamp", "both"])
def test_the_meter_conserves_energy_and_one_that_is_a_fifth_of_a_percent_off_is_seen(load):
    check_energy(figures(load), load, silent)
    for scale in (1.002, 0.998):
        with pytest.raises(AssertionError):
            check_energy(figures(load, scale), load, silent)


def test_a_phase_that_is_not_corrected_is_seen():
    with pytest.raises(AssertionError):
        check_energy(figures(BOTH, phase_mdeg=0), BOTH, silent)


def test_energy_of_a_second_that_is_counted_twice_is_seen():
    said = figures(CLAMP)
    for each in said[8:]:
        each["mwh"] += round(CLAMP.mwh_a_second)
    with pytest.raises(AssertionError):
        check_energy(said, CLAMP, silent)
