"""The wire oracle and the canaries: a day of the real daemon, everything that leaves it opened, all of it looked at."""

import asyncio

import pytest
import wire_oracle
from canaries import Canaries
from oracle_plants import PLANTS
from oracle_street import DAY_INTERVALS, LATE, LOST, METERS, TWICE, K, Street
from wire_oracle import Oracle

SHORT = 12  # intervals: a billing window


def lived(folder, **settings):
    street = asyncio.run(Street(folder, **settings).run())
    return street, Oracle(street)


def test_everything_that_leaves_in_a_day_is_a_sum_of_k_a_sealed_window_or_its_register(folder):
    street, oracle = lived(folder / "street")
    assert oracle.faults == []
    assert street.hits == []
    fates = list(street.plan.values())
    assert street.kills == 1
    assert min(fates.count(fate) for fate in (LOST, LATE, TWICE)) > 5
    assert K in map(len, street.loads.values())
    assert K - 1 in map(len, street.loads.values())
    pieces = oracle.pieces
    assert pieces[wire_oracle.SUM] == sum(len(there) >= K for there in street.loads.values()) > DAY_INTERVALS - 6
    assert pieces[wire_oracle.BELOW] > 0
    assert pieces[wire_oracle.ENERGY] == pieces[wire_oracle.CLOSING] == METERS * DAY_INTERVALS // SHORT
    assert len(street.rows) == METERS * DAY_INTERVALS * 3
    assert len(street.rows) <= pieces[wire_oracle.ROW] <= wire_oracle.WAYS * len(street.rows)
    assert pieces[wire_oracle.TIME] == pieces[wire_oracle.CONFIG] == METERS
    assert pieces[wire_oracle.ACK] >= METERS * DAY_INTERVALS
    assert street.looks >= 8


FAULTS = {
    "below_k": f"a sum of {K - 1} meters has left",
    "single_interval": "is not the difference of its registers",
    "one_meters_load": "is not the sum of its contributors",
    "revised_load": "is said twice, in two ways",
    "one_randomiser": "a closing register under a randomiser that was used before",
    "acknowledged": "an answer with something in it that nobody asked for",
}
HITS = {"logged": "gateway.log", "kept": "the ledger's cells", "measured": "metrics"}


def test_every_bug_that_can_be_planted_has_its_fault():
    assert PLANTS.keys() == FAULTS.keys() | HITS.keys()


@pytest.mark.parametrize("plant", FAULTS)
def test_a_planted_leak_on_the_wire_is_a_fault(folder, plant):
    _, oracle = lived(folder / "street", intervals=SHORT, plant=plant)
    assert [fault for fault in oracle.faults if FAULTS[plant] in fault], oracle.faults


@pytest.mark.parametrize("plant", HITS)
def test_a_planted_reading_in_clear_is_found_where_it_lies(folder, plant):
    street, oracle = lived(folder / "street", intervals=SHORT, plant=plant)
    assert oracle.faults == []
    assert HITS[plant] in {where for where, _ in street.hits}


def test_without_a_bug_the_short_day_is_clean(folder):
    street, oracle = lived(folder / "street", intervals=SHORT)
    assert oracle.faults == street.hits == []


ENERGIES, REGISTERS = (0xC5FFEE11, 0xC5EFCAFE), (0x4D5A57C9_0BADF00D, 0x4D5A57EA_0DEFACED)
SPELT = {
    "big-endian": REGISTERS[0].to_bytes(8, "big"),
    "little-endian": REGISTERS[1].to_bytes(8, "little"),
    "both energies": ENERGIES[0].to_bytes(4, "big") + ENERGIES[1].to_bytes(4, "big"),
    "decimal": b"%d" % REGISTERS[0],
    "an energy in decimal": b"%d" % ENERGIES[1],
    "hexadecimal": b"%x" % REGISTERS[1],
    "upper case": b"%X" % REGISTERS[0],
    "an energy in hexadecimal": b"%x" % ENERGIES[0],
    "hexadecimal, little-endian": REGISTERS[0].to_bytes(8, "little").hex().encode(),
    "within longer hexadecimal": b"%x" % REGISTERS[0] + b"abc",
    "a float": repr(float(REGISTERS[0])).encode(),
}


@pytest.mark.parametrize("how", SPELT)
def test_a_canary_is_found_however_it_is_spelt(how):
    canaries = Canaries()
    canaries.add(ENERGIES, REGISTERS)
    assert canaries.in_bytes(b"energy=" + SPELT[how] + b" mWh")
    assert not canaries.in_bytes(b"energy=" + SPELT[how][1:] + b" mWh")
