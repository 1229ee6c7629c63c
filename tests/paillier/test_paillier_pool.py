"""The pool: bounded, in memory only, and each of its randomisers used once."""

import copy
import json
import os
import pickle
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import ONE, BadCiphertext, Encryptor, PlaintextOutOfRange, RandomiserPool, add_plain, validate


@pytest.fixture
def pool(encryptor):
    return RandomiserPool(encryptor, most=20)


class CountingEncryptor(Encryptor):
    """Counts the randomisers that it draws."""

    drawn = 0

    def draw(self):
        self.drawn += 1
        return super().draw()


class ForgetfulPool(RandomiserPool):
    """The planted bug: it hands out a randomiser and keeps it."""

    def draw(self):
        waiting = self._RandomiserPool__waiting
        return waiting[0] if waiting else super().draw()


def in_a_child(function):
    """What `function` returns in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            os.write(writing, json.dumps(function()).encode())
        finally:  # no child goes on with the tests
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        returned = json.load(answer)
    os.waitpid(child, 0)
    return returned


def assert_no_randomiser_comes_twice(pool):
    pool.fill(20)
    blinded = [pool.encrypt(7) for _ in range(10)] + [pool.randomiser() for _ in range(20)]
    # Under one randomiser two ciphertexts agree modulo n, whatever they hold.
    assert len({c % pool.public_key.n for c in blinded}) == 30


@settings(deadline=None, max_examples=30)
@given(m=st.integers(0, 2**512), filled=st.integers(0, 2))
def test_a_pool_encrypts_as_its_encryptor_does(encryptor, decryptor, m, filled):
    m %= encryptor.public_key.n
    pool = RandomiserPool(encryptor)
    pool.fill(filled)
    c = pool.encrypt(m)
    validate(pool.public_key, c)
    assert decryptor.decrypt(c) == decryptor.decrypt(pool.rerandomise(c)) == m
    assert decryptor.decrypt(pool.randomiser()) == 0
    assert pool.misses == 3 - filled


def test_the_ends_of_the_range_are_decrypted(pool, decryptor):
    pool.fill(20)
    for m in (0, 1, pool.public_key.n - 1) * 5:
        c = pool.encrypt(m)
        assert 0 < c < pool.public_key.n_squared
        assert decryptor.decrypt(c) == m


def test_no_randomiser_comes_twice(pool):
    assert_no_randomiser_comes_twice(pool)


def test_a_randomiser_used_twice_would_be_noticed(encryptor):
    with pytest.raises(AssertionError):
        assert_no_randomiser_comes_twice(ForgetfulPool(encryptor, most=20))


def test_a_randomiser_used_twice_gives_the_difference_away(encryptor):
    pool = ForgetfulPool(encryptor)
    pool.fill(1)
    key = pool.public_key
    quotient = pool.encrypt(1234) * pow(pool.encrypt(1000), -1, key.n_squared) % key.n_squared
    assert quotient == 1 + 234 * key.n


def test_no_randomiser_comes_twice_to_many_threads(public_key):
    encryptor = Encryptor(public_key, window_bits=8)
    pool = RandomiserPool(encryptor, most=500)
    pool.fill(500)
    drawn, start = [], threading.Barrier(8)

    def draw():
        start.wait()
        mine = [pool.randomiser() for _ in range(50)]
        pool.fill(5)
        drawn.extend(mine + [pool.randomiser() for _ in range(50)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == len(drawn) == 800
    assert len(pool) + 800 - pool.misses == 540


def test_a_pool_never_holds_more_than_its_most(pool):
    assert pool.fill() == 1
    assert pool.fill(0) == pool.fill(-3) == 0
    assert pool.fill(100) == 19
    assert pool.fill() == 0
    assert len(pool) == pool.most == 20


def test_threads_that_fill_together_do_not_overfill_it(encryptor):
    pool, added = RandomiserPool(encryptor, most=7), []
    threads = [threading.Thread(target=lambda: added.append(pool.fill(5))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pool) == sum(added) == 7


def test_a_pool_that_was_filled_while_one_was_drawn_takes_no_more(public_key):
    class SlowEncryptor(Encryptor):
        """Draws so slowly that another fills the pool meanwhile."""

        meanwhile = None

        def draw(self):
            fill, self.meanwhile = self.meanwhile, None
            if fill:
                assert fill(1) == 1
            return super().draw()

    encryptor = SlowEncryptor(public_key)
    pool = RandomiserPool(encryptor, most=1)
    encryptor.meanwhile = pool.fill
    assert pool.fill(1) == 0
    assert len(pool) == 1


def test_filling_waits_for_another_that_fills(pool):
    thread = threading.Thread(target=pool.fill)
    with pool._RandomiserPool__lock:
        thread.start()
        thread.join(0.05)
        assert len(pool) == 0
    thread.join()
    assert len(pool) == 1


@pytest.mark.parametrize("most", [0, -1])
def test_a_pool_without_room_is_refused(encryptor, most):
    with pytest.raises(ValueError, match="at least one"):
        RandomiserPool(encryptor, most)


def test_a_filled_pool_encrypts_without_drawing(public_key):
    encryptor = CountingEncryptor(public_key)
    pool = RandomiserPool(encryptor)
    pool.fill(3)
    for m in range(3):
        pool.encrypt(m)
    assert (encryptor.drawn, pool.misses, len(pool)) == (3, 0, 0)
    pool.encrypt(4)
    assert (encryptor.drawn, pool.misses) == (4, 1)


@pytest.mark.parametrize(("m", "error"), [(-1, PlaintextOutOfRange), (2**512, PlaintextOutOfRange), (1.0, TypeError)])
def test_a_refused_message_spends_no_randomiser(pool, m, error):
    pool.fill(2)
    with pytest.raises(error):
        pool.encrypt(m)
    assert len(pool) == 2


def test_a_number_that_is_no_unit_spends_no_randomiser(pool, private_key):
    pool.fill(2)
    for c in (0, private_key.p, private_key.public.n_squared):
        with pytest.raises(BadCiphertext):
            pool.rerandomise(c)
    assert len(pool) == 2


def test_a_pool_blinds_an_open_sum(pool, decryptor):
    pool.fill(1)
    closed = pool.rerandomise(add_plain(pool.public_key, ONE, 41))
    validate(pool.public_key, closed)
    assert decryptor.decrypt(closed) == 41


def test_what_a_pool_returns_is_a_plain_int(pool):
    pool.fill(3)
    c = pool.encrypt(5)
    assert type(c) is type(pool.randomiser()) is type(pool.rerandomise(c)) is int


def randomisers_of_both(pool):
    pool.randomiser()  # a miss
    pool.fill(10)
    childs = in_a_child(lambda: [len(pool), pool.misses, *(pool.randomiser() for _ in range(12))])
    return childs, [pool.randomiser() for _ in range(10)]


def test_a_forked_child_starts_with_an_empty_pool(pool):
    (left, missed, *childs), parents = randomisers_of_both(pool)
    assert (left, missed) == (0, 0)
    assert len(set(childs)) == 12
    assert not set(childs) & set(parents)
    assert pool.misses == 1


def test_a_child_that_inherits_the_pool_would_be_noticed(pool, monkeypatch):
    monkeypatch.setattr(RandomiserPool, "_start_anew", lambda self: None)
    (left, _, *childs), parents = randomisers_of_both(pool)
    assert left == 10
    assert set(parents) <= set(childs)


def test_a_child_is_not_stopped_by_a_lock_that_its_parent_holds(pool):
    with pool._RandomiserPool__lock:
        assert in_a_child(lambda: pool.fill(3)) == 3


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, vars, lambda pool: pool.__getstate__()])
def test_a_pool_is_neither_pickled_nor_copied(pool, leak):
    pool.fill(1)
    with pytest.raises(TypeError):
        leak(pool)


def test_a_pool_shows_no_randomiser(pool):
    pool.fill(2)
    waiting = [str(randomiser) for randomiser in pool._RandomiserPool__waiting]
    for text in (repr(pool), str(pool), f"{pool}"):
        assert not any(randomiser[:12] in text for randomiser in waiting)
    with pytest.raises(TypeError):
        iter(pool)
    public = [name for name in dir(pool) if not name.startswith("_")]
    assert public == ["draw", "encrypt", "fill", "misses", "most", "public_key", "randomiser", "rerandomise"]
