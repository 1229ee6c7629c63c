"""Many messages, one decryption: the same messages as one by one, or a refusal."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from math import gcd

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import (
    ENERGY_SLOTS,
    BadCiphertext,
    DecryptionFailed,
    Encryptor,
    GuardBitsSet,
    Interleaving,
    Packing,
    PackingTooWide,
)
from paillier.private import decryption
from paillier.private.decryption import Decryptor
from paillier.private.key import generate_keypair
from paillier.private.packed_decryption import PackedDecryptor, _square_often

MONTH = 17_000 * 31 * 24 * 1000  # the energy of 17 kW in a month, in mWh: 34 bits
MEDIUM = generate_keypair(1024, unsafe_small_key=True)  # a prime of 512 bits: room for two groups of meters


@pytest.fixture(scope="module")
def medium_encryptor():
    return Encryptor(MEDIUM.public)


@pytest.fixture(scope="module")
def meters():
    """Opens the monthly energies of five meters at once."""
    return PackedDecryptor.densest(Decryptor(MEDIUM), ENERGY_SLOTS, below=MONTH)


def bills(*energies):
    return [ENERGY_SLOTS.pack(pair) for pair in energies]


@settings(deadline=None, max_examples=40)
@given(
    energies=st.lists(
        st.tuples(*[st.one_of(st.sampled_from([0, MONTH - 1]), st.integers(0, MONTH - 1))] * 2), max_size=15
    )
)
def test_a_packed_decryption_is_each_single_one(medium_encryptor, meters, energies):
    messages = bills(*energies)
    assert meters.decrypt([medium_encryptor.encrypt(m) for m in messages]) == messages


def test_five_meters_share_one_exponentiation_modulo_one_prime(medium_encryptor, meters, monkeypatch):
    assert meters.layout.plaintexts == 5
    ciphertexts = [medium_encryptor.encrypt(m) for m in bills(*[(i, 2 * i) for i in range(5)])]
    seen = []
    honest = gmpy2.powmod_sec
    monkeypatch.setattr(decryption.gmpy2, "powmod_sec", lambda b, e, m: seen.append(int(e)) or honest(b, e, m))
    meters.decrypt(ciphertexts)
    assert seen == [MEDIUM.p - 1]


def test_the_product_is_a_ciphertext_of_the_interleaved_messages(medium_encryptor, meters):
    messages = bills(*[(i, 100 * i) for i in range(1, 6)])
    ciphertexts = [medium_encryptor.encrypt(m) for m in messages]
    half = Decryptor(MEDIUM).halves()[0]
    packed = meters._product([gmpy2.mpz(c) for c in ciphertexts], half)
    assert half.decrypt(packed) == meters.layout.interleave(messages)


@settings(deadline=None)
@given(x=st.integers(0, 2**600), times=st.integers(0, 200))
def test_squaring_in_two_digits_is_squaring(private_key, x, times):
    prime = gmpy2.mpz(private_key.p)
    x = x % prime**2
    assert _square_often(gmpy2.mpz(x), times, prime) == pow(int(x), 2**times, private_key.p**2)


def test_threads_take_a_pack_each(medium_encryptor, meters):
    messages = bills(*[(i, 7) for i in range(20)])
    ciphertexts = [medium_encryptor.encrypt(m) for m in messages]
    with ThreadPoolExecutor(2) as threads:
        assert meters.decrypt(ciphertexts, executor=threads) == messages
    with ProcessPoolExecutor(1) as processes, pytest.raises(TypeError, match="border of its process"):
        meters.decrypt(ciphertexts, executor=processes)


def test_a_layout_longer_than_a_prime_takes_both_halves(public_key, encryptor, decryptor):
    layout = Interleaving(ENERGY_SLOTS, value_bits=34, slot_bits=48, plaintexts=4)
    packed = PackedDecryptor(decryptor, layout)
    assert decryptor.smaller_prime_bits < layout.total_bits < public_key.bits
    messages = bills(*[(MONTH - 1 - i, i) for i in range(4)])
    assert packed.decrypt([encryptor.encrypt(m) for m in messages]) == messages


def test_a_layout_without_room_for_the_check_is_refused(decryptor):
    for layout in (
        Interleaving(ENERGY_SLOTS, value_bits=34, slot_bits=48, plaintexts=6),  # longer than n
        Interleaving(Packing(1, 64, 16), value_bits=39, slot_bits=42, plaintexts=12),  # all but 44 bits are values
    ):
        with pytest.raises(PackingTooWide, match="does not fit"):
            PackedDecryptor(decryptor, layout)


@pytest.mark.parametrize("meter", [0, 2, 4])
@pytest.mark.parametrize("slot", [0, 1])
def test_a_value_beyond_its_slot_is_refused_and_its_meter_named(medium_encryptor, meters, meter, slot):
    messages = bills(*[(5, 6)] * 10)
    messages[5 + meter] = 1 << meters.layout.value_bits << 96 * slot
    with pytest.raises(GuardBitsSet, match=rf"plaintext {5 + meter}:") as caught:
        meters.decrypt([medium_encryptor.encrypt(m) for m in messages])
    assert str(messages[5 + meter]) not in str(caught.value)


def test_a_negative_energy_is_refused(medium_encryptor, meters):
    honest = [medium_encryptor.encrypt(m) for m in bills((5, 6), (7, 8))]
    for below_zero in (-1, -(1 << 96), -MONTH):
        with pytest.raises(GuardBitsSet):
            meters.decrypt([honest[0], medium_encryptor.encrypt(MEDIUM.public.n + below_zero), honest[1]])


def test_unchecked_guard_bits_would_let_energy_move_to_a_neighbour(medium_encryptor, meters, monkeypatch):
    """The harm itself, and the bound on each value that limits it where guard bits cannot see it."""
    width = meters.layout.slot_bits
    messages = bills((5, 6), (7, 8))
    messages[0] += 1000 << width  # jumps over its own guard bits into the next meter's import
    assert meters.decrypt([medium_encryptor.encrypt(m) for m in messages]) == bills((5, 6), (1007, 8))
    messages[0] = ENERGY_SLOTS.pack((5 + (MONTH << 2), 6))
    with pytest.raises(GuardBitsSet):
        meters.decrypt([medium_encryptor.encrypt(m) for m in messages])


def test_a_message_above_the_prime_would_factor_n_and_is_not_let_out(medium_encryptor, meters):
    n, p = MEDIUM.public.n, MEDIUM.p
    for m in (n - 5, n // 7, 1 << 700):
        c = medium_encryptor.encrypt(m)
        let_out = int(Decryptor(MEDIUM).halves()[0].decrypt(gmpy2.mpz(c)))
        assert gcd(m - let_out, n) == p
        with pytest.raises(GuardBitsSet) as caught:
            meters.decrypt([c])
        assert not any(str(number)[:12] in str(caught.value) for number in (m, let_out, p))


def test_a_refusal_does_not_tell_where_the_prime_lies(medium_encryptor, meters):
    """Sums around p, sent by somebody who looks for it: their refusals must not differ by the side of p."""
    layout, half = meters.layout, Decryptor(MEDIUM).halves()[0]
    guard_bit = layout.shift(1) + layout.value_bits
    sums = [MEDIUM.p + (side << guard_bit) for side in (-1, 1)]
    zeros = [medium_encryptor.encrypt(0) for _ in range(4)]
    told = []
    for m in sums:
        with pytest.raises(GuardBitsSet) as caught:
            layout.separate(m % MEDIUM.p)
        told.append(str(caught.value))
        c = medium_encryptor.encrypt(m)
        assert half.decrypt(gmpy2.mpz(c)) == m % MEDIUM.p
    assert told[0] != told[1]  # the harm itself: 512 such questions are a binary search for p
    for m in sums:
        with pytest.raises(GuardBitsSet) as caught:
            meters.decrypt([medium_encryptor.encrypt(m), *zeros])
        with pytest.raises(GuardBitsSet) as known:
            layout.separate(m)  # what whoever sent it can work out without any key
        assert str(caught.value) == str(known.value)
        assert caught.value.__context__ is None


def test_a_half_that_contradicts_the_whole_does_not_leave(medium_encryptor, meters, monkeypatch):
    c = medium_encryptor.encrypt(ENERGY_SLOTS.pack((5, 6)))
    honest, calls = decryption.Half.decrypt, []
    monkeypatch.setattr(
        decryption.Half, "decrypt", lambda half, c: calls.append(c) or honest(half, c) + (len(calls) == 1) * 2**90
    )
    with pytest.raises(DecryptionFailed, match="contradict"):
        meters.decrypt([c])


@pytest.mark.parametrize("prime", [MEDIUM.p, MEDIUM.q], ids=["p", "q"])
def test_a_fault_in_a_half_does_not_leave(medium_encryptor, monkeypatch, prime):
    both = PackedDecryptor(Decryptor(MEDIUM), Interleaving(ENERGY_SLOTS, 34, 48, 8))
    ciphertexts = [medium_encryptor.encrypt(m) for m in bills(*[(1, 2)] * 8)]
    honest = gmpy2.powmod_sec
    monkeypatch.setattr(
        decryption.gmpy2, "powmod_sec", lambda b, e, m: honest(b, e, m) ^ (2**40 if m == prime**2 else 0)
    )
    with pytest.raises(DecryptionFailed, match="arithmetic"):
        both.decrypt(ciphertexts)


def test_what_is_no_ciphertext_is_refused_by_its_index(medium_encryptor, meters):
    c = medium_encryptor.encrypt(1)
    for bad in (0, MEDIUM.public.n * 2, c + MEDIUM.public.n_squared, 1):
        with pytest.raises(BadCiphertext, match="1"):
            meters.decrypt([c, bad, c])


def test_a_packed_decryptor_stays_where_it_is(meters):
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(meters)
    with pytest.raises(TypeError, match="copied"):
        copy.copy(meters)
    assert repr(meters) == f"<PackedDecryptor of {MEDIUM.public!r}, 5 at once>"
    assert not hasattr(meters, "__dict__")


def test_a_street_of_36_energies_at_3072_bits(full_key):
    encryptor = Encryptor(full_key.public)
    packed = PackedDecryptor.densest(Decryptor(full_key), ENERGY_SLOTS, below=MONTH)
    assert packed.layout.plaintexts * 2 == 36
    messages = bills(*[(MONTH - 1 - i, i) for i in range(18)])
    assert packed.decrypt([encryptor.encrypt(m) for m in messages]) == messages
