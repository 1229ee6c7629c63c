"""Where zero stands: the divider from 3V3, and the room that it leaves inside the converter's linear range."""

from typing import NamedTuple

from hardware.circuit import Circuit


class Span(NamedTuple):
    """A value with its extremes."""

    low: float
    nominal: float
    high: float


def divider(top_ohm: float, bottom_ohm: float) -> float:
    """Return the fraction of a voltage that a divider leaves (Ohm's law)."""
    return bottom_ohm / (top_ohm + bottom_ohm)


def bias_v(circuit: Circuit) -> Span:
    """Return the bias in volts, over the tolerances of the rail and of both resistors."""
    top, bottom = circuit.ohm("R2"), circuit.ohm("R3")
    up, down = circuit.tolerance("R2"), circuit.tolerance("R3")
    rail, swing = circuit.supply.rail_v, circuit.supply.rail_tolerance
    return Span(
        rail * (1 - swing) * divider(top * (1 + up), bottom * (1 - down)),
        rail * divider(top, bottom),
        rail * (1 + swing) * divider(top * (1 - up), bottom * (1 + down)),
    )


def source_ohm(circuit: Circuit) -> float:
    """Return the resistance that the divider shows to the rest: both resistors in parallel (Thevenin)."""
    return parallel(circuit.ohm("R2"), circuit.ohm("R3"))


def parallel(*ohms: float) -> float:
    """Return resistances in parallel, in ohms."""
    return 1 / sum(1 / ohm for ohm in ohms)


def room_v(circuit: Circuit) -> float:
    """Return the greatest peak in volts that stays within the linear range on both sides, at the worst bias.

    Source of the range: ESP32 data sheet, effective measurement range; it reads nothing below 0.1 V.
    """
    bias, converter = bias_v(circuit), circuit.converter
    return min(bias.low - converter.linear_min_v, converter.linear_max_v - bias.high)


def leak_shift_v(circuit: Circuit) -> float:
    """Return how far one diode's leakage moves zero on a channel: through the bias's source and the filter resistor."""
    return circuit.protection.diode_leak_a * (source_ohm(circuit) + circuit.ohm("R4"))


def counts(circuit: Circuit, volts: float) -> float:
    """Return the raw reading of a voltage at the nominal reference (ESP-IDF esp_adc_cal, line fit)."""
    return (volts - circuit.converter.offset_v) / circuit.converter.volt_per_count
