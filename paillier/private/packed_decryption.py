"""Many small messages opened by one decryption: the key holder packs their ciphertexts first.

C = prod c_i^(2^shift_i) is a ciphertext of sum m_i 2^shift_i, the layout of an `Interleaving`. Whoever knows p works
that out modulo p^2 alone: by Horner's rule, from the highest ciphertext down, one squaring for each bit of shift.
Then one half of a decryption opens it (both halves for a layout longer than p).

**A squaring modulo p^2** costs most of the packing, and less in two digits than in one number: for x = a + b p,

    x^2 = a^2 + 2 a b p = r + (q + 2 a b) p mod p^2    with a^2 = q p + r,

products and remainders of half the length. The exponents here are public (they are the layout), the digits are those
of ciphertexts: nothing in this step needs constant time, and what does need it, the exponent p - 1, is left to `Half`.

**What may share a pack: ciphertexts of one concentrator, and nothing else.** The summands of a pack are not proved to
be small. Whoever made one can let it run over its slot's guard bits into another customer's value; that customer's
concentrator could as well have encrypted another value for it in the first place, another's could not. Guard bits and
gaps catch accidents, and each value stays bounded by rating and time after decryption, which is the caller's check.

**Why one half is safe.** A sum that was too large for p comes out as a number that knows p (see the `decryption`
beside this file). It leaves only if every bit is zero that belongs to no value: guard bits, gaps and the room above.
At least ROOM_BITS such bits are asked for, so the argument about the bound holds for the layout: less than one prime
in 2^(ROOM_BITS - 16) lets a wrong number through. What passes is smaller than p wherever p lies, and a refusal is
worked out anew modulo n before it names anything: no answer compares a sum with p.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from itertools import pairwise
from operator import index
from typing import NoReturn

from gmpy2 import mpz

from ..ciphertext import validate_many
from ..errors import DecryptionFailed, GuardBitsSet, PackingTooWide
from ..packing import LEAST_GUARD_BITS, Interleaving, Packing
from .decryption import ROOM_BITS, Decryptor, Half, require_threads, without_lock


class PackedDecryptor:
    """Decrypts ciphertexts of small messages under one private key, many at once. Cannot be pickled.

    layout: how messages share a plaintext; `densest` finds the one that suits the key. Raises PackingTooWide for a
    layout that the key cannot hold with ROOM_BITS bits that belong to no value.
    """

    __slots__ = ("_decryptor", "_layout", "_one_half", "_steps")

    def __init__(self, decryptor: Decryptor, layout: Interleaving) -> None:
        self._one_half = _fits(layout, decryptor.smaller_prime_bits)
        if not _fits(layout, decryptor.public_key.bits):
            raise PackingTooWide(f"a layout of {layout.total_bits} bits does not fit the key")
        self._decryptor = decryptor
        self._layout = layout
        shifts = [layout.shift(i) for i in range(layout.plaintexts)]
        self._steps = [high - low for low, high in pairwise(shifts)]

    @classmethod
    def densest(
        cls, decryptor: Decryptor, packing: Packing, *, below: int, guard_bits: int = LEAST_GUARD_BITS
    ) -> PackedDecryptor:
        """Return a decryptor of as many messages at once as one half of the key holds.

        packing: of each message; below: of each of its values. Raises PackingTooWide if not one message fits.
        """
        within_bits = decryptor.smaller_prime_bits - 1
        return cls(
            decryptor,
            Interleaving.densest(
                packing, below=below, within_bits=within_bits, guard_bits=guard_bits, spare_bits=ROOM_BITS
            ),
        )

    @property
    def layout(self) -> Interleaving:
        """How messages share a plaintext."""
        return self._layout

    def decrypt(self, ciphertexts: Sequence[int], *, executor: Executor | None = None) -> list[int]:
        """Return the message of each ciphertext, in their order: `layout.plaintexts` at once, as often as needed.

        The ciphertexts are from one concentrator. The threads of an executor take a pack each.

        Raises BadCiphertext for what `ciphertext.validate` refuses; GuardBitsSet, naming ciphertexts by their index,
        for a pack in which some message is not what the layout expects: decrypt the ciphertexts of that pack singly.
        DecryptionFailed as `Decryptor` does, TypeError for an executor without threads.
        """
        require_threads(executor)
        ciphertexts = [mpz(index(c)) for c in ciphertexts]
        validate_many(self._decryptor.public_key, ciphertexts)
        firsts = range(0, len(ciphertexts), self._layout.plaintexts)
        open_pack = partial(self._decrypt_pack, ciphertexts)
        packs = map(open_pack, firsts) if executor is None else executor.map(partial(without_lock, open_pack), firsts)
        return [m for pack in packs for m in pack]

    def _decrypt_pack(self, ciphertexts: Sequence[mpz], first: int) -> list[int]:
        pack = ciphertexts[first : first + self._layout.plaintexts]
        if self._one_half:
            half = self._decryptor.halves()[0]
            with suppress(GuardBitsSet):
                return self._layout.separate(int(half.decrypt(self._product(pack, half))), len(pack), first)
            # Which bits are set is not told of this number: of a sum above p it says where p lies, one comparison for
            # each sum that somebody sends. It is told of the sum modulo n, which its senders know.
        m = self._decryptor.join(*(half.decrypt(self._product(pack, half)) for half in self._decryptor.halves()))
        messages = self._layout.separate(m, len(pack), first)
        if self._one_half:
            raise DecryptionFailed("two decryptions of one pack contradict each other")
        return messages

    def _product(self, pack: Sequence[mpz], half: Half) -> mpz:
        """Return the product of c_i^(2^shift_i) modulo the square of a half's prime."""
        x = pack[-1] % half.square
        for c, bits in zip(reversed(pack[:-1]), reversed(self._steps[: len(pack) - 1]), strict=True):
            x = _square_often(x, bits, half.prime) * (c % half.square) % half.square
        return x

    def __repr__(self) -> str:
        return f"<PackedDecryptor of {self._decryptor.public_key!r}, {self._layout.plaintexts} at once>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a decryptor holds a private key and is not pickled or copied")


def _square_often(x: mpz, times: int, prime: mpz) -> mpz:
    """Return x^(2^times) modulo the prime's square, x below it; the two digits are the module's first chapter."""
    b, a = divmod(x, prime)
    for _ in range(times):
        q, r = divmod(a * a, prime)
        b = (q + 2 * a * b) % prime
        a = r
    return a + b * prime


def _fits(layout: Interleaving, bits: int) -> bool:
    value_bits = layout.plaintexts * layout.packing.slots * layout.value_bits
    return layout.total_bits < bits and value_bits + ROOM_BITS <= bits
