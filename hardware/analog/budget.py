"""The error budget against load, after a calibration at one point, beside the classes of the directive.

MID (2014/32/EU, annex V): class A 3.5 %, class B 2 %, from the transitional current upwards. Terms are added both
straight (worst case) and as the root of their squares (independent). Nothing here was measured on a board: terms are
data sheet limits and the assumptions that circuit.toml marks.
"""

from math import acos, cos, pi, radians, sin, sqrt, tan
from typing import NamedTuple

from hardware.analog import filters
from hardware.analog.bias import bias_v, counts
from hardware.analog.current import SINE, count_a, noise_a, peak_v, resolved_a
from hardware.circuit import Circuit, Clamp

MID_CLASS_A = 0.035
MID_CLASS_B = 0.020
STEPS = 720  # of one cycle, for the numeric integral
FILM_DRIFT = 0.01  # assumed: of a polyester film capacitor over the temperature span
NOISE_LEFT = 0.1  # assumed: the share of the noise's square that taking it off leaves
CALIBRATED_AT = 0.1  # of the clamp's range: the load of a calibration at one point


class Terms(NamedTuple):
    """Fractions of the load. The sum is a bound, the root of squares what independent errors come to."""

    clamp: float
    resistors: float
    converter: float
    noise: float
    phase: float
    voltage: float

    def worst(self) -> float:
        return sum(self)

    def likely(self) -> float:
        return sqrt(sum(term**2 for term in self))


class Chain(NamedTuple):
    """What measures the voltage: None of it for a meter with a clamp only."""

    name: str
    linearity: float
    phase_band_deg: float
    skew_spread_deg: float


def chains(circuit: Circuit, clamp: Clamp) -> list[Chain]:
    """Return the two ways to have a voltage. Half of a band: calibration sits in its middle."""
    hertz, ours = circuit.mains.frequency_hz[0], filters.current_filter(circuit, clamp)
    made = []
    for source, other in (
        (circuit.adaptor, filters.adaptor_filter(circuit)),
        (circuit.isolator, filters.isolator_filter(circuit)),
    ):
        drift = filters.skew_spread_deg(ours, other, hertz) * drift_share(circuit)
        made.append(Chain(source.name, source.linearity, source.phase_band_deg / 2, drift))
    return made


def drift_share(circuit: Circuit) -> float:
    """Return the share of a filter's spread that stays after calibration: what temperature does to its capacitor."""
    return FILM_DRIFT / filters.adaptor_filter(circuit).tolerance


def bowed_gain(circuit: Circuit, peak_counts: float, inl_counts: float) -> float:
    """Return the error of an RMS reading that a bent characteristic makes, for a sine about the bias.

    The bend is an S over the linear range, the shape that changes gain most: inl * sin(2 pi x / range).
    """
    low, high = (counts(circuit, v) for v in (circuit.converter.linear_min_v, circuit.converter.linear_max_v))
    zero = counts(circuit, bias_v(circuit).nominal)
    read = []
    for step in range(STEPS):
        x = zero + peak_counts * sin(2 * pi * step / STEPS)
        read.append(x + inl_counts * sin(2 * pi * (x - low) / (high - low)))
    mean = sum(read) / STEPS
    rms = sqrt(sum((value - mean) ** 2 for value in read) / STEPS)
    return rms / (peak_counts / SINE) - 1


def converter_error(circuit: Circuit, clamp: Clamp, rms_a: float, calibrated_a: float, inl_counts: float) -> float:
    """Return by how much the gain at a load differs from the gain at the load of the calibration."""
    one, other = (
        bowed_gain(circuit, peak_v(circuit, clamp, amperes, SINE) / circuit.converter.volt_per_count, inl_counts)
        for amperes in (rms_a, calibrated_a)
    )
    return abs(one - other)


def phase_error(power_factor: float, degrees_left: float) -> float:
    """Return the error of real power that an uncorrected phase makes: cos(phi + d) / cos(phi) - 1, its greater side."""
    phi, left = acos(power_factor), radians(degrees_left)
    return abs(cos(left) - 1) + tan(phi) * sin(left)


def with_voltage(circuit: Circuit, clamp: Clamp, chain: Chain, rms_a: float, power_factor: float) -> Terms:
    """Return the errors of real power at a load, with a voltage channel."""
    drift = circuit.temperature.resistor_per_k * circuit.temperature.span_k
    left = clamp.phase_band_deg / 2 + chain.phase_band_deg + chain.skew_spread_deg
    return Terms(
        clamp=clamp.nonlinearity,
        resistors=2 * drift,
        converter=converter_error(
            circuit, clamp, rms_a, clamp.rated_a * CALIBRATED_AT, circuit.converter.inl_left_counts
        ),
        noise=resolved_a(circuit, clamp) / rms_a / power_factor,
        phase=phase_error(power_factor, left),
        voltage=chain.linearity,
    )


def clamp_only(circuit: Circuit, clamp: Clamp, rms_a: float, power_factor: float) -> Terms:
    """Return the errors of a reading of apparent power at a fixed voltage, taken for the real power that is billed.

    noise: what stays of the noise's square after it was measured without load and taken off.
    voltage: the mains' tolerance. phase: apparent power is 1 / power factor too much.
    """
    floor = noise_a(circuit, clamp) ** 2 * NOISE_LEFT
    return Terms(
        clamp=clamp.nonlinearity,
        resistors=circuit.temperature.resistor_per_k * circuit.temperature.span_k,
        converter=converter_error(
            circuit, clamp, rms_a, clamp.rated_a * CALIBRATED_AT, circuit.converter.inl_left_counts
        ),
        noise=sqrt(1 + floor / rms_a**2) - 1,
        phase=1 / power_factor - 1,
        voltage=circuit.mains.tolerance,
    )


def with_a_measured_clamp(terms: Terms, clamp: Clamp) -> Terms:
    """Return the same errors with the clamp's measured curve in place of its data sheet's limit."""
    return terms._replace(clamp=clamp.one_piece)


def no_load_a(circuit: Circuit, clamp: Clamp) -> float:
    """Return a threshold below which a reading counts as nothing: half a count or six deviations, the greater."""
    return max(count_a(circuit, clamp) / 2, 6 * resolved_a(circuit, clamp))
