"""The table of powers: it draws what an exponentiation would, uniformly, once per process, from public numbers."""

import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import (
    PI_WINDOW_BITS,
    WIDE_WINDOW_BITS,
    Accumulator,
    BadPublicKey,
    Encryptor,
    HalfSizeTable,
    PlaintextOutOfRange,
    PublicKey,
    RandomiserPool,
    add,
    shared_table,
    table,
    validate,
)
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey, generate_keypair
from paillier.table import djn_base

ROOT = Path(table.__file__).parents[1]
WIDTHS = [1, 2, 3, 5, 7, 8, 9, 10, 12]


@pytest.fixture(scope="module")
def modes(public_key):
    """Everything that encrypts, by name."""
    kinds = {f"a table of {w} bits": Encryptor(public_key, window_bits=w) for w in (1, 3, 8, 9, 10)}
    kinds |= {"no table": Encryptor(public_key), "iso": Encryptor(public_key, mode="iso")}
    return kinds | {f"a pool over {name}": RandomiserPool(kind) for name, kind in kinds.items()}


def fold_up(encryptor, m):
    accumulator = Accumulator(encryptor)
    accumulator.fold(m)
    return accumulator.emit()


def power_drawn(half_size_table):
    """The randomiser that `draw` stands for."""
    a, t = half_size_table.draw()
    n, n_squared = half_size_table.public_key.n, half_size_table.public_key.n_squared
    return int(a * (1 + t * n) % n_squared)


def power_meant(public_key, alpha):
    h_s = pow(djn_base(public_key), public_key.n, public_key.n_squared)
    return pow(h_s, alpha, public_key.n_squared)


def alpha_of(digits, window_bits):
    return sum(digit << window_bits * i for i, digit in enumerate(digits))


@settings(deadline=None, max_examples=20)
@given(a=st.integers(0, 2**512), b=st.integers(0, 2**512))
def test_all_modes_encrypt_the_same_and_add_to_each_other(modes, public_key, decryptor, a, b):
    a, b = a % public_key.n, b % public_key.n
    total = (a + b) % public_key.n
    before = modes["iso"].encrypt(b)
    for mode in modes.values():
        if isinstance(mode, RandomiserPool):
            mode.fill(2)
        c = mode.encrypt(a)
        validate(public_key, c)
        assert decryptor.decrypt(c) == decryptor.decrypt(mode.rerandomise(c)) == a
        assert decryptor.decrypt(fold_up(mode, a)) == a
        assert decryptor.decrypt(add(public_key, c, before)) == total
        before = mode.encrypt(b)


def test_phe_decrypts_every_mode(modes, private_key):
    theirs = private_key.to_phe()
    for mode in modes.values():
        assert theirs.raw_decrypt(mode.encrypt(2**90 + 1)) == theirs.raw_decrypt(fold_up(mode, 2**90 + 1)) == 2**90 + 1


@pytest.mark.parametrize("window_bits", WIDTHS)
def test_a_draw_is_the_power_that_the_digits_spell(public_key, window_bits, monkeypatch):
    half_size_table = HalfSizeTable(public_key, window_bits=window_bits)
    drawn = []
    honest = half_size_table._digits
    monkeypatch.setattr(HalfSizeTable, "_digits", lambda self: drawn.append(honest()) or drawn[-1])
    for _ in range(5):
        assert power_drawn(half_size_table) == power_meant(public_key, alpha_of(drawn[-1], window_bits))


