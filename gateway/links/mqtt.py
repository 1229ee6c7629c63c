"""The MQTT link: one frame a message, by way of a broker that is taken for a lossy line.

What the broker confirms says that the broker has it and no more: a meter keeps a frame until it has the concentrator's
own ACK, which follows the commit. So nothing is asked of the broker that it could get wrong: the session is clean,
retained messages are ignored, and a lost answer is repeated when the meter sends again.

A topic is an address and proves nothing. Whatever topic a frame came by, it is judged by its seal, and the answer goes
to the topic of the meter that its authenticated header names: whoever writes to another's topic, or replays another's
frame to their own, is told nothing and directs no answer anywhere.
"""

import asyncio
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from protocol.wire import MAX_FRAME, parse_header

from ..reception import Arrival
from . import mqtt_packets as mqtt

log = structlog.get_logger()

READ_BYTES = 4096
MAX_UNSENT = 64 * 1024  # of answers that the broker does not take
MAX_IN_FLIGHT = 1024  # answers that it has not confirmed
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # machine time, as everything below
KEEP_ALIVE_S = 30
SILENT_S = 45  # one and a half times that, as the broker reckons too
CONNECT_S = 15
SUBSCRIPTION = 1  # packet identifier; answers have the ones behind it
IDENTIFIERS = 0xFFFF

assert mqtt.MAX_PAYLOAD == MAX_FRAME, "a message holds a frame"


@dataclass(frozen=True)
class Broker:
    """Where a broker is and how it is spoken to; ``tls`` None: in clear, on loopback only. The password is never shown.

    Frames are expected at ``topic``/up/TITLE and answered at ``topic``/down/TITLE, TITLE being 16 hex digits.
    """

    host: str
    port: int
    topic: str
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return TLS that accepts a broker of the certificate authorities in a PEM file only, or of the system's.

    The certificate must name the host. Raises OSError, of which ssl.SSLError is one, where the file holds none.
    """
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Address:
    """The topics of a deployment."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._up = re.compile(re.escape(f"{topic}/up/".encode()) + rb"[0-9a-f]{16}\Z")

    @property
    def subscription(self) -> str:
        """The topic filter of every meter's uplink."""
        return f"{self._topic}/up/+"

    def is_uplink(self, topic: bytes) -> bool:
        """Say whether frames are taken from a topic."""
        return self._up.match(topic) is not None

    def answers_to(self, frame: bytes) -> str:
        """Return where an answer goes: to the meter that its own header names."""
        return f"{self._topic}/down/{parse_header(frame).system_title.hex()}"


class MqttPeer:
    """The broker, for as long as one connection to it lasts."""

    def __init__(self, writer: asyncio.StreamWriter, address: Address) -> None:
        self._writer = writer
        self._address = address
        self._identifier = SUBSCRIPTION
        self._in_flight: set[int] = set()

    def send(self, frame: bytes) -> None:
        """Publish an answer. One that the broker does not take is lost: its meter sends again."""
        if len(self._in_flight) >= MAX_IN_FLIGHT or not self._takes_more():
            return
        while True:
            self._identifier = self._identifier % IDENTIFIERS + 1
            if self._identifier not in self._in_flight:
                break
        self._in_flight.add(self._identifier)
        self._writer.write(mqtt.publish(self._identifier, self._address.answers_to(frame), frame))

    def confirmed(self, identifier: int) -> None:
        """Note that the broker has an answer. One that it confirms twice or never got changes nothing."""
        self._in_flight.discard(identifier)

    def write(self, packet: bytes) -> None:
        """Send a packet of the session's own; raises PacketError where the broker takes nothing any more."""
        if not self._takes_more():
            raise mqtt.PacketError("the broker takes nothing")
        self._writer.write(packet)

    def leave(self) -> None:
        """Say goodbye and close. What the broker has not taken by now it will not take."""
        if self._takes_more():
            self._writer.write(mqtt.disconnect())
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()
        else:
            self._writer.close()

    def _takes_more(self) -> bool:
        transport = self._writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() <= MAX_UNSENT


