"""A meter on the unix port: `micropython unix_meter.py PLACE tcp|serial ADDRESS INTERVAL`. Its load never changes."""

import asyncio
import gc
import json
import os
import sys

sys.path.insert(0, ".")
from firmware.board import unix
from firmware.main import build, run, run_serial


class Steady:
    """3.6 kW, in mWh: one a millisecond."""

    def take(self, start_s, end_s):
        return 1000 * (end_s - start_s), 0


async def report(meter):
    peak = 0
    while True:
        gc.collect()
        if gc.mem_alloc() > peak:
            peak = gc.mem_alloc()
            print("heap in use:", peak)
        await asyncio.sleep_ms(500)


async def live(place, carrier, address, interval_s):
    board = unix.Board(place + "/meter")
    given = unix.read_file(place + "/meter.json")
    meter = build(board, Steady(), interval_s, interval_s, json.loads(given) if given else None)
    if given:
        os.remove(place + "/meter.json")
    watching = asyncio.create_task(report(meter))
    if carrier == "tcp":
        await run(meter, board, "127.0.0.1", int(address))
    else:
        await run_serial(meter, board, address, 115200)
    watching.cancel()


asyncio.run(live(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
