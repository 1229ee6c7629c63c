"""Carries a link's bytes over whatever a board can open, for ever: connect, converse, wait, connect again."""

import asyncio

_RETRY_MS = 100
_RETRY_LIMIT_MS = 5000
_SILENCE_MS = 120000  # a connection on which nothing answers for this long is given up


async def carry(board, link, connect, wake, after):
    """Keep a connection to the concentrator and carry the link's bytes, for ever.

    ``connect()`` awaits (StreamReader, StreamWriter) and raises OSError while there is none. ``wake`` is an Event that
    says: something may be due. ``after()`` is called when something has arrived.
    Raises what the link or ``after`` raises: storage that fails, not the line.
    """
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
        await asyncio.sleep_ms(pause + pause * board.random(1)[0] // 256)
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
