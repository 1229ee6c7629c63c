"""The ratchet on both interpreters. Official HMAC vectors: tests/micropython/vectors.py."""

import hashlib
from binascii import unhexlify

from protocol import keychain

ROOT = bytes(range(32))


def refuses(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_hmac_case_2_of_rfc_4231_holds():
    expected = unhexlify("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    assert keychain.hmac_sha256(b"Jefe", b"what do ya want for nothing?") == expected


def test_a_key_longer_than_a_block_is_hashed_first():
    long = bytes(65)
    assert keychain.hmac_sha256(long, b"x") == keychain.hmac_sha256(hashlib.sha256(long).digest(), b"x")


def test_equal_compares_contents_and_lengths():
    assert keychain.equal(b"same", b"same")
    assert keychain.equal(b"", b"")
    assert not keychain.equal(b"same", b"sama")
    assert not keychain.equal(b"same", b"Same")
    assert not keychain.equal(b"same", b"sam")


def test_a_chain_moves_forward_day_by_day_or_at_once():
    chain = keychain.Chain(100, keychain.first_chain(ROOT))
    assert chain.at(103).value == chain.at(101).at(102).at(103).value
    assert chain.at(100).value == chain.value
    assert chain.at(103).epoch == 103


def test_a_chain_never_moves_back():
    assert refuses(keychain.Chain(100, bytes(32)).at, 99)


def test_keys_differ_by_purpose_and_by_day():
    chain = keychain.Chain(100, keychain.first_chain(ROOT))
    keys = [chain.at(day).key(label) for day in (100, 101) for label in (keychain.UP, keychain.DOWN, keychain.DETAIL)]
    keys += [chain.value, chain.at(101).value]
    keys += list(keychain.clock_keys(ROOT))
    assert len(set(keys)) == len(keys)


def test_roots_and_chain_values_have_32_bytes():
    for length in (0, 31, 33):
        assert refuses(keychain.first_chain, bytes(length))
        assert refuses(keychain.Chain, 1, bytes(length))


def test_an_epoch_is_the_utc_day():
    assert keychain.epoch_of(0) == 0
    assert keychain.epoch_of(86399) == 0
    assert keychain.epoch_of(86400) == 1
