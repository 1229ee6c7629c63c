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
from itertools import product
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

LEAST_GUARD_BITS = 2


@dataclass(frozen=True, slots=True)
class Interleaving:
    """A layout of many packed plaintexts in one, for a key holder who opens them all by one decryption.

    Each of the `plaintexts` is a packing of `packing.slots` values that are known to be far smaller than a slot:
    below 2^value_bits. So other plaintexts fit into what their slots leave empty. Plaintext i is multiplied by
    2^shift(i); each of its values then stands in a narrow slot of `slot_bits` bits. With two slots of 96 bits and
    narrow ones of 48, the plaintexts a, b, c, d (low value first) lie like this, the lowest bit to the left:

        bit   0    48   96   144  192  240  288  336
              a0   b0   a1   b1   c0   d0   c1   d1

    A group holds as many plaintexts as have narrow slots within one wide slot, and the next group begins where the
    last narrow slot of the one before ends. Of two slots no order is denser: between a plaintext's two values there is
    room for no more whole narrow slots than that. Packings of one slot simply stand side by side.

    The upper bits of every narrow slot are its guard bits; they, the gaps between groups of slots and everything
    above the last must be zero in a plaintext that is believed. A value that leaves its narrow slot moves energy
    into another plaintext's, whose owner is another customer. A guard bit shows that with certainty while the value
    is less than one full turn of its slot; whoever chooses a value's size freely (a malicious concentrator) can
    jump over it. Therefore only ciphertexts of one concentrator share a pack, and each opened value is compared
    with what its meter's rating could measure, as it is after a decryption of its own.

    Raises ValueError for a layout without plaintexts, values or guard bits, or narrow slots wider than wide ones.
    """

    packing: Packing
    value_bits: int
    slot_bits: int
    plaintexts: int

    def __post_init__(self) -> None:
        if self.plaintexts < 1 or self.value_bits < 1:
            raise ValueError("an interleaving needs plaintexts and room for their values")
        if self.slot_bits < self.value_bits + LEAST_GUARD_BITS:
            raise ValueError(f"a narrow slot has at least {LEAST_GUARD_BITS} guard bits above its value")
        if self.packing.slots > 1 and self.slot_bits > self.packing.slot_bits:
            raise ValueError("the narrow slots are wider than the slots of the packing")

    @classmethod
    def densest(
        cls, packing: Packing, *, below: int, within_bits: int, guard_bits: int = LEAST_GUARD_BITS, spare_bits: int = 0
    ) -> Interleaving:
        """Return the layout of as many plaintexts as `within_bits` bits hold, every value of them < `below`.

        There are at least `guard_bits` guard bits above a value, and more where they cost no plaintext: they make the
        slot as wide as the length allows. At least `spare_bits` of all bits belong to no value.
        Raises PackingTooWide if not even one plaintext fits, ValueError for a bound below 1.
        """
        if index(below) < 1:
            raise ValueError("no value is below a bound less than 1")
        value_bits = max(1, (below - 1).bit_length())
        most = (within_bits - spare_bits) // (packing.slots * value_bits)
        best = None
        widest = packing.slot_bits if packing.slots > 1 else within_bits
        for slot_bits in range(value_bits + guard_bits, widest + 1):
            plaintexts = min(most, _most_plaintexts(packing, slot_bits, within_bits))
            if plaintexts < (best.plaintexts if best else 1):
                break  # wider slots hold fewer plaintexts
            best = cls(packing, value_bits, slot_bits, plaintexts)
        if best is None:
            raise PackingTooWide(f"no plaintext of this packing fits {within_bits} bits with its guard bits")
        return best

    @property
    def total_bits(self) -> int:
        """The length in bits up to the end of the last slot."""
        return _total_bits(self.packing, self.slot_bits, self.plaintexts)

    def shift(self, plaintext: int) -> int:
        """Return by how many bits a plaintext is shifted: where its first value's slot begins."""
        return _shift(self.packing, self.slot_bits, plaintext)

    def interleave(self, plaintexts: Sequence[int]) -> int:
        """Return one plaintext of at most `plaintexts` packed ones: what the key holder does under encryption.

        Raises SlotOverflow for a plaintext that is no packing of values below 2^value_bits, naming it by its index,
        and ValueError for too many.
        """
        if len(plaintexts) > self.plaintexts:
            raise ValueError(f"the interleaving takes {self.plaintexts} plaintexts")
        m = 0
        for i, given in enumerate(plaintexts):
            if index(given) & ~self._value_mask():
                raise SlotOverflow(f"plaintext {i} is no packing of values of {self.value_bits} bits")
            m += given << self.shift(i)
        return m

    def separate(self, m: int, plaintexts: int | None = None, first: int = 0) -> list[int]:
        """Return the packed plaintexts that a decrypted sum holds: the first `plaintexts` of them, otherwise all.

        Raises GuardBitsSet, naming plaintexts by their index (the lowest one's is `first`), if any bit is set that
        belongs to no value (or m is negative): something overflowed or borrowed, and no value of m may be used.
        """
        number = self.plaintexts if plaintexts is None else plaintexts
        mask = self._value_mask()
        shifts = [self.shift(i) for i in range(number)]
        parts = [m >> shift & mask for shift in shifts]
        if sum(part << shift for part, shift in zip(parts, shifts, strict=True)) != index(m):
            raise GuardBitsSet(
                f"guard bits are set at {self._overrun(m, number, first)}: no value of this pack may be used"
            )
        return parts

    def _value_mask(self) -> int:
        return sum(((1 << self.value_bits) - 1) << slot * self.packing.slot_bits for slot in range(self.packing.slots))

    def _overrun(self, m: int, number: int, first: int) -> str:
        """Name the plaintexts in or right above one of whose slots a bit is set that belongs to no value."""
        pairs = product(range(number), range(self.packing.slots))
        starts = sorted((self.shift(i) + slot * self.packing.slot_bits, i) for i, slot in pairs)
        ends = [start for start, _ in starts[1:]] + [self.total_bits]
        found = set()
        for (start, i), end in zip(starts, ends, strict=True):
            if (m >> start) % (1 << end - start) >> self.value_bits:
                found.add(first + i)
        names = ", ".join(map(str, sorted(found)))
        return f"plaintext {names}" if names else "the end"


def _shift(packing: Packing, slot_bits: int, plaintext: int) -> int:
    if packing.slots == 1:
        return plaintext * slot_bits
    in_group = packing.slot_bits // slot_bits
    group, place = divmod(plaintext, in_group)
    return group * ((packing.slots - 1) * packing.slot_bits + in_group * slot_bits) + place * slot_bits


def _total_bits(packing: Packing, slot_bits: int, plaintexts: int) -> int:
    return _shift(packing, slot_bits, plaintexts - 1) + (packing.slots - 1) * packing.slot_bits + slot_bits


def _most_plaintexts(packing: Packing, slot_bits: int, within_bits: int) -> int:
    plaintexts = 0
    while _total_bits(packing, slot_bits, plaintexts + 1) <= within_bits:
        plaintexts += 1
    return plaintexts
