"""Reports (chapter 6): loads, billing windows and segments, and what of them is refused."""

from .blocks import Case, joined, json_bytes, text64
from .bodies import TYPICAL
from .constants import FINGERPRINT, PSEUDONYM
from .contents import ILL, content_cases
from .frames import DETAIL, header, inner
from .windows import THREE_HOURS, utc

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
SHORT = "a billing window shorter than 3 hours"
TOGETHER = "energy and closing register come together or not at all"
EMPTY = "an empty window is one whose registers have one time"
COUNTS = "more intervals present than expected, or in an empty window"


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
