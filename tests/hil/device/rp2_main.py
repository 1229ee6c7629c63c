"""A meter on the emulated RP2040 with 64 KiB of heap, and its figures on the console.

All but 64 KiB of the heap is taken away before anything of the firmware is loaded: what does not fit raises
MemoryError, whatever the collector does.
"""

import gc

import micropython

BUDGET = 65536
gc.threshold(4096)  # as starter.py does
gc.collect()
ballast = bytearray(gc.mem_free() + gc.mem_alloc() - BUDGET)

import asyncio  # noqa: E402 - the heap is cut first
import json  # noqa: E402
import os  # noqa: E402

from firmware.board import rp2  # noqa: E402
from firmware.main import build, run_serial  # noqa: E402
from firmware.meter import calibration  # noqa: E402

with open("settings.json") as _file:
    SETTINGS = json.load(_file)


def used():
    """Return how many bytes of the heap are in use, without what was taken away."""
    gc.collect()
    return gc.mem_alloc() - len(ballast)


print(json.dumps({"bytes_of_heap": gc.mem_free() + gc.mem_alloc() - len(ballast)}))
print(json.dumps({"heap": used(), "with": "code"}))
BOARD = rp2.Board(converter=rp2.Converter(SETTINGS["channels"], SETTINGS["rate_hz"]), watchdog_ms=8000)
print(json.dumps({"heap": used(), "with": "board"}))


def meter(board):
    """Return the meter; the keys' file is deleted once the meter holds them."""
    given = None
    if "meter.json" in os.listdir():
        with open("meter.json") as file:
            given = json.load(file)
        document = {key: calibration.KEYS[key][0] for key in calibration.KEYS}
        document.update(SETTINGS["calibration"])
        calibration.save(board.storage, document)
    made = build(board, None, SETTINGS["interval_s"], SETTINGS["interval_s"], given)
    if given:
        os.remove("meter.json")
    print(json.dumps({"heap": used(), "with": "meter"}))
    return made


def energy(board, made):
    """Return what was measured until now, and of how many turns: all that were sampled but the open block's."""
    ring = board.converter._ring
    turns = ring._taken // board.converter.channels - made.sensor._sampler._turns
    mwh = made.store.registers.import_mwh + made.sensor.pending()[0]
    converted = board.converter._written() // board.converter.channels
    return {"turns": turns, "mwh": mwh, "converted": converted, "ms": board.monotonic_ms()}


async def watch(board, made):
    """Say once a second what the heap holds and what was measured, and once when the first READING was stored."""
    peak = turns = late = 0
    looked = board.monotonic_ms()
    known = told = None
    while True:
        utc_ms = made.clock.utc_ms(board.monotonic_ms())
        if known is None and utc_ms is not None:
            known = utc_ms
        if told is None and made.store.readings():
            told = utc_ms
            print(json.dumps({"known_ms": known, "first_reading_ms": told, "of": made.store.readings()[0]}))
        turns += 1
        if turns % 20 == 0:
            peak = max(peak, used())
            print(json.dumps({"heap": peak, "lost": board.converter.lost, "late": late, "fault": made.sensor.fault}))
            print(json.dumps(energy(board, made)))
        if turns % 100 == 0:
            micropython.mem_info()
        late = max(late, board.monotonic_ms() - looked)
        looked = board.monotonic_ms()
        await asyncio.sleep_ms(50)


async def live():
    made = meter(BOARD)
    gc.collect()
    gc.threshold(gc.mem_free() // 4)  # as start.py does
    watching = asyncio.create_task(watch(BOARD, made))
    await run_serial(made, BOARD, 0, 115200)
    watching.cancel()


asyncio.run(live())
