"""Decryption: the textbook agrees, and a fault of the machine stays inside."""

import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from math import gcd

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import BadCiphertext, DecryptionFailed, Encryptor, PlaintextTooLarge
from paillier.private import decryption
from paillier.private.decryption import ROOM_BITS, Decryptor
from paillier.private.key import PrivateKey, generate_keypair


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
    monkeypatch.setattr(decryption.Half, "decrypt", lambda half, c: half.prime * half.prime)
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


# --- One half ---------------------------------------------------------------------------------------------------


@pytest.fixture
def exponents(monkeypatch):
    """The secret exponents that were raised, in their order."""
    seen = []
    honest = gmpy2.powmod_sec
    monkeypatch.setattr(decryption.gmpy2, "powmod_sec", lambda b, e, m: seen.append(int(e)) or honest(b, e, m))
    return seen


def largest_bound(key: PrivateKey) -> int:
    """The largest bound that one half is trusted with."""
    return (1 << (key.p.bit_length() - ROOM_BITS)) - 1


@settings(deadline=None)
@given(data=st.data())
def test_one_half_decrypts_as_two_do(private_key, encryptor, decryptor, data):
    bound = largest_bound(private_key)
    m = data.draw(st.one_of(st.sampled_from([0, 1, bound - 1]), st.integers(0, bound - 1)))
    c = encryptor.encrypt(m)
    assert decryptor.decrypt(c, below=bound) == decryptor.decrypt(c) == m


def test_a_bound_with_room_takes_one_half_and_one_bit_more_takes_two(private_key, encryptor, decryptor, exponents):
    c, bound = encryptor.encrypt(7), largest_bound(private_key)
    exponents.clear()  # encrypting raises secret exponents too
    assert decryptor.decrypt(c, below=bound) == 7
    assert exponents == [private_key.p - 1]
    exponents.clear()
    assert decryptor.decrypt(c, below=bound + 1) == 7
    assert exponents == [private_key.p - 1, private_key.q - 1]


