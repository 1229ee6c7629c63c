"""The private key: the factors of n, how they are made and written down.

Only a key holder imports this file. Keys: n = p q with p = q = 3 mod 4 and gcd(p - 1, q - 1) = 2 (Damgard,
Jurik, Nielsen 2010), prime generation after FIPS 186-5, appendix A.1.3.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from operator import index
from typing import Any, NoReturn

import gmpy2
from gmpy2 import mpz

from .. import base64url
from ..errors import BadPrivateKey, KeyTooShort
from ..keys import (
    DEFAULT_BITS,
    JWK_TYPE,
    LEAST_BITS,
    LEAST_UNSAFE_BITS,
    MOST_BITS,
    MOST_JWK_INTEGER_TEXT,
    PublicKey,
)

# GMP counts a Baillie-PSW test as the first 24 of these and runs the other 40 as Miller-Rabin rounds; FIPS
# 186-5, appendix B.3, asks for fewer at these lengths. GMP draws the Miller-Rabin bases from a generator with
# a fixed seed: sound for candidates that nobody chose, and Baillie-PSW has no known counterexample.
PRIME_TEST_ROUNDS = 64


class PrivateKey:
    """The factors of a Paillier modulus. Its repr shows the public key alone; it can be neither changed nor
    pickled.

    Attributes:
      p, q: the prime factors, p < q, in whichever order they were given.
      public: the PublicKey of p q.

    Raises BadPrivateKey unless p and q are distinct primes with gcd(p q, (p - 1)(q - 1)) = 1.
    """

    __slots__ = ("p", "public", "q")

    p: int
    q: int
    public: PublicKey

    def __init__(self, p: int, q: int) -> None:
        p, q = sorted((index(p), index(q)))
        if p == q:
            raise BadPrivateKey("the two factors are equal")
        if not (_is_prime(p) and _is_prime(q)):
            raise BadPrivateKey("a factor is not a prime")
        if gmpy2.gcd(mpz(p) * q, mpz(p - 1) * (q - 1)) != 1:
            raise BadPrivateKey("the modulus shares a factor with its totient")
        object.__setattr__(self, "p", p)
        object.__setattr__(self, "q", q)
        object.__setattr__(self, "public", PublicKey(p * q))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a private key is not changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a private key is not changed")

    def __repr__(self) -> str:
        return f"<PrivateKey of {self.public!r}>"

    def __eq__(self, other: object) -> bool:
        # n determines p < q, so comparing it compares the factors.
        return self.public == other.public if isinstance(other, PrivateKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.public)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a private key is not pickled or copied; to_jwk() writes it down on purpose")

    def to_jwk(self) -> dict[str, Any]:
        """Return the key as a JSON Web Key as `pheutil` reads it: secret, for it holds p and q in clear."""
        return {
            "kty": JWK_TYPE,
            "key_ops": ["decrypt"],
            "p": base64url.encode_integer(self.p),
            "q": base64url.encode_integer(self.q),
            "pub": self.public.to_jwk(),
            "kid": self.public.fingerprint,
        }

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], *, unsafe_small_key: bool = False) -> PrivateKey:
        """Return the key in a JWK as `pheutil` and `to_jwk` write it.

        The factors need not be 3 mod 4: keys made elsewhere decrypt as well.
        Raises BadPublicKey for what `PublicKey.from_jwk` refuses in `pub`, and BadPrivateKey for a
        malformed JWK, factors that are none, or factors of another modulus than the one in `pub`.
        """
        if not isinstance(jwk, Mapping) or jwk.get("kty") != JWK_TYPE or "pub" not in jwk:
            raise BadPrivateKey(f"the JWK is not a private key of type {JWK_TYPE}")
        operations = jwk.get("key_ops")
        if not isinstance(operations, list) or "decrypt" not in operations:
            raise BadPrivateKey("the JWK's key_ops do not allow decryption")
        public = PublicKey.from_jwk(jwk["pub"], unsafe_small_key=unsafe_small_key)
        p, q = (_factor_from_jwk(jwk, name) for name in ("p", "q"))
        if p * q != public.n:
            raise BadPrivateKey("the factors are not those of the public key")
        return cls(p, q)

    def to_phe(self) -> Any:
        """Return the same key as a `phe.PaillierPrivateKey` (python-paillier 1.5)."""
        import phe  # noqa: PLC0415 - only interchange needs it; decrypting does not

        return phe.PaillierPrivateKey(self.public.to_phe(), self.p, self.q)


def generate_keypair(bits: int = DEFAULT_BITS, *, unsafe_small_key: bool = False) -> PrivateKey:
    """Return a new private key, its modulus of exactly `bits` bits; takes about half a second at 3072 bits.

    p and q are primes of bits / 2 bits, drawn from the operating system's CSPRNG uniformly among the pairs
    with p = q = 3 mod 4, gcd(p - 1, q - 1) = 2 and |p - q| > 2^(bits / 2 - 100).

    Raises KeyTooShort below 2048 bits (256 with `unsafe_small_key`), ValueError for an odd or excessive
    length.
    """
    least_bits = LEAST_UNSAFE_BITS if unsafe_small_key else LEAST_BITS
    if bits < least_bits:
        raise KeyTooShort(f"a key has at least {least_bits} bits")
    if bits % 2 or bits > MOST_BITS:
        raise ValueError(f"the length of a key is an even number of bits, {MOST_BITS} at most")
    while True:
        # Both are drawn anew after a refusal, so that every admissible pair stays equally likely.
        p, q = _random_prime(bits // 2), _random_prime(bits // 2)
        if gmpy2.gcd(p - 1, q - 1) == 2 and abs(p - q) > 2 ** (bits // 2 - 100):
            return PrivateKey(p, q)


def _random_prime(bits: int) -> int:
    """Return a prime, 3 mod 4, uniform in [sqrt(2) 2^(bits - 1), 2^bits).

    From there up the product of two has exactly twice the length.
    """
    # Not the next prime after a random number: that favours primes after long gaps.
    least = int(gmpy2.isqrt(mpz(2) ** (2 * bits - 1))) + 1
    while True:
        candidate = secrets.randbits(bits) | 3
        if candidate >= least and _is_prime(candidate):
            return candidate


def _is_prime(number: int) -> bool:
    return number > 1 and bool(gmpy2.is_prime(mpz(number), PRIME_TEST_ROUNDS))


def _factor_from_jwk(jwk: Mapping[str, Any], name: str) -> int:
    text = jwk.get(name)
    if not isinstance(text, str) or len(text) > MOST_JWK_INTEGER_TEXT:
        raise BadPrivateKey(f"the JWK's {name} is not a text of admissible length")
    try:
        return base64url.decode_integer(text)
    except ValueError as error:
        raise BadPrivateKey(f"the JWK's {name} is {error}") from None
