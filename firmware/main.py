"""Builds the parts of one meter and starts them."""

import asyncio
from collections import namedtuple

from firmware.meter import calibration
from firmware.meter.clock import Clock
from firmware.meter.counter import Counter
from firmware.meter.events import Events
from firmware.meter.instrument import Instrument
from firmware.meter.keys import Keys, provision
from firmware.meter.lengths import Lengths
from firmware.meter.link import Link
from firmware.meter.measuring import Measuring
from firmware.meter.seal import Ccm
from firmware.meter.store import Damaged, Store
from protocol import wire

VERSION = "0.1.0"
Meter = namedtuple("Meter", ("keys", "store", "link", "instrument", "clock", "events", "sensor"))

_TICK_MS = 200
_PUMP_MS = 40


def build(board, sensor, interval_s, detail_s, provisioning=None, quality=0):
    """Return a Meter whose parts know each other.

    ``board``: storage, monotonic_ms(), machine_ms(), random(n), and a converter where it measures (README.md).
    ``sensor``: what gives the energies; None: the board's converter does. ``provisioning``: the enrolment's
    dict at the first start (keys.provision), later None. ``interval_s`` and ``detail_s`` count until a CONFIG sets
    others. Raises ValueError where keys or storage are unusable: build_anyway does not.
    """
    keys = Keys(board.storage) if provisioning is None else provision(board.storage, provisioning)
    store = Store(board.storage)
    counter = Counter(board.storage, keys.enrolment.salt_secret, board.random)
    clock = Clock()
    ccm = Ccm()
    lengths = Lengths(board.storage, interval_s, detail_s)
    link = Link(ccm, keys, counter, clock, store, lengths, board.random)
    events = Events(ccm, keys, counter, store, VERSION)
    for piece, trouble in (("lengths", lengths.trouble), ("store", store.spoilt and "a part of it is damaged")):
        if trouble:
            print("%s: %s; what is left counts" % (piece, trouble))
            events.notice(wire.DATA_UNUSABLE, piece)
    if sensor is None:
        held = calibration.load(board.storage)
        sensor = Measuring(board.converter, held, lambda: clock.utc_ms(board.monotonic_ms()), events.notice, print)
    instrument = Instrument(sensor, ccm, keys, counter, clock, store, lengths, events, quality)
    return Meter(keys, store, link, instrument, clock, events, sensor)


def build_anyway(board, sensor, interval_s, detail_s, provisioning=None, quality=0, say=print):
    """As ``build``; where what is stored is unusable, a Meter that counts energy and sends nothing false (counting.py).

    ``say(text)`` gets a line for the console. Without usable keys the Meter's ``keys`` and ``events`` are None.
    """
    try:
        return build(board, sensor, interval_s, detail_s, provisioning, quality)
    except Damaged as error:
        say("%s: energy is counted, no reading is sent; enrol this meter anew" % error)
    except ValueError as error:
        say("%s: energy is counted, nothing is sent; enrol this meter anew" % error)
        return _silent(board, sensor, say, str(error))
    from firmware.meter.counting import Counting  # noqa: PLC0415 - a sound meter has no memory to spare for it

    keys = Keys(board.storage)
    store = Store(board.storage, name="kept")
    counter = Counter(board.storage, keys.enrolment.salt_secret, board.random)
    clock, ccm = Clock(), Ccm()
    link = Link(ccm, keys, counter, clock, store, Lengths(board.storage, interval_s, detail_s), board.random)
    events = Events(ccm, keys, counter, store, VERSION)
    events.notice(wire.DATA_UNUSABLE, "store")
    if sensor is None:
        held = calibration.load(board.storage)
        sensor = Measuring(board.converter, held, lambda: clock.utc_ms(board.monotonic_ms()), events.notice, say)
    return Meter(keys, store, link, Counting(sensor, store, clock, keys, events), clock, events, sensor)


def _silent(board, sensor, say, trouble):
    from firmware.meter.counting import Counting, Silent  # noqa: PLC0415

    silent = Silent(trouble)
    try:
        store = Store(board.storage)
    except ValueError:
        store = Store(board.storage, name="kept")
    if sensor is None:
        held = calibration.load(board.storage)
        sensor = Measuring(board.converter, held, lambda: None, silent.notice, say)
    return Meter(None, store, silent, Counting(sensor, store), Clock(), silent, sensor)


async def run(meter, board, host, port):
    """Measure and report for ever, with the concentrator at ``host`` and ``port`` (board.carry)."""
    await _live(meter, board, lambda wake, after: board.carry(meter.link, host, port, wake, after))


async def run_serial(meter, board, path, baud):
    """Measure and report for ever over a serial line; ``path`` names it as the board does (board.carry_serial)."""
    await _live(meter, board, lambda wake, after: board.carry_serial(meter.link, path, baud, wake, after))


async def run_alone(meter, board):
    """Measure for ever without a line; what is to be reported waits in the store."""
    await _live(meter, board, _no_line)


async def _no_line(wake, after):
    while True:
        await asyncio.sleep(3600)


async def _live(meter, board, carry):
    wake = asyncio.Event()

    def measure():
        before = len(meter.store)
        while meter.instrument.tick(board.monotonic_ms()):
            pass
        if len(meter.store) != before:
            wake.set()

    carrier = asyncio.create_task(carry(wake, measure))
    # What samples is asked for its samples more often than the periods are looked at.
    pump = getattr(meter.sensor, "pump", None)
    wait_ms = _PUMP_MS if pump else _TICK_MS
    while not carrier.done():
        if pump:
            pump()
        measure()
        board.feed()
        await asyncio.sleep_ms(wait_ms)
    await carrier
