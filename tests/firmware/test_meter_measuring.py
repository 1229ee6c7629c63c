"""The sensor of a board with a converter: periods, faults, and what becomes of them in readings and EVENTs."""

from array import array

import bench
import waves
from bench import INTERVAL_S, START, World

import firmware.main
from firmware import status
from firmware.meter import calibration, faults
from firmware.meter.measuring import Measuring
from protocol import wire

RATE_HZ = 1000
NOISY = 1.0
HEAT = {"amplitude": 707.1, "noise": NOISY}  # 5 A
NOISE_UV = 1000


class Converter:
    """Plays pieces of waves, each over and over until the next is chosen."""

    rate_hz = RATE_HZ

    def __init__(self, channels=2):
        self.channels = channels
        self.lost = 0
        self.given = 0
        self._at = 0
        self.play(**HEAT)

    def play(self, **wave):
        volts = wave.pop("volts", 650.54) if self.channels == 2 else None
        self.wave = waves.sine(1000, RATE_HZ, volts=volts, **wave)
        self._at = 0

    def sample(self, buffer):
        part = self.wave[self._at : self._at + len(buffer)]
        buffer[: len(part)] = array("H", part)
        self._at = (self._at + len(buffer)) % len(self.wave)
        self.given += len(part) // self.channels
        return len(part) // self.channels


class Bench:
    """A sensor, its time that of its samples, and what it said."""

    def __init__(self, channels=2, trouble=None, bias_uv=2048000, converter=None, **changes):
        self.converter = converter or Converter(channels)
        self.events = []
        self.said = []
        values = waves.values(noise_uv=NOISE_UV, bias_uv=bias_uv, **changes)
        held = calibration.Calibration(values, waves.ADC, trouble)
        self.late_ms = 0
        self.sensor = Measuring(
            self.converter, held, self.utc_ms, lambda *told: self.events.append(told), self.said.append
        )

    def utc_ms(self):
        return self.converter.given + self.late_ms

    def pass_s(self, seconds):
        until = self.converter.given + 1000 * seconds
        while self.converter.given < until:
            self.sensor.pump()
        return self


def near(value, expected, share=0.03):
    return abs(value - expected) <= expected * share


