"""Frames (chapter 2): headers, seals, and frames that are refused."""

from Crypto.Cipher import AES

from .blocks import Case, Fields, flipped, in_hex, joined, u
from .bodies import LARGEST, MORNING, SMALLEST, TYPICAL, ack, config, event, hello, refused_bodies, time_body
from .constants import EPOCH, NO_EPOCH, RANDOM, SALT, TITLE
from .keychain import DETAIL_KEY, HELLO_KEY, HOP_DOWN, HOP_UP, TIME_KEY

READING, DETAIL, HELLO, EVENT, ACK, TIME, CONFIG = 1, 2, 3, 4, 0x81, 0x82, 0x83


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


def inner(head: Fields, body: Fields, key: bytes = DETAIL_KEY, layer: int = 2) -> Fields:
    """Return the 66 bytes of a DETAIL that only the customer opens."""
    nonce = numbered(layer, head)
    (_, ciphertext), (_, tag) = seal(key, nonce, joined(body), joined(head))
    return [("nonce", nonce), ("inner ciphertext", ciphertext), ("inner tag", tag)]


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
