"""Several small numbers in one plaintext, each in a slot with guard bits of its own.

A sum of packed plaintexts is the packing of the sums, as long as no slot runs over its neighbour. One that
does (an overflow upwards, or a borrow when more is subtracted than was there) would move energy into the
neighbouring slot unseen: that sum is as plausible as a true one. The guard bits of every slot make it seen.
A packed value leaves them zero, and `unpack` refuses a plaintext where any of them, or anything above the
last slot, is set.

That is certain while no more than `max_terms` packed plaintexts were added and subtracted in all: the
lowest slot that left its range then lies less than one full turn outside it, which sets guard bits of its
own. Beyond `max_terms` a slot may come full circle; bound the terms where sums are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

from .errors import GuardBitsSet, PackingTooWide, SlotOverflow
from .keys import PublicKey


@dataclass(frozen=True, slots=True)
class Packing:
    """A layout of `slots` slots of `slot_bits` bits, slot 0 lowest.

    The top `guard_bits` bits of each slot are zero in every plaintext that is believed.

    Raises ValueError for a layout without slots, guard bits or room for values.
    """

    slots: int
    slot_bits: int
    guard_bits: int

    def __post_init__(self) -> None:
        if self.slots < 1 or self.guard_bits < 1 or self.slot_bits <= self.guard_bits:
            raise ValueError("a packing needs slots, guard bits in each and room for a value below them")

    @property
    def value_bits(self) -> int:
        """The length of the largest value, and of the largest sum, of a slot in bits."""
        return self.slot_bits - self.guard_bits

    @property
    def max_terms(self) -> int:
        """The most packed plaintexts that may enter one sum with detection certain: 2^guard_bits - 1."""
        return (1 << self.guard_bits) - 1

    def pack(self, values: Sequence[int]) -> int:
        """Return one plaintext of `slots` values, the first in the lowest slot.

        Raises SlotOverflow unless 0 <= value < 2^value_bits for each, ValueError for another number of
        values.
        """
        if len(values) != self.slots:
            raise ValueError(f"the packing takes {self.slots} values")
        m = 0
        for slot, given in enumerate(values):
            value = index(given)
            if not 0 <= value < 1 << self.value_bits:
                raise SlotOverflow(f"the value for slot {slot} is not in the range of {self.value_bits} bits")
            m |= value << (slot * self.slot_bits)
        return m

    def unpack(self, m: int) -> tuple[int, ...]:
        """Return the `slots` values of a decrypted sum.

        Raises GuardBitsSet if a slot's guard bits or anything above the last slot is set (or m is
        negative): some slot overflowed or borrowed, its neighbour is wrong too, and no value of m may be
        used.
        """
        m = index(m)
        if m >> (self.slots * self.slot_bits):
            raise GuardBitsSet("something stands above the last slot")
        values = []
        for slot in range(self.slots):
            value = (m >> (slot * self.slot_bits)) % 2**self.slot_bits
            if value >> self.value_bits:
                raise GuardBitsSet(f"the guard bits of slot {slot} are set")
            values.append(value)
        return tuple(values)

    def check_fits(self, public_key: PublicKey) -> None:
        """Refuse a key whose plaintexts leave less than two bits above the last slot. Raises PackingTooWide.

        The room above lets `unpack` tell a total that borrowed, which is a number close to n, from a true
        one.
        """
        if self.slots * self.slot_bits >= public_key.bits - 2:
            raise PackingTooWide(f"{self.slots} slots of {self.slot_bits} bits do not fit {public_key.bits} bits")


ENERGY_SLOTS = Packing(slots=2, slot_bits=96, guard_bits=16)
"""One reading's energies: import in the low slot, export in the high one."""
