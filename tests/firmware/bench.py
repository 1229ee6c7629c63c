"""A meter on a bench: storage that can fail at every operation, a line and a power switch. Both interpreters.

The energy of interval i is 8**i mWh: a digit 0 in a sum of octal digits means lost, a 2 means doubled.
"""

from concentrator import Concentrator, Enrolled

import firmware.main
from firmware.meter import counter as counter_module
from firmware.meter import store as store_module
from firmware.meter.seal import Ccm
from protocol import wire

TITLE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
INTERVAL_S = 900
MIDNIGHT = 19700 * 86400
START = MIDNIGHT - 5 * INTERVAL_S  # ten intervals, five of them on either side of a day change
INTERVALS = 10
UNMEASURED = 7  # this one's row is missing
MODES = ("before", "torn", "after")


class PowerCut(Exception):
    """The power fails here."""


class Switch:
    """Cuts the power at some of the moments that it counts."""

    def __init__(self, at=(), mode="before"):
        self.count = 0
        self.at = at
        self.mode = mode

    def moment(self):
        """Return the mode when the power fails at this moment, else None."""
        self.count += 1
        return self.mode if self.count in self.at else None

    def cut(self):
        """A moment at which nothing is being written."""
        if self.moment():
            raise PowerCut


class Storage:
    """Flash that outlives a meter. A cut write is not begun, or torn (a replacement is then the old one), or done."""

    def __init__(self, switch=None):
        self.switch = switch or Switch()
        self.pieces = {}
        self.written = []  # names, one for every write

    def read(self, name):
        return self.pieces.get(name)

    def replace(self, name, data):
        self.written.append(name)
        mode = self.switch.moment()
        if mode in (None, "after"):
            self.pieces[name] = bytes(data)
        if mode:
            raise PowerCut

    def append(self, name, data):
        self.written.append(name)
        mode = self.switch.moment()
        length = {None: len(data), "before": 0, "torn": len(data) * 2 // 3, "after": len(data)}[mode]
        self.pieces[name] = self.pieces.get(name, b"") + bytes(data[:length])
        if mode:
            raise PowerCut


class Board:
    """``monotonic_ms`` starts anew at every boot; ``random`` gives the same at every boot, so as to hide nothing."""

    def __init__(self, storage, world):
        self.storage = storage
        self._world = world
        self._booted_ms = world.now_ms - 12345
        self._drawn = 0

    def monotonic_ms(self):
        return self._world.now_ms - self._booted_ms

    def machine_ms(self):
        return self._world.machine_ms

    def random(self, count):
        self._drawn += 1
        return bytes((self._drawn & 0xFF,)) * count


class WitnessCcm(Ccm):
    """Notices every (key, nonce) that seals twice, whether or not the frame ever leaves."""

    sealed = None
    repeated = None

    @classmethod
    def begin(cls):
        cls.sealed = set()
        cls.repeated = []

    def seal(self, key, nonce, plaintext, aad=b""):
        use = (bytes(key), bytes(nonce))
        if use in self.sealed:
            self.repeated.append(use[1])
        self.sealed.add(use)
        return Ccm.seal(self, key, nonce, plaintext, aad)


def energy(number):
    return 8**number, number


class Sensor:
    def take(self, start_s, end_s):
        number = (start_s - START) // INTERVAL_S
        if not 0 <= number < INTERVALS or number == UNMEASURED:
            return None
        assert end_s == start_s + INTERVAL_S
        return energy(number)


class World:
    """One meter, its concentrator and the time, over as many boots as it takes."""

    def __init__(self, switch=None):
        self.now_ms = START * 1000
        self.machine_ms = 0
        self.switch = switch or Switch()
        self.storage = Storage(self.switch)
        self.enrolled = Enrolled(TITLE, START // 86400)
        self.concentrator = Concentrator(Ccm(), (self.enrolled,))
        self.boots = 0
        self.meter = None
        self.board = None

    def boot(self):
        self.boots += 1
        self.board = Board(self.storage, self)
        provisioning = None if self.storage.read("keys") else self.enrolled.provisioning()
        self.meter = firmware.main.build(self.board, Sensor(), INTERVAL_S, INTERVAL_S, provisioning)

    def exchange(self):
        """One turn of the line: everything that is due leaves, every answer arrives."""
        self.machine_ms += 3000
        self.concentrator.now_ms = self.now_ms
        deframer = wire.Deframer()
        deframer.feed(self.meter.link.to_send(self.board.monotonic_ms(), self.machine_ms))
        for frame in deframer:
            self.switch.cut()
            reply = wire.encode_link(self.concentrator.take(frame))
            self.switch.cut()
            self.meter.link.receive(reply, self.board.monotonic_ms(), self.machine_ms)

    def settle(self):
        for _ in range(20):
            self.exchange()
            while self.meter.instrument.tick(self.board.monotonic_ms()):
                pass
            if self.meter.link.idle(self.board.monotonic_ms()):
                return
        raise AssertionError("the meter does not settle")

    def live(self):
        """Pass the ten intervals; the power comes back after every cut."""
        end_ms = (START + INTERVALS * INTERVAL_S) * 1000
        while True:
            try:
                if self.meter is None:
                    self.boot()
                self.settle()
            except PowerCut:
                self.meter = None
                continue
            if self.now_ms == end_ms:
                return self
            self.now_ms += INTERVAL_S * 1000

    def faults(self):
        """Return what went wrong, as far as the concentrator and the meter's own storage can tell."""
        found = list(self.concentrator.faults)
        import_register = export_register = 0
        for number in range(INTERVALS):
            key = (TITLE.hex(), START + number * INTERVAL_S)
            readings = self.concentrator.readings.get(key, ())
            details = self.concentrator.details.get(key, ())
            expected = 0 if number == UNMEASURED else 1
            if len(readings) != expected or len(details) != expected:
                found.append(f"interval {number}: {len(readings)} readings, {len(details)} details")
                continue
            if expected:
                import_register += energy(number)[0]
                export_register += energy(number)[1]
                reading = readings[0]
                if (reading.import_mwh, reading.export_mwh) != energy(number) or reading.quality:
                    found.append(f"interval {number}: a wrong energy")
                if (reading.import_register, reading.export_register) != (import_register, export_register):
                    found.append(f"interval {number}: a wrong register")
        if len(self.meter.store) or self.meter.store.dropped:
            found.append("frames left or dropped")
        return found


class SmallSteps:
    """Small blocks and segments, so that ten intervals pass through reservations and the whole ring."""

    def __enter__(self):
        self._kept = (counter_module.BLOCK, store_module.SEGMENT_BYTES, store_module.SEGMENTS, firmware.main.Ccm)
        WitnessCcm.begin()
        counter_module.BLOCK = 4
        store_module.SEGMENT_BYTES = 900
        store_module.SEGMENTS = 4
        firmware.main.Ccm = WitnessCcm

    def __exit__(self, *error):
        counter_module.BLOCK, store_module.SEGMENT_BYTES, store_module.SEGMENTS, firmware.main.Ccm = self._kept


def sweep(cuts=1, modes=MODES):
    """Cut the power at every moment, ``cuts`` times in a row, in every way. Returns (number of lives, faults)."""
    faults = []
    lives = 0
    with SmallSteps():
        moments = World().live().switch.count
        for at in range(1, moments + 1):
            for mode in modes:
                WitnessCcm.begin()
                world = World(Switch(range(at, at + cuts), mode)).live()
                lives += 1
                assert world.boots > 1
                faults += [f"moment {at}, {mode}: {fault}" for fault in world.faults()]
                faults += [f"moment {at}, {mode}: a nonce repeats" for _ in WitnessCcm.repeated]
    return lives, faults
