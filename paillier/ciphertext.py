"""Ciphertexts: their arithmetic, their check at the door and their one encoding.

A ciphertext is an integer modulo n^2. **Rule 1: what arrives is validated once, at the door** (`validate`,
`from_bytes`, `from_base64url`); the arithmetic below then trusts its operands. **Rule 2: what leaves is
blinded**: `to_bytes` and `to_base64url` refuse a ciphertext that anyone can read. In between, ONE and sums
grown from it by `add_plain` may be unblinded until `Encryptor.rerandomise` has been applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import index

import gmpy2
from gmpy2 import mpz

from . import base64url
from .errors import BadCiphertext, PlaintextOutOfRange
from .keys import PublicKey

ONE = 1
"""The neutral element of `add`: an encryption of 0 without blinding. It never leaves (rule 2)."""


def add(public_key: PublicKey, c1: int, c2: int) -> int:
    """Return a ciphertext of m1 + m2 mod n: c1 c2 mod n^2 (Paillier 1999, section 8)."""
    return int(mpz(index(c1)) * index(c2) % public_key.n_squared_mpz)


def add_many(public_key: PublicKey, ciphertexts: Iterable[int]) -> int:
    """Return a ciphertext of the sum mod n of any number of messages; ONE for none."""
    total = mpz(ONE)
    for c in ciphertexts:
        total = total * index(c) % public_key.n_squared_mpz
    return int(total)


product = add_many
"""`add_many` by the name of what it does to the ciphertexts."""


def subtract(public_key: PublicKey, c1: int, c2: int) -> int:
    """Return a ciphertext of m1 - m2 mod n: c1 c2^-1 mod n^2.

    A negative difference comes out as n minus its size. Two messages under the same randomiser (a
    ciphertext minus itself, for one) leave an unblinded difference.
    Raises BadCiphertext if c2 has no inverse, which a validated ciphertext has.
    """
    try:
        inverse = gmpy2.invert(mpz(index(c2)), public_key.n_squared_mpz)
    except ZeroDivisionError:
        raise BadCiphertext("the subtracted ciphertext shares a factor with the modulus") from None
    return int(inverse * index(c1) % public_key.n_squared_mpz)


def add_plain(public_key: PublicKey, c: int, m: int) -> int:
    """Return a ciphertext of the message of c plus m mod n: c (1 + m n) mod n^2; 0 <= m < n.

    The randomiser stays, so whoever sees c before and after learns m without any key: rerandomise in between.
    Raises PlaintextOutOfRange.
    """
    m = index(m)
    if not 0 <= m < public_key.n:
        raise PlaintextOutOfRange("the message is not in the range 0 <= m < n")
    return int((1 + m * public_key.n_mpz) * index(c) % public_key.n_squared_mpz)


def require_unit(public_key: PublicKey, c: int) -> None:
    """Refuse a number that no encryption yields: 0 < c < n^2 and gcd(c, n) = 1 must hold.

    Otherwise c = 0 or a multiple of p would poison every sum it enters, and its decryption could give p away.
    Raises BadCiphertext.
    """
    if gmpy2.gcd(_residue(public_key, c), public_key.n_mpz) != 1:
        raise BadCiphertext("the ciphertext shares a factor with the modulus")


def validate(public_key: PublicKey, c: int) -> None:
    """Refuse a number that is no blinded ciphertext; takes about 15 us at 3072 bits.

    Besides `require_unit`, c must not be 1 or -1 modulo n: that is (1 + m n) under the randomiser 1 or -1,
    which anyone reads by one division. Raises BadCiphertext.
    """
    residue = _residue(public_key, c)
    if gmpy2.gcd(residue, public_key.n_mpz) != 1:
        raise BadCiphertext("the ciphertext shares a factor with the modulus")
    if residue == 1 or residue == public_key.n_mpz - 1:
        raise BadCiphertext("the ciphertext is not blinded")


def validate_many(public_key: PublicKey, ciphertexts: Iterable[int]) -> None:
    """Refuse what `validate` refuses, in any of them: about 5 us each at 3072 bits, a third of one by one.

    A factor that one of them shares with n is shared by the product of all: one gcd serves all of them.
    Raises BadCiphertext naming the position of the first bad one, counted from 0.
    """
    ciphertexts = list(ciphertexts)
    n = public_key.n_mpz
    minus_one = n - 1
    together = mpz(1)
    try:
        for c in ciphertexts:
            residue = _residue(public_key, c)
            together = together * residue % n
            if residue == 1 or residue == minus_one:  # noqa: PLR1714
                raise BadCiphertext("the ciphertext is not blinded")
        if gmpy2.gcd(together, n) != 1:
            raise BadCiphertext("a ciphertext shares a factor with the modulus")
    except BadCiphertext:
        # Something is wrong somewhere, and an earlier one may share a factor: one by one finds the first.
        for position, c in enumerate(ciphertexts):
            try:
                validate(public_key, c)
            except BadCiphertext as error:
                raise BadCiphertext(f"at position {position}: {error}") from None
        raise


def _residue(public_key: PublicKey, c: int) -> mpz:
    """Return c mod n of a number in the range of ciphertexts; raises BadCiphertext for any other."""
    c = index(c)
    if not 0 < c < public_key.n_squared:
        raise BadCiphertext("the ciphertext is not in the range 0 < c < n^2")
    return mpz(c) % public_key.n_mpz


def to_bytes(public_key: PublicKey, c: int) -> bytes:
    """Return c as big-endian bytes of the fixed length `public_key.ciphertext_bytes`.

    Raises BadCiphertext for what `from_bytes` would refuse, an unblinded c above all.
    """
    validate(public_key, c)
    return index(c).to_bytes(public_key.ciphertext_bytes, "big")


def from_bytes(public_key: PublicKey, data: bytes) -> int:
    """Return the validated ciphertext in `public_key.ciphertext_bytes` bytes. Raises BadCiphertext."""
    if len(data) != public_key.ciphertext_bytes:
        raise BadCiphertext(f"the ciphertext does not have {public_key.ciphertext_bytes} bytes")
    c = int.from_bytes(data, "big")
    validate(public_key, c)
    return c


def to_base64url(public_key: PublicKey, c: int) -> str:
    """Return `to_bytes` as base64url without padding (RFC 7515 section 2): 1,024 characters at 3072 bits."""
    return base64url.encode(to_bytes(public_key, c))


def from_base64url(public_key: PublicKey, text: str) -> int:
    """Return the validated ciphertext in the one text that `to_base64url` writes for it.

    Raises BadCiphertext for anything but a str, another length, padding, foreign characters, non-zero
    trailing bits and whatever `validate` refuses.
    """
    c = _from_text(public_key, text)
    validate(public_key, c)
    return c


def many_from_base64url(public_key: PublicKey, texts: Iterable[str]) -> list[int]:
    """Return what `from_base64url` returns for each text, in their order, in less time: `validate_many` checks them.

    Raises BadCiphertext if one of them is refused.
    """
    ciphertexts = [_from_text(public_key, text) for text in texts]
    validate_many(public_key, ciphertexts)
    return ciphertexts


def _from_text(public_key: PublicKey, text: str) -> int:
    """Return the number in the one text of the fixed length that is written for it, not yet validated."""
    # The length is compared first, so that a text of any size costs nothing.
    if not isinstance(text, str) or len(text) != (public_key.ciphertext_bytes * 4 + 2) // 3:
        raise BadCiphertext("the ciphertext is not a text of the fixed length")
    try:
        data = base64url.decode(text)
    except ValueError as error:
        raise BadCiphertext(f"the ciphertext is {error}") from None
    if len(data) != public_key.ciphertext_bytes:
        raise BadCiphertext(f"the ciphertext does not have {public_key.ciphertext_bytes} bytes")
    return int.from_bytes(data, "big")
