"""Serial and TCP (chapter 2.6): frames on a line, and what comes out of streams that are torn."""

import zlib
from collections.abc import Sequence

from cobs import cobs  # type: ignore[import-untyped]

from .blocks import Case, in_hex, joined, u
from .bodies import MORNING, ack
from .frames import ACK, READING, downlink, header, uplink
from .keychain import HOP_DOWN, HOP_UP


def on_the_line(frame: bytes, crc: int | None = None) -> bytes:
    return bytes(cobs.encode(frame + u(zlib.crc32(frame) if crc is None else crc, 4))) + b"\x00"


def line_with_swapped_crc(frame: bytes) -> bytes:
    return on_the_line(frame, int.from_bytes(u(zlib.crc32(frame), 4), "little"))


def link_vectors() -> Case:
    first = joined(uplink(HOP_UP, header(READING), joined(MORNING)))
    second = joined(downlink(HOP_DOWN, header(ACK), joined(ack((1_000_000, 1, 0)))))
    frames = [
        ("a reading", first),
        ("an ack", second),
        ("24 bytes of zeros", bytes(24)),
        ("24 bytes of 0xff", b"\xff" * 24),
        ("250 bytes without a zero: 255 on the line", bytes(range(1, 251))),
        ("250 bytes of zeros", bytes(250)),
        ("a block of 253 bytes before the first zero", bytes(range(1, 250))),
    ]

    def stream(name: str, pieces: Sequence[bytes], found: Sequence[bytes], corrupt: int) -> Case:
        return {
            "name": name,
            "pieces": [piece.hex() for piece in pieces],
            "frames": [frame.hex() for frame in found],
            "corrupt": corrupt,
        }

    line, other = on_the_line(first), on_the_line(second)
    bytewise = [bytes((byte,)) for byte in line]
    return {
        "about": "Chapter 2.6: COBS(frame | CRC-32) and 0x00; then streams, what comes out and what counts as corrupt.",
        "lines": [
            {
                "name": name,
                "frame": frame.hex(),
                "fields": in_hex([("frame", frame), ("CRC-32", u(zlib.crc32(frame), 4))]),
                "line": on_the_line(frame).hex(),
            }
            for name, frame in frames
        ],
        "streams": [
            stream("nothing", [b""], [], 0),
            stream("delimiters alone", [b"\x00" * 9], [], 0),
            stream("byte by byte", bytewise, [first], 0),
            stream("two in one piece", [line + other], [first, second], 0),
            stream("delimiters around and between", [b"\x00\x00" + line + b"\x00" * 3 + other], [first, second], 0),
            stream("no delimiter yet", [line[:-1]], [], 0),
            stream("cut off, then whole", [line[:20] + b"\x00" + line], [first], 1),
            stream("cut off without a delimiter spoils the next", [line[:20] + line + other], [second], 1),
            stream("a wrong CRC", [on_the_line(first, zlib.crc32(first) ^ 1) + other], [second], 1),
            stream("a CRC in the other byte order", [line_with_swapped_crc(first) + other], [second], 1),
            stream("23 bytes under a right CRC", [on_the_line(first[:23])], [], 1),
            stream("a block longer than its piece", [b"\x05\x11\x00" + line], [first], 1),
            stream("a piece of 255 bytes", [on_the_line(bytes(range(1, 251)))], [bytes(range(1, 251))], 0),
            stream("a piece of 256 bytes", [b"\x01" * 256 + b"\x00" + line], [first], 1),
            stream("a piece of 10,000 bytes", [b"\x01" * 10_000, b"\x00" + line], [first], 1),
            stream(
                "251 bytes under a right CRC: 256 on the line",
                [on_the_line(b"\x00" + b"\x01" * 250) + line],
                [first],
                1,
            ),
            stream("two spoilt, one whole", [b"\x02\x00", b"\xff\x00", other], [second], 2),
        ],
    }
