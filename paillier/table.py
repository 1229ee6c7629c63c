"""The base h_s of the randomisers, and a table of its powers that makes drawing one cheap.

A randomiser is h_s^alpha mod n^2. With the digits alpha_i of alpha in base 2^w it is the product of the entries
h_s^(alpha_i 2^(w i)), one of each row of the table, without a single squaring (Brickell, Gordon, McCurley and
Wilson, EUROCRYPT '92).

**Half-size entries.** Every unit e modulo n^2 is a (1 + t n) mod n^2 with a = e mod n and
t = (e div n) a^-1 mod n, and (1 + t n)(1 + u n) = 1 + (t + u) n mod n^2. So the product of entries is
(product of the a's mod n^2) (1 + n sum of the t's): the a's are half as long as the entries, two of them are
multiplied before anything must be reduced, and the t's are only added. The message enters the same last factor.
An entry is kept as one number, a above t with room for the sum: one object instead of two takes less memory, and
one addition over all entries adds up the t's.

**What it gives away.** A table holds powers of a base that everyone derives from n: it is public, and may lie in
memory shared between processes. The *choice* of the entries is the secret. Look-ups at secret places leave
traces in the caches of the processor, and products of Python's numbers take times that vary a little with their
values: whoever runs code on the same machine can learn digits of alpha, and alpha decrypts its one ciphertext.
The table is therefore for machines whose every process may see the readings anyway, as in a concentrator, which
opens them in clear. Where strangers share the machine, do without it: `Encryptor(key, window_bits=0)` raises
with GMP's `powmod_sec`, whose time and memory accesses do not depend on alpha.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat
from operator import getitem, index, mul, rshift

import gmpy2
from gmpy2 import mpz

from .errors import BadPublicKey, PlaintextOutOfRange
from .keys import PublicKey

DJN_BASE_LABEL = b"hushmeter/v1/paillier-djn-base"
DJN_SURPLUS_BITS = 128  # x of |n| + 128 bits is uniform modulo n up to 2^-128

LEAST_EXPONENT_BITS = 320  # generic attacks on an exponent of L bits take 2^(L/2) steps: 2^160 here
MOST_WINDOW_BITS = 12
PI_WINDOW_BITS = 8  # 42 MB at 3072 bits
WIDE_WINDOW_BITS = 10  # 134 MB

WORD_BITS = 64  # GMP shifts by whole words fastest
SUM_BITS = 16  # room above t: no table has 2^16 rows


def djn_base(public_key: PublicKey) -> int:
    """Return h = -(x^2) mod n, where x is derived from n so that nobody chose it.

    x is the first ceil(|n| / 8) + 16 bytes of SHAKE256 (FIPS 202) over DJN_BASE_LABEL and the big-endian n
    of fixed length, read as a big-endian integer. Everyone who knows n derives the same h, so it need not
    be sent or trusted.
    Raises BadPublicKey if n = 3 mod 4 or x shares a factor with n.
    """
    if public_key.n % 4 != 1:
        raise BadPublicKey("the modulus is no product of two primes that are 3 modulo 4: use mode 'iso'")
    shake = hashlib.shake_256(DJN_BASE_LABEL + public_key.n.to_bytes(public_key.modulus_bytes, "big"))
    x = mpz(int.from_bytes(shake.digest(public_key.modulus_bytes + DJN_SURPLUS_BITS // 8), "big"))
    if gmpy2.gcd(x, public_key.n_mpz) != 1:
        raise BadPublicKey("the modulus shares a factor with its derived base")
    return int(-x * x % public_key.n_mpz)


def checked_exponent_bits(public_key: PublicKey, exponent_bits: int | None) -> int:
    """Return the length of alpha in bits: half that of n, rounded up, unless a shorter one was asked for.

    Half the length rests on the decisional composite residuosity and factoring assumptions alone (Goldreich
    and Rosen, Journal of Cryptology 16, 2003). Raises ValueError for a length below LEAST_EXPONENT_BITS or
    above half the length of n.
    """
    half = (public_key.bits + 1) // 2
    if exponent_bits is None:
        return half
    exponent_bits = index(exponent_bits)
    if not LEAST_EXPONENT_BITS <= exponent_bits <= half:
        raise ValueError(f"the exponent has from {LEAST_EXPONENT_BITS} bits to half the length of the modulus")
    return exponent_bits


class HalfSizeTable:
    """Powers of h_s in the half-size form: draws randomisers and encrypts 0 <= m < n under one public key.

    `window_bits` is the width w of a digit of alpha: each bit more takes nearly twice the memory and makes a
    randomiser 1/w cheaper. `exponent_bits` is the length of alpha, as `checked_exponent_bits` has it. Building
    takes a second for w = 8 and three for w = 10 at 3072 bits: take one from `shared_table`.

    It holds only public data and no state between calls, so threads may share it.
    Raises ValueError for a width outside 1 <= w <= 12 or an exponent that is refused, and BadPublicKey as
    `djn_base` does.
    """

    __slots__ = (
        "_build_seconds",
        "_digit_bytes",
        "_digit_code",
        "_digit_mask",
        "_exponent_bits",
        "_public_key",
        "_rows",
        "_shift",
        "_window_bits",
    )

    def __init__(
        self, public_key: PublicKey, *, window_bits: int = PI_WINDOW_BITS, exponent_bits: int | None = None
    ) -> None:
        window_bits = index(window_bits)
        if not 1 <= window_bits <= MOST_WINDOW_BITS:
            raise ValueError(f"the window has from 1 to {MOST_WINDOW_BITS} bits")
        self._public_key = public_key
        self._window_bits = window_bits
        self._exponent_bits = checked_exponent_bits(public_key, exponent_bits)
        widths = [window_bits] * (self._exponent_bits // window_bits)
        if self._exponent_bits % window_bits:
            widths.append(self._exponent_bits % window_bits)  # the top digit is shorter
        self._digit_code = "B" if window_bits <= 8 else "H"
        masks = array(self._digit_code, [2**width - 1 for width in widths]).tobytes()
        self._digit_bytes = len(masks)
        self._digit_mask = int.from_bytes(masks, sys.byteorder)
        self._shift = -(-(public_key.bits + SUM_BITS) // WORD_BITS) * WORD_BITS

        started = time.perf_counter()
        self._rows = tuple(_rows(public_key, widths, self._shift))
        self._build_seconds = time.perf_counter() - started

    @property
    def public_key(self) -> PublicKey:
        """The key whose randomisers this draws."""
        return self._public_key

    @property
    def window_bits(self) -> int:
        """The width w of a digit of alpha in bits."""
        return self._window_bits

    @property
    def exponent_bits(self) -> int:
        """The length of alpha in bits."""
        return self._exponent_bits

    @property
    def entries(self) -> int:
        """How many powers of h_s the table holds: 49,152 for w = 8 at 3072 bits."""
        return sum(map(len, self._rows))

    @property
    def memory_bytes(self) -> int:
        """What the entries and their rows take in bytes, as their types report it.

        The process grows by about 3 % more: the allocators round up, and building leaves some room behind.
        """
        return sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in self._rows)

    @property
    def build_seconds(self) -> float:
        """How long building the table took, in seconds."""
        return self._build_seconds

    def __repr__(self) -> str:
        return (
            f"<HalfSizeTable of {self._public_key!r}: digits of {self._window_bits} bits, "
            f"exponents of {self._exponent_bits} bits>"
        )

    def draw(self) -> tuple[mpz, mpz]:
        """Return (a, t) of a fresh randomiser a (1 + t n) mod n^2; 0 < a < n^2, 0 <= t.

        It decrypts what it blinds: keep it in memory only, use it once, never log it.
        """
        n_squared = self._public_key.n_squared_mpz
        while True:
            entries = list(map(getitem, self._rows, self._digits()))
            halves = list(map(rshift, entries, repeat(self._shift)))
            a = halves.pop() if len(halves) % 2 else mpz(1)
            for pair in map(mul, halves[0::2], halves[1::2]):
                a = a * pair % n_squared
            if a != 1:  # alpha = 0 would blind nothing
                return a, gmpy2.t_mod_2exp(sum(entries), self._shift)

    def encrypt(self, m: int) -> int:
        """Return a fresh ciphertext of m; 0 <= m < n. Raises PlaintextOutOfRange."""
        m = index(m)
        key = self._public_key
        if not 0 <= m < key.n:
            raise PlaintextOutOfRange("the message is not in the range 0 <= m < n")
        a, t = self.draw()
        return int(a * (1 + (t + m) * key.n_mpz) % key.n_squared_mpz)

    def _digits(self) -> array[int]:
        """Return the digits of a fresh alpha, uniform of exactly `exponent_bits` bits, lowest first."""
        # One mask cuts every digit to its width: bits of the system's are kept or dropped, never combined.
        drawn = int.from_bytes(os.urandom(self._digit_bytes), sys.byteorder) & self._digit_mask
        return array(self._digit_code, drawn.to_bytes(self._digit_bytes, sys.byteorder))


def _rows(public_key: PublicKey, widths: Sequence[int], shift: int) -> Iterator[tuple[mpz, ...]]:
    """Yield a row for each digit i: the entries (a << shift) + t of h_s^(j 2^(w i)) for j = 0, 1, 2, ..."""
    n = public_key.n_mpz
    h_s = gmpy2.powmod(djn_base(public_key), n, public_key.n_squared_mpz)
    quotient, base_a = gmpy2.f_divmod(h_s, n)
    base_t = quotient * gmpy2.invert(base_a, n) % n
    for width in widths:
        a_row, t_row = _powers(n, base_a, base_t, 2**width)
        # The power that follows the last of this row is the base of the next.
        base_a, base_t = a_row.pop(), t_row.pop()
        yield tuple([(a << shift) + t for a, t in zip(a_row, t_row, strict=True)])


def _powers(n: mpz, base_a: mpz, base_t: mpz, most: int) -> tuple[list[mpz], list[mpz]]:
    """Return the a's and the t's of the powers 0 to `most` of base_a (1 + base_t n) mod n^2.

    If a base_a = q n + a', the next power of a (1 + t n) is (a' + q n)(1 + (t + base_t) n), so that its
    t' = t + base_t + q a'^-1 mod n. The inverses of a row are had from one (Montgomery, Mathematics of
    Computation 48, 1987).
    """
    a_row, carries = [mpz(1)], []
    for _ in range(most):
        carry, a = gmpy2.f_divmod(a_row[-1] * base_a, n)
        a_row.append(a)
        carries.append(carry)
    products = list(accumulate(a_row, lambda x, y: x * y % n))
    inverse = gmpy2.invert(products[-1], n)
    steps = []
    for j in range(most, 0, -1):
        steps.append(base_t + carries[j - 1] * (inverse * products[j - 1] % n))
        inverse = inverse * a_row[j] % n
    t_row = list(accumulate(reversed(steps), lambda x, y: (x + y) % n, initial=mpz(0)))
    return a_row, t_row


_shared: dict[tuple[int, int, int], HalfSizeTable] = {}
_shared_lock = threading.RLock()


def shared_table(public_key: PublicKey, window_bits: int, exponent_bits: int | None = None) -> HalfSizeTable:
    """Return the one table of this key, width and exponent in this process, building it at the first call.

    A process forked afterwards finds its parent's table, on the same pages of memory. Using an entry writes to
    its reference count, so that a busy child copies the pages of these counts, about a tenth of the table, and
    never those of the numbers. Raises what HalfSizeTable raises.
    """
    name = (public_key.n, index(window_bits), checked_exponent_bits(public_key, exponent_bits))
    with _shared_lock:
        if name not in _shared:
            _shared[name] = HalfSizeTable(public_key, window_bits=window_bits, exponent_bits=exponent_bits)
        return _shared[name]


# No thread but the forking one lives on in a child: held across the fork, the lock is never lost with its thread,
# and a table that is being built is finished first.
os.register_at_fork(
    before=_shared_lock.acquire, after_in_parent=_shared_lock.release, after_in_child=_shared_lock.release
)
