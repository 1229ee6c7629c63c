"""The accumulator: folding adds, emitting is always fresh, and nothing else comes out."""

import copy
import json
import os
import pickle
import signal
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import (
    ONE,
    Accumulator,
    BadCiphertext,
    Encryptor,
    PlaintextOutOfRange,
    RandomiserPool,
    validate,
)
from paillier import accumulator as accumulator_module


class CountingEncryptor(Encryptor):
    """Counts the randomisers that it draws."""

    drawn = 0

    def draw(self):
        self.drawn += 1
        return super().draw()


class StaleAccumulator(Accumulator):
    """The planted bug: it emits its state as it is."""

    __slots__ = ()

    def emit(self):
        return int(self._Accumulator__a + self._Accumulator__b * self.public_key.n)


def read_without_a_key(public_key, earlier, later):
    """The sum folded in between two states of one accumulator, or None if they are not two such states."""
    quotient = later * pow(earlier, -1, public_key.n_squared) % public_key.n_squared
    return quotient // public_key.n if quotient % public_key.n == 1 else None


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 2**96), max_size=10), pooled=st.booleans())
def test_what_was_folded_is_summed(encryptor, decryptor, values, pooled):
    accumulator = Accumulator(RandomiserPool(encryptor) if pooled else encryptor)
    for value in values:
        accumulator.fold(value)
    assert accumulator.terms == len(values)
    assert decryptor.decrypt(accumulator.emit()) == sum(values) <= accumulator.most


def test_an_emission_leaves_the_sum_open(encryptor, decryptor):
    accumulator = Accumulator(encryptor)
    sums = []
    for i in range(8):
        accumulator.fold(8**i)
        sums.append(oct(decryptor.decrypt(accumulator.emit())))
    assert sums == ["0o" + "1" * i for i in range(1, 9)]


def test_a_fold_costs_no_randomiser_and_an_emission_one(public_key):
    encryptor = CountingEncryptor(public_key)
    accumulator = Accumulator(encryptor)
    assert encryptor.drawn == 1
    for m in range(50):
        accumulator.fold(m)
    assert encryptor.drawn == 1
    accumulator.emit()
    accumulator.emit()
    assert encryptor.drawn == 3


def test_what_is_opened_and_closed_costs_one_randomiser_and_ends(public_key, decryptor):
    encryptor = CountingEncryptor(public_key)
    stored = encryptor.encrypt(1000)
    encryptor.drawn = 0
    accumulator = Accumulator(encryptor, stored, most=1000)
    accumulator.fold(234)
    closed = accumulator.close()
    assert (encryptor.drawn, decryptor.decrypt(closed)) == (1, 1234)
    assert read_without_a_key(public_key, stored, closed) is None
    for more in (accumulator.close, accumulator.emit, lambda: accumulator.fold(1)):
        with pytest.raises(ValueError, match="closed"):
            more()


def test_a_forked_child_and_its_parent_close_unlinkable_sums(encryptor, public_key, decryptor):
    accumulator = Accumulator(encryptor)
    accumulator.fold(100)
    childs = in_a_child(lambda: accumulator.fold(11) or accumulator.close())
    parents = accumulator.close()
    assert (decryptor.decrypt(parents), decryptor.decrypt(childs)) == (100, 111)
    assert read_without_a_key(public_key, parents, childs) is None


def test_two_stale_emissions_give_the_sum_between_them_to_anyone(encryptor, public_key):
    accumulator = StaleAccumulator(encryptor)
    accumulator.fold(5000)
    earlier = accumulator.emit()
    accumulator.fold(1200)
    accumulator.fold(34)
    assert read_without_a_key(public_key, earlier, accumulator.emit()) == 1234


@pytest.mark.parametrize("pooled", [False, True])
def test_two_emissions_give_nothing_to_anyone(encryptor, public_key, decryptor, pooled):
    source = RandomiserPool(encryptor) if pooled else encryptor
    if pooled:
        source.fill(10)
    accumulator = Accumulator(source)
    emissions = [accumulator.emit(), accumulator.emit()]
    accumulator.fold(1234)
    emissions += [accumulator.emit(), accumulator.emit()]
    assert [decryptor.decrypt(c) for c in emissions] == [0, 0, 1234, 1234]
    for i, earlier in enumerate(emissions):
        validate(public_key, earlier)
        for later in emissions[i + 1 :]:
            assert read_without_a_key(public_key, earlier, later) is None


def test_an_emission_tells_nothing_about_the_state(encryptor, public_key):
    accumulator = Accumulator(encryptor)
    emission = accumulator.emit()
    accumulator.fold(77)
    assert read_without_a_key(public_key, emission, StaleAccumulator.emit(accumulator)) is None


def test_a_stored_sum_goes_on(encryptor, decryptor):
    first = Accumulator(encryptor)
    first.fold(2**70)
    second = Accumulator(encryptor, first.emit(), most=first.most)
    second.fold(5)
    assert second.terms == 1
    assert second.most == 2 * first.most
    assert decryptor.decrypt(second.emit()) == 2**70 + 5


def test_a_stored_sum_is_blinded_again_when_it_is_opened(encryptor, public_key):
    stored = encryptor.encrypt(1000)
    accumulator = Accumulator(encryptor, stored, most=1000)
    accumulator.fold(234)
    assert read_without_a_key(public_key, stored, StaleAccumulator.emit(accumulator)) is None


def test_a_stored_sum_comes_with_its_bound(encryptor):
    with pytest.raises(TypeError, match="most"):
        Accumulator(encryptor, encryptor.encrypt(1))
    with pytest.raises(TypeError, match="most"):
        Accumulator(encryptor, most=5)
    for most in (-1, encryptor.public_key.n):
        with pytest.raises(PlaintextOutOfRange):
            Accumulator(encryptor, encryptor.encrypt(1), most=most)


