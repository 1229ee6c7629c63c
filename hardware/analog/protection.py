"""What the pins bear when something goes wrong: a burden that has come off, a clamp in saturation, a surge.

The converter's pin is held between ground and 3V3 by two Schottky diodes behind a series resistor; a TVS holds the
clamp's two wires together should its burden be missing. The bounds take each part at its worst data sheet value.
"""

from hardware.analog.bias import bias_v
from hardware.circuit import Circuit, Clamp


def lost_burden_a(circuit: Circuit) -> float:
    """Return the peak current into a diode with the burden gone: the TVS clamps, the series resistor limits.

    Upwards the pin stops a diode above 3V3, downwards a diode below ground: the worse of both.
    """
    bias, guard = bias_v(circuit), circuit.protection
    upwards = bias.high + guard.tvs_clamp_v - (circuit.supply.rail_v + guard.diode_forward_v)
    downwards = guard.tvs_clamp_v - bias.low - guard.diode_forward_v
    return max(upwards, downwards, 0.0) / circuit.ohm("R4")


def overload_a(circuit: Circuit, peak_v: float) -> float:
    """Return the peak current into the upper diode while a signal of this peak drives the pin past 3V3."""
    above = bias_v(circuit).high + peak_v - (circuit.supply.rail_v + circuit.protection.diode_forward_v)
    return max(above, 0.0) / circuit.ohm("R4")


def injected_a(circuit: Circuit) -> float:
    """Return the current that the pin's own diodes carry beside ours: what is above their limit, through R5."""
    beyond = circuit.protection.diode_forward_v - circuit.converter.pin_above_rail_v
    return max(beyond, 0.0) / circuit.ohm("R5")


def tvs_w(circuit: Circuit, clamp: Clamp) -> float:
    """Return the heat in the TVS with the burden gone and the clamp in saturation, for as long as it lasts."""
    return clamp.saturated_a * circuit.protection.tvs_clamp_v


def adaptor_surge_a(circuit: Circuit, surge_v: float) -> float:
    """Return the peak current into a diode while a surge of so many volts stands at the adaptor's output.

    Thevenin: the divider's share of the surge behind its source resistance and R8.
    """
    share = circuit.ohm("R7") / (circuit.ohm("R6") + circuit.ohm("R7"))
    source = circuit.ohm("R6") * share
    above = bias_v(circuit).high + surge_v * share - circuit.supply.rail_v - circuit.protection.diode_forward_v
    return max(above, 0.0) / (source + circuit.ohm("R8"))
