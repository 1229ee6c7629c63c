"""A meter on the emulated RP2040 within 64 KiB of heap, and its figures on the console.

All but 64 KiB of the heap is taken away before anything of the firmware is loaded: what does not fit raises
MemoryError, whatever the collector does.
"""

import gc

BUDGET = 65536
gc.collect()
ballast = bytearray(gc.mem_free() + gc.mem_alloc() - BUDGET)

import asyncio  # noqa: E402 - the heap is cut first
import json  # noqa: E402
import os  # noqa: E402

from clamp import Clamp  # noqa: E402

from firmware.board import rp2  # noqa: E402
from firmware.main import build, run_serial  # noqa: E402

with open("settings.json") as _file:
    SETTINGS = json.load(_file)


def meter():
    """Return (board, sensor, meter); the keys' file is deleted once the meter holds them."""
    board = rp2.Board(converter=rp2.Converter(1, SETTINGS["rate_hz"]), watchdog_ms=8000)
    given = None
    if "meter.json" in os.listdir():
        with open("meter.json") as file:
            given = json.load(file)
    sensor = Clamp(board.converter)
    made = build(board, sensor, SETTINGS["interval_s"], SETTINGS["interval_s"], given)
    if given:
        os.remove("meter.json")
    return board, sensor, made


async def watch(board, sensor, made):
    """Say once a second what the heap holds, and once when the first READING was stored after the time was known."""
    peak = turns = 0
    known = told = None
    while True:
        sensor.pump()
        utc_ms = made.link._clock.utc_ms(board.monotonic_ms())
        if known is None and utc_ms is not None:
            known = utc_ms
        if told is None and made.store.readings():
            told = utc_ms
            print(json.dumps({"known_ms": known, "first_reading_ms": told, "of": made.store.readings()[0]}))
        turns += 1
        if turns % 20 == 0:
            gc.collect()
            peak = max(peak, gc.mem_alloc() - len(ballast))
            print(json.dumps({"heap": peak, "lost": board.converter.lost}))
        await asyncio.sleep_ms(50)


async def live():
    board, sensor, made = meter()
    watching = asyncio.create_task(watch(board, sensor, made))
    await run_serial(made, board, 0, 115200)
    watching.cancel()


asyncio.run(live())
