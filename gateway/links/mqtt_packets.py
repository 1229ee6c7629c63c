"""MQTT 3.1.1 (OASIS, 2014), as much of it as a concentrator says and hears: bytes in, packets out, no I/O.

Rule 1: a broker that sends nonsense causes a PacketError and nothing else. Rule 2: no packet is kept beyond
MAX_KEPT bytes, however long it says it is: what a message has beyond that is thrown away as it comes, for whoever may
publish to the broker chooses its length (up to 256 MB).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

CONNECT = 0x10
CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
SUBSCRIBE = 0x82
SUBACK = 0x90
PINGREQ = 0xC0
PINGRESP = 0xD0
DISCONNECT = 0xE0

RETAIN = 0x01
QOS_1 = 0x02
CLEAN_SESSION = 0x02
HAS_PASSWORD = 0x40
HAS_USERNAME = 0x80
SUBACK_FAILURE = 0x80

MAX_TEXT = 0xFFFF  # of a topic, a name or a password: two octets say its length
MAX_PAYLOAD = 250  # of a message that is kept whole: a frame's (protocol/README.md, 2.2)
MAX_KEPT = 2 + MAX_TEXT + 2 + MAX_PAYLOAD  # the longest topic, a packet identifier and a frame
MAX_LENGTH_BYTES = 4  # of the remaining length, seven bits in each
MAX_OTHER = 64  # of any packet but a PUBLISH

REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not take the client's name",
    3: "it is not available",
    4: "user name or password are wrong",
    5: "this user may not connect",
}


class PacketError(Exception):
    """The broker sent what MQTT 3.1.1 does not allow here, or refused; the message says what."""


class Packet(NamedTuple):
    """A packet's first byte (type and flags), the first MAX_KEPT bytes behind its length, and that length."""

    head: int
    body: bytes
    length: int

    @property
    def kind(self) -> int:
        """The type, its flags cleared."""
        return self.head & 0xF0


class Message(NamedTuple):
    """A PUBLISH. ``payload`` is None where it is longer than a frame; ``identifier`` None at QoS 0."""

    topic: bytes
    payload: bytes | None
    retained: bool
    identifier: int | None


class Unpacker:
    """Takes bytes as they come, gives packets; holds at most MAX_KEPT bytes and what was fed last."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: int | None = None  # of the packet whose body is coming
        self._length = 0
        self._to_come = 0
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._data += data

    def __iter__(self) -> Iterator[Packet]:
        """Yield every packet that is whole; raises PacketError."""
        while self._begin():
            head = self._head
            assert head is not None, "a packet has begun"
            piece = min(self._to_come, len(self._data))
            self._body += self._data[: min(piece, MAX_KEPT - len(self._body))]
            del self._data[:piece]
            self._to_come -= piece
            if self._to_come:
                return
            packet = Packet(head, bytes(self._body), self._length)
            self._head = None
            self._body.clear()
            yield packet

    def _begin(self) -> bool:
        """Read head and length where a packet begins; returns whether a packet's body is coming."""
        if self._head is not None:
            return True
        length = 0
        for place, byte in enumerate(self._data[1 : 1 + MAX_LENGTH_BYTES]):
            length |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                head = self._data[0]
                if head & 0xF0 != PUBLISH and length > MAX_OTHER:
                    raise PacketError("a packet that is too long")
                self._head, self._length, self._to_come = head, length, length
                del self._data[: 2 + place]
                return True
        if len(self._data) > MAX_LENGTH_BYTES:
            raise PacketError("a length of more than four bytes")
        return False


# --- What is heard ----------------------------------------------------------------------------------------------


def parse_connack(packet: Packet) -> None:
    """Raise PacketError unless the broker has accepted the connection."""
    if packet.head != CONNACK or packet.length != 2:
        raise PacketError("no answer to CONNECT")
    code = packet.body[1]
    if code:
        raise PacketError(f"the broker refuses: {REFUSALS.get(code, 'for a reason that MQTT does not know')}")


def parse_suback(packet: Packet, identifier: int) -> None:
    """Raise PacketError unless the broker has granted the one topic asked for."""
    if packet.head != SUBACK or packet.length != 3 or struct.unpack(">H", packet.body[:2])[0] != identifier:
        raise PacketError("no answer to SUBSCRIBE")
    if packet.body[2] == SUBACK_FAILURE:
        raise PacketError("the broker refuses: this user may not read the meters' topics")


def parse_puback(packet: Packet) -> int:
    """Return which message the broker has taken."""
    if packet.head != PUBACK or packet.length != 2:
        raise PacketError("a PUBACK that is none")
    identifier: int = struct.unpack(">H", packet.body)[0]
    return identifier


def parse_publish(packet: Packet) -> Message:
    """Return the message of a PUBLISH at QoS 0 or 1; more was not asked for."""
    quality = packet.head & 0x06
    if quality not in (0, QOS_1):
        raise PacketError("a message at a quality that was not asked for")
    if len(packet.body) < 2:
        raise PacketError("a PUBLISH that is too short")
    start = 2 + struct.unpack(">H", packet.body[:2])[0]
    topic, identifier = packet.body[2:start], None
    if quality == QOS_1:
        if len(packet.body) < start + 2:
            raise PacketError("a PUBLISH that is too short")
        identifier = struct.unpack(">H", packet.body[start : start + 2])[0]
        start += 2
    if len(packet.body) < start or identifier == 0:
        raise PacketError("a PUBLISH that is too short, or a message numbered 0")
    oversized = packet.length - start > MAX_PAYLOAD
    payload = None if oversized else packet.body[start:]
    return Message(topic, payload, bool(packet.head & RETAIN), identifier)


# --- What is said -----------------------------------------------------------------------------------------------


def connect(client: str, keep_alive_s: int, username: str | None, password: str | None) -> bytes:
    """Return CONNECT with a clean session: the broker keeps nothing for a concentrator that is away."""
    flags, texts = CLEAN_SESSION, [client]
    if username is not None:
        flags |= HAS_USERNAME
        texts.append(username)
        if password is not None:
            flags |= HAS_PASSWORD
            texts.append(password)
    return _packet(CONNECT, _text("MQTT"), struct.pack(">BBH", 4, flags, keep_alive_s), *map(_text, texts))


def subscribe(identifier: int, topic: str) -> bytes:
    """Return SUBSCRIBE to a topic at QoS 1."""
    return _packet(SUBSCRIBE, struct.pack(">H", identifier), _text(topic), b"\x01")


def publish(identifier: int, topic: str, payload: bytes) -> bytes:
    """Return PUBLISH at QoS 1, not retained."""
    return _packet(PUBLISH | QOS_1, _text(topic), struct.pack(">H", identifier), payload)


def puback(identifier: int) -> bytes:
    """Return the broker's receipt for a message, which says nothing about what was committed."""
    return _packet(PUBACK, struct.pack(">H", identifier))


def pingreq() -> bytes:
    """Return PINGREQ."""
    return _packet(PINGREQ)


def disconnect() -> bytes:
    """Return DISCONNECT."""
    return _packet(DISCONNECT)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > MAX_TEXT:
        raise ValueError("a text that MQTT has no room for")
    return struct.pack(">H", len(data)) + data


def _packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length, rest = bytearray(), len(body)
    while True:
        rest, low = rest >> 7, rest & 0x7F
        length.append(low | (0x80 if rest else 0))
        if not rest:
            return bytes((head,)) + bytes(length) + body
