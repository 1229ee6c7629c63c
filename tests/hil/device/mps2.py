"""QEMU's mps2-an385 as a board, for tests: no flash, no clock chip, no source of random bits of its own."""

import machine

from firmware.board import carrier, uart
from firmware.board.ticks import Ticks


class Memory:
    """Storage that lasts as long as the board runs."""

    def __init__(self):
        self._pieces = {}

    def read(self, name):
        return self._pieces.get(name)

    def replace(self, name, data):
        self._pieces[name] = bytes(data)

    def append(self, name, data):
        self._pieces[name] = self._pieces.get(name, b"") + data


class Pool:
    """Random bytes that the host's operating system made and laid down, each given out once."""

    def __init__(self, path):
        self._path = path
        self._used = 0

    def __call__(self, count):
        with open(self._path, "rb") as file:
            file.seek(self._used)
            data = file.read(count)
        if len(data) != count:
            raise OSError("the pool of random bytes is used up")
        self._used += count
        return data


class Board:
    def __init__(self, pool):
        self.storage = Memory()
        self.machine_ms = Ticks()
        self.monotonic_ms = self.machine_ms
        self.random = Pool(pool)

    def feed(self):
        pass

    async def carry_serial(self, link, port, baud, wake, after):
        line = machine.UART(port, baud)
        await carrier.carry(self, link, lambda: uart.open_line(line), wake, after)
