"""The ring of segments: what waits, what is freed, what is lost and counted, what torn and damaged records do."""

import gc

import bench

from firmware.meter import intervals
from firmware.meter import store as store_module
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
    commit(store, 5)
    again = Store(storage)
    assert counters(again) == [1, 2, 3, 4, 5]
    assert again.registers == Registers(5, 10)
    assert again.account == account(5400)
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


def test_a_verdict_costs_no_write_of_its_own_and_a_cut_before_the_next_one_only_sends_again():
    store, storage = filled(3)
    before = dict(storage.pieces)
    store.free([(SALT, 0)])
    assert storage.pieces == before
    assert counters(Store(storage)) == [0, 1, 2]
    commit(store, 3)
    assert counters(Store(storage)) == [1, 2, 3]


def test_a_period_that_may_wait_is_sent_only_when_it_is_in_flash():
    store, storage = filled(1)
    store.commit(account(1800), Registers(1, 2), [(900, frame(1))], wait=True)
    assert counters(store) == counters(Store(storage)) == [0]
    assert (store.registers, store.stored) == (Registers(1, 2), Registers(0, 0))
    assert Store(storage).registers == Registers(0, 0)
    store.flush()
    assert counters(store) == counters(Store(storage)) == [0, 1]
    assert store.stored == Store(storage).registers == Registers(1, 2)
    assert Store(storage).account == account(1800)


def test_energy_of_no_period_is_kept_until_it_is_counted_in_one():
    store, storage = filled(1)
    store.save(Registers(50, 5))
    assert Store(storage).spare == Registers(50, 5)
    store.commit(account(1800), store.registers, (), counted=False)
    assert Store(storage).spare == Registers(50, 5)
    store.commit(account(2700), Registers(60, 6), ())
    assert Store(storage).spare == store.spare == Registers(0, 0)


def test_a_last_record_torn_at_any_byte_is_cut_off():
    _, storage = filled(2)
    whole = storage.pieces["ring00"]
    first = len(filled(1)[1].pieces["ring00"])
    assert first < len(whole)
    for length in range(first, len(whole)):
        torn = bench.Storage()
        torn.pieces["ring00"] = whole[:length]
        store = Store(torn)
        assert counters(store) == [0]
        commit(store, 1)
        assert counters(Store(torn)) == [0, 1]
        assert not Store(torn).spoilt


def test_a_last_record_of_rubbish_is_cut_off():
    _, storage = filled(2)
    whole = storage.pieces["ring00"]
    for tail in (bytes(100), b"\xff" * 100, b"\x00\x05rubbi\x00\x00\x00\x00", b"\x00"):
        spoilt = bench.Storage()
        spoilt.pieces["ring00"] = whole + tail
        store = Store(spoilt)
        assert counters(store) == [0, 1]
        commit(store, 2)
        assert counters(Store(spoilt)) == [0, 1, 2]


def refused(storage):
    try:
        Store(storage)
    except Damaged:
        return True
    return False


def test_a_damage_before_the_end_of_the_newest_segment_is_refused_because_the_registers_would_go_back():
    _, storage = filled(3)
    whole = storage.pieces["ring00"]
    # The last record alone can be taken for a torn one.
    for place in range(len(filled(2)[1].pieces["ring00"])):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        copy = bench.Storage()
        copy.pieces["ring00"] = bytes(damaged)
        assert refused(copy), place


class Small:
    """A ring of four short segments."""

    def __enter__(self):
        self._kept = (store_module.SEGMENTS, store_module.SEGMENT_BYTES, store_module.CARRIED)
        store_module.SEGMENTS, store_module.SEGMENT_BYTES, store_module.CARRIED = 4, 900, 2

    def __exit__(self, *error):
        store_module.SEGMENTS, store_module.SEGMENT_BYTES, store_module.CARRIED = self._kept


