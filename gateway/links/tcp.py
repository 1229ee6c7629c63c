"""The TCP link: each connection a stream of COBS frames; answers go to the connection that asked."""

import asyncio
from collections.abc import Awaitable, Callable

from protocol.wire import Deframer, encode_link

from ..reception import Arrival

READ_BYTES = 4096
SILENT_S = 24 * 3600  # machine time; a meter says HELLO every six hours
MAX_UNSENT = 64 * 1024  # of answers to a peer that does not read them


class TcpPeer:
    """Whom to answer on a TCP connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, frame: bytes) -> None:
        """Queue an answer; a peer that does not read its answers is dropped, its meter comes again."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_UNSENT:
            transport.abort()
            return
        self._writer.write(encode_link(frame))


class TcpLink:
    """Listens and hands arrivals on. ``deliver`` waits while the concentrator is busy: that is the back-pressure."""

    def __init__(
        self,
        deliver: Callable[[Arrival], Awaitable[None]],
        corrupt: Callable[[int], Awaitable[None]],
        max_connections: int,
    ) -> None:
        self._deliver = deliver
        self._corrupt = corrupt
        self._max_connections = max_connections
        self._open: set[asyncio.StreamWriter] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Start listening; raises OSError where the address is taken."""
        return await asyncio.start_server(self._serve, host, port, limit=READ_BYTES, reuse_address=True)

    def close(self) -> None:
        """Close every connection."""
        for writer in list(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._max_connections:
            writer.close()
            return
        self._open.add(writer)
        peer = TcpPeer(writer)
        deframer = Deframer()
        counted = 0
        try:
            while data := await _read(reader):
                deframer.feed(data)
                if deframer.corrupt > counted:
                    await self._corrupt(deframer.corrupt - counted)
                    counted = deframer.corrupt
                for frame in deframer:
                    await self._deliver(Arrival(frame, peer))
                    await asyncio.sleep(0)  # turn by turn: a peer that floods must not take every free place
        except (OSError, TimeoutError):
            return  # the peer is gone or silent: its meter connects again and sends what has no verdict
        except asyncio.CancelledError:
            return  # the daemon stops; let through, this would be a traceback (asyncio.streams of Python 3.11)
        finally:
            self._open.discard(writer)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    # Not wait_for: in Python 3.11 it swallows the cancellation that stops the daemon where data has just come.
    async with asyncio.timeout(SILENT_S):
        return await reader.read(READ_BYTES)
