"""MicroPython's unix port as a board: files, sockets, serial lines, tick counter."""

import asyncio
import os
import socket
import termios

from firmware.board import carrier
from firmware.board.files import Storage, read_file  # noqa: F401 - its programs read with it
from firmware.board.ticks import Ticks

_VTIME, _VMIN = 5, 6  # places in a terminal's control characters (Linux)


class Board:
    """What a meter needs of its board. ``monotonic_ms`` may be handed in: a simulated street lives in its own.

    ``converter``: None, or a Waveform: what it measures.
    """

    def __init__(self, directory, monotonic_ms=None, converter=None):
        self.converter = converter
        self.storage = Storage(directory)
        self.machine_ms = Ticks()
        self.monotonic_ms = monotonic_ms or self.machine_ms
        self.random = os.urandom

    def feed(self):
        """The watchdog's food; a process has none, its supervisor starts it again."""

    async def carry(self, link, host, port, wake, after):
        """Keep a TCP connection to the concentrator and carry the link's bytes, for ever.

        ``wake`` and ``after``, and what is raised: carrier.carry.
        """
        await carrier.carry(self, link, lambda: asyncio.open_connection(host, port), wake, after)

    async def carry_serial(self, link, path, baud, wake, after):
        """Keep a serial line open, a tty or pty without a terminal's habits, and carry the link's bytes, for ever.

        As ``carry``; there is no flow control, so the line takes what is written at its own speed. Raises ValueError
        for a speed that the port does not offer.
        """
        if not hasattr(termios, "B%d" % baud):
            raise ValueError("a serial line of this speed is not offered: %d" % baud)
        await carrier.carry(self, link, lambda: _open_serial(path, baud), wake, after)


async def _open_serial(path, baud):
    file = open(path, "r+b")
    try:
        # Raw, or 0x03 would be an interrupt and 0x0d a line's end.
        termios.setraw(file.fileno())
        settings = termios.tcgetattr(file.fileno())
        settings[4] = settings[5] = getattr(termios, "B%d" % baud)
        # A read returns with what is there: the file is only read when it has something.
        settings[6][_VMIN] = settings[6][_VTIME] = 0
        termios.tcsetattr(file.fileno(), termios.TCSANOW, settings)
    except OSError:
        file.close()
        raise
    writer = asyncio.StreamWriter(file)
    writer.write(b"\x00")  # ends what the line's noise began
    return asyncio.StreamReader(file), writer


def resolve(host, port):
    """Say whether the address can be found at all; what listens there may come later."""
    try:
        return bool(socket.getaddrinfo(host, port))
    except OSError:
        return False


def process_id():
    """Return this process's number as a string (Linux); the port has no getpid."""
    with open("/proc/self/stat", "rb") as file:  # it has no size and no end to seek
        return file.read().split()[0].decode()
