"""The anti-alias filter of each channel: one resistor, one capacitor; and what the shared bias lets through.

First order: H = 1 / (1 + j f/fc), fc = 1 / (2 pi R C). Gain and delay of the two channels differ by their tolerances
and sources only, and calibration takes out what is constant.
"""

from math import atan, degrees, log10, pi, sqrt
from typing import NamedTuple

from hardware.analog import voltage
from hardware.analog.current import burden_ohm, volt_per_ampere
from hardware.circuit import Circuit, Clamp


class Filter(NamedTuple):
    ohm: float
    farad: float
    tolerance: float  # of the product

    @property
    def corner_hz(self) -> float:
        return 1 / (2 * pi * self.ohm * self.farad)

    def gain(self, hertz: float) -> float:
        return 1 / sqrt(1 + (hertz / self.corner_hz) ** 2)

    def decibel(self, hertz: float) -> float:
        return 20 * log10(self.gain(hertz))

    def lag_deg(self, hertz: float) -> float:
        return degrees(atan(hertz / self.corner_hz))

    def lag_spread_deg(self, hertz: float) -> float:
        """Return how far the lag can be from its nominal value, by the parts' tolerances."""
        return degrees(atan(hertz / self.corner_hz * (1 + self.tolerance))) - self.lag_deg(hertz)


def current_filter(circuit: Circuit, clamp: Clamp) -> Filter:
    return made(circuit, burden_ohm(circuit, clamp), "R4", "C3")


def adaptor_filter(circuit: Circuit) -> Filter:
    return made(circuit, voltage.adaptor_source_ohm(circuit), "R8", "C4")


def isolator_filter(circuit: Circuit) -> Filter:
    return made(circuit, circuit.ohm("R14"), "R8", "C4")


def made(circuit: Circuit, source_ohm: float, resistor: str, capacitor: str) -> Filter:
    tolerance = circuit.tolerance(resistor) + circuit.tolerance(capacitor)
    return Filter(source_ohm + circuit.ohm(resistor), circuit.farad(capacitor), tolerance)


def skew_deg(one: Filter, other: Filter, hertz: float) -> float:
    """Return by how much the first channel lags the second: a constant that calibration takes out."""
    return one.lag_deg(hertz) - other.lag_deg(hertz)


def skew_spread_deg(one: Filter, other: Filter, hertz: float) -> float:
    """Return how far that constant differs from one board to the next, at worst."""
    return one.lag_spread_deg(hertz) + other.lag_spread_deg(hertz)


def slowest_rate_hz(filtered: Filter, decibel: float) -> float:
    """Return the least sampling rate at half of which the filter weakens by so many decibels."""
    return 2 * filtered.corner_hz * sqrt(10 ** (decibel / 10) - 1)


def crosstalk_a(circuit: Circuit, clamp: Clamp, mains_v: float, strayed_farad: float) -> float:
    """Return the current that the voltage channel feigns on the current channel, through the bias that they share.

    Both filter capacitors return to BIAS, so that a channel's signal current closes its loop without passing C1. What
    passes is the pin's own capacitance to ground: the share strayed / C1 of the voltage signal (a capacitive divider).
    With the capacitors to ground instead, strayed_farad is C4.
    """
    signal = voltage.adaptor_gain(circuit) * mains_v
    return signal * strayed_farad / circuit.farad("C1") / volt_per_ampere(circuit, clamp)


def strayed_farad(circuit: Circuit) -> float:
    """Return the capacitance through which the voltage channel's signal leaves for ground: the pin's, and C4 if it is
    wired there."""
    wired = 0.0 if circuit.net_of("C4.2") == "BIAS" else circuit.farad("C4")
    return circuit.converter.pin_farad + wired
