"""What the circuit's values must keep. `python -m hardware analog` prints each; the tests hold the file to them."""

from collections.abc import Iterator
from typing import NamedTuple

from hardware.analog import bias, budget, current, filters, protection, voltage
from hardware.circuit import Circuit

ADC1_PINS = range(32, 40)
TAKEN_PINS = {0, 1, 2, 3, 5, 12, 15, *range(6, 12), *range(34, 40)}  # prompt, straps, flash, inputs only
LEAST_CORNER = 10.0  # times the mains: below, the filter eats harmonics and its tolerances become phase
HALF_RATE_DB = -6.0  # at half the sampling rate, at most
DRY_A = 0.0001  # less does not keep a plain contact clean
SURGE_V = 100.0  # at the adaptor's output


class Rule(NamedTuple):
    """One demand: `is_` must be at most `most`. unit: of both."""

    name: str
    is_: float
    most: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.is_ <= self.most


def rules(circuit: Circuit) -> list[Rule]:
    """Return every rule, kept or not."""
    return [*bias_rules(circuit), *clamp_rules(circuit), *voltage_rules(circuit), *pin_rules(circuit)]


def broken(circuit: Circuit) -> list[Rule]:
    return [rule for rule in rules(circuit) if not rule.kept]


def bias_rules(circuit: Circuit) -> Iterator[Rule]:
    converter = circuit.converter
    middle = (converter.linear_min_v + converter.linear_max_v) / 2
    off = abs(bias.bias_v(circuit).nominal - middle)
    yield Rule("bias: distance from the middle of the linear range", off, 0.05, "V")
    yield Rule("bias: shift by a diode's leakage", bias.leak_shift_v(circuit), 0.02, "V")


def clamp_rules(circuit: Circuit) -> Iterator[Rule]:
    room, fastest = bias.room_v(circuit), max(circuit.mains.frequency_hz)
    for clamp in circuit.clamp:
        largest = current.largest_volt_per_ampere(circuit, clamp)
        filtered = filters.current_filter(circuit, clamp)
        ours, rated = circuit.part[clamp.burden], clamp.rated_a / clamp.turns
        yield Rule(f"{clamp.name}: peak at {clamp.rated_a:.0f} A", clamp.rated_a * current.SINE * largest, room, "V")
        # Too small a burden throws resolution away: a tenth of the range in reserve is enough.
        spare = current.full_scale_a(circuit, clamp, current.SINE) / clamp.rated_a - 1
        yield Rule(f"{clamp.name}: unused part of the range", spare, 0.10, "of rated")
        yield Rule(f"{clamp.name}: least corner", LEAST_CORNER * fastest, filtered.corner_hz, "Hz")
        half = circuit.sampling.rate_hz / 2
        yield Rule(f"{clamp.name}: gain at half the sampling rate", filtered.decibel(half), HALF_RATE_DB, "dB")
        hot = current.burden_w(circuit, clamp, max(rated, clamp.saturated_a))
        yield Rule(f"{clamp.name}: burden in saturation", hot, (ours.rated_w or 0.0) / 2, "W")
        feigned = filters.crosstalk_a(circuit, clamp, max(circuit.mains.nominal_v), filters.strayed_farad(circuit))
        yield Rule(f"{clamp.name}: current feigned by the voltage", feigned, budget.no_load_a(circuit, clamp), "A")


def voltage_rules(circuit: Circuit) -> Iterator[Rule]:
    room = bias.room_v(circuit)
    highest = max(voltage.highest_mains_v(circuit, nominal) for nominal in circuit.mains.nominal_v)
    swell = 1.1 * highest
    for name, gain in (("adaptor", voltage.adaptor_gain(circuit)), ("ZMPT101B", voltage.isolator_gain(circuit))):
        yield Rule(f"{name}: peak at {swell:.0f} V", voltage.peak_v(gain, swell), room, "V")
    heat = voltage.adaptor_w(circuit, highest)
    yield Rule("adaptor: heat in R6", heat, (circuit.part["R6"].rated_w or 0.0) / 2, "W")
    driven = voltage.isolator_a(circuit, highest)
    yield Rule("ZMPT101B: primary current", driven, circuit.isolator.rated_a, "A")
    heat = voltage.isolator_w(circuit, highest)
    yield Rule("ZMPT101B: heat in R12", heat, (circuit.part["R12"].rated_w or 0.0) / 2, "W")


def pin_rules(circuit: Circuit) -> Iterator[Rule]:
    guard, converter, link = circuit.protection, circuit.converter, circuit.link
    yield Rule("burden lost: current into a diode", protection.lost_burden_a(circuit), guard.diode_rated_a / 4, "A")
    lifted = protection.lost_burden_a(circuit)
    yield Rule("burden lost: current into 3V3", lifted, circuit.supply.board_idle_a, "A")
    yield Rule("burden lost: current into the pin", protection.injected_a(circuit), guard.pin_injection_a, "A")
    for clamp in circuit.clamp:
        heat = protection.tvs_w(circuit, clamp)
        yield Rule(f"burden lost: heat in D1, {clamp.name}", heat, guard.tvs_steady_w / 2, "W")
    surge = protection.adaptor_surge_a(circuit, SURGE_V)
    yield Rule(f"{SURGE_V:.0f} V from the adaptor: current into a diode", surge, guard.diode_rated_a / 4, "A")
    outside = sum(pin not in ADC1_PINS for pin in (converter.pin_current, converter.pin_voltage))
    yield Rule("converter pins outside ADC1", outside, 0, "pins")
    taken = sum(pin in TAKEN_PINS for pin in (link.uart_tx, link.uart_rx))
    yield Rule("link pins that are taken", taken, 0, "pins")
    switch = circuit.jack.pin_switch
    taken = switch in TAKEN_PINS | {link.uart_tx, link.uart_rx, converter.pin_current, converter.pin_voltage}
    yield Rule("jack's contact: pins that are taken", int(taken), 0, "pins")
    highest = circuit.supply.rail_v * (1 + circuit.supply.rail_tolerance)
    closed = highest / (circuit.ohm("R15") * (1 - circuit.tolerance("R15")))
    # A contact that carries too little stays dry, and one day does not close.
    yield Rule("jack's contact: least current, closed", DRY_A, closed, "A")
    yield Rule("jack's contact: most current, closed", closed, circuit.jack.contact_a, "A")
    # A plug with two poles joins the ring's spring with the sleeve: BIAS is at ground then, through R2.
    mono = highest / (circuit.ohm("R2") * (1 - circuit.tolerance("R2")))
    yield Rule("jack's contact: most current, plug of two poles", mono, circuit.jack.contact_a, "A")
