"""The circuit keeps its rules, and each rule goes red for the mistake that it is there for."""

import pytest

from hardware.analog.rules import broken, rules


def names(circuit):
    return [rule.name for rule in broken(circuit)]


def test_the_circuit_keeps_every_rule(circuit):
    assert len(rules(circuit)) > 20
    assert names(circuit) == []


# Each line: a mistake that people make, and the rule that must go red for it.
MISTAKES = [
    # two equal resistors: the usual bias of 1.65 V, at which the ESP32 bends
    (('MFR-25FBF52-1K3"\nohm = 1300.0', 'MFR-25FBF52-2K"\nohm = 2000.0'), "bias: distance from the middle"),
    # ten times the filter's resistor, a tenth of its capacitor: the leakage of the diodes moves zero
    (('MFR-25FBF52-1K5"\nohm = 1500.0', 'MFR-25FBF52-15K"\nohm = 15000.0'), "bias: shift by a diode's leakage"),
    # EmonTx's 22 and 33 ohm, made for a 3.3 V range
    (("ohm = 15.0", "ohm = 22.0"), "SCT-013-000: peak at 100 A"),
    (("ohm = 15.0", "ohm = 33.0"), "SCT-013-000: peak at 100 A"),
    # far too small: the resolution is gone
    (("ohm = 15.0", "ohm = 4.7"), "SCT-013-000: unused part of the range"),
    # the SCT-013-030 as it comes, its 1 V unloaded
    (("ohm = 150.0", "ohm = 15000.0"), "SCT-013-030: peak at 30 A"),
    # ten times the capacitor: harmonics lost, tolerance becomes phase
    (
        ('between pin and BIAS"\nmaker = "WIMA"\nnumber = "MKS2C031001A00JSSD"\nfarad = 100e-9',
         'between pin and BIAS"\nmaker = "WIMA"\nnumber = "MKS2C031001A00JSSD"\nfarad = 1e-6'),
        "SCT-013-000: least corner",
    ),
    # a tenth: nothing is filtered
    (
        ('between pin and BIAS"\nmaker = "WIMA"\nnumber = "MKS2C031001A00JSSD"\nfarad = 100e-9',
         'between pin and BIAS"\nmaker = "WIMA"\nnumber = "MKS2C031001A00JSSD"\nfarad = 10e-9'),
        "SCT-013-000: gain at half the sampling rate",
    ),
    (("rate_hz = 4000.0", "rate_hz = 1000.0"), "SCT-013-000: gain at half the sampling rate"),
    # a sixteenth-watt resistor as burden
    (("rated_w = 0.25", "rated_w = 0.0625"), "SCT-013-000: burden in saturation"),
    # the capacitor of the voltage channel to ground: its signal walks into the current channel
    (('"R7.2", "C4.2"]', '"R7.2"]\nASTRAY = ["C4.2"]'), "SCT-013-000: current feigned by the voltage"),
    # no series resistor to speak of
    (("MFR-25FBF52-1K5\"\nohm = 1500.0", "MFR-25FBF52-100R\"\nohm = 100.0"), "burden lost: current into a diode"),
    (("MFR-25FBF52-100R\"\nohm = 100.0", "MFR-25FBF52-10R\"\nohm = 10.0"), "burden lost: current into the pin"),
    # a 12 V adaptor in place of the 9 V one
    (("open_v = 11.36", "open_v = 15.2"), "adaptor: peak at"),
    (("MFR-25FBF52-1K8\"\nohm = 1800.0", "MFR-25FBF52-220R\"\nohm = 220.0"), "adaptor: heat in R6"),
    (("MFR-25FBF52-470R\"\nohm = 470.0", "MFR-25FBF52-1K\"\nohm = 1000.0"), "ZMPT101B: peak at"),
    (("ohm = 100e3", "ohm = 10e3"), "ZMPT101B: primary current"),
    (("pin_voltage = 35", "pin_voltage = 27"), "converter pins outside ADC1"),
    (("uart_tx = 17", "uart_tx = 1"), "link pins that are taken"),
    # the pin beside the clamp's, which has no pull-up; the link's own
    (("pin_switch = 25", "pin_switch = 35"), "jack's contact: pins that are taken"),
    (("pin_switch = 25", "pin_switch = 17"), "jack's contact: pins that are taken"),
    # a pull-up as for a logic input: the contact stays dry; and none to speak of
    (("MFR-25FBF52-10K\"\nohm = 10000.0", "MFR-25FBF52-100K\"\nohm = 100000.0"), "jack's contact: least current"),
    (("MFR-25FBF52-10K\"\nohm = 10000.0", "MFR-25FBF52-10R\"\nohm = 10.0"), "jack's contact: most current, closed"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "rule"), MISTAKES, ids=[f"{rule}: {new[-22:]}" for (_, new), rule in MISTAKES])
def test_a_planted_mistake_breaks_its_rule(planted, mistake, rule):
    assert any(name.startswith(rule) for name in names(planted(*mistake)))


def test_every_rule_has_a_mistake_that_breaks_it_or_stands_for_a_bound_with_reserve(circuit):
    prone = {rule for _, rule in MISTAKES}
    reserve = {
        "burden lost: current into 3V3",
        "burden lost: heat in D1",
        "100 V from the adaptor: current into a diode",
        "ZMPT101B: heat in R12",
        "jack's contact: most current, plug of two poles",
    }
    same = {rule.replace("SCT-013-000", "SCT-013-030") for rule in prone} | {"SCT-013-030: peak at 30 A"}
    for rule in rules(circuit):
        assert any(rule.name.startswith(known) for known in prone | same | reserve), rule.name
