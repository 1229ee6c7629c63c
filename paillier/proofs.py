"""Proofs that anyone checks with the public key alone: of a key's form, and of what ciphertexts decrypt to.

**The key proof** shows gcd(n, phi(n)) = 1 (Goldberg, Reyzin, Sagga, Baldimtsi, "Efficient Noninteractive
Certification of RSA Moduli and Beyond", ePrint 2018/057, section 3.2). Everything below rests on it: with it
every unit modulo n^2 is (1 + n)^m r^n for exactly one m modulo n and one unit r modulo n, so that a
ciphertext holds one message. It consists of n-th roots of elements that a hash chose. Were a prime p of n to
divide phi(n), the n-th powers would be at most one in p of the units; n visibly has no prime below
SMALL_FACTOR_BOUND, so that KEY_PROOF_ROOTS elements all have roots with probability 2^-128 at most, for
every modulus and context that a dishonest key holder tries. The roots tell nothing: whoever draws roots
first and takes their n-th powers for elements has the same pairs (zero-knowledge with a random oracle).

**The decryption proof** of the claim "c holds m" is the n-th root r of c (1 + n)^-m modulo n^2; only the
true m has one. A batch of claims has one root R, of the product of all c_j^e_j (1 + n)^-(sum of e_j m_j).
The weights e_j are 128 bits each of a hash over everything claimed: a test by random linear combination
(Bellare, Garay, Rabin, EUROCRYPT 1998, the small exponents test), its coins drawn after Fiat and Shamir.

*Soundness.* Let a claimed m_j differ from the true one by d_j. A root exists exactly if the sum of e_j d_j is
0 modulo n. If some d_k is not 0, that fixes e_k modulo n / gcd(d_k, n) once the other weights are drawn.
A key holder knows the factors and may choose d_k as a multiple of p: then e_k is fixed modulo q, no easier
to meet while q exceeds 2^128. So one attempt succeeds with probability 2^-128, and an attempt is one
evaluation of the hash. Nobody needs to trust that the primes are so large, where true and claimed messages
are bounded: below n 2^-128 they differ by less than that, and n / gcd(d_k, n) exceeds 2^128 whatever the
factors. Check that bound where a plaintext has one: an energy has.

*What a root tells.* r is the randomiser of its ciphertext, which opens that one and no other: whoever knows
the randomisers of all summands but one learns the last, and would have learnt its message from the sum.
R is a product of powers of the randomisers. Count it as an opening of everything in its batch: batches of
the same ciphertexts under enough contexts give every single r.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gmpy2
from gmpy2 import mpz

from . import base64url
from .errors import BadProof
from .keys import MOST_JWK_INTEGER_TEXT, SMALL_FACTOR_BOUND, PublicKey

KEY_PROOF_LABEL = b"hushmeter/v1/paillier-key-proof"
DECRYPTION_PROOF_LABEL = b"hushmeter/v1/paillier-decryption-proof"
SOUNDNESS_BITS = 128
KEY_PROOF_ROOTS = math.ceil(SOUNDNESS_BITS / math.log2(SMALL_FACTOR_BOUND))  # 8
CHALLENGE_SURPLUS_BYTES = 16  # |n| + 128 bits are uniform modulo n up to 2^-128
WEIGHT_BYTES = SOUNDNESS_BITS // 8
SEED_BYTES = 64
COUNT_BYTES = 4
WIDEST_WINDOW_BITS = 12


class Claim(NamedTuple):
    """What a proof of decryption is about: `ciphertext` holds `message`."""

    ciphertext: int
    message: int


@dataclass(frozen=True, slots=True)
class KeyProof:
    """The n-th roots modulo n of `key_challenges`, in their order."""

    roots: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the proof as a JSON object: {"roots": [KEY_PROOF_ROOTS texts]}.

        A text is the base64url of the shortest big-endian bytes, like an integer in a JWK.
        """
        return {"roots": [base64url.encode_integer(root) for root in self.roots]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> KeyProof:
        """Return the proof that `to_json` wrote, not yet verified. Raises BadProof for anything else."""
        if not isinstance(document, Mapping) or set(document) != {"roots"}:
            raise BadProof("the key proof is not an object of roots")
        texts = document["roots"]
        if not isinstance(texts, list) or len(texts) != KEY_PROOF_ROOTS:
            raise BadProof(f"the key proof does not have {KEY_PROOF_ROOTS} roots")
        return cls(tuple(_root_from_text(text) for text in texts))


# --- The key ----------------------------------------------------------------------------------------------------


def verify_key_proof(public_key: PublicKey, proof: KeyProof, context: bytes) -> None:
    """Refuse a key unless `proof` shows gcd(n, phi(n)) = 1; takes about 65 ms at 3072 bits.

    `context` is what the prover said the proof is for. It does not show that n has two prime factors only,
    or large ones. Raises BadProof.
    """
    n = public_key.n_mpz
    # Without this a factor of 3 would let one element in three have a root.
    if gmpy2.gcd(n, gmpy2.primorial(SMALL_FACTOR_BOUND)) != 1:
        raise BadProof("the modulus has a small factor")
    if len(proof.roots) != KEY_PROOF_ROOTS:
        raise BadProof(f"the key proof does not have {KEY_PROOF_ROOTS} roots")
    for given, challenge in zip(proof.roots, key_challenges(public_key, context), strict=True):
        if gmpy2.powmod(_checked_root(public_key, given), n, n) != challenge:
            raise BadProof("a root of the key proof is not that of its challenge")


def key_challenges(public_key: PublicKey, context: bytes) -> list[mpz]:
    """Return the KEY_PROOF_ROOTS elements modulo n whose roots a key proof shows.

    The i-th, from 0, is SHAKE256 (FIPS 202) over KEY_PROOF_LABEL, context, n and i, read as a big-endian
    integer of `modulus_bytes` + 16 bytes, modulo n. Context and big-endian n of `modulus_bytes` stand behind
    their length of four bytes, i is of four bytes. Raises BadProof if one shares a factor with n.
    """
    head = KEY_PROOF_LABEL + _measured(context) + _measured(public_key.n_mpz.to_bytes(public_key.modulus_bytes, "big"))
    challenges = []
    for i in range(KEY_PROOF_ROOTS):
        shake = hashlib.shake_256(head + i.to_bytes(COUNT_BYTES, "big"))
        digest = shake.digest(public_key.modulus_bytes + CHALLENGE_SURPLUS_BYTES)
        challenge = mpz(int.from_bytes(digest, "big")) % public_key.n_mpz
        if gmpy2.gcd(challenge, public_key.n_mpz) != 1:
            raise BadProof("the modulus shares a factor with a challenge")
        challenges.append(challenge)
    return challenges


# --- Decryption -------------------------------------------------------------------------------------------------


def verify_decryption(public_key: PublicKey, claim: Claim, root: int, context: bytes) -> None:
    """Refuse a claim unless `root` proves it alone: root^n (1 + m n) = c mod n^2; about 30 ms at 3072 bits.

    `context` names what is released, as in `verify_decryptions`. The root of one claim draws no weights, so
    it proves the claim in every context: ciphertext and message bind it.

    Raises BadProof, also for a ciphertext, message or root outside its range.
    """
    _check_context(context)
    ((c, m),) = check_claims(public_key, (claim,))
    power = gmpy2.powmod(_checked_root(public_key, root), public_key.n_mpz, public_key.n_squared_mpz)
    if power * (1 + m * public_key.n_mpz) % public_key.n_squared_mpz != c:
        raise BadProof("the root does not prove the claim")


def verify_decryptions(public_key: PublicKey, claims: Sequence[Claim], root: int, context: bytes) -> None:
    """Refuse claims unless `root` proves them all; about 160 ms for 1,000 at 3072 bits.

    A refusal does not tell which claim is false. `context` is the prover's, byte for byte, and the claims
    are in the prover's order. How certain a proof makes, and what it tells, stands at the top of this file.

    Raises BadProof, also for no claims and for a ciphertext, message or root outside its range.
    """
    n, n_squared = public_key.n_mpz, public_key.n_squared_mpz
    checked = check_claims(public_key, claims)
    weights = decryption_weights(public_key, checked, context)
    r = _checked_root(public_key, root)

    # c = a + b n = a (1 + t n) mod n^2 with t = b / a mod n. So the product of all c^e is that of all a^e
    # times 1 + n (sum of e t), and the a are half as long, which makes their products cheap. The sum of the
    # fractions e b / a is kept as one fraction, which takes one division in the end.
    bases = []
    numerator, denominator = mpz(0), mpz(1)
    total = mpz(0)
    for e, (c, m) in zip(weights, checked, strict=True):
        b, a = gmpy2.f_divmod(c, n)
        bases.append(a)
        numerator = (numerator * a + denominator * b * e) % n
        denominator = denominator * a % n
        total += e * m
    shift = numerator * gmpy2.invert(denominator, n) - total
    expected = product_of_powers(bases, weights, n_squared) * (1 + shift % n * n) % n_squared
    if gmpy2.powmod(r, n, n_squared) != expected:
        raise BadProof("the root does not prove the claims")


def joined_root(public_key: PublicKey, claims: Sequence[Claim], roots: Sequence[int], context: bytes) -> int:
    """Return the root that proves all claims under a context, made of the roots that prove each.

    Under a context that nobody could foresee it is how a verifier checks many roots for the price of one. Raises
    BadProof for claims out of their ranges.
    """
    weights = decryption_weights(public_key, check_claims(public_key, claims), context)
    return int(product_of_powers([mpz(root) for root in roots], weights, public_key.n_mpz))


def check_claims(public_key: PublicKey, claims: Iterable[Claim]) -> list[Claim]:
    """Return claims in GMP's integers: one or more, 0 < c < n^2, gcd(c, n) = 1 and 0 <= m < n in each.

    Without the gcds c = 0 under the root 0 would "prove" any message. Raises BadProof.
    """
    checked = []
    product = mpz(1)
    for given_c, given_m in claims:
        c, m = _integer(given_c, "a ciphertext"), _integer(given_m, "a message")
        if not 0 < c < public_key.n_squared_mpz:
            raise BadProof("a ciphertext is not in the range 0 < c < n^2")
        if not 0 <= m < public_key.n_mpz:
            raise BadProof("a message is not in the range 0 <= m < n")
        product = product * c % public_key.n_mpz
        checked.append(Claim(c, m))
    if not checked:
        raise BadProof("there is no claim")
    if gmpy2.gcd(product, public_key.n_mpz) != 1:
        raise BadProof("a ciphertext shares a factor with the modulus")
    return checked


def decryption_weights(public_key: PublicKey, claims: Sequence[Claim], context: bytes) -> list[int]:
    """Return the weights of checked claims, in their order: integers of 128 bits.

    The seed is 64 bytes of SHAKE256 over DECRYPTION_PROOF_LABEL, context, n, the number of claims and, for
    each, c of `ciphertext_bytes` and m of `modulus_bytes`; weight j, from 0, is 16 bytes of SHAKE256 over
    seed and j. Context and n stand behind their length of four bytes; every number is big-endian, the number
    of claims and j of four bytes. So no two lists of claims, keys or contexts share a transcript.
    """
    _check_context(context)
    transcript = hashlib.shake_256(DECRYPTION_PROOF_LABEL + _measured(context))
    transcript.update(_measured(public_key.n_mpz.to_bytes(public_key.modulus_bytes, "big")))
    transcript.update(len(claims).to_bytes(COUNT_BYTES, "big"))
    for c, m in claims:
        transcript.update(c.to_bytes(public_key.ciphertext_bytes, "big"))
        transcript.update(m.to_bytes(public_key.modulus_bytes, "big"))
    seed = transcript.digest(SEED_BYTES)
    digests = (hashlib.shake_256(seed + j.to_bytes(COUNT_BYTES, "big")) for j in range(len(claims)))
    return [int.from_bytes(digest.digest(WEIGHT_BYTES), "big") for digest in digests]


def product_of_powers(bases: Sequence[mpz], weights: Sequence[int], modulus: mpz) -> mpz:
    """Return the product of all bases[j]^weights[j] modulo `modulus`; weights of SOUNDNESS_BITS bits.

    By Pippenger's buckets: for each window of the weights, highest first, every base is multiplied into the
    bucket of its digit; then bucket d must count d times, which running products from the top give in two
    multiplications a bucket. Fastest with bases at most half as long as the modulus.
    """
    count = len(bases)
    width = min(range(1, WIDEST_WINDOW_BITS + 1), key=lambda w: -(-SOUNDNESS_BITS // w) * (count + 2 ** (w + 1)))
    mask = (1 << width) - 1
    result = mpz(1)
    for position in reversed(range(0, SOUNDNESS_BITS, width)):
        buckets: list[mpz | None] = [None] * (mask + 1)
        for base, weight in zip(bases, weights, strict=True):
            digit = weight >> position & mask
            bucket = buckets[digit]
            buckets[digit] = base if bucket is None else bucket * base % modulus
        running = product = mpz(1)
        for bucket in reversed(buckets[1:]):
            if bucket is not None:
                running = running * bucket % modulus
            product = product * running % modulus
        result = gmpy2.powmod(result, 1 << width, modulus) * product % modulus
    return result


# --- Roots and ranges -------------------------------------------------------------------------------------------


def root_to_base64url(public_key: PublicKey, root: int) -> str:
    """Return a root as unpadded base64url of `modulus_bytes` big-endian bytes: 512 characters at 3072 bits.

    Raises BadProof for what is no unit 0 < root < n.
    """
    return base64url.encode(_checked_root(public_key, root).to_bytes(public_key.modulus_bytes, "big"))


def root_from_base64url(public_key: PublicKey, text: str) -> int:
    """Return the root in the one text that `root_to_base64url` writes for it. Raises BadProof."""
    # The length is compared first, so that a text of any size costs nothing.
    if not isinstance(text, str) or len(text) != (public_key.modulus_bytes * 4 + 2) // 3:
        raise BadProof("the root is not a text of the fixed length")
    try:
        data = base64url.decode(text)
    except ValueError as error:
        raise BadProof(f"the root is {error}") from None
    return int(_checked_root(public_key, int.from_bytes(data, "big")))


def _root_from_text(text: object) -> int:
    if not isinstance(text, str) or len(text) > MOST_JWK_INTEGER_TEXT:
        raise BadProof("a root of the key proof is not a text of admissible length")
    try:
        return base64url.decode_integer(text)
    except ValueError as error:
        raise BadProof(f"a root of the key proof is {error}") from None


def _checked_root(public_key: PublicKey, root: object) -> mpz:
    r = _integer(root, "a root")
    if not 0 < r < public_key.n_mpz:
        raise BadProof("a root is not in the range 0 < R < n")
    if gmpy2.gcd(r, public_key.n_mpz) != 1:
        raise BadProof("a root shares a factor with the modulus")
    return r


def _integer(value: object, name: str) -> mpz:
    # These come from published files, so a wrong type is a bad proof and no misuse.
    if isinstance(value, bool) or not isinstance(value, (int, mpz)):
        raise BadProof(f"{name} is not an integer")
    return mpz(value)


def _check_context(context: bytes) -> None:
    if not isinstance(context, bytes):
        raise TypeError("the context is not bytes")


def _measured(data: bytes) -> bytes:
    return len(data).to_bytes(COUNT_BYTES, "big") + data
