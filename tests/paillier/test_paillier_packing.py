"""Slots keep to themselves, and a slot that does not is seen."""

from dataclasses import FrozenInstanceError, dataclass
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from paillier import (
    ENERGY_SLOTS,
    GuardBitsSet,
    Interleaving,
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


# --- Interleaving -----------------------------------------------------------------------------------------------

MONTH = 17_000 * 31 * 24 * 1000  # the energy of 17 kW in a month, in mWh: 34 bits
interleavings = st.builds(
    lambda packing, value, guard, plaintexts: Interleaving(
        packing, min(value, packing.slot_bits - guard), min(value, packing.slot_bits - guard) + guard, plaintexts
    ),
    st.builds(lambda slots, bits: Packing(slots, bits, 1), st.integers(1, 4), st.integers(8, 40)),
    st.integers(1, 20),
    st.integers(2, 4),
    st.integers(1, 12),
)


def places(layout: Interleaving) -> list[int]:
    """Where each narrow slot begins."""
    return sorted(
        layout.shift(i) + slot * layout.packing.slot_bits
        for i in range(layout.plaintexts)
        for slot in range(layout.packing.slots)
    )


def test_two_meters_share_each_192_bits():
    layout = Interleaving(ENERGY_SLOTS, value_bits=40, slot_bits=48, plaintexts=5)
    assert [layout.shift(i) for i in range(5)] == [0, 48, 192, 240, 384]
    assert layout.total_bits == 384 + 96 + 48


def test_narrow_slots_of_one_value_stand_side_by_side():
    layout = Interleaving(Packing(1, 96, 16), value_bits=34, slot_bits=37, plaintexts=4)
    assert [layout.shift(i) for i in range(4)] == [0, 37, 74, 111]
    assert layout.total_bits == 4 * 37


@settings(deadline=None)
@given(layout=interleavings)
def test_no_two_narrow_slots_overlap(layout):
    begins = places(layout)
    assert all(high - low >= layout.slot_bits for low, high in pairwise(begins))
    assert begins[-1] + layout.slot_bits == layout.total_bits


@settings(deadline=None)
@given(layout=interleavings, data=st.data())
def test_what_was_interleaved_is_separated(layout, data):
    value = st.integers(0, (1 << layout.value_bits) - 1)
    number = data.draw(st.integers(0, layout.plaintexts))
    plaintexts = [
        sum(data.draw(value) << slot * layout.packing.slot_bits for slot in range(layout.packing.slots))
        for _ in range(number)
    ]
    assert layout.separate(layout.interleave(plaintexts), number) == plaintexts


@settings(deadline=None)
@given(layout=interleavings, data=st.data())
def test_every_bit_that_belongs_to_no_value_is_seen(layout, data):
    bit = data.draw(st.integers(0, layout.total_bits + 20))
    belongs = any(begin <= bit < begin + layout.value_bits for begin in places(layout))
    if belongs:
        layout.separate(1 << bit)
    else:
        with pytest.raises(GuardBitsSet, match="no value of this pack"):
            layout.separate(1 << bit)
    with pytest.raises(GuardBitsSet):
        layout.separate(-1 << bit)


def test_a_plaintext_beyond_those_that_were_packed_is_seen():
    layout = Interleaving(ENERGY_SLOTS, value_bits=40, slot_bits=48, plaintexts=4)
    m = layout.interleave([1, 2, 3])
    assert layout.separate(m, 3) == [1, 2, 3]
    with pytest.raises(GuardBitsSet, match="guard bits are set"):
        layout.separate(m, 2)


def test_a_plaintext_with_a_value_beyond_its_bound_is_not_interleaved():
    layout = Interleaving(ENERGY_SLOTS, value_bits=34, slot_bits=37, plaintexts=4)
    for wrong in (1 << 34, 1 << 96 + 34, -1):
        with pytest.raises(SlotOverflow, match="plaintext 1"):
            layout.interleave([0, wrong])
    with pytest.raises(ValueError, match="takes 4 plaintexts"):
        layout.interleave([0] * 5)


def test_the_densest_layout_takes_36_energies_of_a_month_into_a_prime_of_1536_bits():
    layout = Interleaving.densest(ENERGY_SLOTS, below=MONTH, within_bits=1535, spare_bits=128)
    assert (layout.value_bits, layout.slot_bits, layout.plaintexts, layout.total_bits) == (34, 37, 18, 1530)


@settings(deadline=None)
@given(
    slots=st.integers(1, 2), value_bits=st.integers(1, 40), guard_bits=st.integers(2, 8), within=st.integers(250, 1600)
)
def test_the_densest_layout_fits_and_one_more_does_not(slots, value_bits, guard_bits, within):
    packing = Packing(slots, 96, 16)
    layout = Interleaving.densest(packing, below=1 << value_bits, within_bits=within, guard_bits=guard_bits)
    assert layout.value_bits == value_bits
    assert layout.total_bits <= within
    assert layout.slot_bits - layout.value_bits >= guard_bits
    narrow = value_bits + guard_bits
    assert Interleaving(packing, value_bits, narrow, layout.plaintexts + 1).total_bits > within


def test_spare_bits_are_kept_free_of_values():
    layout = Interleaving.densest(ENERGY_SLOTS, below=MONTH, within_bits=255, spare_bits=128)
    assert 255 - layout.plaintexts * 2 * 34 >= 128


def test_no_layout_is_found_where_not_one_plaintext_fits():
    with pytest.raises(PackingTooWide, match="no plaintext"):
        Interleaving.densest(ENERGY_SLOTS, below=MONTH, within_bits=120)
    with pytest.raises(PackingTooWide, match="no plaintext"):
        Interleaving.densest(ENERGY_SLOTS, below=1 << 95, within_bits=3000)
    with pytest.raises(ValueError, match="less than 1"):
        Interleaving.densest(ENERGY_SLOTS, below=0, within_bits=3000)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ((ENERGY_SLOTS, 34, 36, 0), "needs plaintexts"),
        ((ENERGY_SLOTS, 0, 36, 2), "needs plaintexts"),
        ((ENERGY_SLOTS, 34, 35, 2), "2 guard bits"),
        ((ENERGY_SLOTS, 90, 97, 2), "wider than"),
    ],
)
def test_an_interleaving_that_makes_no_sense_is_a_mistake(layout, reason):
    with pytest.raises(ValueError, match=reason):
        Interleaving(*layout)
