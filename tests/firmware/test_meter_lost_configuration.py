"""No configuration counts: the meter counts energy at the board's usual pins, says so, and sends nothing false."""

import bench
import waves
from bench import INTERVAL_S, World
from test_meter_measuring import NOISE_UV, NOISY, Converter, near

from firmware import configuration, console, enrolling, start
from firmware.board import boards
from firmware.meter import calibration
from firmware.meter.saving import SAVE_MWH
from protocol import wire

CLAMP, VOLTS = 34, 35
WATTS = 115000  # what the wave is with this calibration: a day's energy within seconds of samples
CALIBRATED = {"noise_uv": NOISE_UV, "bias_uv": 2048000, "current_ua_per_v": 1000000000}
CONFIGURED = {"link": "tcp", "host": "concentrator", "pins": [CLAMP]}
UNTOLD = {"voltage_uv_per_v": calibration.KEYS["voltage_uv_per_v"][0]}  # of a meter that was calibrated without one


class Street(World):
    """A meter that starts as a board starts, with its usual pins; ``built``: the values of each board."""

    def __init__(self, **values):
        World.__init__(self)
        self.built = []
        self.refused = None  # what the board says of the next values
        document = waves.values(**dict(CALIBRATED, **values))
        calibration.save(self.storage, dict(document, adc=[list(point) for point in waves.ADC]))
        enrolling.enrol(self.storage, self.enrolled.provisioning())

    def start(self):
        """Boot as a board does; returns what it was built with."""
        kept = boards.storage, boards._load, boards._MAKERS["linux"]
        boards.USUAL_PINS["linux"] = [CLAMP, VOLTS]
        boards.storage = lambda: self.storage
        boards._load = lambda module: None
        boards._MAKERS["linux"] = self._make
        try:
            self.meter, _, self.settings = start.make(self.storage)
        finally:
            boards.storage, boards._load, boards._MAKERS["linux"] = kept
            del boards.USUAL_PINS["linux"]
        return self.built[-1]

    def _make(self, module, values, password):
        self.built.append(values)
        if self.refused:
            refused, self.refused = self.refused, None
            raise ValueError(refused)
        self.board = bench.Board(self.storage, self)
        self.converter = Converter(len(values["pins"]))
        self.board.converter = self.converter
        return self.board

    def sampled(self, seconds, line=True):
        for _ in range(seconds // 10):
            self.now_ms += 10000
            until = self.converter.given + 10000
            while self.converter.given < until:
                self.meter.sensor.pump()
            while self.meter.instrument.tick(self.board.monotonic_ms()):
                pass
            if line:
                self.settle()

    def counted(self):
        """Return the import energy that is in flash."""
        store = self.meter.store
        return store.registers.import_mwh + store.spare.import_mwh

    def spoil(self, *names):
        for name in names:
            data = bytearray(self.storage.pieces[name])
            data[12] ^= 1
            self.storage.pieces[name] = bytes(data)


def lived(values=UNTOLD):
    """A configured meter that has reported an interval; both copies of its configuration are damaged now."""
    street = Street(**values)
    configuration.save(street.storage, CONFIGURED)
    street.start()
    street.settle()
    street.sampled(INTERVAL_S)
    assert len(street.concentrator.readings) == 1
    street.spoil("configuration", "configuration.copy")
    return street


def heat(seconds):
    return WATTS * 1000 * seconds // 3600


def events_of(street):
    found = street.concentrator.events.get(bench.TITLE.hex(), ())
    return [(each.time, each.text) for each in found if each.code == wire.DATA_UNUSABLE]


def test_a_meter_that_lost_both_copies_counts_and_tells_it_all_when_it_is_configured_again():
    street = lived()
    before, frames = street.counted(), len(street.concentrator._frames)
    built = street.start()
    assert (built["pins"], built["link"]) == ([CLAMP], "none")
    assert "usual pins" in street.settings.trouble
    assert street.meter.store.waits(wire.EVENT) == 2  # its version, and this
    for _ in range(2):
        street.sampled(100, line=False)
        street.start()  # the power fails; the configuration is still lost
    kept = street.counted()
    assert before + heat(200) - 2 * SAVE_MWH - heat(1) <= kept <= before + heat(200) * 1.01
    assert console.reply(b"registers", street.meter, street.settings, street.board)["import_mwh"] == kept
    assert len(street.concentrator._frames) == frames
    configuration.save(street.storage, CONFIGURED)
    street.now_ms += 7 * 3600000 - 200000  # an interval begins
    street.start()
    street.settle()
    street.sampled(INTERVAL_S)
    assert events_of(street) == [(wire.TIME_NOT_KNOWN, "configuration")] * 3
    first, last = [street.concentrator.readings[key][0] for key in sorted(street.concentrator.readings)]
    assert first.quality == wire.APPARENT_ONLY and first.import_register == before
    assert last.quality == wire.APPARENT_ONLY | wire.ESTIMATED
    assert near(last.import_mwh, heat(INTERVAL_S), 0.01)
    assert near(last.import_register, kept + heat(INTERVAL_S), 0.002)


def test_the_energy_is_marked_while_it_is_counted_too():
    street = lived()
    street.start()
    street.meter.clock.ask(b"challenge", 0)
    street.meter.clock.answer(street.now_ms, b"challenge", street.board.monotonic_ms(), 1, 0)
    street.sampled(2 * INTERVAL_S, line=False)
    street.concentrator.readings.clear()
    street.settle()
    assert street.concentrator.readings
    for (reading,) in street.concentrator.readings.values():
        assert reading.quality == wire.APPARENT_ONLY | wire.ESTIMATED


def test_a_voltage_that_the_calibration_knows_is_measured_and_one_that_it_does_not_know_is_not():
    for known, pins, watts in (({}, [CLAMP, VOLTS], 0.5 * WATTS), (UNTOLD, [CLAMP], WATTS)):
        street = lived(known)
        before = street.counted()
        assert street.start()["pins"] == pins
        street.converter.play(amplitude=707.1, lag_degrees=60, noise=NOISY)
        street.sampled(100, line=False)
        grown = street.counted() - before
        assert -SAVE_MWH - watts / 3.6 <= grown - watts * 100 / 3.6 <= watts, known


def test_a_meter_that_was_never_configured_counts_likewise():
    street = Street(**UNTOLD)
    assert street.start()["pins"] == [CLAMP]
    assert "never configured" in street.settings.trouble
    street.sampled(100, line=False)
    assert heat(100) - SAVE_MWH - heat(1) <= street.counted() <= heat(100) * 1.01
    assert street.meter.store.waits(wire.EVENT) == 2


def test_a_board_that_cannot_be_built_as_configured_counts_likewise():
    street = lived()
    configuration.save(street.storage, CONFIGURED)
    before = street.counted()
    street.refused = "no such pin"
    assert street.start()["link"] == "none"
    assert "no such pin" in street.settings.trouble
    street.sampled(100, line=False)
    assert heat(100) - SAVE_MWH - heat(1) <= street.counted() - before <= heat(100) * 1.01
    assert street.meter.store.waits(wire.EVENT) == 2


def test_one_whole_copy_is_no_loss():
    street = lived()
    configuration.save(street.storage, CONFIGURED)
    street.spoil("configuration")
    assert street.start()["host"] == "concentrator"
    assert street.meter.store.waits(wire.EVENT) == 0
    street.settle()
    street.sampled(INTERVAL_S)
    assert [text for _, text in events_of(street)] == ["configuration"]
    assert events_of(street)[0][0] != wire.TIME_NOT_KNOWN
    assert max(street.concentrator.readings.items())[1][0].quality == wire.APPARENT_ONLY


def test_a_meter_without_keys_or_configuration_counts_and_stores_no_event():
    street = lived()
    street.spoil("keys")
    before = street.counted()
    street.start()
    assert street.meter.keys is None
    street.sampled(100, line=False)
    assert heat(100) - SAVE_MWH - heat(1) <= street.counted() - before <= heat(100) * 1.01
    assert street.meter.store.waits(wire.EVENT) == 0


def test_a_pin_with_nothing_at_it_counts_nothing():
    for wave in ({}, {"noise": NOISY}, {"bias": 0}, {"amplitude": 2200}):
        street = lived(dict(UNTOLD, bias_uv=0))
        before = street.counted()
        street.start()
        street.converter.play(**wave)
        street.sampled(100, line=False)
        assert street.counted() == before, wave


def test_many_starts_without_a_configuration_do_not_fill_the_store():
    street = lived()
    for _ in range(40):
        street.start()
    assert street.meter.store.waits(wire.EVENT) <= start._MOST_EVENTS + 2
