"""A meter on MicroPython's unix port, in real time; each of its DETAILs holds more than the one before.

`micropython tests/system/rising_meter.py PLACE PORT INTERVAL DETAIL`: the place has its keys, the port is loopback's.
"""

import asyncio
import json
import os
import sys

sys.path.insert(0, ".")  # it is run from the repository's root
from firmware.board import unix
from firmware.main import build, run


class Rising:
    """mWh: a kilowatt at first, 100 W more in each period. So the curve's scale, and its picture, change with each."""

    def __init__(self):
        self._watts = 900

    def take(self, start_s, end_s):
        self._watts += 100
        return self._watts * 1000 * (end_s - start_s) // 3600, 0


def live(place, port, interval_s, detail_s):
    board = unix.Board(place + "/meter")
    given = json.loads(unix.read_file(place + "/meter.json"))
    os.remove(place + "/meter.json")
    meter = build(board, Rising(), interval_s, detail_s, given)
    asyncio.run(run(meter, board, "127.0.0.1", port))


live(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
