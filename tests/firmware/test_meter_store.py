"""The journal: what waits, what is freed, what is lost and counted, and what a torn or damaged record does."""

import bench

from firmware.meter import intervals
from firmware.meter.registers import Registers
from firmware.meter.store import Damaged, Store
from protocol import wire

SALT = b"salt"


def frame(number, kind=wire.READING, epoch=19000):
    return wire.pack_header(wire.Header(kind, bench.TITLE, epoch, SALT, number)) + bytes(55)


def account(until):
    return intervals.begin(until, 900, until)


def filled(count, capacity=1400, storage=None, epoch=19000):
    storage = storage or bench.Storage()
    store = Store(storage, capacity)
    for number in range(count):
        commit(store, number, epoch)
    return store, storage


def commit(store, number, epoch=19000):
    store.commit(
        account(900 * (number + 1)), Registers(number, 2 * number), [(900 * number, frame(number, epoch=epoch))]
    )


def counters(store):
    return [held.counter for held in store.oldest(10000)]


def test_frames_wait_oldest_first_until_they_are_freed():
    store, _ = filled(5)
    assert counters(store) == [0, 1, 2, 3, 4]
    store.free([(SALT, 1), (SALT, 3)])
    assert counters(store) == [0, 2, 4]
    assert [held.counter for held in store.oldest(2)] == [0, 2]


def test_everything_is_there_after_a_restart():
    store, storage = filled(5)
    store.free([(SALT, 0)])
    again = Store(storage)
    assert counters(again) == [1, 2, 3, 4]
    assert again.registers == Registers(4, 8)
    assert again.account == account(4500)
    assert [held.frame for held in again.oldest(9)] == [held.frame for held in store.oldest(9)]


def test_only_the_exact_pair_frees():
    store, _ = filled(2)
    store.free([(b"talS", 0), (SALT, 2)])
    assert counters(store) == [0, 1]


def test_the_readings_that_wait_are_named_by_their_interval():
    store, _ = filled(2)
    store.commit(account(2700), Registers(9, 9), [(1800, frame(2)), (1800, frame(3, wire.DETAIL))])
    assert store.readings() == [0, 900, 1800]
    store.free([(SALT, 1)])
    assert store.readings() == [0, 1800]


def test_a_full_store_loses_its_oldest_frames_and_counts_them():
    store, storage = filled(7, capacity=4)
    assert counters(store) == [3, 4, 5, 6]
    assert store.dropped == 3
    assert Store(storage, 4).dropped == 3
    assert counters(Store(storage, 4)) == [3, 4, 5, 6]


def test_acknowledged_frames_make_room_without_loss():
    store, _ = filled(4, capacity=4)
    store.free([(SALT, 0), (SALT, 1)])
    commit(store, 4)
    commit(store, 5)
    assert store.dropped == 0
    assert counters(store) == [2, 3, 4, 5]


def test_frames_that_are_too_old_are_dropped_and_counted():
    store, storage = filled(3, epoch=18990)
    commit(store, 3, 18993)
    store.expire(18990)
    assert len(store) == 4
    store.expire(18993)
    assert counters(store) == [3]
    assert Store(storage).dropped == store.dropped == 3


def test_a_register_never_goes_back():
    store, _ = filled(5)
    for behind in (Registers(3, 9), Registers(9, 7)):
        try:
            store.commit(account(9000), behind, [])
        except ValueError:
            assert store.registers == Registers(4, 8)
        else:
            raise AssertionError("a register went back")


def test_a_last_record_torn_at_any_byte_is_cut_off():
    _, storage = filled(2)
    whole = storage.pieces["journal"]
    one = len(whole) // 2
    for length in range(one, len(whole)):
        torn = bench.Storage()
        torn.pieces["journal"] = whole[:length]
        store = Store(torn)
        assert counters(store) == [0]
        commit(store, 1)
        assert counters(Store(torn)) == [0, 1]


def test_a_last_record_of_rubbish_is_cut_off():
    _, storage = filled(2)
    whole = storage.pieces["journal"]
    for tail in (bytes(100), b"\xff" * 100, b"\x00\x00\x00\x05rubbi\x00\x00\x00\x00", b"\x00"):
        spoilt = bench.Storage()
        spoilt.pieces["journal"] = whole + tail
        assert counters(Store(spoilt)) == [0, 1]
        assert counters(Store(spoilt)) == [0, 1]


def test_a_record_damaged_before_the_end_is_refused_because_the_registers_would_go_back():
    _, storage = filled(3)
    for place in (8, 60, 120, 140):
        damaged = bytearray(storage.pieces["journal"])
        damaged[place] ^= 1
        copy = bench.Storage()
        copy.pieces["journal"] = bytes(damaged)
        try:
            Store(copy)
        except Damaged:
            continue
        raise AssertionError(place)


def test_the_journal_stays_short_while_frames_come_and_go():
    store, storage = filled(0)
    for number in range(500):
        commit(store, number)
        store.free([(SALT, number)])
        assert len(storage.pieces["journal"]) < 8192
    assert Store(storage).registers == Registers(499, 998)
    assert Store(storage).account == account(450000)


def test_a_journal_of_frames_that_all_wait_is_not_rewritten_at_every_step():
    storage = bench.Storage()
    replaced = []
    replace = storage.replace
    storage.replace = lambda name, data: (replaced.append(name), replace(name, data))
    filled(300, storage=storage)
    assert len(replaced) < 5


def test_a_capacity_that_the_journal_cannot_count_is_refused():
    for capacity in (0, 1, 65536):
        try:
            Store(bench.Storage(), capacity)
        except ValueError:
            continue
        raise AssertionError(capacity)
