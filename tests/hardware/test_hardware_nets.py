"""The schematic and the wiring drawing connect what the nets say, worked out from their lines."""

import re

import pytest
from hardware_lines import drawn_groups, groups

from firmware.board import boards
from hardware.circuit import CircuitError
from hardware.drawing import layout
from hardware.drawing.schematic import drawn


def nets(circuit):
    return {frozenset(pins) for pins in circuit.net.values()}


def wired(circuit):
    """Return the groups of the board's pins that are on a net; the development board's others are left alone."""
    named = {pin for pins in circuit.net.values() for pin in pins}
    found = groups(layout.pins(), layout.wires())
    return {group for group in found if group & named}


def test_the_schematic_connects_what_the_nets_say(circuit):
    assert drawn_groups(drawn(circuit)) == nets(circuit)


def test_the_board_connects_what_the_nets_say(circuit):
    assert wired(circuit) == nets(circuit)


def test_a_filter_capacitor_to_ground_differs_from_both_drawings(planted):
    moved = planted('"R7.2", "C4.2"]', '"R7.2"]\nELSEWHERE = ["C4.2"]')
    assert drawn_groups(drawn(moved)) != nets(moved)
    assert wired(moved) != nets(moved)


@pytest.mark.parametrize("bus", range(len(layout.BUSES)))
def test_without_any_one_bus_the_board_is_wrong(circuit, monkeypatch, bus):
    monkeypatch.setattr(layout, "BUSES", layout.BUSES[:bus] + layout.BUSES[bus + 1 :])
    assert wired(circuit) != nets(circuit)


@pytest.mark.parametrize("link", range(len(layout.LINKS)))
def test_without_any_one_link_the_board_is_wrong(circuit, monkeypatch, link):
    monkeypatch.setattr(layout, "LINKS", layout.LINKS[:link] + layout.LINKS[link + 1 :])
    assert wired(circuit) != nets(circuit)


def test_a_bus_through_a_strange_hole_is_found(circuit, monkeypatch):
    monkeypatch.setattr(layout, "BUSES", [*layout.BUSES, ("GND", (33, 24), (48, 24))])
    assert wired(circuit) != nets(circuit)


def test_no_two_pins_share_a_hole_and_all_are_on_the_board():
    placed = layout.pins()
    assert len(set(placed.values())) == len(placed)
    assert all(0 <= column < layout.COLUMNS and 0 <= row < layout.ROWS for column, row in placed.values())


def test_every_part_reaches_its_holes():
    """Axial parts lie over three to five holes; radial ones stand on the pitch of their leads, 5.08 or 2.54 mm."""
    reach = {"R": (3, 5), "D": (3, 5), "F": (2, 2), "C": (1, 2)}
    for name, ends in layout.PARTS.items():
        if name[0] in reach:
            one, other = ends.values()
            least, most = reach[name[0]]
            assert least <= abs(one[0] - other[0]) + abs(one[1] - other[1]) <= most, name


def test_the_board_to_buy_is_as_large_as_the_drawing(circuit):
    assert f"{layout.COLUMNS} x {layout.ROWS} holes" in circuit.part["X3"].what


def test_every_pin_is_on_one_net(circuit):
    pins = [pin for pins in circuit.net.values() for pin in pins]
    assert len(set(pins)) == len(pins)


def test_every_part_on_a_net_is_bought_and_every_small_part_is_on_one(circuit):
    on_nets = {pin.partition(".")[0] for pins in circuit.net.values() for pin in pins}
    on_nets = on_nets - {"R1"} | {"R1A", "R1B"}
    assert on_nets <= set(circuit.part)
    small = {name for name, part in circuit.part.items() if re.match(r"[RCDFJ]\d", name) and part.of != "ZMPT101B"}
    assert small == {name for name in on_nets if name != "U1"}


def test_a_pin_on_two_nets_is_refused(planted):
    twice = planted('PIN34 = ["R5.2", ', 'PIN34 = ["R5.2", "C4.2", ')
    with pytest.raises(CircuitError, match=r"C4\.2 must be on one net and is on 2"):
        twice.net_of("C4.2")


def test_the_converters_pins_are_those_of_the_nets(circuit):
    assert circuit.net_of(f"U1.{circuit.converter.pin_current}") == circuit.net_of("R5.2")
    assert circuit.net_of(f"U1.{circuit.converter.pin_voltage}") == circuit.net_of("R9.2")
    assert circuit.net_of(f"U1.{circuit.jack.pin_switch}") == circuit.net_of("J1.switch")
    assert circuit.net_of(f"U1.{circuit.link.uart_tx}") == circuit.net_of("R10.1")
    assert circuit.net_of(f"U1.{circuit.link.uart_rx}") == circuit.net_of("R11.1")


def test_the_jacks_contact_joins_ring_and_switch_and_neither_is_on_the_clamps_nets(circuit):
    """Without a plug the spring of the ring lies on the switch's: low. A plug's ring touches nothing of the clamp."""
    assert circuit.net_of("J1.ring") == "GND"
    assert circuit.net_of("R15.1") == "3V3"
    assert {circuit.net_of("J1.switch"), circuit.net_of("J1.ring")}.isdisjoint({"TIP", "BIAS", "CURRENT"})
    assert "normally closed" in circuit.part["J1"].what


def test_the_pins_that_a_meter_without_a_configuration_reads_are_those_of_the_circuit(circuit):
    assert boards.USUAL_PINS["esp32"] == [circuit.converter.pin_current, circuit.converter.pin_voltage]
