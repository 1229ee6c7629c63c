"""A meter on the mps2-an385, whose load never changes. Its files lie in /rom."""

import asyncio
import json

from mps2 import Board

from firmware.main import build, run_serial


class Steady:
    """3.6 kW, in mWh: one a millisecond."""

    def take(self, start_s, end_s):
        return 1000 * (end_s - start_s), 0


def live(interval_s):
    board = Board("/rom/pool.bin")
    with open("/rom/meter.json") as file:
        meter = build(board, Steady(), interval_s, interval_s, json.load(file))
    print("the meter lives")
    asyncio.run(run_serial(meter, board, 1, 115200))
