"""Encryption: a message enters as (1 + m n), a fresh randomiser hides it.

The randomiser is an n-th residue modulo n^2, and whoever knows it reads the message. Two ways to draw one
give ciphertexts of the same kind, which add to each other and open under the same key:

- "djn" (the default): h_s^alpha with h_s = h^n mod n^2 and alpha uniform of half the length of n (Damgard,
  Jurik, Nielsen, "A generalization of Paillier's public-key system with applications to electronic voting",
  International Journal of Information Security 9, 2010). Half the length rests on the decisional composite
  residuosity and factoring assumptions alone (Goldreich and Rosen, Journal of Cryptology 16, 2003).
- "iso": r^n with r uniform in the units modulo n (ISO/IEC 18033-6:2019, Paillier encryption; Paillier 1999,
  section 4, Scheme 1), for keys made elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

import gmpy2
from gmpy2 import mpz

from . import ciphertext
from .errors import BadPublicKey
from .keys import PublicKey

DJN_BASE_LABEL = b"hushmeter/v1/paillier-djn-base"
DJN_SURPLUS_BITS = 128  # x of |n| + 128 bits is uniform modulo n up to 2^-128

Mode = Literal["djn", "iso"]


class Encryptor:
    """Encrypts integers 0 <= m < n under one public key, each with a randomiser of its own.

    Making one in "djn" mode takes one exponentiation of the length of n (about 30 ms at 3072 bits): keep it.
    It holds no secret and no state between calls, so threads may share it.

    Raises BadPublicKey in "djn" mode if n = 3 mod 4: then p = q = 3 mod 4 is false, on which DJN's group
    rests. Keys made elsewhere need not have that shape, even if n does not show it: use "iso" for them.
    """

    __slots__ = ("_h_s", "_mode", "_public_key")

    def __init__(self, public_key: PublicKey, *, mode: Mode = "djn") -> None:
        if mode not in ("djn", "iso"):
            raise ValueError("the mode is neither 'djn' nor 'iso'")
        self._public_key = public_key
        self._mode: Mode = mode
        self._h_s = mpz(0)
        if mode == "djn":
            h = djn_base(public_key)
            self._h_s = gmpy2.powmod(h, public_key.n_mpz, public_key.n_squared_mpz)

    @property
    def public_key(self) -> PublicKey:
        """The key that this encrypts under."""
        return self._public_key

    @property
    def mode(self) -> Mode:
        """How randomisers are drawn: "djn" or "iso"."""
        return self._mode

    def encrypt(self, m: int) -> int:
        """Return a fresh ciphertext of m, (1 + m n) randomiser mod n^2; 0 <= m < n.

        Raises PlaintextOutOfRange.
        """
        return ciphertext.add_plain(self._public_key, self.randomiser(), m)

    def rerandomise(self, c: int) -> int:
        """Return another ciphertext of the same message, unlinkable to c.

        Takes unblinded ciphertexts too, for blinding them is its purpose. Raises BadCiphertext if c is no
        unit.
        """
        ciphertext.require_unit(self._public_key, c)
        return ciphertext.add(self._public_key, c, self.randomiser())

    def randomiser(self) -> int:
        """Return a fresh n-th residue modulo n^2, itself an encryption of 0.

        It decrypts what it blinds: keep it in memory only, use it once, never log it.
        """
        return self._djn_randomiser() if self._mode == "djn" else self._iso_randomiser()

    def _djn_randomiser(self) -> int:
        alpha = 0
        while alpha == 0:  # powmod_sec takes no zero exponent
            alpha = secrets.randbits((self._public_key.bits + 1) // 2)
        # The exponent is the secret: powmod_sec's time and memory accesses do not depend on its bits.
        return int(gmpy2.powmod_sec(self._h_s, alpha, self._public_key.n_squared_mpz))

    def _iso_randomiser(self) -> int:
        key = self._public_key
        r = 0
        while gmpy2.gcd(r, key.n_mpz) != 1:
            r = secrets.randbelow(key.n)
        # Here the base is the secret, which powmod_sec covers as well.
        return int(gmpy2.powmod_sec(r, key.n_mpz, key.n_squared_mpz))


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