class MqttLink:
    """Keeps a connection to the broker and hands arrivals on.

    ``deliver`` waits while the concentrator is busy. Meanwhile nothing is read: the broker's queue for this client
    fills, drops what it has no room for, and the meters keep it.
    """

    def __init__(
        self,
        deliver: Callable[[Arrival], Awaitable[None]],
        corrupt: Callable[[int], Awaitable[None]],
        broker: Broker | None,
    ) -> None:
        self._deliver = deliver
        self._corrupt = corrupt
        self._broker = broker
        self._proved = False  # the connection at hand has carried something since it was subscribed

    async def run(self) -> None:
        """Serve the broker until cancelled; one that is away is tried again, more and more seldom."""
        if self._broker is None:
            await asyncio.Event().wait()  # a task of the daemon that ends is a failure
            return
        attempt, said = 0, None
        while True:
            self._proved = False
            try:
                await self._session(self._broker)
                reason = "the broker has closed the connection"
            except (OSError, mqtt.PacketError, UnicodeError) as error:  # UnicodeError: a host's name that is none
                reason = _reason(error)
            if self._proved:
                attempt, said = 0, None
            if reason != said:
                log.warning("broker not usable; it is tried again", host=self._broker.host, reason=reason)
                said = reason
            await asyncio.sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    async def _session(self, broker: Broker) -> None:
        """Connect, subscribe and carry frames until the connection ends."""
        address = Address(broker.topic)
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(broker.host, broker.port, limit=READ_BYTES, ssl=broker.tls)
        peer = MqttPeer(writer, address)
        pinging = asyncio.create_task(_ping(peer))
        try:
            unpacker = mqtt.Unpacker()
            async with asyncio.timeout(CONNECT_S):
                name = f"hushmeter-{secrets.token_hex(6)}"  # another's name would throw that one out
                peer.write(mqtt.connect(name, KEEP_ALIVE_S, broker.username, broker.password))
                mqtt.parse_connack(await _first(reader, unpacker))
                peer.write(mqtt.subscribe(SUBSCRIPTION, address.subscription))
                await _granted(reader, unpacker)
            log.info("broker connected", host=broker.host, topic=address.subscription)
            await self._carry(reader, unpacker, peer, address)
        finally:
            pinging.cancel()
            peer.leave()

    async def _carry(
        self, reader: asyncio.StreamReader, unpacker: mqtt.Unpacker, peer: MqttPeer, address: Address
    ) -> None:
        while True:
            refused = 0
            for packet in unpacker:
                self._proved = True
                if packet.kind != mqtt.PUBLISH:
                    _note(packet, peer)
                    continue
                message = mqtt.parse_publish(packet)
                if message.retained or not address.is_uplink(message.topic):
                    pass  # kept by the broker since who knows when, or nothing that was asked for
                elif message.payload is None:
                    refused += 1
                else:
                    await self._deliver(Arrival(message.payload, peer))
                    await asyncio.sleep(0)  # turn by turn, as on TCP
                if message.identifier is not None:
                    peer.write(mqtt.puback(message.identifier))
            if refused:
                await self._corrupt(refused)
            async with asyncio.timeout(SILENT_S):
                data = await reader.read(READ_BYTES)
            if not data:
                return
            unpacker.feed(data)


def _note(packet: mqtt.Packet, peer: MqttPeer) -> None:
    if packet.kind == mqtt.PUBACK:
        peer.confirmed(mqtt.parse_puback(packet))
    elif packet.head != mqtt.PINGRESP or packet.length:
        raise mqtt.PacketError("a packet that has no place here")


async def _first(reader: asyncio.StreamReader, unpacker: mqtt.Unpacker) -> mqtt.Packet:
    """Return the next packet; raises PacketError where the connection ends before."""
    while True:
        for packet in unpacker:
            return packet
        data = await reader.read(READ_BYTES)
        if not data:
            raise mqtt.PacketError("the broker has closed the connection")
        unpacker.feed(data)


async def _granted(reader: asyncio.StreamReader, unpacker: mqtt.Unpacker) -> None:
    """Wait for the answer to SUBSCRIBE. Messages that come before it (3.8.4 allows that) are lost, as on any line."""
    while (packet := await _first(reader, unpacker)).kind == mqtt.PUBLISH:
        pass
    mqtt.parse_suback(packet, SUBSCRIPTION)


async def _ping(peer: MqttPeer) -> None:
    """Show the broker that somebody is there, while nothing is read as well."""
    while True:
        await asyncio.sleep(KEEP_ALIVE_S / 2)
        try:
            peer.write(mqtt.pingreq())
        except mqtt.PacketError:
            return  # whoever reads finds out in time


def _reason(error: Exception) -> str:
    """Return what happened in words that an operator can act on, without an address or a name of a user."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}; check 'mqtt_ca' and the host's name"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {error.reason}; check that 'mqtt_url' names the broker's TLS port"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error)
