"""MicroPython's unix port as a board: files, sockets, serial lines, tick counter.

A file survives the death of the process from the moment its write returns. The port offers no fsync, so what a
power cut does to the host is its file system's affair; on a board, LittleFS writes through when a file is closed.
"""

import asyncio
import os
import socket
import termios
import time

_RETRY_MS = 100
_RETRY_LIMIT_MS = 5000
_VTIME, _VMIN = 5, 6  # places in a terminal's control characters (Linux)
_SILENCE_MS = 120000  # a connection on which nothing answers for this long is given up


class Storage:
    """Named pieces of bytes in one directory."""

    def __init__(self, directory):
        make_directories(directory)
        self._directory = directory + "/"

    def read(self, name):
        """Return the bytes of a piece, or None where there is none."""
        return read_file(self._directory + name)

    def replace(self, name, data):
        """Replace a piece as a whole: a kill leaves the old or the new one."""
        fresh = self._directory + name + ".new"
        with open(fresh, "wb") as file:
            _write(file, data)
        os.rename(fresh, self._directory + name)

    def append(self, name, data):
        """Append to a piece; a kill may leave a part of ``data``."""
        with open(self._directory + name, "ab") as file:
            _write(file, data)


class Ticks:
    """The machine's milliseconds, never wrapping: called at least once in a period of ``time.ticks_ms``."""

    def __init__(self):
        self._last = time.ticks_ms()
        self._total = 0

    def __call__(self):
        now = time.ticks_ms()
        self._total += time.ticks_diff(now, self._last)
        self._last = now
        return self._total


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

    async def carry(self, link, host, port, wake, after):
        """Keep a TCP connection to the concentrator and carry the link's bytes, for ever.

        ``wake`` is an Event that says: something may be due. ``after()`` is called when something has arrived.
        Raises what the link or ``after`` raises: storage that fails, not the line.
        """
        await _carry(self, link, lambda: asyncio.open_connection(host, port), wake, after)

    async def carry_serial(self, link, path, baud, wake, after):
        """Keep a serial line open, a tty or pty without a terminal's habits, and carry the link's bytes, for ever.

        As ``carry``; there is no flow control, so the line takes what is written at its own speed. Raises ValueError
        for a speed that the port does not offer.
        """
        if not hasattr(termios, "B%d" % baud):
            raise ValueError("a serial line of this speed is not offered: %d" % baud)
        await _carry(self, link, lambda: _open_serial(path, baud), wake, after)


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


async def _carry(board, link, connect, wake, after):
    pause = _RETRY_MS
    while True:
        try:
            reader, writer = await connect()
        except OSError:
            reader = None
        if reader is not None:
            link.connected()
            try:
                if await _converse(link, board, reader, writer, wake, after):
                    pause = _RETRY_MS
            finally:
                writer.close()
                await writer.wait_closed()
        # Jitter: a street must not come back in step after its concentrator's restart.
        await asyncio.sleep_ms(pause + pause * os.urandom(1)[0] // 256)
        pause = min(2 * pause, _RETRY_LIMIT_MS)


async def _converse(link, board, reader, writer, wake, after):
    """Carry until the connection ends; returns whether anything was heard on it."""
    line = _Line(board.machine_ms())
    listener = asyncio.create_task(_listen(link, board, reader, line, wake, after))
    try:
        while not line.ended:
            data = link.to_send(board.monotonic_ms(), board.machine_ms())
            if data and not await _write_out(writer, data):
                break
            wait = link.wait_ms(board.monotonic_ms(), board.machine_ms())
            if wait is None:
                line.heard_ms = board.machine_ms()  # nothing is owed to us: silence is no sign
            elif board.machine_ms() - line.heard_ms > _SILENCE_MS:
                break
            try:
                await asyncio.wait_for_ms(wake.wait(), 1000 if wait is None else min(1000, wait))
            except asyncio.TimeoutError:
                pass  # nothing woke us: look again at what is due
            wake.clear()
    finally:
        listener.cancel()
    if line.failure:
        raise line.failure
    return line.heard


class _Line:
    """What the listener tells the sender."""

    def __init__(self, now_ms):
        self.heard_ms = now_ms
        self.heard = False
        self.ended = False
        self.failure = None


async def _write_out(writer, data):
    try:
        writer.write(data)
        await writer.drain()
    except OSError:
        return False
    return True


async def _listen(link, board, reader, line, wake, after):
    while True:
        try:
            data = await reader.read(512)
        except OSError:
            break
        if not data:
            break
        line.heard = True
        line.heard_ms = board.machine_ms()
        try:
            link.receive(data, board.monotonic_ms(), line.heard_ms)
            after()
        except Exception as error:  # noqa: BLE001 - not the line's fault: the sender raises it
            line.failure = error
            break
        wake.set()
    line.ended = True
    wake.set()


def read_file(path):
    """Return the bytes of a file, or None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        if error.errno != 2:  # ENOENT
            raise
        return None


def make_directories(path):
    """Make a directory and those above it, where they are missing."""
    made = ""
    for part in path.split("/"):
        made += part + "/"
        try:
            os.stat(made)
        except OSError:
            os.mkdir(made)


def resolve(host, port):
    """Say whether the address can be found at all; what listens there may come later."""
    try:
        return bool(socket.getaddrinfo(host, port))
    except OSError:
        return False


def process_id():
    """Return this process's number as a string (Linux); the port has no getpid."""
    return read_file("/proc/self/stat").split()[0].decode()


def _write(file, data):
    if file.write(data) != len(data):
        raise OSError(28)  # ENOSPC
