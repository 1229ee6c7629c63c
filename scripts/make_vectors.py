"""Makes the test vectors of the agreement (protocol/README.md) anew: `python -m scripts.make_vectors`.

Strategy: every byte is put together here from the specification's tables, over other people's primitives
(pycryptodome's CCM and Ed25519, `hmac`, the `cobs` package, pyhpke) and a walk along the clock. Nothing of
`protocol` is imported: where the vectors and the code agree, two readings of the specification agree.

Keys and randoms are constants, so a second run writes the same bytes. A refusal says of which kind it is
(`refused`) and what is wrong (`because`). `wire` and `keychain` vectors are read by MicroPython as well.
"""

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from cobs import cobs  # type: ignore[import-untyped]
from Crypto.Cipher import AES
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKeyPair

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors"

Fields = list[tuple[str, bytes]]
Case = dict[str, Any]

# --- Constants: none of these keys protects anything --------------------------------------------------------------

HOP_ROOT = bytes(range(0x00, 0x20))
CUSTOMER_ROOT = bytes(range(0x20, 0x40))
SALT_SECRET = bytes(range(0x40, 0x60))
SIGNING_SEED = bytes(range(0x60, 0x80))
OTHER_SIGNING_SEED = bytes(range(0x80, 0xA0))
CUSTOMER_SECRET = bytes(range(0xA0, 0xC0))
EPHEMERAL_SECRET = bytes(range(0xC0, 0xE0))
TITLE = b"HUS\x00\x00\x00\x01\x2a"
OTHER_TITLE = b"HUS\x00\x00\x00\x01\x2b"
SALT = bytes.fromhex("5a17c0de")
RANDOM = bytes(range(0xE0, 0xEC))
CHALLENGE = bytes(range(0xF0, 0x100))
ENROLMENT = 19_993
EPOCH = 20_000  # 2024-10-04
NO_EPOCH = 0xFFFF
DEPLOYMENT = "vectors"

READING, DETAIL, HELLO, EVENT, ACK, TIME, CONFIG = 1, 2, 3, 4, 0x81, 0x82, 0x83
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
# X25519 points of low order and their other spellings: the shared secret would be all zeros (RFC 7748, section 6.1).
LOW_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)


def u(value: int, size: int) -> bytes:
    """Return an unsigned integer, big-endian."""
    return value.to_bytes(size, "big")


def joined(fields: Fields) -> bytes:
    return b"".join(data for _, data in fields)


def in_hex(fields: Fields) -> list[list[str]]:
    """Return the fields as [name, hex], in the order in which they travel."""
    return [[name, data.hex()] for name, data in fields]


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    altered = bytearray(data)
    altered[at] ^= 1 << bit
    return bytes(altered)


def text64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


# --- Keys (chapter 3) ---------------------------------------------------------------------------------------------


def mac(key: bytes, label: str) -> bytes:
    return hmac.digest(key, b"hushmeter/v1/" + label.encode(), "sha256")


def chain(root: bytes, epoch: int) -> bytes:
    value = mac(root, "chain")
    for _ in range(epoch - ENROLMENT):
        value = mac(value, "next")
    return value


HOP_UP = mac(chain(HOP_ROOT, EPOCH), "up")
HOP_DOWN = mac(chain(HOP_ROOT, EPOCH), "down")
DETAIL_KEY = mac(chain(CUSTOMER_ROOT, EPOCH), "detail")
HELLO_KEY = mac(HOP_ROOT, "hello")
TIME_KEY = mac(HOP_ROOT, "time")


def keychain_vectors() -> Case:
    days = (0, 1, 2, 7, 8, 365)

    def chains(root: bytes, labels: Sequence[str]) -> list[Case]:
        values = [(ENROLMENT + day, chain(root, ENROLMENT + day)) for day in days]
        return [
            {"epoch": epoch, "chain": value.hex(), **{label: mac(value, label).hex() for label in labels}}
            for epoch, value in values
        ]

    def salt(reserved: int, random: bytes) -> Case:
        fields: Fields = [("label", b"hushmeter/v1/salt"), ("reserved counter", u(reserved, 8)), ("random", random)]
        digest = hmac.digest(SALT_SECRET, joined(fields), "sha256")
        return {
            "secret": SALT_SECRET.hex(),
            "reserved": reserved,
            "random": random.hex(),
            "fields": in_hex(fields),
            "salt": digest[:4].hex(),
        }

    return {
        "about": "Chapter 3: chain values and keys of each root from its enrolment epoch on; the boot salt of 2.2.",
        "hop": {
            "root": HOP_ROOT.hex(),
            "enrolment": ENROLMENT,
            "hello": HELLO_KEY.hex(),
            "time": TIME_KEY.hex(),
            "chains": chains(HOP_ROOT, ("up", "down")),
        },
        "customer": {
            "root": CUSTOMER_ROOT.hex(),
            "enrolment": ENROLMENT,
            "chains": chains(CUSTOMER_ROOT, ("detail",)),
        },
        "salts": [salt(64, bytes(16)), salt(64, CHALLENGE), salt(1 << 40, CHALLENGE)],
        "refused": [
            {"because": "a root of 31 bytes", "root": HOP_ROOT[:31].hex()},
            {"because": "a root of 33 bytes", "root": (HOP_ROOT + b"\x00").hex()},
            {"because": "no root", "root": ""},
            {
                "because": "an epoch before the chain's",
                "from": EPOCH,
                "chain": chain(HOP_ROOT, EPOCH).hex(),
                "to": 19999,
            },
        ],
    }


# --- Frames (chapter 2) -------------------------------------------------------------------------------------------


def header(kind: int, epoch: int = EPOCH, counter: int = 1_000_000, title: bytes = TITLE, version: int = 1) -> Fields:
    return [
        ("version", u(version, 1)),
        ("type", u(kind, 1)),
        ("system title", title),
        ("epoch", u(epoch, 2)),
        ("boot salt", SALT),
        ("invocation counter", u(counter, 8)),
    ]


def seal(key: bytes, nonce: bytes, body: bytes, aad: bytes) -> Fields:
    cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=16)
    cipher.update(aad)
    ciphertext, tag = cipher.encrypt_and_digest(body)
    return [("ciphertext", ciphertext), ("tag", tag)]


def numbered(layer: int, head: Fields) -> bytes:
    """Return the nonce that an uplink header names: layer, boot salt, invocation counter."""
    return u(layer, 1) + dict(head)["boot salt"] + dict(head)["invocation counter"]


