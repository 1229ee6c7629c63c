"""Decryption by halves modulo p^2 and q^2, joined by Chinese remainders (Paillier 1999, section 7).

For a unit c modulo p^2, c^(p - 1) = 1 + p t with t = m L_p((1 + n)^(p - 1)) mod p and L_p(u) = (u - 1) / p.
As (1 + n)^(p - 1) = 1 + (p - 1) n mod p^2, that last factor is (p - 1) q = -q mod p: so m mod p = t (-q)^-1
mod p.

**One half is enough** for a message known to be smaller than p: then m mod p is m, in half the time. But if that
bound is false, m mod p is a number that knows p: gcd(m - (m mod p), n) = p for whoever knows m, and a concentrator
knows what it encrypted. So **a result of one half leaves only after a check that a wrong one cannot pass**: it must
be below a bound at least ROOM_BITS bits shorter than p. For one m above p, at most two primes of p's length divide
m - s for each s below the bound: of all primes that p could be, less than one in 2^(ROOM_BITS - 16) lets it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from operator import index
from typing import Any, NoReturn, TypeVar

import gmpy2
from gmpy2 import mpz

from .. import ciphertext
from ..errors import DecryptionFailed, PlaintextTooLarge
from ..keys import PublicKey
from .key import PrivateKey

ROOM_BITS = 128

T = TypeVar("T")


class Decryptor:
    """Decrypts ciphertexts under one private key. Cannot be pickled; threads may share it.

    At 3072 bits a decryption takes about 12 ms, half of it where `below` allows for one half or where two threads
    share the work.

    The exponentiations, where nearly all the time goes, are those of `powmod_sec`, whose time and memory
    accesses do not depend on the secret exponent. The few divisions and products around them are ordinary
    GMP: do not offer decryption of chosen ciphertexts to whoever can time it.
    """

    __slots__ = ("_p_half", "_p_inverse", "_public_key", "_q_half")

    def __init__(self, private_key: PrivateKey) -> None:
        self._public_key = private_key.public
        self._p_half = Half(private_key.p, private_key.q)
        self._q_half = Half(private_key.q, private_key.p)
        self._p_inverse = gmpy2.invert(mpz(private_key.p), mpz(private_key.q))

    @property
    def public_key(self) -> PublicKey:
        """The key that ciphertexts must have been made under."""
        return self._public_key

    @property
    def smaller_prime_bits(self) -> int:
        """The length in bits of the smaller prime: what one half can hold, and no secret."""
        return int(self._p_half.prime.bit_length())

    def decrypt(self, c: int, *, below: int | None = None, executor: Executor | None = None) -> int:
        """Return the message 0 <= m < n of a ciphertext.

        below: the message is known to be smaller than this; where this is ROOM_BITS bits shorter than the smaller
        prime, one half is worked out only. executor: a ThreadPoolExecutor, one of whose threads takes the second
        half where two are needed.

        Raises BadCiphertext for what `ciphertext.validate` refuses (an unblinded number among it: it needs
        no key), DecryptionFailed if a half or the result is one that no ciphertext has, PlaintextTooLarge if the
        message is not below the bound, ValueError for a bound below 1, TypeError for an executor without threads.
        """
        below = _checked_bound(below)
        require_threads(executor)
        ciphertext.validate(self._public_key, c)
        return self._decrypt(mpz(index(c)), below, executor)

    def decrypt_many(
        self, ciphertexts: Iterable[int], *, below: int | None = None, executor: Executor | None = None
    ) -> list[int]:
        """Return the message of each ciphertext, in their order, as `decrypt` does.

        The threads of an executor work at the same time, one ciphertext each: `powmod_sec` lets go of Python's lock.
        Raises what `decrypt` raises for the first ciphertext that it refuses.
        """
        below = _checked_bound(below)
        require_threads(executor)
        ciphertexts = [mpz(index(c)) for c in ciphertexts]
        ciphertext.validate_many(self._public_key, ciphertexts)
        if executor is None:
            return [self._decrypt(c, below) for c in ciphertexts]
        return list(executor.map(partial(without_lock, self._decrypt, below=below), ciphertexts))

    def halves(self) -> tuple[Half, Half]:
        """Return the halves of the smaller and of the larger prime, for this library's private half alone."""
        return self._p_half, self._q_half

    def join(self, m_p: mpz, m_q: mpz) -> int:
        """Return the message below n with these remainders modulo p and q. Raises DecryptionFailed."""
        m = int(m_p + self._p_half.prime * ((m_q - m_p) * self._p_inverse % self._q_half.prime))
        if not 0 <= m < self._public_key.n:
            raise DecryptionFailed("the decrypted message is outside its range")
        return m

    def _decrypt(self, c: mpz, below: int | None = None, executor: Executor | None = None) -> int:
        if below is not None and below.bit_length() + ROOM_BITS <= self.smaller_prime_bits:
            m = int(self._p_half.decrypt(c))
        elif executor is None:
            m = self.join(self._p_half.decrypt(c), self._q_half.decrypt(c))
        else:
            m = self.join(*self._both(c, executor))
        if below is not None and m >= below:
            raise PlaintextTooLarge("the message is not below the bound that was given")
        return m

    def _both(self, c: mpz, executor: Executor) -> tuple[mpz, mpz]:
        other = executor.submit(without_lock, self._q_half.decrypt, c)
        try:
            m_p = without_lock(self._p_half.decrypt, c)
        except DecryptionFailed:
            other.cancel()
            raise
        # Where every thread is busy, perhaps with callers like this one, waiting for one could take for ever.
        return m_p, self._q_half.decrypt(c) if other.cancel() else other.result()

    def __repr__(self) -> str:
        return f"<Decryptor of {self._public_key!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a decryptor holds a private key and is not pickled or copied")


class Half:
    """Decryption modulo one of the two primes.

    Its results are secret until checked: one that is not the message itself gives the prime away.
    """

    __slots__ = ("_factor", "prime", "square")

    def __init__(self, prime: int, other_prime: int) -> None:
        self.prime = mpz(prime)
        self.square = self.prime * self.prime
        self._factor = gmpy2.invert(-mpz(other_prime) % self.prime, self.prime)

    def decrypt(self, c: mpz) -> mpz:
        """Return the message of the unit c modulo the prime. Raises DecryptionFailed."""
        power = gmpy2.powmod_sec(c % self.square, self.prime - 1, self.square)
        # Fermat's little theorem: the remainder is 0 for every unit. A computing fault in one half, let out
        # in a result, would give n's factors away by one gcd (Boneh, DeMillo, Lipton, EUROCRYPT 1997);
        # nearly all of them end here.
        t, remainder = divmod(power - 1, self.prime)
        if remainder:
            raise DecryptionFailed("the arithmetic of a decryption failed")
        return t * self._factor % self.prime

    def __repr__(self) -> str:
        return "<Half>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a half holds a private key and is not pickled or copied")


def without_lock(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Return what a function returns, letting go of Python's lock meanwhile: gmpy2's setting is each thread's own."""
    with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
        return function(*arguments, **named)


def require_threads(executor: Executor | None) -> None:
    """Refuse an executor that would have to carry the key into another process. Raises TypeError."""
    if executor is not None and not isinstance(executor, ThreadPoolExecutor):
        raise TypeError("a private key does not cross the border of its process: give a ThreadPoolExecutor")


def _checked_bound(below: int | None) -> int | None:
    if below is not None and (below := index(below)) < 1:
        raise ValueError("no message is below a bound less than 1")
    return below
