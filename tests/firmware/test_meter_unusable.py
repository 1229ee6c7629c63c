"""What is stored is damaged: the meter says so, counts energy, and sends nothing false."""

import bench
import flash_cuts
from bench import INTERVAL_S, World

import firmware.main
from firmware import configuration, enrolling, status
from firmware.meter.store import Store
from protocol import wire

SETTINGS = configuration.Settings(configuration.check({}), None)


def boot(world):
    """Boot ``world`` anyway with a clamp; returns (clamp, lines on the console)."""
    said = []
    clamp = flash_cuts.Clamp()
    world.board = bench.Board(world.storage, world)
    world.meter = firmware.main.build_anyway(world.board, clamp, INTERVAL_S, INTERVAL_S, say=said.append)
    return clamp, said


def lived():
    """A world whose meter has sent some readings."""
    world = World()
    world.boot()
    world.settle()
    for _ in range(3):
        world.now_ms += INTERVAL_S * 1000
        world.settle()
    assert len(world.concentrator.readings) == 3
    return world


def spoil(world, name):
    piece = bytearray(world.storage.pieces[name])
    piece[9] ^= 1
    world.storage.pieces[name] = bytes(piece)


def pass_hours(world, clamp, count):
    for _ in range(4 * count):
        world.now_ms += INTERVAL_S * 1000
        clamp.flow(world.now_ms // 1000, 60000, 1000)
        for _ in range(3):
            while world.meter.instrument.tick(world.board.monotonic_ms()):
                pass
            world.exchange()


def counted(world, name):
    store = Store(world.storage, name=name)
    return sum(store.registers) + sum(store.spare)


def events_of(world):
    return [(each.code, each.text) for each in world.concentrator.events.get(bench.TITLE.hex(), ())]


def test_damaged_keys_or_a_damaged_counter_cost_the_line_and_no_energy():
    for name in ("keys", "counter"):
        world = lived()
        before = counted(world, "ring")
        frames = len(world.concentrator._frames)
        spoil(world, name)
        clamp, said = boot(world)
        assert len(said) == 1
        assert "damaged" in said[0] and "enrol this meter anew" in said[0]
        pass_hours(world, clamp, 5)
        assert len(world.concentrator._frames) == frames
        assert counted(world, "ring") - before >= 20 * 61000 - 200000
        # A restart forgets nothing of it.
        clamp, _ = boot(world)
        again = counted(world, "ring")
        pass_hours(world, clamp, 5)
        assert counted(world, "ring") - again >= 20 * 61000 - 200000


def test_a_meter_without_keys_counts_and_sends_nothing():
    world = World()
    clamp, said = boot(world)
    assert "never enrolled" in said[0]
    pass_hours(world, clamp, 5)
    assert not world.concentrator._frames
    assert counted(world, "ring") >= 20 * 61000 - 200000


def test_a_meter_without_usable_keys_still_answers_at_its_console():
    world = lived()
    spoil(world, "keys")
    boot(world)
    told = status.status("0", world.meter, SETTINGS, world.board.monotonic_ms())
    assert (told["title"], told["clock"]["utc_s"], told["link"]["acknowledged_s_ago"]) == (None, None, None)


def test_a_damaged_store_is_told_and_sends_no_reading_and_what_was_damaged_stays():
    world = lived()
    readings = dict(world.concentrator.readings)
    spoil(world, "ring00")
    left = world.storage.pieces["ring00"]
    clamp, said = boot(world)
    assert "damaged" in said[0]
    pass_hours(world, clamp, 5)
    assert world.concentrator.readings == readings
    assert events_of(world).count((wire.DATA_UNUSABLE, "store")) == 1
    assert world.storage.pieces["ring00"] == left
    assert counted(world, "kept") >= 20 * 61000 - 200000


def test_damaged_lengths_are_told_and_those_of_the_first_start_count():
    world = lived()
    world.storage.pieces["lengths"] = b"\x01" * 17
    readings = len(world.concentrator.readings)
    clamp, said = boot(world)
    assert said == []  # it measures as before, so nothing but the line of build
    pass_hours(world, clamp, 2)
    assert events_of(world).count((wire.DATA_UNUSABLE, "lengths")) == 1
    assert len(world.concentrator.readings) >= readings + 7


def test_the_energy_that_was_counted_meanwhile_enters_the_registers_of_a_meter_that_can_report_again():
    world = lived()
    whole = world.storage.pieces["keys"]
    spoil(world, "keys")
    clamp, _ = boot(world)
    pass_hours(world, clamp, 5)
    kept = counted(world, "ring")
    world.storage.pieces["keys"] = whole
    clamp, said = boot(world)
    assert said == []
    pass_hours(world, clamp, 1)
    assert sum(world.meter.store.registers) >= kept
    last = max(world.concentrator.readings)
    reading = world.concentrator.readings[last][0]
    assert reading.import_register + reading.export_register == sum(world.meter.store.registers)


def test_a_meter_that_only_counts_answers_its_console():
    world = lived()
    spoil(world, "keys")
    boot(world)
    known = status.status("0", world.meter, SETTINGS, 0)
    assert (known["title"], known["link"]["acknowledged_s_ago"]) == (None, None)
    assert known["store"]["begun"]
    assert known["trouble"] == "the stored keys are damaged"


def test_new_keys_let_a_damaged_counter_begin_anew_and_keep_a_whole_one():
    world = lived()
    whole = world.storage.pieces["counter"]
    other = bench.Enrolled(b"\x09" * 8, world.enrolled.epoch, b"new")
    enrolling.enrol(world.storage, other.provisioning(), replace=True)
    assert world.storage.pieces["counter"] == whole
    spoil(world, "counter")
    _, said = boot(world)
    assert "counter" in said[0]
    third = bench.Enrolled(b"\x0a" * 8, world.enrolled.epoch, b"newer")
    enrolling.enrol(world.storage, third.provisioning(), replace=True)
    _, said = boot(world)
    assert said == []
    assert world.meter.keys.enrolment.system_title == b"\x0a" * 8


def test_nothing_is_taken_for_damaged_that_is_whole():
    world = lived()
    _, said = boot(world)
    assert said == []
    world.settle()
    assert all(code == wire.FIRMWARE_VERSION for code, _ in events_of(world))
