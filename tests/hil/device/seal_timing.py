"""How long a READING takes to be sealed here, as the meter seals it. Any board."""

import gc
import time

from firmware.meter.seal import Ccm
from protocol import wire

READING, APPARENT_ONLY = 1, 1  # wire's own: a board's files have no names for constants


def a_reading():
    """Return (header, body) with numbers as large as they are in practice."""
    body = wire.pack_reading(
        wire.Reading(1, 1969425, 1772482500, 900, 512345, 0, 123456789012, 234567890, APPARENT_ONLY)
    )
    return wire.Header(READING, b"HSMhil01", 20514, b"salt", 123456), body


def seal(times):
    """Seal so often; returns (microseconds, ticks_cpu) of all of it, without the collections in between."""
    ccm, key = Ccm(), bytes(range(32))
    header, body = a_reading()
    us = ticks = 0
    for _ in range(times):
        gc.collect()
        began, began_ticks = time.ticks_us(), time.ticks_cpu()
        wire.seal_uplink(ccm, key, header, body)
        ended, ended_ticks = time.ticks_us(), time.ticks_cpu()
        us += time.ticks_diff(ended, began)
        ticks += time.ticks_diff(ended_ticks, began_ticks)
    return us, ticks


def report(times):
    print("sealed", times, *seal(times))
