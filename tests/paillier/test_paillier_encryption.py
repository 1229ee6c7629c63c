"""Encryption: what comes back, that it is fresh, and how its base is made."""

import hashlib

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import (
    ONE,
    BadCiphertext,
    BadPublicKey,
    Encryptor,
    PlaintextOutOfRange,
    PublicKey,
    add_plain,
    encryption,
    table,
    validate,
)
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey, generate_keypair
from paillier.table import djn_base

BASE_DIGEST = "7507eaff1f89bf6a37ae35c1aef992a8620a0c64aad72f7f321a344ad3694a5b"
FINGERPRINT = "R_RYzWxEvvqJizA53CtNYRJjAlma05-1dvbu5fV7eAE"

messages = st.one_of(st.integers(0, 2**16), st.integers(0, 2**500))


def assert_two_encryptions_differ(encryptor: Encryptor) -> None:
    drawn = [encryptor.encrypt(7) for _ in range(20)]
    assert len(set(drawn)) == 20


@settings(deadline=None)
@given(m=messages)
def test_what_was_encrypted_is_decrypted(encryptor, iso_encryptor, decryptor, m):
    assert decryptor.decrypt(encryptor.encrypt(m)) == m
    assert decryptor.decrypt(iso_encryptor.encrypt(m)) == m


def test_the_ends_of_the_range_are_decrypted(encryptor, decryptor):
    n = encryptor.public_key.n
    for m in (0, 1, n - 1):
        assert decryptor.decrypt(encryptor.encrypt(m)) == m


@pytest.mark.parametrize("mode", ["djn", "iso"])
def test_two_encryptions_of_one_value_differ(public_key, mode):
    assert_two_encryptions_differ(Encryptor(public_key, mode=mode))


def test_a_constant_randomiser_would_be_noticed(public_key, monkeypatch):
    monkeypatch.setattr(encryption.secrets, "randbits", lambda bits: 5)
    monkeypatch.setattr(encryption.secrets, "randbelow", lambda bound: 5)
    for mode in ("djn", "iso"):
        with pytest.raises(AssertionError):
            assert_two_encryptions_differ(Encryptor(public_key, mode=mode))


def test_alpha_has_half_the_length_of_the_modulus(encryptor, monkeypatch):
    asked = []
    honest = encryption.secrets.randbits
    monkeypatch.setattr(encryption.secrets, "randbits", lambda bits: asked.append(bits) or honest(bits))
    encryptor.encrypt(1)
    encryptor.rerandomise(encryptor.encrypt(1))
    assert asked == [256, 256, 256]


def test_a_short_alpha_must_be_asked_for(monkeypatch):
    key = generate_keypair(1024, unsafe_small_key=True)
    asked = []
    honest = encryption.secrets.randbits
    assert Encryptor(key.public).exponent_bits == 512
    for exponent_bits in (512, 400, 320):
        encryptor = Encryptor(key.public, exponent_bits=exponent_bits)
        assert encryptor.exponent_bits == exponent_bits
        with monkeypatch.context() as patch:
            patch.setattr(encryption.secrets, "randbits", lambda bits: asked.append(bits) or honest(bits))
            assert Decryptor(key).decrypt(encryptor.encrypt(6)) == 6
    assert asked == [512, 400, 320]


@pytest.mark.parametrize("window_bits", [0, 3])
def test_a_too_short_or_too_long_alpha_is_refused_with_and_without_a_table(public_key, full_key, window_bits):
    for exponent_bits in (0, -512, 128, 319, 1537):
        with pytest.raises(ValueError, match="exponent has from 320 bits"):
            Encryptor(full_key.public, exponent_bits=exponent_bits, window_bits=window_bits)
    with pytest.raises(ValueError, match="exponent has from 320 bits"):
        Encryptor(public_key, exponent_bits=256, window_bits=window_bits)
    with pytest.raises(TypeError):
        Encryptor(full_key.public, exponent_bits=512.0, window_bits=window_bits)


def test_iso_mode_has_neither_a_table_nor_an_exponent_to_shorten(public_key, iso_encryptor):
    assert iso_encryptor.table is None and iso_encryptor.exponent_bits is None
    for arguments in ({"window_bits": 8}, {"exponent_bits": 512}):
        with pytest.raises(ValueError, match="iso"):
            Encryptor(public_key, mode="iso", **arguments)


def test_without_a_table_every_secret_exponent_is_raised_in_constant_time(encryptor, iso_encryptor, monkeypatch):
    calls = []
    honest = gmpy2.powmod_sec
    monkeypatch.setattr(encryption.gmpy2, "powmod_sec", lambda *args: calls.append(1) or honest(*args))
    monkeypatch.setattr(encryption.gmpy2, "powmod", None)
    for kind in (encryptor, iso_encryptor):
        kind.rerandomise(kind.encrypt(1))
        kind.randomiser()
    assert encryptor.table is None
    assert len(calls) == 6


