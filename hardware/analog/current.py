"""The current channel: amperes in the conductor to volts at the pin.

A clamp is a transformer of one turn to many: secondary current = primary / turns, and the burden makes a voltage of
it (OpenEnergyMonitor, CT sensors: interfacing). The -030 has a burden inside; ours stands in parallel to it.
"""

from math import sqrt

from hardware.analog.bias import parallel, room_v
from hardware.circuit import Circuit, Clamp

SINE = sqrt(2)  # crest factor of a sine
PEAKY = 3.0  # crest factor of a rectifier's current, as the meter's accuracy is stated for


def burden_ohm(circuit: Circuit, clamp: Clamp) -> float:
    """Return what the clamp's winding drives: its burden, with the built-in one in parallel."""
    ours = circuit.ohm(clamp.burden)
    return ours if clamp.inside_ohm is None else parallel(ours, clamp.inside_ohm)


def volt_per_ampere(circuit: Circuit, clamp: Clamp) -> float:
    """Return the volts at the pin for one ampere in the conductor, below the filter's corner."""
    return burden_ohm(circuit, clamp) / clamp.turns


def largest_volt_per_ampere(circuit: Circuit, clamp: Clamp) -> float:
    """Return the same with every tolerance at the side that makes it larger, the clamp's own included."""
    ours = circuit.ohm(clamp.burden) * (1 + circuit.tolerance(clamp.burden))
    if clamp.inside_ohm is not None:
        ours = parallel(ours, clamp.inside_ohm * (1 + clamp.inside_tolerance))
    return ours / clamp.turns * (1 + clamp.nonlinearity)


def full_scale_a(circuit: Circuit, clamp: Clamp, crest: float) -> float:
    """Return the greatest RMS current of a crest factor that no tolerance pushes out of the linear range."""
    return room_v(circuit) / crest / largest_volt_per_ampere(circuit, clamp)


def peak_v(circuit: Circuit, clamp: Clamp, rms_a: float, crest: float) -> float:
    """Return the peak at the pin, away from the bias, at nominal values."""
    return rms_a * crest * volt_per_ampere(circuit, clamp)


def count_a(circuit: Circuit, clamp: Clamp) -> float:
    """Return the amperes that one count stands for."""
    return circuit.converter.volt_per_count / volt_per_ampere(circuit, clamp)


def noise_a(circuit: Circuit, clamp: Clamp) -> float:
    """Return the RMS current that noise alone makes: what a meter that only squares and averages reads for nothing.

    Quantisation is count / sqrt(12) (Bennett); the converter's own noise is added in squares.
    """
    return sqrt(circuit.converter.noise_counts**2 + 1 / 12) * count_a(circuit, clamp)


def resolved_a(circuit: Circuit, clamp: Clamp) -> float:
    """Return one standard deviation of the in-phase current, where a voltage channel is multiplied in.

    The mean of v n over N samples of white noise n has the deviation V sigma / sqrt(N); divided by V that is a current.
    """
    samples = circuit.sampling.rate_hz * circuit.sampling.average_s
    return noise_a(circuit, clamp) / sqrt(samples)


def burden_w(circuit: Circuit, clamp: Clamp, secondary_a: float) -> float:
    """Return the heat in our burden at a secondary RMS current."""
    volts = secondary_a * burden_ohm(circuit, clamp)
    return volts**2 / circuit.ohm(clamp.burden)
