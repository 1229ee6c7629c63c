"""The public key: what is refused, how it is named and written."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import FrozenInstanceError

import gmpy2
import pytest

from paillier import BadPublicKey, KeyTooShort, PaillierError, PublicKey, keys, validate_public_key


def next_prime(bits: int, beyond: int = 0) -> int:
    """A fixed prime just above 1.5 * 2^(bits - 1) + beyond: fine as a counterexample, useless as a key."""
    return int(gmpy2.next_prime(3 * 2 ** (bits - 2) + beyond))


P, Q = next_prime(256), next_prime(256, beyond=2**250)

REFUSALS = {
    "zero": (0, "not positive"),
    "negative": (-P * Q, "not positive"),
    "even": (2 * P * Q, "even"),
    "too short": (next_prime(120) * next_prime(120, 2**110), "shorter than 256 bits"),
    "too long": (2**16384 + 1, "longer than 16384 bits"),
    "divisible by 3": (3 * P * Q, "small factor"),
    "divisible by the last prime below 2^16": (65521 * P * Q, "small factor"),
    "prime": (next_prime(512), "a prime"),
    "square": (P * P, "perfect square"),
    "cube": (P**3, "perfect power"),
    "twin factors": (P * next_prime(256, beyond=1000), "too close"),
    "factors at 2^130": (P * next_prime(256, beyond=2**130), "too close"),
}


@pytest.mark.parametrize(("n", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_weak_modulus_is_refused_with_its_reason(n, reason):
    with pytest.raises(BadPublicKey, match=reason):
        validate_public_key(n, unsafe_small_key=True)


def test_a_sound_modulus_passes(public_key):
    validate_public_key(public_key.n, unsafe_small_key=True)
    validate_public_key(P * Q, unsafe_small_key=True)


def test_a_short_key_needs_the_flag_named_as_unsafe(public_key):
    with pytest.raises(KeyTooShort, match="shorter than 2048 bits"):
        validate_public_key(public_key.n)
    with pytest.raises(KeyTooShort, match="shorter than 2048 bits"):
        PublicKey.from_jwk(public_key.to_jwk())
    assert PublicKey.from_jwk(public_key.to_jwk(), unsafe_small_key=True) == public_key


def test_a_refusal_stands_for_a_check_of_its_own(monkeypatch):
    """With Fermat's method planted out, close factors pass: no other check hides its absence."""
    monkeypatch.setattr(keys, "_has_close_factors", lambda n: False)
    validate_public_key(REFUSALS["twin factors"][0], unsafe_small_key=True)
    monkeypatch.setattr(keys, "_product_of_small_primes", lambda: gmpy2.mpz(1))
    validate_public_key(REFUSALS["divisible by 3"][0], unsafe_small_key=True)


@pytest.mark.parametrize("n", [-15, 0, 2**300], ids=["negative", "zero", "even"])
def test_the_constructor_refuses_what_the_arithmetic_cannot_take(n):
    with pytest.raises(BadPublicKey, match="not a positive odd number"):
        PublicKey(n)


def test_the_constructor_refuses_a_modulus_below_256_bits():
    with pytest.raises(KeyTooShort, match="256 bits"):
        PublicKey(15)


def test_a_modulus_is_an_integer():
    with pytest.raises(TypeError):
        PublicKey(float(P))  # type: ignore[arg-type]
    assert PublicKey(gmpy2.mpz(P * Q)) == PublicKey(P * Q)


def test_the_lengths_are_those_of_the_modulus(public_key, full_key):
    assert (public_key.bits, public_key.modulus_bytes, public_key.ciphertext_bytes) == (512, 64, 128)
    assert full_key.public.bits == 3072
    assert full_key.public.ciphertext_bytes == 768
    assert full_key.public.n_squared == full_key.public.n**2


def test_the_fingerprint_is_sha256_over_label_and_modulus(public_key):
    digest = hashlib.sha256(b"hushmeter/v1/paillier-key" + public_key.n.to_bytes(64, "big")).digest()
    assert public_key.fingerprint == urlsafe_b64encode(digest).decode().rstrip("=")
    assert len(public_key.fingerprint) == 43


def test_a_public_key_is_frozen_and_equals_by_its_modulus(public_key):
    with pytest.raises(FrozenInstanceError):
        public_key.n = 15
    assert PublicKey(public_key.n) == public_key
    assert len({PublicKey(public_key.n), public_key, PublicKey(P * Q)}) == 2


def test_the_repr_names_the_key_briefly(full_key):
    assert full_key.public.fingerprint in repr(full_key.public)
    assert len(repr(full_key.public)) < 100


BROKEN_JWKS = {
    "not an object": (lambda jwk: [jwk], "not an object"),
    "another type": (lambda jwk: jwk | {"kty": "RSA"}, "type DAJ"),
    "another algorithm": (lambda jwk: jwk | {"alg": "PAI"}, "algorithm PAI-GN1"),
    "no modulus": (lambda jwk: {key: jwk[key] for key in ("kty", "alg")}, "admissible length"),
    "a number as modulus": (lambda jwk: jwk | {"n": P * Q}, "admissible length"),
    "an endless modulus": (lambda jwk: jwk | {"n": "A" * 5000}, "admissible length"),
    "padding": (lambda jwk: jwk | {"n": jwk["n"] + "="}, "base64url"),
    "a leading zero": (lambda jwk: jwk | {"n": "AAAA" + jwk["n"]}, "shortest form"),
    "a private key": (lambda jwk: jwk | {"p": "Aw"}, "private key"),
    "a prime": (lambda jwk: jwk | {"n": keys.base64url.encode_integer(next_prime(512))}, "a prime"),
}


@pytest.mark.parametrize(("broken", "reason"), BROKEN_JWKS.values(), ids=BROKEN_JWKS.keys())
def test_a_broken_jwk_is_refused_with_its_reason(public_key, broken, reason):
    with pytest.raises(BadPublicKey, match=reason):
        PublicKey.from_jwk(broken(public_key.to_jwk()), unsafe_small_key=True)


def test_unknown_jwk_members_are_ignored(public_key):
    jwk = public_key.to_jwk() | {"kid": "any comment", "use": "enc"}
    assert PublicKey.from_jwk(jwk, unsafe_small_key=True) == public_key


def test_every_refusal_is_a_paillier_error():
    assert issubclass(KeyTooShort, BadPublicKey)
    assert issubclass(BadPublicKey, PaillierError)
