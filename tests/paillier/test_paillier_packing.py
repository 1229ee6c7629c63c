"""Slots keep to themselves, and a slot that does not is seen."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from paillier import (
    ENERGY_SLOTS,
    GuardBitsSet,
    Packing,
    PackingTooWide,
    PublicKey,
    SlotOverflow,
    add_many,
    subtract,
)

energies = st.tuples(st.integers(0, 2**80 - 1), st.integers(0, 2**80 - 1))
packings = st.builds(
    lambda slots, value_bits, guard_bits: Packing(slots, value_bits + guard_bits, guard_bits),
    st.integers(1, 6),
    st.integers(1, 40),
    st.integers(1, 6),
)


@dataclass(frozen=True, slots=True)
class GuardBitsIgnored(Packing):
    """The bug that the guard bits are there for."""

    def unpack(self, m: int) -> tuple[int, ...]:
        return tuple((m >> (slot * self.slot_bits)) % 2**self.slot_bits for slot in range(self.slots))


def assert_a_borrow_is_detected(packing: Packing) -> None:
    m = packing.pack((5, 100)) - packing.pack((6, 0))
    with pytest.raises(GuardBitsSet, match="slot 0"):
        packing.unpack(m)


def test_the_energy_slots_are_import_low_and_export_high():
    assert Packing(slots=2, slot_bits=96, guard_bits=16) == ENERGY_SLOTS
    assert ENERGY_SLOTS.pack((3, 5)) == 3 + 5 * 2**96
    assert ENERGY_SLOTS.value_bits == 80
    assert ENERGY_SLOTS.max_terms == 65535


@settings(deadline=None)
@given(packing=packings, data=st.data())
def test_what_was_packed_is_unpacked(packing, data):
    value = st.integers(0, 2**packing.value_bits - 1)
    values = data.draw(st.tuples(*[value] * packing.slots))
    assert packing.unpack(packing.pack(values)) == values


@settings(deadline=None)
@given(terms=st.lists(energies, min_size=1, max_size=8))
def test_the_sum_of_packings_is_the_packing_of_sums(public_key, encryptor, decryptor, terms):
    sums = tuple(sum(column) for column in zip(*terms, strict=True))
    assume(max(sums) < 2**80)
    c = add_many(public_key, [encryptor.encrypt(ENERGY_SLOTS.pack(term)) for term in terms])
    assert ENERGY_SLOTS.unpack(decryptor.decrypt(c)) == sums


@settings(deadline=None)
@given(packing=packings, data=st.data())
def test_within_max_terms_every_sum_is_right_or_refused(packing, data):
    """Signed sums on the edges of the range, as the ring of plaintexts shows them: never a wrong value."""
    ring = 2 ** (packing.slots * packing.slot_bits + 3) + 1
    largest = 2**packing.value_bits - 1
    edge = st.one_of(st.sampled_from([0, 1, largest]), st.integers(0, largest))
    terms = data.draw(
        st.lists(
            st.tuples(st.sampled_from([1, -1]), st.tuples(*[edge] * packing.slots)),
            min_size=1,
            max_size=min(packing.max_terms, 20),
        )
    )
    total = sum(sign * packing.pack(values) for sign, values in terms) % ring
    truth = tuple(sum(sign * values[slot] for sign, values in terms) for slot in range(packing.slots))
    if all(0 <= value <= largest for value in truth):
        assert packing.unpack(total) == truth
    else:
        with pytest.raises(GuardBitsSet):
            packing.unpack(total)


def test_a_borrow_between_slots_is_detected():
    assert_a_borrow_is_detected(ENERGY_SLOTS)


def test_ignored_guard_bits_would_be_noticed():
    careless = GuardBitsIgnored(slots=2, slot_bits=96, guard_bits=16)
    # The harm itself: one unit of export has vanished into the import slot, and nothing looks wrong.
    assert careless.unpack(careless.pack((5, 100)) - careless.pack((6, 0)))[1] == 99
    with pytest.raises(pytest.fail.Exception):
        assert_a_borrow_is_detected(careless)


def test_a_borrow_between_slots_is_detected_through_encryption(public_key, encryptor, decryptor):
    before, after = (encryptor.encrypt(ENERGY_SLOTS.pack(values)) for values in ((1000, 10), (999, 20)))
    with pytest.raises(GuardBitsSet, match="slot 0"):
        ENERGY_SLOTS.unpack(decryptor.decrypt(subtract(public_key, after, before)))


def test_a_negative_total_is_detected(public_key, encryptor, decryptor):
    before, after = (encryptor.encrypt(ENERGY_SLOTS.pack(values)) for values in ((0, 10), (0, 9)))
    with pytest.raises(GuardBitsSet, match="above the last slot"):
        ENERGY_SLOTS.unpack(decryptor.decrypt(subtract(public_key, after, before)))


def test_an_overflow_into_the_guard_bits_is_detected():
    full = ENERGY_SLOTS.pack((2**80 - 1, 2**80 - 1))
    with pytest.raises(GuardBitsSet, match="slot 0"):
        ENERGY_SLOTS.unpack(full + ENERGY_SLOTS.pack((1, 0)))
    with pytest.raises(GuardBitsSet, match="slot 1"):
        ENERGY_SLOTS.unpack(full + ENERGY_SLOTS.pack((0, 1)))


@pytest.mark.parametrize("m", [2**192, 2**511, -1, -(2**192)])
def test_anything_above_the_last_slot_is_detected(m):
    with pytest.raises(GuardBitsSet, match="above the last slot"):
        ENERGY_SLOTS.unpack(m)


@pytest.mark.parametrize(
    ("values", "slot"),
    [((2**80, 0), "slot 0"), ((0, 2**80), "slot 1"), ((-987654321, 0), "slot 0"), ((0, 2**200), "slot 1")],
)
def test_a_value_that_does_not_fit_its_slot_is_refused_without_being_shown(values, slot):
    with pytest.raises(SlotOverflow, match=slot) as caught:
        ENERGY_SLOTS.pack(values)
    assert "987654321" not in str(caught.value)
    assert str(2**80) not in str(caught.value)


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 3)])
def test_another_number_of_values_is_a_mistake(values):
    with pytest.raises(ValueError, match="takes 2 values"):
        ENERGY_SLOTS.pack(values)


def test_only_integers_are_packed():
    with pytest.raises(TypeError):
        ENERGY_SLOTS.pack((1.5, 0))
    with pytest.raises(TypeError):
        ENERGY_SLOTS.unpack(1.5)


@pytest.mark.parametrize("layout", [(0, 96, 16), (2, 96, 0), (2, 16, 16), (2, 8, 16), (-1, 96, 16)])
def test_a_layout_without_slots_values_or_guards_is_a_mistake(layout):
    with pytest.raises(ValueError, match="needs slots"):
        Packing(*layout)


def test_a_packing_is_frozen():
    with pytest.raises(FrozenInstanceError):
        ENERGY_SLOTS.slots = 3


def test_a_packing_that_the_key_cannot_hold_is_refused(public_key):
    Packing(slots=1, slot_bits=509, guard_bits=8).check_fits(public_key)
    with pytest.raises(PackingTooWide, match="do not fit"):
        Packing(slots=1, slot_bits=510, guard_bits=8).check_fits(public_key)
    with pytest.raises(PackingTooWide, match="do not fit"):
        Packing(slots=6, slot_bits=96, guard_bits=16).check_fits(public_key)
    ENERGY_SLOTS.check_fits(PublicKey(2**255 + 1))
