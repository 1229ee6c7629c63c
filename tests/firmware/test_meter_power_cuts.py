"""The power is cut once at every write and at every step of the line, in every way that a write can be cut."""

import bench
from bench import PowerCut, Switch, World

import firmware.main
from firmware.meter.counter import Counter
from firmware.meter.link import Link
from firmware.meter.store import Store
from protocol import wire


def test_a_power_cut_at_any_moment_loses_nothing_doubles_nothing_and_repeats_no_nonce():
    lives, faults = bench.sweep()
    assert lives > 150, lives
    assert faults == [], faults[:5]


def test_power_cuts_in_a_row_do_no_more_harm_than_one():
    for cuts in (2, 5):
        assert bench.sweep(cuts, ("torn",))[1] == []


def _faults_with(name, planted):
    kept = getattr(firmware.main, name)
    setattr(firmware.main, name, planted)
    try:
        return bench.sweep()[1]
    finally:
        setattr(firmware.main, name, kept)


def test_the_sweep_notices_a_counter_that_is_not_reserved_before_use():
    class Late(Counter):
        def _reserve(self):
            self._reserved = self._next + 1
            if self._next:
                self._storage.replace("counter", bytes(7) + bytes((self._next,)))

    assert any("a nonce repeats" in fault for fault in _faults_with("Counter", Late))


def test_the_sweep_notices_a_store_that_forgets_at_send():
    class Forgetful(Link):
        def to_send(self, monotonic_ms, machine_ms):
            out = Link.to_send(self, monotonic_ms, machine_ms)
            self._store.free(list(self._sent))
            self._store.flush()
            return out

    assert any("0 readings" in fault for fault in _faults_with("Link", Forgetful))


def test_the_sweep_notices_registers_that_are_stored_apart_from_their_frames():
    class Parted(Store):
        def commit(self, account, registers, frames, wait=False, counted=True):
            Store.commit(self, account, registers, (), False, counted)
            Store.commit(self, account, registers, frames, wait, counted)

    assert any("0 readings" in fault for fault in _faults_with("Store", Parted))


def test_storage_that_refuses_a_write_and_recovers_loses_nothing_without_a_restart():
    with bench.SmallSteps():
        moments = World().live().switch.count
        for at in range(1, moments + 1):
            for mode in bench.MODES:
                bench.WitnessCcm.begin()
                world = World(Switch((at,), mode))
                _live_on(world)
                assert world.faults() == [], (at, mode, world.faults())
                assert bench.WitnessCcm.repeated == []


def _live_on(world):
    end_ms = (bench.START + bench.INTERVALS * bench.INTERVAL_S) * 1000
    while True:
        try:
            if world.meter is None:
                world.boot()
            world.settle()
        except PowerCut:
            continue  # the same objects go on
        if world.now_ms == end_ms:
            return
        world.now_ms += bench.INTERVAL_S * 1000


def test_a_restored_storage_does_not_repeat_a_nonce():
    # Boards whose random numbers differ at every boot: the salt then differs, the counter does not.
    salts = []
    for boot in range(20):
        storage = bench.Storage()
        salts.append(Counter(storage, b"s" * 32, lambda count, boot=boot: bytes((boot,)) * count).salt)
    assert len(set(salts)) == 20
    assert all(len(salt) == wire.SALT_BYTES for salt in salts)