@pytest.mark.parametrize("window_bits", WIDTHS)
@pytest.mark.parametrize("bits", [512, 514])  # 257 bits of alpha: a top digit of one bit under most widths
def test_the_largest_alpha_has_half_the_length_of_the_modulus(window_bits, bits, private_key, monkeypatch):
    key = private_key if bits == 512 else generate_keypair(bits, unsafe_small_key=True)
    half_size_table = HalfSizeTable(key.public, window_bits=window_bits)
    assert half_size_table.exponent_bits == bits // 2
    monkeypatch.setattr(table.os, "urandom", lambda size: b"\xff" * size)
    assert power_drawn(half_size_table) == power_meant(key.public, 2 ** (bits // 2) - 1)


def test_an_unmasked_top_digit_would_be_noticed(public_key, monkeypatch):
    half_size_table = HalfSizeTable(public_key, window_bits=5)
    half_size_table._digit_mask = 2 ** (8 * half_size_table._digit_bytes) - 1
    monkeypatch.setattr(table.os, "urandom", lambda size: b"\xff" * size)
    with pytest.raises(IndexError):
        half_size_table.draw()


@pytest.mark.parametrize("window_bits", WIDTHS)
def test_every_bit_of_alpha_takes_both_values(public_key, window_bits):
    half_size_table = shared_table(public_key, window_bits)
    ever, always = 0, -1
    for _ in range(100):  # a sound bit fails with a chance of 2^-99
        alpha = alpha_of(half_size_table._digits(), window_bits)
        ever, always = ever | alpha, always & alpha
    assert ever == 2**256 - 1
    assert always == 0


@pytest.mark.parametrize("window_bits", [3, 8, 10])
def test_a_zero_alpha_is_drawn_again(public_key, window_bits, monkeypatch):
    honest, asked = os.urandom, []

    def urandom(size):
        asked.append(size)
        return bytes(size) if len(asked) < 3 else honest(size)

    monkeypatch.setattr(table.os, "urandom", urandom)
    validate(public_key, shared_table(public_key, window_bits).encrypt(5))
    assert len(asked) == 3


def test_a_short_exponent_makes_a_smaller_table():
    key = generate_keypair(1024, unsafe_small_key=True)
    fast, full = HalfSizeTable(key.public, window_bits=6, exponent_bits=320), HalfSizeTable(key.public, window_bits=6)
    assert (fast.exponent_bits, full.exponent_bits) == (320, 512)
    assert (fast.entries, full.entries) == (53 * 64 + 4, 85 * 64 + 4)
    assert Decryptor(key).decrypt(fast.encrypt(8)) == Decryptor(key).decrypt(full.encrypt(8)) == 8
    assert fast.memory_bytes < full.memory_bytes
    for exponent_bits in (319, 513, 0):
        with pytest.raises(ValueError, match="exponent has from 320 bits"):
            HalfSizeTable(key.public, window_bits=6, exponent_bits=exponent_bits)
        with pytest.raises(ValueError, match="exponent has from 320 bits"):
            shared_table(key.public, 6, exponent_bits)


@pytest.mark.parametrize("window_bits", [-1, 0, 13, 16])
def test_a_width_out_of_range_is_refused(public_key, window_bits):
    with pytest.raises(ValueError, match="from 1 to 12 bits"):
        HalfSizeTable(public_key, window_bits=window_bits)


def test_an_encryptor_takes_no_negative_width_and_no_fraction(public_key):
    with pytest.raises(ValueError, match="from 1 to 12 bits"):
        Encryptor(public_key, window_bits=-1)
    with pytest.raises(TypeError):
        Encryptor(public_key, window_bits=8.0)


def test_a_modulus_of_the_wrong_form_has_no_table():
    key = PrivateKey(2**521 - 1, 2**255 - 19)
    with pytest.raises(BadPublicKey, match="3 modulo 4"):
        HalfSizeTable(key.public)


def test_a_table_says_what_it_is_and_shows_no_number(public_key):
    half_size_table = HalfSizeTable(public_key, window_bits=4)
    assert (half_size_table.public_key, half_size_table.window_bits) == (public_key, 4)
    assert (half_size_table.exponent_bits, half_size_table.entries) == (256, 64 * 16)
    assert half_size_table.build_seconds > 0
    assert len(repr(half_size_table)) < 200


@pytest.mark.parametrize("m", [-1, 2**512])
def test_a_message_out_of_range_is_refused_before_anything_is_drawn(public_key, m, monkeypatch):
    half_size_table = shared_table(public_key, 8)
    monkeypatch.setattr(HalfSizeTable, "draw", None)
    with pytest.raises(PlaintextOutOfRange):
        half_size_table.encrypt(m)


def test_a_ciphertext_from_a_table_is_a_plain_int(public_key, decryptor):
    encryptor = Encryptor(public_key, window_bits=8)
    for c in (encryptor.encrypt(gmpy2.mpz(5)), encryptor.randomiser(), encryptor.rerandomise(encryptor.encrypt(5))):
        assert type(c) is int
    with pytest.raises(TypeError):
        encryptor.encrypt(5.0)


def test_a_table_encrypts_without_an_exponentiation(public_key, decryptor, monkeypatch):
    encryptor = Encryptor(public_key, window_bits=8)
    with monkeypatch.context() as patch:
        patch.setattr(gmpy2, "powmod", None)
        patch.setattr(gmpy2, "powmod_sec", None)
        c = encryptor.encrypt(77)
    assert decryptor.decrypt(c) == 77


def assert_two_draws_differ(half_size_table):
    assert len({power_drawn(half_size_table) for _ in range(20)}) == 20


def test_every_draw_is_another_and_a_constant_one_would_be_noticed(public_key, monkeypatch):
    assert_two_draws_differ(shared_table(public_key, 8))
    monkeypatch.setattr(table.os, "urandom", lambda size: b"\x05" * size)
    with pytest.raises(AssertionError):
        assert_two_draws_differ(shared_table(public_key, 8))


def test_one_wrong_entry_would_be_noticed(public_key, monkeypatch):
    half_size_table = HalfSizeTable(public_key, window_bits=4)
    rows = [list(row) for row in half_size_table._rows]
    rows[7][3] += 1
    half_size_table._rows = rows
    monkeypatch.setattr(table.os, "urandom", lambda size: b"\x33" * size)
    assert power_drawn(half_size_table) != power_meant(public_key, int("3" * 64, 16))


def test_a_table_is_built_once_for_all_encryptors_and_threads(monkeypatch):
    key = PublicKey((2**521 - 1) * (2**607 - 1))
    built = []
    honest = table._rows
    monkeypatch.setattr(table, "_rows", lambda *arguments: built.append(1) or honest(*arguments))
    made = []
    threads = [threading.Thread(target=lambda: made.append(Encryptor(key, window_bits=4))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert all(encryptor.table is shared_table(PublicKey(key.n), 4) for encryptor in made)
    assert shared_table(key, 3) is not shared_table(key, 4, 320) is not shared_table(key, 4)
    assert len(built) == 3


def test_a_forked_child_finds_the_table_of_its_parent(public_key, decryptor, monkeypatch):
    parents = shared_table(public_key, 8)
    monkeypatch.setattr(table, "_rows", None)  # building again would fail
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            encryptor = Encryptor(public_key, window_bits=8)
            os.write(writing, b"%d" % (encryptor.encrypt(31) if encryptor.table is parents else 0))
        finally:  # no child goes on with the tests
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert decryptor.decrypt(int(answer.read())) == 31
    os.waitpid(child, 0)


MEMORY_PROGRAM = """
import gc, os, sys
from paillier import PublicKey, shared_table

def kilobytes(name):
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

key = PublicKey(int(sys.argv[1]))
gc.collect()
before = kilobytes("Rss")
table = shared_table(key, 8)
print(table.entries, table.memory_bytes, (kilobytes("Rss") - before) * 1024, flush=True)
if os.fork() == 0:
    shared = kilobytes("Private_Dirty")
    for _ in range(250):
        shared_table(key, 8).draw()
    print((kilobytes("Private_Dirty") - shared) * 1024, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is measured as Linux reports it")
def test_a_table_takes_the_memory_that_it_says_and_a_child_does_not_take_it_again(full_key):
    # About two seconds: a table of the full size, in a process of its own.
    run = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(full_key.public.n)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    entries, said, grown, copied_by_child = map(int, run.stdout.split())
    assert entries == 192 * 2**PI_WINDOW_BITS
    assert 0.9 * said < grown < 1.1 * said
    assert grown < 50e6
    wide_entries = 153 * 2**WIDE_WINDOW_BITS + 2**6
    assert wide_entries * grown / entries < 140e6
    assert copied_by_child < said / 4  # 6.3 MB of 41 when it was measured, 2.5 of them for whatever a child does


def test_a_table_keeps_nothing_of_what_it_drew(public_key):
    half_size_table = HalfSizeTable(public_key, window_bits=4)
    before = [getattr(half_size_table, name) for name in HalfSizeTable.__slots__]
    half_size_table.encrypt(secrets.randbits(64))
    after = [getattr(half_size_table, name) for name in HalfSizeTable.__slots__]
    assert all(was is now for was, now in zip(before, after, strict=True))
