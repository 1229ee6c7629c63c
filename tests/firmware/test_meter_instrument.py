"""From the sensor to sealed frames: one meter on the bench."""

import gc

import bench
from bench import INTERVAL_S, START, World

import firmware.main
from firmware.meter.instrument import BURST, WRITE_S
from firmware.meter.lengths import Lengths
from protocol import keychain, wire


class Constant:
    """A sensor that measures 1000 mWh in every period, except where it is told not to."""

    def __init__(self, missing=()):
        self.missing = missing
        self.taken = []

    def take(self, start_s, end_s):
        self.taken.append((start_s, end_s))
        return None if start_s in self.missing else (1000, 1)


def live(world, sensor, seconds, detail_s, interval_s=INTERVAL_S, quality=0):
    """Boot with this sensor, let some time pass in steps of a minute; everything is acknowledged."""
    world.board = bench.Board(world.storage, world)
    provisioning = None if world.storage.read("keys") else world.enrolled.provisioning()
    world.meter = firmware.main.build(world.board, sensor, interval_s, detail_s, provisioning, quality)
    world.settle()
    for _ in range(seconds // 60):
        world.now_ms += 60000
        world.settle()
    return world


def readings(world):
    return [world.concentrator.readings[key] for key in sorted(world.concentrator.readings)]


def test_ten_intervals_arrive_with_their_energies_and_registers():
    world = World().live()
    assert world.faults() == []
    assert world.meter.store.registers.import_mwh == 0o1101111111


def test_nothing_is_measured_before_the_time_is_known():
    world = World()
    world.boot()
    assert not world.meter.instrument.tick(world.board.monotonic_ms())
    assert not world.meter.instrument.due(world.board.monotonic_ms())
    world.now_ms += 10 * INTERVAL_S * 1000
    assert not world.meter.instrument.tick(world.board.monotonic_ms())
    assert len(world.meter.store) == 0


def test_measuring_begins_at_the_first_boundary_after_the_time_is_known():
    world = World()
    world.now_ms += 1000
    sensor = Constant()
    live(world, sensor, 2 * INTERVAL_S, INTERVAL_S)
    assert sensor.taken == [(START + INTERVAL_S, START + 2 * INTERVAL_S)]


def test_details_sum_up_to_the_reading_of_their_interval():
    world = live(World(), Constant(), 2 * INTERVAL_S, 60)
    assert [each[0].import_mwh for each in readings(world)] == [15000, 15000]
    assert [each[0].import_register for each in readings(world)] == [15000, 30000]
    assert len(world.concentrator.details) == 30
    assert all(len(each) == 1 for each in world.concentrator.details.values())
    detail = world.concentrator.details[(bench.TITLE.hex(), START + 60)][0]
    assert (detail.end, detail.length_s, detail.import_register) == (START + 120, 60, 2000)
    assert (detail.decivolts, detail.power_factor) == (wire.NOT_MEASURED, wire.FACTOR_NOT_MEASURED)


def test_a_restart_within_an_interval_continues_it():
    world = World()
    live(world, Constant(), 420, 60)
    live(world, Constant(), 480, 60)
    assert [each[0].import_mwh for each in readings(world)] == [15000]
    assert readings(world)[0][0].quality == 0


def test_an_unmeasured_minute_has_no_detail_and_marks_the_reading():
    world = live(World(), Constant((START + 120,)), INTERVAL_S, 60)
    assert len(world.concentrator.details) == 14
    reading = readings(world)[0][0]
    assert (reading.import_mwh, reading.quality) == (14000, wire.POWER_FAILED)


def test_an_unmeasured_last_minute_still_closes_the_interval():
    world = live(World(), Constant((START + INTERVAL_S - 60,)), INTERVAL_S, 60)
    assert readings(world)[0][0].import_mwh == 14000


def test_what_is_measured_without_a_voltage_says_so():
    world = live(World(), Constant(), INTERVAL_S, INTERVAL_S, quality=wire.APPARENT_ONLY)
    assert readings(world)[0][0].quality == wire.APPARENT_ONLY


def test_a_clock_that_nobody_refreshed_for_a_day_marks_the_readings():
    world = live(World(), Constant(), 0, INTERVAL_S)
    world.now_ms += 25 * 3600 * 1000
    while world.meter.instrument.tick(world.board.monotonic_ms()):
        pass
    world.settle()
    assert readings(world)[0][0].quality == wire.CLOCK_UNSYNCHRONISED


def test_a_meter_that_was_cut_off_for_days_loses_by_age_only_and_counts_it():
    world = live(World(), Constant(), 0, INTERVAL_S)
    for _ in range(9):
        gc.collect()  # the bench's flash copies its whole journal at every append, which scatters a small heap
        world.now_ms += 86400 * 1000
        while world.meter.instrument.tick(world.board.monotonic_ms()):
            pass
    waiting = sum(held.frame[1] != wire.EVENT for held in world.meter.store.oldest(2000))
    assert world.meter.store.dropped > 0
    assert world.meter.store.dropped + waiting == 9 * 96 * 2
    oldest = world.meter.store.oldest(1)[0].epoch
    assert oldest == world.now_ms // 86400000 - 7
    for _ in range(waiting):
        world.exchange()
        if not len(world.meter.store):
            break
    assert world.meter.store.registers.import_mwh == 9 * 96 * 1000
    last = max(world.concentrator.readings)
    assert world.concentrator.readings[last][0].import_register == 9 * 96 * 1000


def test_a_new_interval_length_never_overlaps_the_old_intervals():
    world = World()
    live(world, Constant(), 900, 300, interval_s=300)
    live(world, Constant(), 1800, 900, interval_s=900)
    spans = sorted((each[0].interval_end - each[0].interval_s, each[0].interval_end) for each in readings(world))
    assert len(spans) > 3
    assert all(spans[n][1] <= spans[n + 1][0] for n in range(len(spans) - 1))


def test_lengths_that_do_not_divide_are_refused():
    for interval_s, detail_s in ((900, 7), (900, 0), (0, 1)):
        try:
            Lengths(bench.Storage(), interval_s, detail_s)
        except ValueError:
            continue
        raise AssertionError((interval_s, detail_s))


def test_the_inner_seal_of_a_detail_stays_closed_to_the_concentrator():
    world = live(World(), Constant(), 0, INTERVAL_S)
    world.now_ms += INTERVAL_S * 1000
    world.meter.instrument.tick(world.board.monotonic_ms())
    frame = next(h.frame for h in world.meter.store.oldest(9) if h.frame[1] == wire.DETAIL)
    meter = world.enrolled
    hop = meter.hop.at(wire.parse_header(frame).epoch)
    blob = wire.open_uplink(bench.Ccm(), hop.key(keychain.UP), frame)[1]
    for label in (keychain.UP, keychain.DOWN, keychain.DETAIL):
        try:
            wire.open_row(bench.Ccm(), hop.key(label), frame[: wire.HEADER_BYTES] + blob)
        except wire.Forged:
            continue
        raise AssertionError("the hop chain opened a detail")


def test_periods_wait_for_each_other_and_a_reading_takes_them_along():
    world = live(World(), Constant(), 3 * INTERVAL_S, 60)
    for _ in range(4 * INTERVAL_S // 60):
        before = len(world.storage.written)
        world.now_ms += 60000
        world.settle()
        if world.now_ms // 1000 % INTERVAL_S == 0:
            assert len(world.storage.written) > before
            assert len(world.concentrator.details) == (world.now_ms // 1000 - START) // 60
    appends = [name for name in world.storage.written if name.startswith("ring")]
    assert len(appends) <= 7 * (INTERVAL_S // WRITE_S + 1) + 3


def test_short_intervals_are_prompt_for_a_while_and_then_wait_for_each_other():
    world = live(World(), Constant(), (BURST + 60) * 60, 60, interval_s=60)
    appends = [name for name in world.storage.written if name.startswith("ring")]
    assert BURST < len(appends) <= BURST + 60
    assert len(world.concentrator.readings) >= BURST + 60 - WRITE_S // 60
