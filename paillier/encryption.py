"""Encryption: a message enters as (1 + m n), a fresh randomiser hides it.

The randomiser is an n-th residue modulo n^2, and whoever knows it reads the message. Two ways to draw one
give ciphertexts of the same kind, which add to each other and open under the same key:

- "djn" (the default): h_s^alpha with h_s = h^n mod n^2 and alpha uniform of half the length of n (Damgard,
  Jurik, Nielsen, "A generalization of Paillier's public-key system with applications to electronic voting",
  International Journal of Information Security 9, 2010). Half the length rests on the decisional composite
  residuosity and factoring assumptions alone (Goldreich and Rosen, Journal of Cryptology 16, 2003).
  A shorter alpha must be asked for. It needs one more assumption, that powers of h_s with short exponents
  look like any others; the best attack known is generic and takes 2^(L/2) steps for L bits. 512 bits are the
  fast choice, and nothing below 320 is accepted.
- "iso": r^n with r uniform in the units modulo n (ISO/IEC 18033-6:2019, Paillier encryption; Paillier 1999,
  section 4, Scheme 1), for keys made elsewhere.

In "djn" mode a table of powers (`paillier.table`) makes a randomiser several times cheaper. Its docstring says
on which machines it must not be used.
"""

from __future__ import annotations

import secrets
from operator import index
from typing import Literal

import gmpy2
from gmpy2 import mpz

from . import ciphertext
from .keys import PublicKey
from .table import HalfSizeTable, checked_exponent_bits, djn_base, shared_table

Mode = Literal["djn", "iso"]


class Encryptor:
    """Encrypts integers 0 <= m < n under one public key, each with a randomiser of its own.

    `exponent_bits` is the length of alpha: half the length of n if None, 320 at least. `window_bits` is the
    width of the table: 0 for none, which raises in constant time, or 1 to 12; PI_WINDOW_BITS and
    WIDE_WINDOW_BITS are two that were measured. Encryptors of one key, width and exponent share one table.

    Making one in "djn" mode takes one exponentiation of the length of n (about 30 ms at 3072 bits), and about
    a second more for a table: keep it. It holds no secret and no state between calls, so threads may share it.

    Raises BadPublicKey in "djn" mode if n = 3 mod 4: then p = q = 3 mod 4 is false, on which DJN's group
    rests. Keys made elsewhere need not have that shape, even if n does not show it: use "iso" for them.
    Raises ValueError for an unknown mode, an exponent or a width out of range, or either of them in "iso" mode.
    """

    __slots__ = ("_exponent_bits", "_h_s", "_mode", "_public_key", "_table")

    def __init__(
        self,
        public_key: PublicKey,
        *,
        mode: Mode = "djn",
        exponent_bits: int | None = None,
        window_bits: int = 0,
    ) -> None:
        if mode not in ("djn", "iso"):
            raise ValueError("the mode is neither 'djn' nor 'iso'")
        window_bits = index(window_bits)
        if mode == "iso" and (window_bits or exponent_bits is not None):
            raise ValueError("mode 'iso' raises no fixed base: it has neither a table nor an exponent to shorten")
        self._public_key = public_key
        self._mode: Mode = mode
        self._h_s = mpz(0)
        self._table: HalfSizeTable | None = None
        self._exponent_bits = 0
        if mode == "djn":
            self._exponent_bits = checked_exponent_bits(public_key, exponent_bits)
            if window_bits:
                self._table = shared_table(public_key, window_bits, exponent_bits)
            else:
                self._h_s = gmpy2.powmod(djn_base(public_key), public_key.n_mpz, public_key.n_squared_mpz)

    @property
    def public_key(self) -> PublicKey:
        """The key that this encrypts under."""
        return self._public_key

    @property
    def mode(self) -> Mode:
        """How randomisers are drawn: "djn" or "iso"."""
        return self._mode

    @property
    def table(self) -> HalfSizeTable | None:
        """The table that randomisers are drawn from, or None."""
        return self._table

    @property
    def exponent_bits(self) -> int | None:
        """The length of alpha in bits; None in "iso" mode, which has none."""
        return self._exponent_bits or None

    def encrypt(self, m: int) -> int:
        """Return a fresh ciphertext of m, (1 + m n) randomiser mod n^2; 0 <= m < n.

        Raises PlaintextOutOfRange.
        """
        if self._table is not None:
            return self._table.encrypt(m)
        return ciphertext.add_plain(self._public_key, self.draw(), m)

    def rerandomise(self, c: int) -> int:
        """Return another ciphertext of the same message, unlinkable to c.

        Takes unblinded ciphertexts too, for blinding them is its purpose. Raises BadCiphertext if c is no
        unit.
        """
        ciphertext.require_unit(self._public_key, c)
        return ciphertext.add(self._public_key, c, self.draw())

    def randomiser(self) -> int:
        """Return a fresh n-th residue modulo n^2, itself an encryption of 0.

        It decrypts what it blinds: keep it in memory only, use it once, never log it.
        """
        return int(self.draw())

    def draw(self) -> mpz:
        """Return `randomiser` in GMP's form, for this library's own arithmetic."""
        if self._table is not None:
            a, t = self._table.draw()
            return a * (1 + t * self._public_key.n_mpz) % self._public_key.n_squared_mpz
        return self._djn_randomiser() if self._mode == "djn" else self._iso_randomiser()

    def _djn_randomiser(self) -> mpz:
        alpha = 0
        while alpha == 0:  # powmod_sec takes no zero exponent
            alpha = secrets.randbits(self._exponent_bits)
        # The exponent is the secret: powmod_sec's time and memory accesses do not depend on its bits.
        return gmpy2.powmod_sec(self._h_s, alpha, self._public_key.n_squared_mpz)

    def _iso_randomiser(self) -> mpz:
        key = self._public_key
        r = 0
        while gmpy2.gcd(r, key.n_mpz) != 1:
            r = secrets.randbelow(key.n)
        # Here the base is the secret, which powmod_sec covers as well.
        return gmpy2.powmod_sec(r, key.n_mpz, key.n_squared_mpz)
