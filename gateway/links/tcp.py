"""The TCP link: each connection a stream of COBS frames; answers go to the connection that asked.

Who connects is a newcomer until a frame of theirs has been answered: only authentic frames are. A newcomer has
``authentic_within_s`` for that, however busily it sends, and is the first to go where places run short.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from protocol.wire import Deframer, encode_link

from ..reception import Arrival

READ_BYTES = 4096
SILENT_S = 24 * 3600  # machine time; a meter says HELLO every six hours
AUTHENTIC_WITHIN_S = 60  # machine time
MAX_UNSENT = 64 * 1024  # of answers to a peer that does not read them
IPV6_NETWORK_BITS = 64  # whoever has one address of such a network has all of them


def later(seconds: float, call: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
    """Call something after seconds of machine time."""
    return asyncio.get_running_loop().call_later(seconds, call, *arguments)


class TcpPeer:
    """Whom to answer on a TCP connection. ``origin`` is where it comes from, ``busy``: its frame waits for a place."""

    def __init__(self, writer: asyncio.StreamWriter, newcomers: "Newcomers") -> None:
        self._writer = writer
        self._newcomers = newcomers
        self.origin = origin(writer.get_extra_info("peername"))
        self.busy = False

    def send(self, frame: bytes) -> None:
        """Queue an answer; a peer that does not read its answers is dropped, its meter comes again."""
        self._newcomers.discard(self)
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_UNSENT:
            transport.abort()
            return
        self._writer.write(encode_link(frame))

    def close(self) -> None:
        """Close the connection when what waits is sent."""
        self._writer.close()

    def drop(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()


class Newcomers:
    """The connections that have had no answer yet, by origin, the oldest first."""

    def __init__(self) -> None:
        self._of: dict[str, dict[TcpPeer, None]] = {}

    def __contains__(self, peer: TcpPeer) -> bool:
        return peer in self._of.get(peer.origin, ())

    def add(self, peer: TcpPeer) -> None:
        """Note a connection that has just come."""
        self._of.setdefault(peer.origin, {})[peer] = None

    def discard(self, peer: TcpPeer) -> None:
        """Forget a connection: it was answered, or has ended."""
        others = self._of.get(peer.origin, {})
        others.pop(peer, None)
        if not others:
            self._of.pop(peer.origin, None)

    def to_displace(self, newcomer: str) -> TcpPeer | None:
        """Return who gives way to one more of an origin: the oldest of the origin that has the most, or nobody.

        One origin cannot displace its own, nor can two of equal strength go on displacing each other.
        """
        most = max(self._of.values(), key=len, default={})
        return next(iter(most)) if len(most) > len(self._of.get(newcomer, ())) + 1 else None


class TcpLink:
    """Listens and hands arrivals on. ``deliver`` waits while the concentrator is busy: that is the back-pressure."""

    def __init__(
        self,
        deliver: Callable[[Arrival], Awaitable[None]],
        corrupt: Callable[[int], Awaitable[None]],
        max_connections: int,
        authentic_within_s: float = AUTHENTIC_WITHIN_S,
    ) -> None:
        self._deliver = deliver
        self._corrupt = corrupt
        self._max_connections = max_connections
        self._turn = asyncio.Lock()
        self._authentic_within_s = authentic_within_s
        self._open: set[TcpPeer] = set()
        self._newcomers = Newcomers()

    @property
    def connections(self) -> int:
        """How many meters are connected."""
        return len(self._open)

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Start listening; raises OSError where the address is taken."""
        return await asyncio.start_server(self._serve, host, port, limit=READ_BYTES, reuse_address=True)

    def close(self) -> None:
        """Close every connection."""
        for peer in list(self._open):
            peer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = TcpPeer(writer, self._newcomers)
        if not self._admit(peer):
            writer.close()
            return
        expiry = later(self._authentic_within_s, self._expire, peer)
        deframer = Deframer()
        counted = 0
        try:
            while data := await _read(reader):
                deframer.feed(data)
                if deframer.corrupt > counted:
                    await self._corrupt(deframer.corrupt - counted)
                    counted = deframer.corrupt
                # Turn by turn: a peer that floods must not take every free place. One turn is what one read holds, so
                # that what a meter sends at once is committed at once: in fold mode that is what makes it cheap.
                peer.busy = True
                async with self._turn:
                    for frame in deframer:
                        await self._deliver(Arrival(frame, peer))
                peer.busy = False
                await asyncio.sleep(0)
        except (OSError, TimeoutError):
            return  # the peer is gone or silent: its meter connects again and sends what has no verdict
        except asyncio.CancelledError:
            return  # the daemon stops; let through, this would be a traceback (asyncio.streams of Python 3.11)
        finally:
            expiry.cancel()
            self._leave(peer)
            writer.close()

    def _admit(self, peer: TcpPeer) -> bool:
        """Give a connection a place, if need be that of a newcomer; returns whether there was one."""
        if len(self._open) >= self._max_connections:
            displaced = self._newcomers.to_displace(peer.origin)
            if displaced is None:
                return False
            self._leave(displaced)
            displaced.drop()
        self._open.add(peer)
        self._newcomers.add(peer)
        return True

    def _leave(self, peer: TcpPeer) -> None:
        self._open.discard(peer)
        self._newcomers.discard(peer)

    def _expire(self, peer: TcpPeer) -> None:
        """End a connection that has had its time and no answer, unless it is the concentrator that keeps it waiting."""
        if peer in self._newcomers:
            if peer.busy:
                later(self._authentic_within_s, self._expire, peer)
            else:
                peer.drop()


def origin(address: Any) -> str:
    """Return what counts as one place that connections come from: an IPv4 address, or an IPv6 network."""
    try:
        found = ipaddress.ip_address(address[0].partition("%")[0])
    except (TypeError, ValueError, IndexError):
        return ""  # gone already
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_NETWORK_BITS), strict=False))


async def _read(reader: asyncio.StreamReader) -> bytes:
    # Not wait_for: in Python 3.11 it swallows the cancellation that stops the daemon where data has just come.
    async with asyncio.timeout(SILENT_S):
        return await reader.read(READ_BYTES)
