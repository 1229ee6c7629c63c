"""What frames say (chapter 2.3): bodies, and bodies that are refused."""

from .blocks import Case, Fields, joined, u
from .constants import CHALLENGE, EPOCH, SALT


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


MORNING = reading(7, EPOCH * 96 + 40, 900, (125_000, 0), (98_765_432_101, 1_234_567), 0x02)
LARGEST = reading(0xFFFF_FFFF, 0xFFFF_FFFE, 1, (0xFFFF_FFFF, 0xFFFF_FFFF), (2**64 - 1, 2**64 - 1), 0x1F)
SMALLEST = reading(0, 0, 900, (0, 0), (0, 0), 0)
TYPICAL = detail((2301, 512, -998))


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
