"""What a meter reports about itself: the version at boot, lost frames, each in its store until it has a verdict."""

import bench
from bench import INTERVAL_S, START, World

import firmware.main
from firmware.meter import store as store_module
from firmware.meter.store import Store
from protocol import wire


def events(world):
    return world.concentrator.events.get(bench.TITLE.hex(), [])


def settled(world):
    world.boot()
    world.settle()
    return world


def waiting_events(world):
    return [held for held in world.meter.store.oldest(9999) if held.frame[1] == wire.EVENT]


def pass_intervals(world, count):
    for _ in range(count):
        world.now_ms += INTERVAL_S * 1000
        while world.meter.instrument.tick(world.board.monotonic_ms()):
            pass


def shrink(world, capacity):
    """Boot with a store that holds this many frames."""
    kept = firmware.main.Store
    firmware.main.Store = lambda storage: Store(storage, capacity)
    try:
        world.boot()
    finally:
        firmware.main.Store = kept


def begin_segment(store):
    store._size = store_module.SEGMENT_BYTES
    store.commit(store.account, store.registers, ())


def test_the_version_is_reported_once_a_boot():
    world = settled(World())
    world.settle()
    assert events(world) == [wire.Event(wire.FIRMWARE_VERSION, START, 0, firmware.main.VERSION)]
    settled(world)
    assert len(events(world)) == 2


def test_an_event_waits_in_the_store_through_restarts_until_its_verdict():
    world = World()
    world.boot()
    world.exchange()
    world.meter.instrument.tick(world.board.monotonic_ms())
    assert len(waiting_events(world)) == 1
    kept = waiting_events(world)[0].frame
    world.boot()
    assert waiting_events(world)[0].frame == kept
    world.settle()
    assert not len(world.meter.store)
    assert len(events(world)) == 2  # the first boot's and the second's


def test_nothing_is_reported_before_the_time_is_known():
    world = World()
    world.boot()
    world.meter.instrument.tick(world.board.monotonic_ms())
    assert not len(world.meter.store)


def test_overflow_is_one_event_that_counts_every_lost_frame():
    world = World()
    shrink(world, 8)
    world.settle()
    pass_intervals(world, 6)  # twelve frames for eight places
    lost = world.meter.store.dropped
    assert lost == world.meter.store.overflowed >= 2
    assert not waiting_events(world)  # there is no room for one without losing a reading
    world.settle()
    told = [event for event in events(world) if event.code == wire.STORE_OVERFLOW]
    assert [event.count for event in told] == [lost]
    assert world.meter.store.dropped == lost
    world.settle()
    shrink(world, 8)
    world.settle()
    assert [event for event in events(world) if event.code == wire.STORE_OVERFLOW] == told


def test_what_is_lost_while_an_event_waits_is_in_the_next_count():
    world = World()
    shrink(world, 4)
    world.settle()
    pass_intervals(world, 3)
    world.exchange()
    world.meter.instrument.tick(world.board.monotonic_ms())
    first = world.meter.store.told_overflowed
    assert len(waiting_events(world)) == 1
    pass_intervals(world, 4)
    assert world.meter.store.overflowed > first
    world.settle()
    last = [event.count for event in events(world) if event.code == wire.STORE_OVERFLOW][-1]
    assert last == world.meter.store.overflowed > first, (last, world.meter.store.overflowed, first)


def test_frames_dropped_by_age_are_told_apart_from_overflow():
    world = settled(World())
    pass_intervals(world, 4)
    old = len(world.meter.store)
    world.now_ms += 9 * 86400 * 1000
    while world.meter.instrument.tick(world.board.monotonic_ms()):
        pass
    assert world.meter.store.aged >= old
    assert world.meter.store.overflowed == 0
    world.settle()
    codes = [event.code for event in events(world)]
    assert wire.STORE_OVERFLOW not in codes
    aged = [event.count for event in events(world) if event.code == wire.DROPPED_BY_AGE]
    assert aged[-1] == world.meter.store.aged
    assert len(codes) == len(aged) + 1


def test_what_was_told_survives_a_new_segment_and_a_restart():
    world = World()
    shrink(world, 8)
    world.settle()
    pass_intervals(world, 6)
    world.settle()
    store = world.meter.store
    before = (store.dropped, store.aged, store.told_overflowed, store.told_aged)
    begin_segment(store)
    again = Store(world.storage, 8)
    assert (again.dropped, again.aged, again.told_overflowed, again.told_aged) == before
    assert before[0] == before[2] > 0


def test_a_store_that_never_told_anything_is_read_as_before():
    world = settled(World())
    pass_intervals(world, 2)
    begin_segment(world.meter.store)
    again = Store(world.storage)
    assert len(again) == len(world.meter.store)
    assert (again.dropped, again.aged, again.told_overflowed, again.told_aged) == (0, 0, 0, 0)


def test_an_event_that_the_specification_does_not_know_is_not_packed():
    for event in (
        wire.Event(0, 0, 0, ""),
        wire.Event(8, 0, 0, ""),
        wire.Event(wire.MEASURING_FAULT, 0, 1, ""),
        wire.Event(wire.TAMPER, 0, 1 << 32, ""),
        wire.Event(wire.TAMPER, -1, 0, ""),
        wire.Event(wire.TAMPER, 0, 0, "text"),
        wire.Event(wire.FIRMWARE_VERSION, 0, 0, ""),
        wire.Event(wire.FIRMWARE_VERSION, 0, 0, "a version of 17 B"),
        wire.Event(wire.FIRMWARE_VERSION, 0, 0, "12345678901234567"),
        wire.Event(wire.FIRMWARE_VERSION, 0, 0, "1.0 beta"),
        wire.Event(wire.FIRMWARE_VERSION, 0, 0, "1.0\x00"),
    ):
        try:
            wire.pack_event(event)
        except ValueError:
            continue
        raise AssertionError(event)