def uplink(key: bytes, head: Fields, body: bytes) -> Fields:
    return head + seal(key, numbered(1, head), body, joined(head))


def downlink(key: bytes, head: Fields, body: bytes, layer: int = 3) -> Fields:
    return [*head, ("random", RANDOM), *seal(key, u(layer, 1) + RANDOM, body, joined(head))]


def reading(
    series: int,
    number: int,
    length: int,
    energies: tuple[int, int],
    registers: tuple[int, int],
    quality: int,
    end: int | None = None,
) -> Fields:
    return [
        ("register series", u(series, 4)),
        ("interval number", u(number, 4)),
        ("interval end", u((number + 1) * length if end is None else end, 4)),
        ("interval length", u(length, 2)),
        ("import energy", u(energies[0], 4)),
        ("export energy", u(energies[1], 4)),
        ("import register", u(registers[0], 8)),
        ("export register", u(registers[1], 8)),
        ("quality", u(quality, 1)),
    ]


def detail(electrical: tuple[int, int, int], quality: int = 0) -> Fields:
    volts, amperes, factor = electrical
    return [
        ("end", u(EPOCH * 86_400 + 36_060, 4)),
        ("length", u(60, 2)),
        ("import energy", u(8_333, 4)),
        ("export energy", u(0, 4)),
        ("import register", u(98_765_432_101, 8)),
        ("export register", u(1_234_567, 8)),
        ("voltage", u(volts, 2)),
        ("current", u(amperes, 2)),
        ("power factor", factor.to_bytes(2, "big", signed=True)),
        ("quality", u(quality, 1)),
    ]


def hello(reason: int, challenge: bytes = CHALLENGE) -> Fields:
    return [("reason", u(reason, 1)), ("challenge", challenge)]


def time_body(utc_ms: int, challenge: bytes = CHALLENGE) -> Fields:
    return [("UTC milliseconds", u(utc_ms, 8)), ("challenge", challenge)]


def event(code: int, at: int, count: int, text: bytes = b"") -> Fields:
    return [("code", u(code, 1)), ("time", u(at, 4)), ("count", u(count, 4)), ("text", text.ljust(16, b"\x00"))]


def config(interval: int, detail_length: int, start: int) -> Fields:
    return [
        ("interval length", u(interval, 2)),
        ("detail length", u(detail_length, 2)),
        ("effective from", u(start, 4)),
    ]


def ack(*ranges: tuple[int, int, int]) -> Fields:
    fields: Fields = []
    for first, count, verdict in ranges:
        fields += [("salt", SALT), ("first counter", u(first, 8)), ("count", u(count, 2)), ("verdict", u(verdict, 1))]
    return fields


def inner(head: Fields, body: Fields, key: bytes = DETAIL_KEY, layer: int = 2) -> Fields:
    """Return the 66 bytes of a DETAIL that only the customer opens."""
    nonce = numbered(layer, head)
    (_, ciphertext), (_, tag) = seal(key, nonce, joined(body), joined(head))
    return [("nonce", nonce), ("inner ciphertext", ciphertext), ("inner tag", tag)]


MORNING = reading(7, EPOCH * 96 + 40, 900, (125_000, 0), (98_765_432_101, 1_234_567), 0x02)
LARGEST = reading(0xFFFF_FFFF, 0xFFFF_FFFE, 1, (0xFFFF_FFFF, 0xFFFF_FFFF), (2**64 - 1, 2**64 - 1), 0x1F)
SMALLEST = reading(0, 0, 900, (0, 0), (0, 0), 0)
TYPICAL = detail((2301, 512, -998))


def frames_vectors() -> Case:
    def up(name: str, key: bytes, head: Fields, body: Fields) -> Case:
        return sealed(name, "up", key, numbered(1, head), body, uplink(key, head, joined(body)))

    def down(name: str, key: bytes, head: Fields, body: Fields) -> Case:
        return sealed(name, "down", key, b"\x03" + RANDOM, body, downlink(key, head, joined(body)))

    def sealed(name: str, direction: str, key: bytes, nonce: bytes, body: Fields, fields: Fields) -> Case:
        return {
            "name": name,
            "direction": direction,
            "key": key.hex(),
            "nonce": nonce.hex(),
            "body_fields": in_hex(body),
            "body": joined(body).hex(),
            "fields": in_hex(fields),
            "frame": joined(fields).hex(),
        }

    detail_head = header(DETAIL)
    all_verdicts = [(1_000_000 + 100 * n, n + 1, n % 4) for n in range(13)]
    return {
        "about": "Chapter 2: sealed frames, then frames and bodies that are refused.",
        "frames": [
            up("reading", HOP_UP, header(READING), MORNING),
            up("reading, every field at its largest", HOP_UP, header(READING, 0xFFFE, 2**64 - 1), LARGEST),
            up("reading, every field at its smallest", HOP_UP, header(READING, 0, 0), SMALLEST),
            up("detail", HOP_UP, detail_head, inner(detail_head, TYPICAL)),
            up("hello after boot", HELLO_KEY, header(HELLO, NO_EPOCH), hello(0)),
            up("hello, periodic", HELLO_KEY, header(HELLO, NO_EPOCH), hello(2)),
            up("event, power failed at a time that is not known", HOP_UP, header(EVENT), event(1, 0xFFFF_FFFF, 3)),
            up("event, cover opened", HOP_UP, header(EVENT), event(2, EPOCH * 86_400, 1)),
            up("event, store overflow", HOP_UP, header(EVENT), event(3, EPOCH * 86_400 + 1, 0xFFFF_FFFF)),
            up("event, frames dropped by age", HOP_UP, header(EVENT), event(4, EPOCH * 86_400 + 2, 96)),
            up("event, firmware version", HOP_UP, header(EVENT), event(5, EPOCH * 86_400 + 3, 0, b"0.1.0")),
            up("event, measuring fault", HOP_UP, header(EVENT), event(6, EPOCH * 86_400 + 4, 2, b"unplugged")),
            up("event, stored data unusable", HOP_UP, header(EVENT), event(7, EPOCH * 86_400 + 5, 1, b"calibration")),
            up("event, the longest text", HOP_UP, header(EVENT), event(5, 0, 0, b"1.22.333+abcdef~")),
            up("a type of the future", HOP_UP, header(0x7F), [("unknown", b"\x00\x01")]),
            up("the longest frame, 250 bytes", HOP_UP, header(0x7F), [("unknown", bytes(range(210)))]),
            down("ack of one", HOP_DOWN, header(ACK), ack((1_000_000, 1, 0))),
            down("ack of thirteen ranges", HOP_DOWN, header(ACK), ack(*all_verdicts)),
            down("ack at the end of the numbers", HOP_DOWN, header(ACK, EPOCH, 2**64 - 1), ack((2**64 - 1, 1, 3))),
            down("time", TIME_KEY, header(TIME, NO_EPOCH), time_body(1_728_036_900_123)),
            down("config", HOP_DOWN, header(CONFIG), config(900, 60, EPOCH * 86_400 + 10_800)),
            down("config, the longest interval", HOP_DOWN, header(CONFIG), config(10_800, 10_800, 10_800)),
            down("config, the shortest lengths", HOP_DOWN, header(CONFIG), config(1, 1, 0xFFFF_FFFF)),
        ],
        "refused": refused_frames(),
        "refused_bodies": refused_bodies(),
    }


