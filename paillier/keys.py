"""The public key: a modulus n = p q, how it is checked, named and written down.

Nothing here knows a factor. Private keys live in `paillier.private.key`, which this half never imports.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from typing import Any

import gmpy2
from gmpy2 import mpz

from . import base64url
from .errors import BadPublicKey, KeyTooShort

DEFAULT_BITS = 3072  # 128-bit strength: NIST SP 800-57 Part 1, table 2; BSI TR-02102-1
LEAST_BITS = 2048  # 112-bit strength; less only by a flag that is named as unsafe
LEAST_UNSAFE_BITS = 256  # for tests: factored in minutes, yet long enough for every code path
MOST_BITS = 16384  # a longer modulus would only buy a denial of service
SMALL_FACTOR_BOUND = 2**16
FERMAT_STEPS = 10_000  # finds |p - q| below about 2^8 n^(1/4); a sound key lies near n^(1/2)

FINGERPRINT_LABEL = b"hushmeter/v1/paillier-key"
JWK_TYPE = "DAJ"
JWK_ALGORITHM = "PAI-GN1"  # Paillier with g = n + 1
MOST_JWK_INTEGER_TEXT = (MOST_BITS // 8 * 4 + 2) // 3


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A Paillier public key with g = n + 1 (Paillier, EUROCRYPT 1999, section 4, Scheme 1).

    The constructor refuses only what the arithmetic cannot take (an even, negative or very short n), raising
    BadPublicKey. A modulus from outside goes through `from_jwk` or `validate_public_key`.

    Attributes:
      n: the modulus.
      n_squared: its square; ciphertexts are units modulo it.
      bits: the length of n in bits.
      modulus_bytes: the length of n in bytes.
      ciphertext_bytes: the length of n^2 in bytes, that of every encoded ciphertext: 768 for 3072 bits.
      fingerprint: unpadded base64url SHA-256 of FINGERPRINT_LABEL and the big-endian n of `modulus_bytes`;
        43 chars.
      n_mpz, n_squared_mpz: the same numbers in GMP's form, for this library's own arithmetic.
    """

    n: int
    n_squared: int = field(init=False, repr=False, compare=False)
    bits: int = field(init=False, repr=False, compare=False)
    modulus_bytes: int = field(init=False, repr=False, compare=False)
    ciphertext_bytes: int = field(init=False, repr=False, compare=False)
    fingerprint: str = field(init=False, repr=False, compare=False)
    n_mpz: mpz = field(init=False, repr=False, compare=False)
    n_squared_mpz: mpz = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = index(self.n)
        if n < 0 or n % 2 == 0:
            raise BadPublicKey("the modulus is not a positive odd number")
        if n.bit_length() < LEAST_UNSAFE_BITS:
            raise KeyTooShort(f"the modulus is shorter than {LEAST_UNSAFE_BITS} bits")
        modulus_bytes = (n.bit_length() + 7) // 8
        digest = hashlib.sha256(FINGERPRINT_LABEL + n.to_bytes(modulus_bytes, "big")).digest()
        derived = {
            "n": n,
            "n_squared": n * n,
            "bits": n.bit_length(),
            "modulus_bytes": modulus_bytes,
            "ciphertext_bytes": ((n * n).bit_length() + 7) // 8,
            "fingerprint": base64url.encode(digest),
            "n_mpz": mpz(n),
            "n_squared_mpz": mpz(n) * n,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<PublicKey {self.bits} bits, fingerprint {self.fingerprint}>"

    def to_jwk(self) -> dict[str, Any]:
        """Return the key as a JSON Web Key (RFC 7517) as `pheutil` reads it; `kid` is the fingerprint."""
        return {
            "kty": JWK_TYPE,
            "alg": JWK_ALGORITHM,
            "key_ops": ["encrypt"],
            "n": base64url.encode_integer(self.n),
            "kid": self.fingerprint,
        }

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], *, unsafe_small_key: bool = False) -> PublicKey:
        """Return the validated key in a JWK as `pheutil` and `to_jwk` write it.

        `kid` is a comment and is ignored, as are unknown members (RFC 7517 section 4): pin the fingerprint.
        Raises BadPublicKey for a malformed JWK, a private one and whatever `validate_public_key` refuses.
        """
        if not isinstance(jwk, Mapping):
            raise BadPublicKey("the JWK is not an object")
        if "p" in jwk or "q" in jwk:
            raise BadPublicKey("a private key was given where a public one belongs")
        if jwk.get("kty") != JWK_TYPE or jwk.get("alg") != JWK_ALGORITHM:
            raise BadPublicKey(f"the JWK is not of type {JWK_TYPE} with algorithm {JWK_ALGORITHM}")
        text = jwk.get("n")
        if not isinstance(text, str) or len(text) > MOST_JWK_INTEGER_TEXT:
            raise BadPublicKey("the JWK's n is not a text of admissible length")
        try:
            n = base64url.decode_integer(text)
        except ValueError as error:
            raise BadPublicKey(f"the JWK's n is {error}") from None
        validate_public_key(n, unsafe_small_key=unsafe_small_key)
        return cls(n)

    def to_phe(self) -> Any:
        """Return the same key as a `phe.PaillierPublicKey` (python-paillier 1.5)."""
        import phe  # noqa: PLC0415 - only interchange needs it; encrypting does not

        return phe.PaillierPublicKey(self.n)


def validate_public_key(n: int, *, unsafe_small_key: bool = False) -> None:
    """Refuse a modulus that is visibly no product of two large, distant primes.

    This is what anyone can see without the factors, in about 10 ms at 3072 bits. It does not show
    gcd(n, phi(n)) = 1, which a proof by the key holder can (Goldberg, Reyzin, Sagga, Baldimtsi, ePrint
    2018/057).

    Raises KeyTooShort below 2048 bits (256 with `unsafe_small_key`) and BadPublicKey, with the reason, for
    a modulus that is not positive, even, too long, divisible by a prime below 2^16, a perfect square or
    higher power, a prime, or the product of two primes so close that Fermat's method factors it.
    """
    n = index(n)
    least_bits = LEAST_UNSAFE_BITS if unsafe_small_key else LEAST_BITS
    if n <= 0:
        raise BadPublicKey("the modulus is not positive")
    if n % 2 == 0:
        raise BadPublicKey("the modulus is even")
    if n.bit_length() < least_bits:
        raise KeyTooShort(f"the modulus is shorter than {least_bits} bits")
    if n.bit_length() > MOST_BITS:
        raise BadPublicKey(f"the modulus is longer than {MOST_BITS} bits")
    modulus = mpz(n)
    if gmpy2.gcd(modulus, _product_of_small_primes()) != 1:
        raise BadPublicKey("the modulus has a small factor")
    if gmpy2.is_square(modulus):
        raise BadPublicKey("the modulus is a perfect square")
    if gmpy2.is_power(modulus):
        raise BadPublicKey("the modulus is a perfect power")
    if gmpy2.is_prime(modulus):
        raise BadPublicKey("the modulus is a prime")
    if _has_close_factors(modulus):
        raise BadPublicKey("the modulus has two factors too close to each other")


@functools.cache
def _product_of_small_primes() -> mpz:
    return gmpy2.primorial(SMALL_FACTOR_BOUND)


def _has_close_factors(n: mpz) -> bool:
    """Fermat's method: n = a^2 - b^2 with a just above the root of n, if its two factors are close."""
    a = gmpy2.isqrt(n) + 1
    remainder = a * a - n
    for _ in range(FERMAT_STEPS):
        if gmpy2.is_square(remainder):
            return True
        remainder += 2 * a + 1
        a += 1
    return False