def test_a_message_that_broke_its_bound_would_factor_n_and_is_not_let_out(private_key, encryptor, decryptor):
    n = private_key.public.n
    for m in (n - 5, n // 3, 1 << 400):
        c = encryptor.encrypt(m)
        # The harm itself: one half, its bound unchecked, and whoever encrypted m has p by one gcd.
        let_out = int(decryptor.halves()[0].decrypt(gmpy2.mpz(c)))
        assert gcd(m - let_out, n) == private_key.p
        with pytest.raises(PlaintextTooLarge) as caught:
            decryptor.decrypt(c, below=largest_bound(private_key))
        assert not any(str(number)[:12] in str(caught.value) for number in (m, let_out, private_key.p))
        assert caught.value.__cause__ is caught.value.__context__ is None


def test_the_bound_holds_for_two_halves_as_well(encryptor, decryptor):
    bound = 1 << 400
    assert decryptor.decrypt(encryptor.encrypt(bound - 1), below=bound) == bound - 1
    with pytest.raises(PlaintextTooLarge):
        decryptor.decrypt(encryptor.encrypt(bound), below=bound)


@pytest.mark.parametrize("below", [0, -1, -(2**600)])
def test_a_bound_that_no_message_is_below_is_a_mistake(encryptor, decryptor, below):
    with pytest.raises(ValueError, match="less than 1"):
        decryptor.decrypt(encryptor.encrypt(0), below=below)


@pytest.mark.parametrize("flipped", [40, 0, 300])
def test_a_fault_in_the_only_half_does_not_leave(private_key, encryptor, monkeypatch, flipped):
    decryptor, c = Decryptor(private_key), encryptor.encrypt(42)
    honest = gmpy2.powmod_sec
    monkeypatch.setattr(decryption.gmpy2, "powmod_sec", lambda b, e, m: honest(b, e, m) ^ (1 << flipped))
    with pytest.raises(DecryptionFailed, match="arithmetic"):
        decryptor.decrypt(c, below=1 << 64)


def test_a_fault_after_the_exponentiation_does_not_leave_where_a_bound_is_known(private_key, encryptor, monkeypatch):
    """The remainder cannot see it; the bound does, in one half and in two."""
    decryptor, c = Decryptor(private_key), encryptor.encrypt(42)
    honest = decryption.Half.decrypt
    faulty = lambda half, c: (honest(half, c) + (half.prime == private_key.p)) * 3 % half.prime  # noqa: E731
    monkeypatch.setattr(decryption.Half, "decrypt", faulty)
    with pytest.raises(PlaintextTooLarge):
        decryptor.decrypt(c, below=1 << 400)
    # Without a bound this one is let out, and gives p away: whoever knows a bound should say so.
    assert gcd(decryptor.decrypt(c) - 42 * 3, private_key.public.n) == private_key.q


# --- Threads ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_two_threads_share_a_decryption(private_key, encryptor, decryptor, threads, monkeypatch):
    c, workers = encryptor.encrypt(42), {}
    honest, both_are_there = gmpy2.powmod_sec, threading.Barrier(2, timeout=10)

    def noted(base, exponent, modulus):
        workers[int(modulus)] = (threading.get_ident(), gmpy2.get_context().allow_release_gil)
        both_are_there.wait()
        return honest(base, exponent, modulus)

    monkeypatch.setattr(decryption.gmpy2, "powmod_sec", noted)
    assert decryptor.decrypt(c, executor=threads) == 42
    assert set(workers) == {private_key.p**2, private_key.q**2}
    assert len({thread for thread, _ in workers.values()}) == 2
    assert all(lock_is_released for _, lock_is_released in workers.values())
    assert not gmpy2.get_context().allow_release_gil  # the caller's own setting is as it was


def test_an_executor_whose_threads_are_all_busy_is_not_waited_for(encryptor, decryptor):
    with ThreadPoolExecutor(1) as executor:
        let_go = threading.Event()
        executor.submit(let_go.wait, 10)
        assert decryptor.decrypt(encryptor.encrypt(42), executor=executor) == 42
        let_go.set()
        # And the worker itself may ask its own executor.
        assert executor.submit(decryptor.decrypt, encryptor.encrypt(43), executor=executor).result(10) == 43


def test_a_fault_in_another_thread_does_not_leave(private_key, encryptor, threads, monkeypatch):
    decryptor, c = Decryptor(private_key), encryptor.encrypt(42)
    honest = gmpy2.powmod_sec
    for prime in (private_key.p, private_key.q):
        flip = {prime**2: 2**40}
        monkeypatch.setattr(
            decryption.gmpy2, "powmod_sec", lambda b, e, m, flip=flip: honest(b, e, m) ^ flip.get(int(m), 0)
        )
        with pytest.raises(DecryptionFailed, match="arithmetic"):
            decryptor.decrypt(c, executor=threads)


@pytest.mark.parametrize("below", [None, 1000])
def test_many_are_decrypted_in_their_order(encryptor, decryptor, threads, below):
    messages = [3, 1, 999, 0, 7, 7]
    ciphertexts = [encryptor.encrypt(m) for m in messages]
    assert decryptor.decrypt_many(ciphertexts, below=below) == messages
    assert decryptor.decrypt_many(iter(ciphertexts), below=below, executor=threads) == messages
    assert decryptor.decrypt_many([], below=below, executor=threads) == []


def test_one_bad_ciphertext_among_many_is_named_and_nothing_is_decrypted(encryptor, decryptor, threads, exponents):
    ciphertexts = [encryptor.encrypt(1), encryptor.encrypt(2), decryptor.public_key.n * 3]
    exponents.clear()
    for executor in (None, threads):
        with pytest.raises(BadCiphertext, match="2"):
            decryptor.decrypt_many(ciphertexts, executor=executor)
    with pytest.raises(BadCiphertext):
        decryptor.decrypt(decryptor.public_key.n * 3, below=5)
    assert exponents == []


def test_one_message_above_the_bound_stops_the_rest(encryptor, decryptor, threads):
    ciphertexts = [encryptor.encrypt(m) for m in (1, 2, 1000, 3)]
    for executor in (None, threads):
        with pytest.raises(PlaintextTooLarge):
            decryptor.decrypt_many(ciphertexts, below=1000, executor=executor)


class Elsewhere(Executor):
    """An executor that we know nothing about."""

    def submit(self, function, /, *arguments, **named):
        return Future()


def test_a_key_does_not_cross_into_another_process(encryptor, decryptor):
    c = encryptor.encrypt(42)
    with ProcessPoolExecutor(1) as processes:
        for executor in (processes, Elsewhere()):
            with pytest.raises(TypeError, match="border of its process"):
                decryptor.decrypt(c, executor=executor)
            with pytest.raises(TypeError, match="border of its process"):
                decryptor.decrypt_many([c], executor=executor)


def test_one_half_at_3072_bits(full_key):
    encryptor, decryptor = Encryptor(full_key.public), Decryptor(full_key)
    m = 2**192 - 3
    assert decryptor.decrypt(encryptor.encrypt(m), below=2**192) == m
    with pytest.raises(PlaintextTooLarge):
        decryptor.decrypt(encryptor.encrypt(full_key.public.n - 5), below=2**192)