def refused_frames() -> list[Case]:
    good_up = joined(uplink(HOP_UP, header(READING), joined(MORNING)))
    good_down = joined(downlink(HOP_DOWN, header(ACK), joined(ack((1_000_000, 1, 0)))))

    def case(because: str, direction: str, refused: str, frame: bytes, key: bytes | None = None) -> Case:
        key = key or (HOP_UP if direction == "up" else HOP_DOWN)
        return {"because": because, "direction": direction, "refused": refused, "key": key.hex(), "frame": frame.hex()}

    fields_of_header = (
        ("system title", 2),
        ("epoch", 11),
        ("boot salt", 12),
        ("invocation counter", 23),
    )
    too_long = header(EVENT) + seal(HOP_UP, numbered(1, header(EVENT)), bytes(211), joined(header(EVENT)))
    return [
        case("empty", "up", "malformed", b""),
        case("23 bytes, a header and no more would be 24", "up", "malformed", good_up[:23]),
        case("a header alone", "up", "malformed", good_up[:24]),
        case("39 bytes: no room for a tag", "up", "malformed", good_up[:39]),
        case("251 bytes", "up", "malformed", joined(too_long)),
        case("version 0", "up", "malformed", joined(uplink(HOP_UP, header(READING, version=0), joined(MORNING)))),
        case("version 2", "up", "malformed", joined(uplink(HOP_UP, header(READING, version=2), joined(MORNING)))),
        case("a downlink type on the uplink", "up", "malformed", joined(uplink(HOP_UP, header(ACK), b""))),
        *(case(f"a flipped bit in the {name}", "up", "forged", flipped(good_up, at)) for name, at in fields_of_header),
        case("a type swapped for another of the uplink", "up", "forged", flipped(good_up, 1, 2)),
        case("a flipped bit in the ciphertext", "up", "forged", flipped(good_up, 24)),
        case("a flipped bit in the first byte of the tag", "up", "forged", flipped(good_up, -16)),
        case("a flipped bit in the last byte of the tag", "up", "forged", flipped(good_up, -1, 7)),
        case("its last byte cut off", "up", "forged", good_up[:-1]),
        case("a byte behind it", "up", "forged", good_up + b"\x00"),
        case("the downlink's key", "up", "forged", good_up, HOP_DOWN),
        case("a key of all zeros", "up", "forged", good_up, bytes(32)),
        case("an uplink type on the downlink", "down", "malformed", joined(downlink(HOP_DOWN, header(READING), b""))),
        case("an unknown type on the downlink", "down", "malformed", joined(downlink(HOP_DOWN, header(0x84), b""))),
        case("a frame reflected to its sender", "down", "malformed", good_up, HOP_UP),
        case("51 bytes: no room for random and tag", "down", "malformed", good_down[:51]),
        case("a flipped bit in the random", "down", "forged", flipped(good_down, 24)),
        case("a flipped bit in the salt", "down", "forged", flipped(good_down, 12)),
        case("a flipped bit in the last byte of the tag", "down", "forged", flipped(good_down, -1)),
        case("sealed with the uplink's nonce layer", "down", "forged", joined(downlink(HOP_DOWN, header(ACK), b"", 1))),
        case("the uplink's key", "down", "forged", good_down, HOP_UP),
    ]