def test_a_stored_number_that_is_no_ciphertext_is_refused(encryptor, private_key, public_key):
    for c in (0, ONE, private_key.p, encryptor.encrypt(1) + public_key.n_squared):
        with pytest.raises(BadCiphertext):
            Accumulator(encryptor, c, most=0)


@pytest.mark.parametrize("m", [-1, 2**512])
def test_a_message_out_of_range_is_refused(encryptor, decryptor, m):
    accumulator = Accumulator(encryptor)
    with pytest.raises(PlaintextOutOfRange) as caught:
        accumulator.fold(m)
    assert "512" not in str(caught.value)
    assert (accumulator.terms, accumulator.most, decryptor.decrypt(accumulator.emit())) == (0, 0, 0)


@pytest.mark.parametrize("m", [1.0, "1", None])
def test_only_integers_are_folded(encryptor, m):
    with pytest.raises(TypeError):
        Accumulator(encryptor).fold(m)


def test_a_sum_that_would_wrap_around_is_an_error_and_changes_nothing(encryptor, decryptor):
    n = encryptor.public_key.n
    accumulator = Accumulator(encryptor)
    accumulator.fold(n - 5)
    with pytest.raises(PlaintextOutOfRange, match="reach n"):
        accumulator.fold(9)
    assert accumulator.terms == 1
    assert decryptor.decrypt(accumulator.emit()) == n - 5


def test_a_stored_sum_that_would_wrap_around_is_an_error(encryptor, decryptor):
    n = encryptor.public_key.n
    accumulator = Accumulator(encryptor, encryptor.encrypt(n - 5), most=n - 5)
    with pytest.raises(PlaintextOutOfRange, match="reach n"):
        accumulator.fold(9)
    assert decryptor.decrypt(accumulator.emit()) == n - 5


def test_without_the_bound_the_sum_would_begin_again_at_four(encryptor, decryptor):
    n = encryptor.public_key.n
    accumulator = Accumulator(encryptor, encryptor.encrypt(n - 5), most=0)  # a false word about what is stored
    accumulator.fold(9)
    assert decryptor.decrypt(accumulator.emit()) == 4


@settings(deadline=None)
@given(values=st.lists(st.one_of(st.integers(0, 2**400), st.integers(2**508, 2**512)), max_size=12))
def test_no_row_of_folds_ever_wraps_around(encryptor, decryptor, values):
    accumulator, total = Accumulator(encryptor), 0
    for value in values:
        try:
            accumulator.fold(value)
        except PlaintextOutOfRange:
            continue
        total += value
    assert total <= accumulator.most < encryptor.public_key.n
    assert decryptor.decrypt(accumulator.emit()) == total


def test_the_bound_tells_how_many_there_are_and_not_what(encryptor):
    quiet, busy = Accumulator(encryptor), Accumulator(encryptor)
    for _ in range(3):
        quiet.fold(0)
        busy.fold(2**96)
    assert quiet.most == busy.most == 3 * (2**128 - 1)


def test_threads_lose_no_fold(encryptor, decryptor):
    accumulator = Accumulator(encryptor)

    def fold():
        for _ in range(500):
            accumulator.fold(3)

    threads = [threading.Thread(target=fold) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accumulator.terms == 3000
    assert decryptor.decrypt(accumulator.emit()) == 9000


def test_a_fold_waits_for_another(encryptor):
    accumulator = Accumulator(encryptor)
    thread = threading.Thread(target=accumulator.fold, args=(3,))
    with accumulator_module._folding:
        thread.start()
        thread.join(0.05)
        assert accumulator.terms == 0
    thread.join()
    assert accumulator.terms == 1


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


def test_a_forked_child_and_its_parent_emit_unlinkable_sums(encryptor, public_key, decryptor):
    pool = RandomiserPool(encryptor)
    pool.fill(10)
    accumulator = Accumulator(pool)
    accumulator.fold(100)
    childs = in_a_child(lambda: accumulator.fold(11) or accumulator.emit())
    parents = accumulator.emit()
    assert (decryptor.decrypt(parents), decryptor.decrypt(childs)) == (100, 111)
    assert read_without_a_key(public_key, parents, childs) is None


def test_a_child_forked_amid_a_fold_of_another_thread_goes_on(encryptor):
    accumulator, held = Accumulator(encryptor), threading.Event()

    def hold():
        with accumulator_module._folding:
            held.set()
            time.sleep(0.05)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert in_a_child(lambda: accumulator.fold(1) or accumulator.terms) == 1
    thread.join()


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, vars, lambda thing: thing.__getstate__()])
def test_an_accumulator_is_neither_pickled_nor_copied(encryptor, leak):
    with pytest.raises(TypeError):
        leak(Accumulator(encryptor))


def test_an_accumulator_has_no_way_to_its_state(encryptor):
    accumulator = Accumulator(encryptor)
    accumulator.fold(5)
    assert [name for name in dir(accumulator) if not name.startswith("_")] == [
        "close",
        "emit",
        "fold",
        "most",
        "public_key",
        "terms",
    ]
    state = str(StaleAccumulator.emit(accumulator))
    part = str(accumulator._Accumulator__a)
    for text in (repr(accumulator), str(accumulator), f"{accumulator}"):
        assert state[:12] not in text and part[:12] not in text
    for name in ("terms", "most", "state", "c"):
        with pytest.raises(AttributeError):
            setattr(accumulator, name, 1)


def test_an_emission_is_a_plain_int(encryptor):
    assert type(Accumulator(encryptor).emit()) is int