def test_a_damage_in_an_older_segment_costs_frames_and_is_told():
    with Small():
        store, storage = filled(12)
        assert len(storage.pieces) == 3
        whole = storage.pieces["ring00"]
        for place in range(0, len(whole), 7):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            copy = bench.Storage()
            copy.pieces.update(storage.pieces)
            copy.pieces["ring00"] = bytes(damaged)
            again = Store(copy)
            assert again.spoilt, place
            assert (again.registers, again.account) == (store.registers, store.account)
            assert set(counters(again)) < set(counters(store))
        assert not Store(storage).spoilt


def test_a_segment_that_may_have_been_the_newest_is_refused_when_it_is_damaged():
    with Small():
        _, storage = filled(30)
        assert len(storage.pieces) == 4
        newest = max(storage.pieces, key=lambda name: storage.pieces[name][3:7])
        for name in storage.pieces:
            copy = bench.Storage()
            copy.pieces.update(storage.pieces)
            copy.pieces[name] = b"\xff" + copy.pieces[name][1:]
            following = f"ring{(int(newest[4:]) + 1) % 4:02d}"
            assert refused(copy) == (name in (newest, following)), name


def test_a_ring_that_is_full_of_waiting_frames_loses_the_oldest_and_counts_them():
    with Small():
        store, storage = filled(40)
        assert 0 < store.dropped == 40 - len(store)
        assert counters(store) == list(range(store.dropped, 40))
        again = Store(storage)
        assert (counters(again), again.dropped) == (counters(store), store.dropped)


def test_few_old_frames_are_carried_over_while_the_ring_turns():
    with Small():
        store, storage = filled(1)
        for number in range(1, 60):
            commit(store, number)
            store.free([(SALT, number)])
            assert counters(store) == [0]
        assert store.dropped == 0
        commit(store, 60)
        again = Store(storage)
        assert sorted(counters(again)) == sorted(counters(store)) == [0, 60]
        assert again.oldest(9)[0].frame == frame(0)


def test_the_ring_stays_within_its_segments_while_frames_come_and_go():
    store, storage = filled(0)
    for number in range(3000):
        commit(store, number)
        store.free([(SALT, number)])
    assert len(storage.pieces) == store_module.SEGMENTS
    assert max(len(piece) for piece in storage.pieces.values()) <= store_module.SEGMENT_BYTES
    assert Store(storage).registers == Registers(2999, 5998)
    assert Store(storage).account == account(2700000)
    assert store.dropped == 0


def test_a_week_of_quarter_hours_fits():
    storage = bench.Storage()
    store = Store(storage)
    for number in range(7 * 96):
        both = [(900 * number, frame(2 * number)), (900 * number, frame(2 * number + 1, wire.DETAIL))]
        store.commit(account(900 * (number + 1)), Registers(number, number), both)
    assert store.dropped == 0
    assert len(Store(storage)) == 7 * 96 * 2


def test_a_capacity_that_cannot_be_counted_is_refused():
    for capacity in (0, 1, 65536):
        try:
            Store(bench.Storage(), capacity)
        except ValueError:
            continue
        raise AssertionError(capacity)


def test_erasing_forgets_everything():
    _, storage = filled(5)
    store_module.erase(storage)
    store = Store(storage)
    assert (len(store), store.account, store.registers) == (0, None, Registers(0, 0))


def test_a_full_store_leaves_the_heap_to_others():
    if not hasattr(gc, "mem_alloc"):
        return  # CPython cannot say
    storage = bench.Storage()
    store = Store(storage)
    gc.collect()
    before = gc.mem_alloc() - sum(len(piece) for piece in storage.pieces.values())
    for number in range(1200):
        commit(store, number)
    store.oldest(16)
    storage.written = []
    gc.collect()
    grown = gc.mem_alloc() - before - sum(len(piece) for piece in storage.pieces.values())
    # 32 kB where a word has 8 bytes: a place is a word, and the frames are in flash but for some.
    assert grown < 32768, grown