def refused_bodies() -> list[Case]:
    def case(kind: str, because: str, body: bytes) -> Case:
        return {"body_of": kind, "because": because, "refused": "malformed", "body": body.hex()}

    number, end = EPOCH * 96 + 40, (EPOCH * 96 + 41) * 900
    registers = (98_765_432_101, 1_234_567)
    good = joined(MORNING)
    typical = joined(TYPICAL)
    one = joined(ack((1_000_000, 1, 0)))
    return [
        case("reading", "empty", b""),
        case("reading", "38 bytes", good[:-1]),
        case("reading", "40 bytes", good + b"\x00"),
        case("reading", "an end one second late", joined(reading(7, number, 900, (1, 0), registers, 0, end + 1))),
        case("reading", "the start for the end", joined(reading(7, number, 900, (1, 0), registers, 0, end - 900))),
        case("reading", "a length of 0", joined(reading(7, 0, 0, (1, 0), registers, 0, 0))),
        case(
            "reading", "a length that is not the number's", joined(reading(7, number, 300, (1, 0), registers, 0, end))
        ),
        case(
            "reading",
            "an end that agrees only after 32 bits overflow",
            joined(reading(7, 0xFFFF_FFFF, 900, (1, 0), registers, 0, 0)),
        ),
        case("reading", "quality bit 0x20", joined(reading(7, number, 900, (1, 0), registers, 0x20))),
        case("reading", "quality bit 0x80", joined(reading(7, number, 900, (1, 0), registers, 0x80))),
        case("detail", "36 bytes", typical[:-1]),
        case("detail", "38 bytes", typical + b"\x00"),
        case("event", "empty", b""),
        case("event", "24 bytes", joined(event(1, 0, 1))[:-1]),
        case("event", "26 bytes", joined(event(1, 0, 1)) + b"\x00"),
        case("event", "code 0", joined(event(0, 0, 1))),
        case("event", "code 8", joined(event(8, 0, 1))),
        case("event", "a measuring fault without text", joined(event(6, 0, 1))),
        case("event", "a version without text", joined(event(5, 0, 0))),
        case("event", "text where there is none", joined(event(3, 0, 1, b"x"))),
        case("event", "text behind the padding", joined(event(5, 0, 0, b"0.1\x000"))),
        case("event", "a space in the text", joined(event(5, 0, 0, b"0.1 0"))),
        case("event", "text that is no ASCII", joined(event(5, 0, 0, b"0.1\xc3\xa9"))),
        case("event", "DEL in the text", joined(event(5, 0, 0, b"0.1\x7f"))),
        case("config", "empty", b""),
        case("config", "7 bytes", joined(config(900, 60, 10_800))[:-1]),
        case("config", "9 bytes", joined(config(900, 60, 10_800)) + b"\x00"),
        case("config", "an interval of 0", joined(config(0, 60, 10_800))),
        case("config", "an interval that does not divide 3 hours", joined(config(700, 70, 70_000))),
        case("config", "a detail length of 0", joined(config(900, 0, 10_800))),
        case("config", "a detail length that does not divide the interval", joined(config(900, 61, 10_800))),
        case("config", "a detail length above the interval", joined(config(900, 1_800, 10_800))),
        case("config", "a beginning inside an interval", joined(config(900, 60, 10_801))),
        case("config", "a beginning of 0", joined(config(900, 60, 0))),
        case("hello", "16 bytes", joined(hello(0))[:-1]),
        case("hello", "18 bytes", joined(hello(0)) + b"\x00"),
        case("time", "23 bytes", joined(time_body(1))[:-1]),
        case("time", "25 bytes", joined(time_body(1)) + b"\x00"),
        case("ack", "no range", b""),
        case("ack", "14 bytes", one[:-1]),
        case("ack", "16 bytes", one + b"\x00"),
        case("ack", "an empty range", joined(ack((1_000_000, 0, 0)))),
        case("ack", "verdict 4", joined(ack((1_000_000, 1, 4)))),
        case("ack", "verdict 255 in its second range", joined(ack((1_000_000, 1, 0), (1_000_002, 1, 255)))),
    ]


# --- Rows (chapter 2, DETAIL) -------------------------------------------------------------------------------------


def rows_vectors() -> Case:
    def row(name: str, head: Fields, body: Fields) -> Case:
        fields = head + inner(head, body)
        return {
            "name": name,
            "key": DETAIL_KEY.hex(),
            "body_fields": in_hex(body),
            "fields": in_hex(fields),
            "row": joined(fields).hex(),
        }

    head = header(DETAIL)
    good = joined(head + inner(head, TYPICAL))

    def case(because: str, refused: str, data: bytes, key: bytes = DETAIL_KEY) -> Case:
        return {"because": because, "refused": refused, "key": key.hex(), "row": data.hex()}

    other_nonce = inner(head, TYPICAL, layer=1)
    return {
        "about": "Chapter 2.3: stored DETAIL rows, header | 66 bytes, opened with the customer's key of the epoch.",
        "rows": [
            row("all measured", head, TYPICAL),
            row("nothing electrical measured", head, detail((0xFFFF, 0xFFFF, 0x7FFF))),
            row("extremes", header(DETAIL, 0, 0), detail((0, 0, -0x8000), 0x1F)),
        ],
        "refused": [
            case("89 bytes", "malformed", good[:-1]),
            case("91 bytes", "malformed", good + b"\x00"),
            case("empty", "malformed", b""),
            case("version 2", "malformed", b"\x02" + good[1:]),
            case("a READING's header", "malformed", joined(header(READING) + inner(header(READING), TYPICAL))),
            case("a nonce of the hop's layer", "malformed", joined(head + other_nonce)),
            case("another counter than its nonce's", "malformed", flipped(good, 23)),
            case("another salt than its nonce's", "malformed", flipped(good, 12)),
            case("another system title", "forged", joined(header(DETAIL, title=OTHER_TITLE)) + good[24:]),
            case("another epoch", "forged", joined(header(DETAIL, EPOCH + 1)) + good[24:]),
            case("a flipped bit in the ciphertext", "forged", flipped(good, 37)),
            case("a flipped bit in the last byte of the tag", "forged", flipped(good, -1)),
            case("the hop's key", "forged", good, HOP_UP),
            case("the next day's key", "forged", good, mac(chain(CUSTOMER_ROOT, EPOCH + 1), "detail")),
        ],
    }


# --- Serial and TCP (chapter 2.6) ---------------------------------------------------------------------------------


def on_the_line(frame: bytes, crc: int | None = None) -> bytes:
    return bytes(cobs.encode(frame + u(zlib.crc32(frame) if crc is None else crc, 4))) + b"\x00"


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


def line_with_swapped_crc(frame: bytes) -> bytes:
    return on_the_line(frame, int.from_bytes(u(zlib.crc32(frame), 4), "little"))


# --- Windows and periods (chapter 4): a walk along the clock, minute by minute ------------------------------------

