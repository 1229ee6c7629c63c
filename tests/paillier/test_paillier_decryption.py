"""Decryption: the textbook agrees, and a fault of the machine stays inside."""

from math import gcd

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import DecryptionFailed, Encryptor, decryption
from paillier.decryption import Decryptor
from paillier.private_key import PrivateKey, generate_keypair


def textbook(key: PrivateKey, c: int) -> int:
    """Paillier 1999, section 4, Scheme 1, without Chinese remainders."""
    n, order = key.public.n, (key.p - 1) * (key.q - 1) // gcd(key.p - 1, key.q - 1)
    return (pow(c, order, n * n) - 1) // n * pow(order, -1, n) % n


@settings(deadline=None)
@given(c=st.integers(2, 2**1000))
def test_every_unit_decrypts_as_in_the_textbook(private_key, decryptor, c):
    assert decryptor.decrypt(c) == textbook(private_key, c)


def test_keys_of_other_lengths_decrypt():
    for bits in (256, 270, 1024):
        key = generate_keypair(bits, unsafe_small_key=True)
        m = key.public.n - 2
        assert Decryptor(key).decrypt(Encryptor(key.public).encrypt(m)) == m


def test_factors_of_unequal_length_decrypt():
    key = PrivateKey(2**127 - 1, 2**521 - 1)
    m = key.public.n - 2
    assert Decryptor(key).decrypt(Encryptor(key.public).encrypt(m)) == m


def test_a_foreign_ciphertext_does_not_open_to_the_message(decryptor):
    other = Encryptor(generate_keypair(510, unsafe_small_key=True).public)
    assert decryptor.decrypt(other.encrypt(42)) != 42


def test_a_fault_in_one_half_does_not_leave(private_key, encryptor, monkeypatch):
    """A flipped bit in one half would make gcd(m - m_faulty, n) a factor of n."""
    decryptor = Decryptor(private_key)
    c = encryptor.encrypt(42)
    honest = decryption.gmpy2.powmod_sec
    p_squared = private_key.p**2

    def faulty(base, exponent, modulus):
        return honest(base, exponent, modulus) ^ (2**40 if modulus == p_squared else 0)

    monkeypatch.setattr(decryption.gmpy2, "powmod_sec", faulty)
    with pytest.raises(DecryptionFailed, match="arithmetic"):
        decryptor.decrypt(c)


def test_a_result_outside_the_plaintexts_does_not_leave(private_key, encryptor, monkeypatch):
    decryptor = Decryptor(private_key)
    c = encryptor.encrypt(42)
    monkeypatch.setattr(decryption._Half, "decrypt", lambda half, c: half.prime * half.prime)
    with pytest.raises(DecryptionFailed, match="range"):
        decryptor.decrypt(c)


def test_the_secret_exponents_are_raised_in_constant_time(private_key, encryptor, monkeypatch):
    decryptor = Decryptor(private_key)
    c = encryptor.encrypt(42)
    exponents = []
    honest = decryption.gmpy2.powmod_sec
    monkeypatch.setattr(decryption.gmpy2, "powmod_sec", lambda b, e, m: exponents.append(int(e)) or honest(b, e, m))
    decryptor.decrypt(c)
    assert exponents == [private_key.p - 1, private_key.q - 1]


def test_one_pass_at_3072_bits(full_key):
    encryptor, decryptor = Encryptor(full_key.public), Decryptor(full_key)
    m = full_key.public.n - 3
    c = encryptor.encrypt(m)
    assert decryptor.decrypt(c) == m
    assert decryptor.decrypt(encryptor.rerandomise(c)) == m
    assert decryptor.decrypt(Encryptor(full_key.public, mode="iso").encrypt(m)) == m
    assert decryptor.decrypt(c * encryptor.encrypt(10) % full_key.public.n_squared) == 7
