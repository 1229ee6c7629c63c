"""Decryption by halves modulo p^2 and q^2, joined by Chinese remainders (Paillier 1999, section 7).

For a unit c modulo p^2, c^(p - 1) = 1 + p t with t = m L_p((1 + n)^(p - 1)) mod p and L_p(u) = (u - 1) / p.
As (1 + n)^(p - 1) = 1 + (p - 1) n mod p^2, that last factor is (p - 1) q = -q mod p: so m mod p = t (-q)^-1
mod p.
"""

from __future__ import annotations

from typing import NoReturn

import gmpy2
from gmpy2 import mpz

from . import ciphertext
from .errors import DecryptionFailed
from .keys import PublicKey
from .private_key import PrivateKey


class Decryptor:
    """Decrypts ciphertexts under one private key; takes about 12 ms at 3072 bits. Cannot be pickled.

    The exponentiations, where nearly all the time goes, are those of `powmod_sec`, whose time and memory
    accesses do not depend on the secret exponent. The few divisions and products around them are ordinary
    GMP: do not offer decryption of chosen ciphertexts to whoever can time it.
    """

    __slots__ = ("_p_half", "_p_inverse", "_public_key", "_q_half")

    def __init__(self, private_key: PrivateKey) -> None:
        self._public_key = private_key.public
        self._p_half = _Half(private_key.p, private_key.q)
        self._q_half = _Half(private_key.q, private_key.p)
        self._p_inverse = gmpy2.invert(mpz(private_key.p), mpz(private_key.q))

    @property
    def public_key(self) -> PublicKey:
        """The key that ciphertexts must have been made under."""
        return self._public_key

    def decrypt(self, c: int) -> int:
        """Return the message 0 <= m < n of a ciphertext.

        Raises BadCiphertext for what `ciphertext.validate` refuses (an unblinded number among it: it needs
        no key), DecryptionFailed if a half or the result is one that no ciphertext has.
        """
        ciphertext.validate(self._public_key, c)
        m_p, m_q = self._p_half.decrypt(mpz(c)), self._q_half.decrypt(mpz(c))
        m = int(m_p + self._p_half.prime * ((m_q - m_p) * self._p_inverse % self._q_half.prime))
        if not 0 <= m < self._public_key.n:
            raise DecryptionFailed("the decrypted message is outside its range")
        return m

    def __repr__(self) -> str:
        return f"<Decryptor of {self._public_key!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a decryptor holds a private key and is not pickled or copied")


class _Half:
    """Decryption modulo one of the two primes."""

    __slots__ = ("_factor", "_square", "prime")

    def __init__(self, prime: int, other_prime: int) -> None:
        self.prime = mpz(prime)
        self._square = self.prime * self.prime
        self._factor = gmpy2.invert(-mpz(other_prime) % self.prime, self.prime)

    def decrypt(self, c: mpz) -> mpz:
        """Return the message of the unit c modulo the prime."""
        power = gmpy2.powmod_sec(c % self._square, self.prime - 1, self._square)
        # Fermat's little theorem: the remainder is 0 for every unit. A computing fault in one half, let out
        # in a result, would give n's factors away by one gcd (Boneh, DeMillo, Lipton, EUROCRYPT 1997);
        # nearly all of them end here.
        t, remainder = divmod(power - 1, self.prime)
        if remainder:
            raise DecryptionFailed("the arithmetic of a decryption failed")
        return t * self._factor % self.prime