THREE_HOURS = 3 * 3600
DAY = 86_400


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def edges(zone: ZoneInfo, start: int, end: int, every: int) -> list[int]:
    """Return when the wall clock first shows a multiple of ``every``; one that is skipped counts as before the skip."""
    seen: set[int] = set()
    found: set[int] = set()
    before = offset(zone, start)
    for t in range(start, end, 60):
        after = offset(zone, t)
        for wall in range(-(-(t + before) // every) * every, t + after, every):
            seen.add(wall)
            found.add(wall - before)
        if (t + after) % every == 0 and t + after not in seen:
            seen.add(t + after)
            found.add(t)
        before = after
    return sorted(found)


def offset(zone: ZoneInfo, t: int) -> int:
    difference = datetime.fromtimestamp(t, zone).utcoffset()
    assert difference is not None
    return int(difference.total_seconds())


def walked_windows(zone: ZoneInfo, start: int, end: int) -> list[tuple[int, int]]:
    """Return the windows that start in start <= t < end: a stretch shorter than 3 hours is joined to the next."""
    kept: list[int] = []
    for edge in edges(zone, start - 2 * DAY, end + 2 * DAY, THREE_HOURS):
        if not kept or edge - kept[-1] >= THREE_HOURS:
            kept.append(edge)
    return [(a, b) for a, b in pairwise(kept) if start <= a < end]


def walked_period(zone: ZoneInfo, kind: str, at: int) -> tuple[int, int]:
    reach = 2 * DAY if kind == "day" else 33 * DAY
    starts = edges(zone, at - reach, at + reach, DAY)
    if kind == "month":
        starts = [t for t in starts if datetime.fromtimestamp(t, zone).day == 1]
    return max(t for t in starts if t <= at), min(t for t in starts if t > at)


STRETCHES = (
    ("UTC", "2024-02-28T00:00", "2024-03-01T00:00", "a leap day"),
    (
        "Europe/Berlin",
        "2024-03-30T00:00",
        "2024-04-01T12:00",
        "the night without 02:00 to 03:00: 00 to 06 is one window",
    ),
    ("Europe/Berlin", "2024-10-26T00:00", "2024-10-28T12:00", "the night with two of them: 00 to 03 has 4 hours"),
    ("America/New_York", "2024-03-09T12:00", "2024-03-11T12:00", "spring"),
    ("America/New_York", "2024-11-02T12:00", "2024-11-04T12:00", "autumn"),
    ("Australia/Lord_Howe", "2023-09-30T00:00", "2023-10-02T00:00", "half an hour is skipped"),
    ("Australia/Lord_Howe", "2024-04-06T00:00", "2024-04-08T00:00", "half an hour is repeated"),
    (
        "America/Nuuk",
        "2021-03-27T00:00",
        "2021-03-29T00:00",
        "the evening is short: 21 to 03 is one window over midnight",
    ),
    ("America/Nuuk", "2021-10-30T00:00", "2021-11-01T00:00", "the evening is long"),
    ("Asia/Kathmandu", "2024-05-01T00:00", "2024-05-02T00:00", "UTC+05:45"),
    ("America/Sao_Paulo", "2018-11-03T00:00", "2018-11-05T00:00", "midnight is skipped"),
    ("America/Sao_Paulo", "2018-02-17T00:00", "2018-02-19T00:00", "the hour before midnight is repeated"),
    ("America/Havana", "2019-11-02T12:00", "2019-11-04T00:00", "midnight comes twice: the first of the two"),
    (
        "America/St_Johns",
        "2010-11-06T00:00",
        "2010-11-08T12:00",
        "a minute after midnight the clock goes back to 23:01",
    ),
    ("Pacific/Apia", "2011-12-29T00:00", "2012-01-01T00:00", "30 December 2011 does not exist"),
)
PERIODS = (
    ("Europe/Berlin", "day", "2024-03-31T04:00"),
    ("Europe/Berlin", "day", "2024-10-26T22:00"),
    ("Europe/Berlin", "month", "2024-03-31T19:00"),
    ("Europe/Berlin", "month", "2024-02-29T23:00"),
    ("America/Nuuk", "day", "2021-03-28T00:00"),
    ("America/Nuuk", "day", "2021-03-28T05:00"),
    ("America/Sao_Paulo", "day", "2018-11-04T03:00"),
    ("America/Havana", "day", "2019-11-03T04:00"),
    ("Asia/Kathmandu", "month", "2023-12-31T18:15"),
    ("UTC", "month", "2024-02-01T00:00"),
    ("UTC", "day", "2024-12-31T21:00"),
)
ALIGNMENTS = (
    ("UTC", 10_800),
    ("UTC", 900),
    ("Europe/Berlin", 3600),
    ("Europe/Berlin", 5400),
    ("Europe/Berlin", 10_800),
    ("Australia/Lord_Howe", 1800),
    ("Australia/Lord_Howe", 3600),
    ("Asia/Kathmandu", 900),
    ("Asia/Kathmandu", 1800),
    ("Asia/Kathmandu", 3600),
    ("America/St_Johns", 1800),
    ("America/St_Johns", 3600),
    ("UTC", 700),
    ("UTC", 7200),
    ("UTC", 21_600),
    ("UTC", 0),
    ("UTC", -900),
)


def windows_vectors() -> Case:
    def stretch(name: str, start: str, end: str, why: str) -> Case:
        found = walked_windows(ZoneInfo(name), utc(start), utc(end))
        return {
            "zone": name,
            "about": why,
            "start": utc(start),
            "end": utc(end),
            "windows": [{"start": a, "end": b, "wall": wall(name, a)} for a, b in found],
        }

    def wall(name: str, t: int) -> str:
        return datetime.fromtimestamp(t, ZoneInfo(name)).isoformat(timespec="minutes")

    def period(name: str, kind: str, at: str) -> Case:
        start, end = walked_period(ZoneInfo(name), kind, utc(at))
        return {
            "zone": name,
            "kind": kind,
            "window_start": utc(at),
            "start": start,
            "end": end,
            "wall": wall(name, start),
        }

    def alignment(name: str, interval: int) -> Case:
        start, end = utc("2024-06-01T00:00"), utc("2024-06-08T00:00")
        case = {"zone": name, "interval_s": interval, "start": start, "end": end}
        if interval <= 0 or THREE_HOURS % interval:
            return {**case, "refused": "misaligned", "because": "it does not divide 3 hours"}
        if any(a % interval for a, _ in walked_windows(ZoneInfo(name), start, end)):
            return {**case, "refused": "misaligned", "because": "a window starts inside an interval"}
        return case

    return {
        "about": "Chapter 4: billing windows and periods on the wall clock of a zone; times are UTC seconds.",
        "stretches": [stretch(*each) for each in STRETCHES],
        "periods": [period(*each) for each in PERIODS],
        "alignments": [alignment(*each) for each in ALIGNMENTS],
        "refused_periods": [{"zone": "UTC", "kind": "week", "at": 0, "because": "no such kind"}],
    }


# --- Signed documents and what they say (chapters 5 to 7) ---------------------------------------------------------


class Signer:
    """An Ed25519 key that signs as chapter 5 says."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._key = eddsa.import_private_key(seed)
        self.public: bytes = self._key.public_key().export_key(format="raw")
        self.id = text64(hashlib.sha256(b"hushmeter/v1/signing-key" + self.public).digest())

    def document(
        self, kind: str, content: bytes, deployment: str = DEPLOYMENT, label: bytes = b"hushmeter/v1/signed"
    ) -> Case:
        signature = self.raw(joined(signed_fields(kind, content, deployment, label)))
        return {"type": kind, "content": text64(content), "signer": self.id, "signature": text64(signature)}

    def raw(self, message: bytes) -> bytes:
        signature: bytes = eddsa.new(self._key, "rfc8032").sign(message)
        return signature


def signed_fields(kind: str, content: bytes, deployment: str, label: bytes = b"hushmeter/v1/signed") -> Fields:
    parts = (("label", label), ("type", kind.encode()), ("deployment", deployment.encode()), ("content", content))
    fields: Fields = []
    for name, data in parts:
        fields += [(f"length of {name}", u(len(data), 4)), (name, data)]
    return fields


def documents_vectors() -> Case:
    signer, other = Signer(SIGNING_SEED), Signer(OTHER_SIGNING_SEED)

    def signed(name: str, kind: str, content: bytes) -> Case:
        fields = signed_fields(kind, content, DEPLOYMENT)
        return {
            "name": name,
            "fields": in_hex(fields),
            "content": content.hex(),
            "id": hashlib.sha256(joined(fields)).hexdigest(),
            "document": signer.document(kind, content),
        }

    return {
        "about": "Chapters 5 to 7: signed documents, documents that are refused, contents of reports and rosters.",
        "deployment": DEPLOYMENT,
        "keys": [{"seed": key.seed.hex(), "public": key.public.hex(), "id": key.id} for key in (signer, other)],
        "documents": [
            signed("empty content", "roster", b""),
            signed("bytes", "detail-segment", bytes(range(256))),
            signed("an interval's load", "interval-load", json_bytes(LOAD)),
            signed("no type", "", b"x"),
        ],
        "refused": refused_documents(signer, other),
        "reports": report_cases(),
        "rosters": roster_cases(signer),
    }


def refused_documents(signer: Signer, other: Signer) -> list[Case]:
    content = b"content!"
    good = signer.document("roster", content)

    def case(because: str, reason: str, **altered: str) -> Case:
        kind = "bad signature" if reason in ("bad signature", "signer is not the key that signed") else "document"
        return {"because": because, "refused": kind, "reason": reason, "document": {**good, **altered}}

    signature = base64.urlsafe_b64decode(good["signature"] + "==")
    s = int.from_bytes(signature[32:], "little")
    malleable = signature[:32] + (s + ED25519_ORDER).to_bytes(32, "little")
    bare = signer.raw(content)
    unmeasured = signer.raw(b"hushmeter/v1/signed" + b"roster" + DEPLOYMENT.encode() + content)
    return [
        case("another type", "bad signature", type="rosters"),
        case(
            "a letter moved from the type into the deployment",
            "bad signature",
            **{**signer.document("roste", content, "rvectors"), "type": "roster"},
        ),
        case("signed for another deployment", "bad signature", **signer.document("roster", content, "vector")),
        case(
            "signed under another label", "bad signature", **signer.document("roster", content, label=b"hushmeter/v2")
        ),
        case("the content alone signed", "bad signature", signature=text64(bare)),
        case("signed without lengths", "bad signature", signature=text64(unmeasured)),
        case("content with a flipped bit", "bad signature", content=text64(flipped(content, 0))),
        case("signature with a flipped bit", "bad signature", signature=text64(flipped(signature, 0))),
        case("s plus the group's order", "bad signature", signature=text64(malleable)),
        case("a signature of zeros", "bad signature", signature=text64(bytes(64))),
        case("signed by another key", "bad signature", **other.document("roster", content)),
        case("signed by this key in another's name", "signer is not the key that signed", signer=other.id),
        case("no signer", "signer is not the key that signed", signer=""),
        case("a signature of 63 bytes", "signature has 63 bytes, not 64", signature=text64(signature[:63])),
        case("a signature of 65 bytes", "signature has 65 bytes, not 64", signature=text64(signature + b"\x00")),
        case("no signature", "signature has 0 bytes, not 64", signature=""),
        case("padding", "content is not canonical base64url", content=good["content"] + "="),
        case("bits behind the last byte", "content is not canonical base64url", content=good["content"][:-1] + "F"),
        case("the other alphabet", "content is not canonical base64url", content="+/+/"),
        case("an impossible length", "content is not base64url", content="A"),
        case("white space", "content is not base64url", content=good["content"] + "\n"),
        case("a foreign letter", "content is not base64url", content="é" * 4),
        case("padded signature", "signature is not canonical base64url", signature=good["signature"] + "=="),
    ]


def json_bytes(value: Any) -> bytes:
    """Return JSON with sorted members and no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


PSEUDONYM = text64(bytes(range(16)))
FINGERPRINT = text64(bytes(range(32)))
NINE = utc("2024-10-04T09:00")
LOAD: Case = {
    "neighbourhood": "north",
    "roster_version": 3,
    "interval_start": NINE,
    "interval_s": 900,
    "contributors": text64(b"\xff\x03"),
    "paillier_key": FINGERPRINT,
    "ciphertext": text64(bytes(range(64))),
}
WINDOW: Case = {
    "neighbourhood": "north",
    "pseudonym": PSEUDONYM,
    "window_start": NINE,
    "window_end": NINE + THREE_HOURS,
    "interval_s": 900,
    "present": 12,
    "expected": 12,
    "quality": 0,
    "register_from": NINE,
    "register_to": NINE + THREE_HOURS,
    "paillier_key": FINGERPRINT,
    "energy": text64(bytes(range(64))),
    "closing_register": text64(bytes(range(64, 128))),
}
EMPTY_WINDOW: Case = {**WINDOW, "present": 0, "register_to": NINE, "energy": None, "closing_register": None}
SEGMENT: Case = {
    "neighbourhood": "north",
    "pseudonym": PSEUDONYM,
    "rows": [text64(joined(header(DETAIL) + inner(header(DETAIL), TYPICAL)))],
}
ILL = "content is not what its type says"
SHORT = "a billing window shorter than 3 hours"
TOGETHER = "energy and closing register come together or not at all"
EMPTY = "an empty window is one whose registers have one time"
COUNTS = "more intervals present than expected, or in an empty window"


def content_cases(good: Case, kind: str) -> Callable[..., Case]:
    """Return what makes a case of ``kind``: ``good`` with some members altered, or other bytes altogether."""

    def case(because: str, reason: str | None, content: bytes | None = None, **altered: Any) -> Case:
        data = json_bytes({**good, **altered}) if content is None else content
        verdict = {} if reason is None else {"refused": "document", "reason": reason}
        return {"because": because, "type": kind, **verdict, "content": data.hex()}

    return case


def report_cases() -> list[Case]:
    load = content_cases(LOAD, "interval-load")
    window = content_cases(WINDOW, "billing-window")
    empty = content_cases(EMPTY_WINDOW, "billing-window")
    segment = content_cases(SEGMENT, "detail-segment")
    without = {name: value for name, value in LOAD.items() if name != "ciphertext"}
    plain = json_bytes(LOAD)
    return [
        load("a load", None),
        load("a load below k", None, ciphertext=None),
        window("a window", None),
        window("a window of 5 hours", None, window_end=NINE + 5 * 3600),
        window("energy, though no interval came in time", None, present=0),
        empty("an empty window", None),
        segment("a segment", None),
        segment("a thousand rows", None, rows=["AAAA"] * 1000),
        load("an unknown type of report", "no such type of report: roster") | {"type": "roster"},
        load("an unknown member", ILL, k=10),
        load("a missing member", ILL, json_bytes(without)),
        load("no content", ILL, b""),
        load("a list", ILL, b"[]"),
        load("cut off", ILL, plain[:-1]),
        load("something behind it", ILL, plain + b"{}"),
        load("not UTF-8", "content is not UTF-8", plain.replace(b"north", b"nor\xff\xff")),
        load("a float", ILL, plain.replace(b"900", b"900.0")),
        load("an exponent", ILL, plain.replace(b"900", b"9e2")),
        load("a number as text", ILL, interval_s="900"),
        load("true for a number", ILL, roster_version=True),
        load("a number of 5,000 digits", ILL, plain.replace(b"900", b"9" * 5000)),
        load("a length of 0", ILL, interval_s=0),
        load("a length above 3 hours", ILL, interval_s=10_801),
        load("a time before 1970", ILL, interval_start=-1),
        load("a time of 33 bits", ILL, interval_start=1 << 32),
        load("a roster version of 17 bits", ILL, roster_version=1 << 16),
        load("a name with a space", ILL, neighbourhood="north side"),
        load("a name that ends in a line feed", ILL, neighbourhood="north\n"),
        load("an empty name", ILL, neighbourhood=""),
        load("a fingerprint of 42 characters", ILL, paillier_key=FINGERPRINT[:-1]),
        window("a window one second short", SHORT, window_end=NINE + THREE_HOURS - 1),
        window("a window that ends before it starts", SHORT, window_end=NINE - 1),
        window(
            "a pseudonym with bits behind its last byte",
            ILL,
            pseudonym="A" * 21 + "B",
        ),
        window("energy without register", TOGETHER, closing_register=None),
        window("register without energy", TOGETHER, energy=None),
        window("energy over no time", EMPTY, register_to=NINE),
        empty("no energy over some time", EMPTY, register_to=NINE + 900),
        window("a register that goes back", "a register that goes back in time", register_from=NINE + THREE_HOURS + 1),
        window("more present than expected", COUNTS, present=13),
        empty("an interval in an empty window", COUNTS, present=1),
        window("quality bit 0x20", ILL, quality=0x20),
        segment("no rows", ILL, rows=[]),
        segment("1,001 rows", ILL, rows=["AAAA"] * 1001),
        segment("a pseudonym of 21 characters", ILL, pseudonym=PSEUDONYM[:-1]),
    ]


def roster_cases(signer: Signer) -> list[Case]:
    good: Case = {
        "neighbourhood": "north",
        "version": 3,
        "valid_from": utc("2024-09-30T22:00"),
        "zone": "Europe/Berlin",
        "interval_s": 900,
        "rating_w": 24_000,
        "concentrator": text64(signer.public),
        "paillier_key": FINGERPRINT,
        "paillier_n": text64(bytes(range(1, 65))),
        "members": [{"pseudonym": text64(u(n, 16)), "since": utc("2024-09-30T22:00")} for n in range(3)],
    }
    case = content_cases(good, "roster")
    twice = [good["members"][0], {**good["members"][0], "since": 0}]
    return [
        case("a roster", None),
        case("a roster of nobody", None, members=[]),
        case("a meter twice", "a meter stands on the roster twice", members=twice),
        case("a zone that does not exist", "no such time zone: Europe/Atlantis", zone="Europe/Atlantis"),
        case("the name of a folder of zones", "no such time zone: America", zone="America"),
        case("a path", "no such time zone: ../../etc/passwd", zone="../../etc/passwd"),
        case("a key of 31 bytes", "signing key has 31 bytes, not 32", concentrator=text64(signer.public[:31])),
        case("no point of the curve", "signing key is not an Ed25519 public key", concentrator=text64(b"\xff" * 32)),
        case("a rating of 0", ILL, rating_w=0),
        case("an unknown member", ILL, k=10),
    ]


# --- The customer's envelope (chapter 8) --------------------------------------------------------------------------


def envelope_vectors() -> Case:
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)

    def pair(secret: bytes) -> tuple[KEMKeyPair, bytes]:
        public: bytes = ECC.construct(curve="Curve25519", seed=secret).public_key().export_key(format="raw")
        kem = suite.kem
        return KEMKeyPair(kem.deserialize_private_key(secret), kem.deserialize_public_key(public)), public

    customer, customer_public = pair(CUSTOMER_SECRET)
    ephemeral, _ = pair(EPHEMERAL_SECRET)
    info: Fields = [
        ("purpose", b"hushmeter/v1/customer-root"),
        ("system title", TITLE),
        ("pseudonym", PSEUDONYM.encode()),
        ("epoch", u(ENROLMENT, 2)),
    ]
    enc, context = suite.create_sender_context(customer.public_key, joined(info), eks=ephemeral)
    sealed = context.seal(CUSTOMER_ROOT, b"")
    good = {
        "pseudonym": PSEUDONYM,
        "epoch": ENROLMENT,
        "customer_key": text64(hashlib.sha256(b"hushmeter/v1/customer-key" + customer_public).digest()),
        "public_key": text64(customer_public),
        "enc": text64(enc),
        "sealed_root": text64(sealed),
    }

    def case(because: str, reason: str, title: bytes = TITLE, secret: bytes = CUSTOMER_SECRET, **altered: Any) -> Case:
        return {
            "because": because,
            "refused": "document",
            "reason": reason,
            "customer_secret": secret.hex(),
            "system_title": title.hex(),
            "envelope": {**good, **altered},
        }

    closed = "this envelope does not open with this key, meter and account"
    other_account = text64(bytes(range(1, 17)))
    return {
        "about": "Chapter 8: the customer's root, sealed with a fixed ephemeral key.",
        "customer_secret": CUSTOMER_SECRET.hex(),
        "customer_public": customer_public.hex(),
        "ephemeral_secret": EPHEMERAL_SECRET.hex(),
        "system_title": TITLE.hex(),
        "info": in_hex(info),
        "root": CUSTOMER_ROOT.hex(),
        "fields": in_hex([("enc", enc), ("ciphertext", sealed[:32]), ("tag", sealed[32:])]),
        "envelope": good,
        "refused": [
            case("another meter", closed, OTHER_TITLE),
            case("another account", closed, pseudonym=other_account),
            case("another epoch", closed, epoch=ENROLMENT + 1),
            case("another customer", closed, secret=EPHEMERAL_SECRET),
            case("a flipped bit in the root", closed, sealed_root=text64(flipped(sealed, 0))),
            case("a flipped bit in the tag's last byte", closed, sealed_root=text64(flipped(sealed, -1, 7))),
            case("a flipped bit in enc", closed, enc=text64(flipped(enc, 0))),
            case("a title of 9 bytes", closed, TITLE + b"\x00"),
            case("a title of 7 bytes", closed, TITLE[:7]),
            case("a pseudonym of 23 characters", closed, pseudonym=PSEUDONYM + "A"),
            case("enc of 31 bytes", "enc has 31 bytes, not 32", enc=text64(enc[:31])),
            case("a sealed root of 47 bytes", "sealed root has 47 bytes, not 48", sealed_root=text64(sealed[:47])),
            *(
                case(f"enc is a point of low order: {point}", closed, enc=text64(bytes.fromhex(point)))
                for point in LOW_ORDER
            ),
        ],
    }


# --- The customer's login (chapter 10) ----------------------------------------------------------------------------

LOGIN_ORIGIN = "https://portal.example.org"
LOGIN_EXPIRES = 1_727_600_120
LOGIN_ID = text64(bytes(range(0x30, 0x40)))
LOGIN_CHALLENGE = bytes(range(0x40, 0x60))


def login_vectors() -> Case:
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    kem = suite.kem
    customer: bytes = ECC.construct(curve="Curve25519", seed=CUSTOMER_SECRET).public_key().export_key(format="raw")
    ephemeral_public: bytes = (
        ECC.construct(curve="Curve25519", seed=EPHEMERAL_SECRET).public_key().export_key(format="raw")
    )
    ephemeral = KEMKeyPair(kem.deserialize_private_key(EPHEMERAL_SECRET), kem.deserialize_public_key(ephemeral_public))
    info: Fields = [
        ("purpose", b"hushmeter/v1/login"),
        ("length of the origin", u(len(LOGIN_ORIGIN), 1)),
        ("origin", LOGIN_ORIGIN.encode()),
        ("pseudonym", PSEUDONYM.encode()),
        ("expires", u(LOGIN_EXPIRES, 4)),
    ]
    enc, context = suite.create_sender_context(kem.deserialize_public_key(customer), joined(info), eks=ephemeral)
    sealed = context.seal(LOGIN_CHALLENGE, b"")
    key = context.export(b"hushmeter/v1/login-answer", 32)
    answer = hmac.new(key, LOGIN_CHALLENGE, hashlib.sha256).digest()
    good = {"id": LOGIN_ID, "enc": text64(enc), "sealed": text64(sealed), "expires": LOGIN_EXPIRES}
    closed = "this challenge does not open with this key, origin and account"

    def case(because: str, reason: str = closed, secret: bytes = CUSTOMER_SECRET, **altered: Any) -> Case:
        origin, account = altered.pop("origin", LOGIN_ORIGIN), altered.pop("account", PSEUDONYM)
        return {
            "because": because,
            "reason": reason,
            "customer_secret": secret.hex(),
            "origin": origin,
            "account": account,
            "challenge": {**good, **altered},
        }

    return {
        "about": "Chapter 10: a login challenge, sealed with a fixed ephemeral key, and its answer.",
        "customer_secret": CUSTOMER_SECRET.hex(),
        "customer_public": customer.hex(),
        "ephemeral_secret": EPHEMERAL_SECRET.hex(),
        "origin": LOGIN_ORIGIN,
        "account": PSEUDONYM,
        "plaintext": LOGIN_CHALLENGE.hex(),
        "info": in_hex(info),
        "fields": in_hex([("enc", enc), ("ciphertext", sealed[:32]), ("tag", sealed[32:])]),
        "exported_key": key.hex(),
        "challenge": good,
        "answer": {"id": LOGIN_ID, "answer": text64(answer)},
        "refused": [
            case("another origin", origin="https://portal.example.com"),
            case("the origin by another scheme", origin="http://portal.example.org"),
            case("another account", account=text64(bytes(range(1, 17)))),
            case("another end", expires=LOGIN_EXPIRES + 1),
            case("another customer", secret=EPHEMERAL_SECRET),
            case("a flipped bit in the challenge", sealed=text64(flipped(sealed, 0))),
            case("a flipped bit in the tag's last byte", sealed=text64(flipped(sealed, -1, 7))),
            case("a flipped bit in enc", enc=text64(flipped(enc, 0))),
            case("enc of 31 bytes", "enc has 31 bytes, not 32", enc=text64(enc[:31])),
            case("a sealed challenge of 47 bytes", "sealed challenge has 47 bytes, not 48", sealed=text64(sealed[:47])),
            *(case(f"enc is a point of low order: {point}", enc=text64(bytes.fromhex(point))) for point in LOW_ORDER),
        ],
    }


# --- Files --------------------------------------------------------------------------------------------------------

FILES: dict[str, Callable[[], Case]] = {
    "documents.json": documents_vectors,
    "envelope.json": envelope_vectors,
    "frames.json": frames_vectors,
    "keychain.json": keychain_vectors,
    "link.json": link_vectors,
    "logins.json": login_vectors,
    "rows.json": rows_vectors,
    "windows.json": windows_vectors,
}


def render() -> Iterator[tuple[str, str]]:
    """Yield every file's name and text."""
    for name, make in FILES.items():
        yield name, json.dumps(make(), indent=1, ensure_ascii=True) + "\n"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=FOLDER)
def main(folder: Path) -> None:
    """Write the vectors into FOLDER (tests/vectors)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render():
        (folder / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
