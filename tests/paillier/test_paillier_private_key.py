"""The private key: how it is made, and that it stays inside."""

import copy
import json
import pickle
from math import gcd

import gmpy2
import pytest

from paillier import BadPrivateKey, BadPublicKey, KeyTooShort, PublicKey, base64url, validate_public_key
from paillier.private import key as private_key_module
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey, generate_keypair


def shows(text: str, *secrets: int) -> bool:
    return any(str(secret)[:20] in text or f"{secret:x}"[:20] in text for secret in secrets)


@pytest.mark.parametrize("bits", [256, 258, 384, 512])
def test_a_generated_key_has_the_form_that_the_scheme_needs(bits):
    for _ in range(5):
        key = generate_keypair(bits, unsafe_small_key=True)
        p, q = key.p, key.q
        assert key.public.n == p * q
        assert key.public.bits == bits
        assert p.bit_length() == q.bit_length() == bits // 2
        assert gmpy2.is_prime(p, 50) and gmpy2.is_prime(q, 50)
        assert p % 4 == q % 4 == 3
        assert gcd(p - 1, q - 1) == 2
        assert q - p > 2 ** (bits // 2 - 100)
        validate_public_key(key.public.n, unsafe_small_key=True)


def test_a_default_key_has_3072_bits_and_passes_validation(full_key):
    assert full_key.public.bits == 3072
    assert full_key.p % 4 == full_key.q % 4 == 3
    assert full_key.q - full_key.p > 2 ** (1536 - 100)
    validate_public_key(full_key.public.n)


def test_two_keys_differ():
    assert generate_keypair(256, unsafe_small_key=True) != generate_keypair(256, unsafe_small_key=True)


def test_candidates_come_from_the_systems_generator_alone(monkeypatch):
    drawn = []
    honest = private_key_module.secrets.randbits
    monkeypatch.setattr(private_key_module.secrets, "randbits", lambda bits: drawn.append(honest(bits)) or drawn[-1])
    key = generate_keypair(256, unsafe_small_key=True)
    assert {key.p, key.q} <= {candidate | 3 for candidate in drawn}


def test_a_pair_that_is_too_close_is_drawn_again(monkeypatch):
    # Three primes of 128 bits, 3 mod 4, in the admissible upper part; the first two lie 2^20 apart.
    near = next_blum_prime(15 * 2**124)
    close, far = next_blum_prime(near + 2**20), next_blum_prime(15 * 2**124 + 2**120)
    while gcd(close - 1, near - 1) != 2:
        close = next_blum_prime(close + 4)
    while gcd(far - 1, near - 1) != 2:
        far = next_blum_prime(far + 4)
    draws = iter([near, close, near, far])
    monkeypatch.setattr(private_key_module.secrets, "randbits", lambda bits: next(draws))
    assert generate_keypair(256, unsafe_small_key=True).q == far


def next_blum_prime(above: int) -> int:
    prime = int(gmpy2.next_prime(above))
    while prime % 4 != 3:
        prime = int(gmpy2.next_prime(prime))
    return prime


@pytest.mark.parametrize(("bits", "unsafe"), [(2047, False), (512, False), (254, True), (0, True)])
def test_a_short_key_is_not_generated(bits, unsafe):
    with pytest.raises(KeyTooShort):
        generate_keypair(bits, unsafe_small_key=unsafe)


@pytest.mark.parametrize("bits", [2049, 2**20])
def test_an_odd_or_endless_length_is_not_generated(bits):
    with pytest.raises(ValueError, match="even number of bits"):
        generate_keypair(bits)


def test_neither_repr_nor_str_nor_attributes_show_a_factor(private_key):
    for text in (repr(private_key), str(private_key), f"{private_key}", repr([private_key])):
        assert not shows(text, private_key.p, private_key.q)
        assert private_key.public.fingerprint in text
    assert not hasattr(private_key, "__dict__")
    assert not shows(repr(Decryptor(private_key)), private_key.p, private_key.q)
    assert not hasattr(Decryptor(private_key), "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_private_key_is_not_pickled(private_key, protocol):
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(private_key, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps({"decryptor": Decryptor(private_key)}, protocol)


def test_a_private_key_is_not_copied_changed_or_dumped_to_json(private_key):
    with pytest.raises(TypeError, match="copied"):
        copy.deepcopy(private_key)
    with pytest.raises(AttributeError, match="not changed"):
        private_key.p = 3
    with pytest.raises(AttributeError, match="not changed"):
        del private_key.p
    with pytest.raises(TypeError):
        json.dumps(private_key)


def test_the_order_of_the_factors_does_not_matter(private_key):
    assert PrivateKey(private_key.q, private_key.p) == private_key == PrivateKey(private_key.p, private_key.q)
    assert hash(PrivateKey(private_key.q, private_key.p)) == hash(private_key)
    assert private_key.p < private_key.q
    assert private_key != private_key.public


def test_factors_that_make_no_key_are_refused_without_being_shown(private_key):
    p, q = private_key.p, private_key.q
    k = 2
    while not gmpy2.is_prime(k * p + 1):
        k += 2
    cases = [
        ((p, p), "equal"),
        ((p, q + 2 if not gmpy2.is_prime(q + 2) else q + 4), "not a prime"),
        ((p, -q), "not a prime"),
        ((p, k * p + 1), "shares a factor with its totient"),
    ]
    for factors, reason in cases:
        with pytest.raises(BadPrivateKey, match=reason) as caught:
            PrivateKey(*factors)
        assert not shows(str(caught.value), p, q)


def test_a_private_key_survives_its_jwk(private_key):
    jwk = json.loads(json.dumps(private_key.to_jwk()))
    again = PrivateKey.from_jwk(jwk, unsafe_small_key=True)
    assert (again.p, again.q, again.public) == (private_key.p, private_key.q, private_key.public)


BROKEN_JWKS = {
    "not an object": (lambda jwk: "{}", BadPrivateKey, "not a private key"),
    "another type": (lambda jwk: jwk | {"kty": "oct"}, BadPrivateKey, "not a private key"),
    "no public key": (lambda jwk: {"kty": "DAJ", "key_ops": ["decrypt"]}, BadPrivateKey, "not a private key"),
    "no decryption": (lambda jwk: jwk | {"key_ops": ["encrypt"]}, BadPrivateKey, "key_ops"),
    "a number as factor": (lambda jwk: jwk | {"p": 7}, BadPrivateKey, "JWK's p .* admissible length"),
    "padding": (lambda jwk: jwk | {"q": jwk["q"] + "="}, BadPrivateKey, "JWK's q .* base64url"),
    "a foreign factor": (lambda jwk: jwk | {"p": jwk["q"]}, BadPrivateKey, "not those of the public key"),
    "1 times n": (
        lambda jwk: jwk | {"p": base64url.encode_integer(1), "q": jwk["pub"]["n"]},
        BadPrivateKey,
        "not a prime",
    ),
    "a broken public key": (lambda jwk: jwk | {"pub": {}}, BadPublicKey, "type DAJ"),
}


@pytest.mark.parametrize(("broken", "error", "reason"), BROKEN_JWKS.values(), ids=BROKEN_JWKS.keys())
def test_a_broken_private_jwk_is_refused_without_showing_it(private_key, broken, error, reason):
    jwk = private_key.to_jwk()
    with pytest.raises(error, match=reason) as caught:
        PrivateKey.from_jwk(broken(jwk), unsafe_small_key=True)
    assert not shows(str(caught.value), private_key.p, private_key.q)
    assert jwk["p"][:20] not in str(caught.value) and jwk["q"][:20] not in str(caught.value)


def test_a_private_jwk_is_refused_where_a_public_one_belongs(private_key):
    with pytest.raises(BadPublicKey, match="private key"):
        PublicKey.from_jwk(private_key.to_jwk(), unsafe_small_key=True)


def test_a_short_private_key_needs_the_flag(private_key):
    with pytest.raises(KeyTooShort):
        PrivateKey.from_jwk(private_key.to_jwk())