def test_a_zero_alpha_is_drawn_again(encryptor, decryptor, monkeypatch):
    draws = iter([0, 0, 3])
    monkeypatch.setattr(encryption.secrets, "randbits", lambda bits: next(draws))
    assert decryptor.decrypt(encryptor.encrypt(9)) == 9
    assert next(draws, None) is None


def test_an_iso_r_that_is_no_unit_is_drawn_again(iso_encryptor, private_key, decryptor, monkeypatch):
    draws = iter([0, private_key.p, 3 * private_key.q, 12345])
    monkeypatch.setattr(encryption.secrets, "randbelow", lambda bound: next(draws))
    c = iso_encryptor.encrypt(0)
    key = iso_encryptor.public_key
    assert c == pow(12345, key.n, key.n_squared)
    assert decryptor.decrypt(c) == 0


@pytest.mark.parametrize("excess", [0, 1, 12345678901234567890])
@pytest.mark.parametrize("side", ["below", "above"])
def test_a_message_out_of_range_is_refused_without_being_shown(encryptor, excess, side):
    m = encryptor.public_key.n + excess if side == "above" else -1 - excess
    with pytest.raises(PlaintextOutOfRange) as caught:
        encryptor.encrypt(m)
    assert not any(character.isdigit() for character in str(caught.value).replace("0 <= m", ""))


@pytest.mark.parametrize("m", [1.0, "1", None, b"1"])
def test_only_integers_are_encrypted(encryptor, m):
    with pytest.raises(TypeError):
        encryptor.encrypt(m)


def test_a_ciphertext_is_a_plain_int(encryptor, decryptor):
    c = encryptor.encrypt(gmpy2.mpz(5))
    assert type(c) is int
    assert type(encryptor.randomiser()) is int
    assert type(decryptor.decrypt(c)) is int


@settings(deadline=None)
@given(m=messages)
def test_a_rerandomised_ciphertext_holds_the_same_message(encryptor, decryptor, m):
    c = encryptor.encrypt(m)
    fresh = encryptor.rerandomise(c)
    assert fresh != c
    assert decryptor.decrypt(fresh) == m


def test_rerandomising_blinds_an_open_sum(encryptor, public_key, decryptor):
    open_sum = add_plain(public_key, ONE, 41)
    closed = encryptor.rerandomise(open_sum)
    validate(public_key, closed)
    assert decryptor.decrypt(closed) == 41


def test_rerandomising_takes_units_only(encryptor, private_key):
    for c in (0, private_key.p, private_key.public.n_squared):
        with pytest.raises(BadCiphertext):
            encryptor.rerandomise(c)


def test_a_randomiser_is_an_encryption_of_nothing(encryptor, iso_encryptor, decryptor):
    assert decryptor.decrypt(encryptor.randomiser()) == 0
    assert decryptor.decrypt(iso_encryptor.randomiser()) == 0


def test_the_base_is_minus_the_square_of_a_hash_of_the_modulus(public_key):
    n = public_key.n
    digest = hashlib.shake_256(b"hushmeter/v1/paillier-djn-base" + n.to_bytes(64, "big")).digest(64 + 16)
    assert djn_base(public_key) == -pow(int.from_bytes(digest, "big"), 2, n) % n


def test_the_base_of_a_fixed_modulus_never_changes():
    # (2^521 - 1)(2^607 - 1): Mersenne primes, both 3 mod 4.
    public_key = PublicKey((2**521 - 1) * (2**607 - 1))
    base = djn_base(public_key)
    assert hashlib.sha256(str(base).encode()).hexdigest() == BASE_DIGEST
    assert public_key.fingerprint == FINGERPRINT


def test_the_base_has_jacobi_symbol_one_and_is_no_square(private_key):
    h = djn_base(private_key.public)
    assert gmpy2.jacobi(h, private_key.public.n) == 1
    assert gmpy2.legendre(h, private_key.p) == gmpy2.legendre(h, private_key.q) == -1


def test_a_modulus_of_the_wrong_form_is_refused_in_djn_and_taken_in_iso_mode():
    # A Mersenne prime is 3 mod 4, the largest prime below 2^255 (that of Curve25519) is 1 mod 4.
    key = PrivateKey(2**521 - 1, 2**255 - 19)
    with pytest.raises(BadPublicKey, match="3 modulo 4"):
        Encryptor(key.public)
    assert Decryptor(key).decrypt(Encryptor(key.public, mode="iso").encrypt(3)) == 3


def test_a_base_that_shares_a_factor_is_refused(private_key, monkeypatch):
    class Shake:
        def digest(self, length):
            return private_key.p.to_bytes(length, "big")

    monkeypatch.setattr(table.hashlib, "shake_256", lambda data: Shake())
    with pytest.raises(BadPublicKey, match="shares a factor"):
        Encryptor(private_key.public)


def test_an_unknown_mode_is_refused(public_key):
    with pytest.raises(ValueError, match="mode"):
        Encryptor(public_key, mode="fast")  # type: ignore[arg-type]
