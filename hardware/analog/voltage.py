"""The voltage channel: mains volts to volts at the pin, by a plug-in adaptor or by a ZMPT101B."""

from math import sqrt

from hardware.analog.bias import divider, parallel
from hardware.circuit import Circuit


def adaptor_gain(circuit: Circuit) -> float:
    """Return volts at the pin for one volt of mains: the adaptor without load, then the divider R6, R7."""
    adaptor = circuit.adaptor
    return adaptor.open_v / adaptor.mains_v * divider(circuit.ohm("R6"), circuit.ohm("R7"))


def highest_open_v(circuit: Circuit, room_v: float) -> float:
    """Return the greatest RMS voltage without load that an adaptor may have: its sine must fit behind the divider."""
    return room_v / sqrt(2) / divider(circuit.ohm("R6"), circuit.ohm("R7"))


def isolator_gain(circuit: Circuit) -> float:
    """Return volts at the pin for one volt of mains: the current through R12 and R13, into R14.

    ZMPT101B application notes: primary current = mains / series resistance, the winding's own is left out.
    """
    return circuit.isolator.ratio * circuit.ohm("R14") / (circuit.ohm("R12") + circuit.ohm("R13"))


def peak_v(gain: float, mains_v: float) -> float:
    """Return the peak of a sine at the pin, away from the bias."""
    return gain * mains_v * sqrt(2)


def highest_mains_v(circuit: Circuit, nominal_v: float) -> float:
    return nominal_v * (1 + circuit.mains.tolerance)


def adaptor_source_ohm(circuit: Circuit) -> float:
    """Return what the divider shows to the filter (Thevenin; the adaptor's winding is below a few ohms)."""
    return parallel(circuit.ohm("R6"), circuit.ohm("R7"))


def adaptor_w(circuit: Circuit, mains_v: float) -> float:
    """Return the heat in R6."""
    volts = mains_v * circuit.adaptor.open_v / circuit.adaptor.mains_v
    return (volts / (circuit.ohm("R6") + circuit.ohm("R7"))) ** 2 * circuit.ohm("R6")


def isolator_a(circuit: Circuit, mains_v: float) -> float:
    """Return the RMS current through the ZMPT101B's primary."""
    return mains_v / (circuit.ohm("R12") + circuit.ohm("R13"))


def isolator_w(circuit: Circuit, mains_v: float) -> float:
    """Return the heat in one of the primary resistors."""
    return isolator_a(circuit, mains_v) ** 2 * circuit.ohm("R12")