def test_a_period_has_its_energy_its_means_and_no_remark():
    bench_ = Bench().pass_s(10)
    taken = bench_.sensor.take(0, 10)
    assert near(taken.import_mwh, 1150000 * 10 // 3600) and taken.export_mwh == 0
    assert near(taken.decivolts, 2300) and near(taken.centiamperes, 500) and near(taken.power_factor, 1000)
    assert (taken.quality, taken.before_import_mwh, bench_.events, bench_.sensor.fault) == (0, 0, [], None)


def test_periods_follow_each_other_without_a_gap():
    bench_ = Bench()
    total = 0
    for second in range(0, 60, 3):
        total += bench_.pass_s(3).sensor.take(second, second + 3).import_mwh
    assert near(total, 1150000 * 60 // 3600, 0.005)


def test_a_clamp_alone_says_that_its_energy_is_apparent():
    taken = Bench(1).pass_s(10).sensor.take(0, 10)
    assert taken.quality == wire.APPARENT_ONLY and near(taken.import_mwh, 1150000 * 10 // 3600)
    assert (taken.decivolts, taken.power_factor) == (wire.NOT_MEASURED, wire.FACTOR_NOT_MEASURED)
    assert near(taken.centiamperes, 500)


def test_nothing_connected_is_a_measured_zero():
    bench_ = Bench()
    bench_.converter.play(noise=NOISY)
    taken = bench_.pass_s(10).sensor.take(0, 10)
    assert (taken.import_mwh, taken.export_mwh, taken.quality, bench_.events) == (0, 0, 0, [])


FAULTS = (
    (faults.UNPLUGGED, {"bias": 0}),  # the pin falls to ground
    (faults.UNPLUGGED, {"bias": 2400, "noise": NOISY}),  # an input that floats
    (faults.UNPLUGGED, {"noise": 0.3}),  # at its bias, and quieter than with a clamp
    (faults.STUCK, {}),
    (faults.SATURATED, {"amplitude": 2200}),
    (faults.SATURATED, {"bias": 4095, "amplitude": 0}),
    (faults.REVERSED, {"amplitude": 707.1, "lag_degrees": 180, "noise": NOISY}),
    (faults.NO_VOLTAGE, {"amplitude": 707.1, "volts": 20, "noise": NOISY}),
)


def test_a_fault_is_an_event_and_a_quality_bit_and_not_a_number():
    for text, wave in FAULTS:
        bench_ = Bench(bias_uv=0 if text == faults.SATURATED else 2048000)
        bench_.pass_s(2).sensor.take(0, 2)
        bench_.converter.play(**wave)
        bench_.pass_s(1).sensor.take(2, 3)  # the change lies within a block
        bench_.pass_s(5)
        taken = bench_.sensor.take(3, 8)
        assert (taken.import_mwh, taken.export_mwh) == (None, None), text
        assert taken.quality & wire.ESTIMATED, text
        assert bench_.sensor.fault == text, (text, bench_.sensor.fault)
        assert bench_.events.count((wire.MEASURING_FAULT, text)) == 1, (text, bench_.events)
        bench_.converter.play(**HEAT)
        bench_.pass_s(12)
        assert bench_.events[-1] == (wire.MEASURING_FAULT, wire.FAULT_OVER), text
        assert bench_.sensor.fault is None
        assert bench_.said[-1] == "measuring: as it should be again"


class Jack:
    """The jack's own contact; ``bounces``: what the next looks find, whatever is plugged in."""

    def __init__(self, converter):
        self.inside = True
        self.bounces = []
        converter.plugged = self.look

    def look(self):
        return int(self.bounces.pop(0) if self.bounces else self.inside)


def switched(channels=1):
    """A bench whose clamp is plugged into a jack with a contact, and its Jack."""
    converter = Converter(channels)
    jack = Jack(converter)
    return Bench(channels, converter=converter), jack


def test_a_plug_that_is_pulled_is_a_fault_though_the_input_looks_like_no_load():
    for channels in (1, 2):
        bench_, jack = switched(channels)
        bench_.pass_s(2).sensor.take(0, 2)
        jack.inside = False
        bench_.converter.play(noise=NOISY)  # the burden is on the board: the pin stays at its bias
        bench_.pass_s(1).sensor.take(2, 3)
        taken = bench_.pass_s(5).sensor.take(3, 8)
        assert (taken.import_mwh, taken.export_mwh) == (None, None)
        assert taken.quality & wire.ESTIMATED
        assert (bench_.sensor.fault, bench_.sensor.plugged) == (faults.UNPLUGGED, False)
        assert bench_.events == [(wire.MEASURING_FAULT, faults.UNPLUGGED)]
        jack.inside = True
        bench_.converter.play(**HEAT)
        bench_.pass_s(12)
        assert bench_.events[1:] == [(wire.MEASURING_FAULT, wire.FAULT_OVER)]
        assert (bench_.sensor.fault, bench_.sensor.plugged) == (None, True)


def test_without_a_contact_a_pulled_plug_is_no_load():
    bench_ = Bench(1)
    bench_.converter.play(noise=NOISY)
    taken = bench_.pass_s(10).sensor.take(0, 10)
    assert (taken.import_mwh, bench_.events, bench_.sensor.plugged) == (0, [], None)


def test_a_contact_that_bounces_costs_nothing():
    bench_, jack = switched()
    jack.bounces = [False, True, True] * 30
    taken = bench_.pass_s(10).sensor.take(0, 10)
    assert near(taken.import_mwh, 1150000 * 10 // 3600) and taken.quality == wire.APPARENT_ONLY
    assert not bench_.events and not jack.bounces


def test_a_plug_that_is_in_hides_no_other_fault():
    bench_, _ = switched(2)
    bench_.converter.play(amplitude=707.1, lag_degrees=180, noise=NOISY)
    bench_.pass_s(3)
    assert bench_.events == [(wire.MEASURING_FAULT, faults.REVERSED)]


def test_a_fault_in_a_part_of_a_period_leaves_the_rest_as_an_estimate():
    bench_ = Bench().pass_s(5)
    bench_.converter.play()
    taken = bench_.pass_s(5).sensor.take(0, 10)
    assert near(taken.import_mwh, 1150000 * 5 // 3600, 0.06) and taken.quality == wire.ESTIMATED


def test_where_export_is_configured_a_negative_power_is_export():
    bench_ = Bench(export=1)
    bench_.converter.play(amplitude=707.1, lag_degrees=180, noise=NOISY)
    taken = bench_.pass_s(10).sensor.take(0, 10)
    assert taken.import_mwh == 0 and near(taken.export_mwh, 1150000 * 10 // 3600)
    assert near(-taken.power_factor, 1000) and not bench_.events


def test_an_unusable_calibration_is_told_and_marks_everything_as_estimated():
    bench_ = Bench(trouble="the calibration is damaged").pass_s(10)
    taken = bench_.sensor.take(0, 10)
    assert taken.quality == wire.ESTIMATED and taken.import_mwh > 0
    assert bench_.events == [(wire.DATA_UNUSABLE, "calibration")]
    assert bench_.said == ["calibration: the calibration is damaged; the defaults count, marked as estimated"]


def test_lost_samples_are_bridged_and_many_of_them_are_an_estimate():
    for lost, quality in ((100, 0), (1000, wire.ESTIMATED)):
        bench_ = Bench().pass_s(5)
        bench_.converter.lost += lost
        bench_.converter.given += lost
        bench_.pass_s(5)
        taken = bench_.sensor.take(0, 10)
        assert near(taken.import_mwh, 1150000 * (10 + lost / 1000) / 3600), lost
        assert taken.quality == quality


def test_a_gap_of_minutes_is_not_made_up_for():
    bench_ = Bench().pass_s(5)
    bench_.converter.lost += 60000
    bench_.pass_s(5)
    assert near(bench_.sensor.take(0, 10).import_mwh, 1150000 * 10 // 3600)


def test_energy_of_a_time_that_was_not_known_is_spread_over_the_periods_that_it_was_measured_in():
    bench_ = Bench().pass_s(100)
    bench_.late_ms = 1000000  # it is second 1100 now; the power came back at second 1000
    found = [bench_.sensor.take(start, start + 30) for start in range(960, 1080, 30)]
    assert found[0] is None
    assert near(found[1].import_mwh, 1150000 * 20 // 3600, 0.05)
    bench_.pass_s(10)
    last = bench_.sensor.take(1080, 1110)
    whole = sum(each.import_mwh for each in found[1:]) + last.import_mwh
    assert near(whole, 1150000 * 110 // 3600, 0.01)
    assert near(found[2].import_mwh, 1150000 * 30 // 3600, 0.05)
    assert found[2].quality == wire.ESTIMATED


def test_what_was_measured_before_the_first_period_enters_the_registers_only():
    bench_ = Bench().pass_s(100)
    taken = bench_.sensor.take(90, 100)
    assert near(taken.import_mwh, 1150000 * 10 // 3600)
    assert near(taken.before_import_mwh, 1150000 * 90 // 3600)


def test_a_little_energy_from_before_the_first_period_is_not_in_it_either():
    for seconds in (0.4, 2, 9):
        bench_ = Bench().pass_s(10 + seconds)
        bench_.late_ms = int(1000 * (90 - seconds))  # the board started so long before second 90
        taken = bench_.sensor.take(90, 100)
        assert near(taken.import_mwh, 1150000 * 10 // 3600), seconds
        assert abs(taken.before_import_mwh - 1150000 * seconds / 3600) <= 1150000 * 0.25 / 3600, seconds
        assert taken.quality == 0


def test_a_clock_that_was_set_back_moves_no_energy_out_of_the_periods():
    bench_ = Bench().pass_s(10)
    first = bench_.sensor.take(0, 10)
    bench_.late_ms = -3000
    second = bench_.pass_s(13).sensor.take(10, 20)
    assert (first.before_import_mwh, second.before_import_mwh) == (0, 0)
    assert near(first.import_mwh + second.import_mwh, 1150000 * 23 // 3600, 0.01)


def test_a_sensor_that_saw_nothing_gives_nothing():
    assert Bench().sensor.take(0, 10) is None


# --- In a meter -------------------------------------------------------------------------------------------------


class MeteredWorld(World):
    """A world whose meter has a converter; its samples last as long as the world's time."""

    def boot(self):
        self.boots += 1
        self.board = bench.Board(self.storage, self)
        self.board.converter = self.converter
        provisioning = None if self.storage.read("keys") else self.enrolled.provisioning()
        self.meter = firmware.main.build(self.board, None, INTERVAL_S, 60, provisioning)

    def sampled(self, seconds):
        """Let some seconds pass, in which the converter is read and the line works."""
        for _ in range(seconds // 20):
            self.now_ms += 20000
            until = self.converter.given + 20000
            while self.converter.given < until:
                self.meter.sensor.pump()
            self.settle()


def metered(channels=1):
    world = MeteredWorld()
    world.converter = Converter(channels)
    document = dict(waves.values(noise_uv=NOISE_UV, bias_uv=2048000), adc=[list(p) for p in waves.ADC])
    calibration.save(world.storage, document)
    world.boot()
    world.settle()
    return world


def events_of(world):
    return [(e.code, e.count, e.text) for e in world.concentrator.events[bench.TITLE.hex()] if e.code > 5]


def test_counts_become_a_reading_that_says_apparent_only():
    world = metered()
    world.sampled(INTERVAL_S)
    ((reading,),) = world.concentrator.readings.values()
    assert near(reading.import_mwh, 1150000 * INTERVAL_S // 3600, 0.01)
    assert (reading.import_register, reading.quality) == (reading.import_mwh, wire.APPARENT_ONLY)
    assert not events_of(world)


def test_a_fault_within_an_interval_marks_its_reading_and_is_told_once():
    world = metered(2)
    world.sampled(300)
    world.converter.play(bias=0)
    world.sampled(120)
    world.converter.play(**HEAT)
    world.sampled(INTERVAL_S - 420)
    ((reading,),) = world.concentrator.readings.values()
    assert near(reading.import_mwh, 1150000 * (INTERVAL_S - 120) // 3600, 0.02)
    assert reading.quality == wire.ESTIMATED
    assert events_of(world) == [
        (wire.MEASURING_FAULT, 1, faults.UNPLUGGED),
        (wire.MEASURING_FAULT, 1, wire.FAULT_OVER),
    ]


def test_a_plug_that_is_pulled_in_an_interval_marks_its_reading_and_is_told_once():
    world = MeteredWorld()
    world.converter = Converter(1)
    jack = Jack(world.converter)
    document = dict(waves.values(noise_uv=NOISE_UV, bias_uv=2048000), adc=[list(p) for p in waves.ADC])
    calibration.save(world.storage, document)
    world.boot()
    world.settle()
    world.sampled(300)
    jack.inside = False
    world.sampled(120)
    assert status.sensor(world.meter.sensor) == {"measures": True, "fault": faults.UNPLUGGED, "plugged": False}
    jack.inside = True
    world.sampled(INTERVAL_S - 420)
    ((reading,),) = world.concentrator.readings.values()
    assert near(reading.import_mwh, 1150000 * (INTERVAL_S - 120) // 3600, 0.02)
    assert reading.quality == wire.ESTIMATED | wire.APPARENT_ONLY
    assert events_of(world) == [
        (wire.MEASURING_FAULT, 1, faults.UNPLUGGED),
        (wire.MEASURING_FAULT, 1, wire.FAULT_OVER),
    ]


def test_an_interval_with_a_fault_throughout_has_no_reading():
    world = metered(2)
    world.converter.play(bias=0)
    world.sampled(INTERVAL_S)
    assert not world.concentrator.readings and not world.concentrator.details
    assert world.meter.store.registers.import_mwh == 0
    assert events_of(world) == [(wire.MEASURING_FAULT, 1, faults.UNPLUGGED)]


def test_a_damaged_calibration_is_an_event_and_the_reading_is_estimated():
    world = metered(2)
    world.storage.pieces[calibration.NAME] = b"{}"
    world.boot()
    world.settle()
    world.converter.play(amplitude=300, noise=NOISY)
    world.sampled(INTERVAL_S)
    assert events_of(world)[0] == (wire.DATA_UNUSABLE, 1, "calibration")
    readings = list(world.concentrator.readings.values())
    assert readings and readings[0][0].quality == wire.ESTIMATED
    assert START
