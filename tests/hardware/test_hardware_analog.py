"""The arithmetic agrees with figures that were worked out otherwise: by hand, by a sum over a wave, by other people."""

from cmath import phase
from math import cos, degrees, isclose, pi, sin, sqrt

import pytest

from hardware.analog import bias, budget, current, filters, protection, voltage


@pytest.fixture
def clamps(circuit):
    return {clamp.name: clamp for clamp in circuit.clamp}


def test_the_bias_is_the_dividers_share_of_the_rail(circuit):
    assert isclose(bias.bias_v(circuit).nominal, 3.3 * 1300 / 3300)
    assert bias.bias_v(circuit).low < 1.26 < 1.34 < bias.bias_v(circuit).high


def test_the_bias_lies_within_its_extremes_for_every_corner_of_tolerance(circuit):
    span = bias.bias_v(circuit)
    for rail in (0.98, 1, 1.02):
        for top in (0.99, 1, 1.01):
            for bottom in (0.99, 1, 1.01):
                volts = 3.3 * rail * 1300 * bottom / (2000 * top + 1300 * bottom)
                assert span.low - 1e-9 <= volts <= span.high + 1e-9


def test_emonlibs_calibration_of_the_same_clamp_and_burden_is_ours(circuit, clamps):
    """EmonLib calls amperes per volt the calibration: turns / burden, 2000 / 18 = 111.1 for its own 18 ohm."""
    assert isclose(1 / current.volt_per_ampere(circuit, clamps["SCT-013-000"]), 2000 / 15)


def test_the_unloaded_030_gives_its_makers_volt_at_30_amperes(circuit, clamps):
    clamp = clamps["SCT-013-030"]
    assert isclose(30 / clamp.turns * clamp.inside_ohm, 1.0, rel_tol=0.04)


def test_a_sine_of_full_scale_just_fits_at_the_worst_corner(circuit):
    for clamp in circuit.clamp:
        peak = current.full_scale_a(circuit, clamp, sqrt(2)) * sqrt(2) * current.largest_volt_per_ampere(circuit, clamp)
        span, converter = bias.bias_v(circuit), circuit.converter
        assert converter.linear_min_v - 1e-9 <= span.low - peak
        assert span.high + peak <= converter.linear_max_v + 1e-9
        assert clamp.rated_a <= current.full_scale_a(circuit, clamp, sqrt(2))


def test_a_filter_is_the_complex_divider_that_it_is_built_as(circuit, clamps):
    filtered = filters.current_filter(circuit, clamps["SCT-013-000"])
    for hertz in (50, 60, 350, 2000):
        answer = 1 / (1 + 2j * pi * hertz * (15 + 1500) * 100e-9)
        assert isclose(filtered.gain(hertz), abs(answer))
        assert isclose(filtered.lag_deg(hertz), -degrees(phase(answer)))


def test_the_slowest_rate_is_where_the_filter_has_six_decibels_at_its_half(circuit, clamps):
    filtered = filters.current_filter(circuit, clamps["SCT-013-000"])
    assert isclose(filtered.decibel(filters.slowest_rate_hz(filtered, 6) / 2), -6)


def test_the_adaptor_and_its_divider_scale_240_v_as_measured(circuit):
    assert isclose(voltage.adaptor_gain(circuit) * 240, 11.36 * 100 / 1900)


def test_a_phase_error_is_what_a_sum_over_a_cycle_says():
    for factor, left in ((1.0, 3.0), (0.9, 1.0), (0.5, 0.5)):
        phi = -phase(complex(factor, sqrt(1 - factor**2)))
        wave = [2 * pi * step / 1000 for step in range(1000)]
        true = sum(cos(x) * cos(x + phi) for x in wave)
        seen = [sum(cos(x) * cos(x + phi + sign * left * pi / 180) for x in wave) for sign in (1, -1)]
        worst = max(abs(power / true - 1) for power in seen)
        assert isclose(budget.phase_error(factor, left), worst, rel_tol=1e-6)


def test_a_straight_converter_has_no_gain_error_and_a_bent_one_has(circuit):
    assert abs(budget.bowed_gain(circuit, 1000, 0)) < 1e-12
    # a small sine sees the slope at the middle of the S: 1 - 2 pi inl / range
    counts = (2.45 - 0.15) / circuit.converter.volt_per_count
    assert isclose(budget.bowed_gain(circuit, 1, 12), -2 * pi * 12 / counts, rel_tol=1e-3)


def test_noise_adds_in_squares_and_averages_by_the_root(circuit, clamps):
    clamp = clamps["SCT-013-000"]
    count = circuit.converter.volt_per_count / (15 / 2000)
    assert isclose(current.noise_a(circuit, clamp), sqrt(36 + 1 / 12) * count)
    assert isclose(current.resolved_a(circuit, clamp), sqrt(36 + 1 / 12) * count / sqrt(4000))


def test_the_crosstalk_of_a_capacitor_to_ground_is_a_sum_over_the_network(circuit, clamps):
    """The current through C4 to ground comes out of BIAS, whose impedance is C1 beside R2 and R3."""
    clamp, omega = clamps["SCT-013-000"], 2 * pi * 50
    signal = voltage.adaptor_gain(circuit) * 230
    into = signal * 1j * omega * 100e-9
    node = 1 / (1j * omega * 100e-6 + 1 / bias.source_ohm(circuit))
    exact = abs(into * node) / current.volt_per_ampere(circuit, clamp)
    assert isclose(filters.crosstalk_a(circuit, clamp, 230, 100e-9), exact, rel_tol=0.01)


def test_the_diodes_current_is_ohms_law_behind_the_series_resistor(circuit):
    span = bias.bias_v(circuit)
    down = (10.5 - span.low - 0.4) / 1500
    up = (span.high + 10.5 - 3.3 - 0.4) / 1500
    assert isclose(protection.lost_burden_a(circuit), max(down, up))
    assert protection.overload_a(circuit, 1.0) == 0.0


def test_the_heat_of_the_burden_is_that_of_its_current(circuit, clamps):
    assert isclose(current.burden_w(circuit, clamps["SCT-013-000"], 0.05), 0.05**2 * 15)


def test_the_bound_of_the_errors_is_never_below_the_likely_one(circuit, clamps):
    for clamp in circuit.clamp:
        for chain in budget.chains(circuit, clamp):
            for share in (0.01, 0.1, 1.0):
                terms = budget.with_voltage(circuit, clamp, chain, share * clamp.rated_a, 0.5)
                assert terms.likely() <= terms.worst()
                assert all(term >= 0 for term in terms)


def test_a_clamp_alone_is_an_estimate_by_more_than_class_a(circuit, clamps):
    terms = budget.clamp_only(circuit, clamps["SCT-013-000"], 20, 0.9)
    assert terms.likely() > 3 * budget.MID_CLASS_A
    assert isclose(terms.phase, 1 / 0.9 - 1)


def test_sine_of_the_report_is_root_two():
    peak = max(sin(2 * pi * step / 4000) for step in range(4000))
    rms = sqrt(sum(sin(2 * pi * step / 4000) ** 2 for step in range(4000)) / 4000)
    assert isclose(current.SINE, peak / rms, rel_tol=1e-6)
