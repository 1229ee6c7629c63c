"""MQTT's packets: what is said is as the standard has it, and nothing that a broker sends is kept beyond its bound."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.links import mqtt_packets as mqtt
from protocol import wire

TOPIC = b"hushmeter/elmtown/up/48534d0000000001"


def packets(data, piece=None):
    """Return what an unpacker makes of bytes that come in pieces."""
    unpacker, found = mqtt.Unpacker(), []
    for at in range(0, len(data), piece or max(len(data), 1)):
        unpacker.feed(data[at : at + (piece or len(data))])
        found += list(unpacker)
    return found


def publish(payload, topic=TOPIC, head=0x32, identifier=7):
    """A PUBLISH as a broker sends it, made apart from the code under test."""
    number = struct.pack(">H", identifier) if head & 6 else b""
    body = struct.pack(">H", len(topic)) + topic + number + payload
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes((low | (128 if rest else 0),))
        if not rest:
            return bytes((head,)) + length + body


def test_what_is_said_is_as_the_standard_has_it():
    said = mqtt.connect("hushmeter-1", 30, "anna", "secret")
    assert said == bytes.fromhex(
        "10 25"  # CONNECT, remaining length
        "0004 4d515454 04 c2 001e"  # MQTT, level 4; user name, password, clean session; keep alive
        "000b 687573686d657465722d31"  # client
        "0004 616e6e61 0006 736563726574"
    )
    assert mqtt.connect("x", 30, None, None)[9] == mqtt.CLEAN_SESSION
    assert mqtt.subscribe(1, "a/+") == bytes.fromhex("82 08 0001 0003 612f2b 01")
    assert mqtt.publish(2, "a/b", b"\x01\x02") == bytes.fromhex("32 09 0003 612f62 0002 0102")
    assert (mqtt.puback(0x1234), mqtt.pingreq(), mqtt.disconnect()) == (b"\x40\x02\x12\x34", b"\xc0\x00", b"\xe0\x00")
    assert mqtt.publish(2, "a", bytes(200))[:3] == b"\x32\xcd\x01"  # 205 in two length bytes
    with pytest.raises(ValueError, match="no room"):
        mqtt.connect("x" * 65_536, 30, None, None)


@pytest.mark.parametrize("piece", [None, 1, 2, 7])
def test_messages_come_out_whole_however_they_are_cut(piece):
    data = publish(b"one") + b"\xd0\x00" + publish(b"two", head=0x30) + publish(b"", head=0x33) + b"\x40\x02\x00\x09"
    found = packets(data, piece)
    assert [packet.kind for packet in found] == [0x30, 0xD0, 0x30, 0x30, 0x40]
    assert mqtt.parse_publish(found[0]) == mqtt.Message(TOPIC, b"one", False, 7)
    assert mqtt.parse_publish(found[2]) == mqtt.Message(TOPIC, b"two", False, None)
    assert mqtt.parse_publish(found[3]) == mqtt.Message(TOPIC, b"", True, 7)
    assert mqtt.parse_puback(found[4]) == 9


def test_a_message_longer_than_a_frame_is_refused_and_the_next_is_read():
    assert mqtt.MAX_PAYLOAD == wire.MAX_FRAME
    for size, kept in ((250, True), (251, False), (66_000, False), (3_000_000, False)):
        first, second = map(mqtt.parse_publish, packets(publish(bytes(size)) + publish(b"next"), 4096))
        assert (first.payload == bytes(size)) is kept
        assert (first.payload is None) is not kept
        assert first.identifier == 7  # it is confirmed like any other, or it would take a place at the broker for ever
        assert second.payload == b"next"


def test_what_is_kept_of_a_message_is_bounded_while_it_comes():
    unpacker = mqtt.Unpacker()
    unpacker.feed(b"\x32\xff\xff\xff\x7f" + struct.pack(">H", 0xFFFF))  # 256 MB, and the longest topic there is
    most = 0
    for _ in range(1000):
        unpacker.feed(bytes(4096))
        assert list(unpacker) == []
        most = max(most, len(unpacker._body) + len(unpacker._data))
    assert most == mqtt.MAX_KEPT


@pytest.mark.parametrize(
    "data",
    [
        b"\x32\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\xd0\x7f",  # a PINGRESP that announces 127 bytes
        b"\x20\xff\xff\xff\x7f",
    ],
)
def test_lengths_that_cannot_be_end_the_session_before_anything_is_kept(data):
    with pytest.raises(mqtt.PacketError):
        packets(data)


@pytest.mark.parametrize(
    "data",
    [
        publish(b"", head=0x34),  # QoS 2 was not asked for
        publish(b"", head=0x36),
        b"\x30\x00",
        b"\x30\x01\x00",
        b"\x30\x03\x00\x05a",  # a topic that is longer than the packet
        b"\x32\x04\x00\x01a\x00",  # half an identifier
        publish(b"", identifier=0),
    ],
)
def test_a_message_that_is_none_ends_the_session(data):
    (packet,) = packets(data)
    with pytest.raises(mqtt.PacketError):
        mqtt.parse_publish(packet)


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_nonsense_causes_a_packet_error_and_nothing_else(pieces):
    unpacker = mqtt.Unpacker()
    try:
        for piece in pieces:
            unpacker.feed(piece)
            for packet in unpacker:
                for parse in (mqtt.parse_publish, mqtt.parse_puback, mqtt.parse_connack):
                    try:
                        parse(packet)
                    except mqtt.PacketError:
                        continue
    except mqtt.PacketError:
        return
    assert len(unpacker._body) <= mqtt.MAX_KEPT


def test_refusals_say_what_is_wrong():
    for code, word in ((1, "3.1.1"), (4, "password"), (5, "may not connect"), (77, "does not know")):
        with pytest.raises(mqtt.PacketError, match=word):
            mqtt.parse_connack(mqtt.Packet(0x20, bytes((0, code)), 2))
    with pytest.raises(mqtt.PacketError, match="may not read"):
        mqtt.parse_suback(mqtt.Packet(0x90, b"\x00\x01\x80", 3), 1)
    for packet in (mqtt.Packet(0x90, b"\x00\x02\x01", 3), mqtt.Packet(0x20, b"\x00\x00", 2)):
        with pytest.raises(mqtt.PacketError, match="SUBSCRIBE"):
            mqtt.parse_suback(packet, 1)
    mqtt.parse_connack(mqtt.Packet(0x20, b"\x00\x00", 2))
    mqtt.parse_suback(mqtt.Packet(0x90, b"\x00\x01\x01", 3), 1)
