"""Blocks become volts, amperes, watts and energy."""

import math

import waves

from firmware.meter import calibration
from firmware.meter.metrology import Metrology, interpolation
from firmware.meter.sampler import Sampler

RATE_HZ = 2000
SECONDS = 4


def run(channels=2, hertz=50.0, seconds=SECONDS, changes=None, **wave):
    """Return (metrology, last Electrical, (import_mwh, export_mwh)) of a wave."""
    volts = wave.pop("volts", 650.54 if channels == 2 else None)  # 0.46 V rms: 230 V
    counts = waves.sine(seconds * RATE_HZ, RATE_HZ, hertz, volts=volts, **wave)
    sampler = Sampler(channels, RATE_HZ, calibration.table(waves.ADC))
    metrology = Metrology(waves.values(**(changes or {})), RATE_HZ)
    turns = 0
    for block in sampler.feed(counts, len(counts) // channels):
        electrical, work = metrology.measure(block)
        metrology.add(work, block.turns, block.lost)
        turns += block.turns
    return turns, electrical, metrology.energies(channels == 2)


def near(value, expected, share=0.003):
    return abs(value - expected) <= abs(expected) * share


def test_volts_amperes_watts_and_energy_are_right():
    turns, seen, energies = run(amplitude=707.1)  # 0.5 V rms: 5 A
    assert near(seen.microvolts, 230000000) and near(seen.microamperes, 5000000)
    assert near(seen.milliwatts, 1150000) and near(seen.millivoltamperes, 1150000)
    assert near(energies[0], 1150000 * turns / RATE_HZ / 3600) and energies[1] == 0


def test_power_follows_the_angle_and_apparent_power_does_not():
    for lag in (-80, -60, -30, 30, 60, 80):
        _, seen, _ = run(amplitude=707.1, lag_degrees=lag)
        assert abs(seen.milliwatts - 1150000 * math.cos(math.radians(lag))) < 3500, lag
        assert near(seen.millivoltamperes, 1150000)


def test_the_sign_is_the_direction():
    turns, seen, energies = run(amplitude=707.1, lag_degrees=180, changes={"export": 1})
    assert near(seen.milliwatts, -1150000)
    assert energies[0] == 0 and near(energies[1], 1150000 * turns / RATE_HZ / 3600)


def test_a_phase_error_of_three_degrees_is_taken_out_and_shows_if_it_is_not():
    for hertz in (49.5, 50.5, 60.0):
        for lead in (3, -3):
            true = 1150000 * math.cos(math.radians(60))
            _, right, _ = run(amplitude=707.1, hertz=hertz, lag_degrees=60 - lead, changes={"phase_mdeg": 1000 * lead})
            _, wrong, _ = run(amplitude=707.1, hertz=hertz, lag_degrees=60 - lead)
            assert near(right.milliwatts, true, 0.005), (hertz, lead, right.milliwatts)
            assert not near(wrong.milliwatts, true, 0.05)


def test_the_interpolation_turns_and_does_not_attenuate():
    for rate_hz in (1000, 2000, 4000):
        for error in (-10, -3, 0, 3, 10):
            now, before = interpolation(1000 * error, 50000, rate_hz)
            turn = 2 * math.pi * 50 / rate_hz
            for lag in (0, 0.3, 1.0):
                found = (now * math.cos(lag) + before * math.cos(lag + turn)) / (1 << 20)
                assert abs(found - math.cos(lag + math.radians(error))) < 1e-4


def test_a_bias_is_no_current_wherever_it_is():
    for bias in (1100, 2048, 2900):
        _, seen, _ = run(channels=1, amplitude=707.1, bias=bias)
        assert near(seen.microamperes, 5000000), bias


def test_nothing_connected_is_zero_watts_with_noise_and_all():
    for channels in (1, 2):
        _, seen, energies = run(channels=channels, noise=3.0, changes={"noise_uv": 3000})
        assert (seen.microamperes, seen.millivoltamperes, energies) == (0, 0, (0, 0))


def test_the_converters_noise_is_no_current():
    changes = {"noise_uv": 3000, "no_load_mw": 0}
    _, _, energies = run(channels=1, amplitude=14.14, noise=3.0, seconds=10, changes=changes)  # 0.1 A
    true = 230 * 0.1 * 10 * 1000 / 3600
    assert abs(energies[0] - true) < 0.05 * true, energies
    counted_with_noise = run(channels=1, amplitude=14.14, noise=3.0, seconds=10, changes={"no_load_mw": 0})[2][0]
    assert counted_with_noise > 1.02 * true


def test_the_no_load_threshold_is_a_threshold():
    for amplitude, counts in ((2.0, False), (6.0, True)):
        _, seen, energies = run(amplitude=amplitude)
        assert (energies[0] > 0) == counts and (seen.milliwatts > 0) == counts


def test_a_clamp_alone_gives_apparent_energy_at_the_nominal_voltage():
    turns, seen, energies = run(channels=1, amplitude=707.1, lag_degrees=60)
    assert seen.microvolts is None and seen.milliwatts is None
    assert near(seen.millivoltamperes, 1150000) and near(energies[0], 1150000 * turns / RATE_HZ / 3600)


def test_no_part_of_a_milliwatt_hour_is_lost():
    metrology = Metrology(waves.values(), RATE_HZ)
    parts = metrology._apparent
    third = parts // 3 + 1
    taken = 0
    for _ in range(3000):
        metrology.add(third, 400, 0)
        taken += metrology.energies(False)[0]
    assert taken == 1000


def test_lost_turns_are_bridged_with_the_blocks_own_power():
    metrology = Metrology(waves.values(), RATE_HZ)
    metrology.add(metrology._apparent * 10, 400, 40)
    assert metrology.energies(False) == (11, 0)
