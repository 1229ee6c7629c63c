"""Where each part of the board sits: holes of a perforated board, (column, row) from its upper left corner.

Pins are named as in circuit.toml's nets. A bus is bare wire under the board and connects every hole that it passes; a
link is insulated wire on top and connects its two ends. The tests compare what this connects with the nets.
"""

from collections.abc import Iterable, Iterator

Hole = tuple[int, int]
COLUMNS, ROWS = 53, 27
MODULE_LEFT, MODULE_RIGHT, MODULE_TOP = 34, 44, 0  # the development board's two sockets, 25.4 mm apart

# ESP32-DevKitC V4, its two headers from the antenna down (Espressif's getting-started guide)
LEFT_NAMES = "3V3 EN VP VN 34 35 32 33 25 26 27 14 12 GND 13 D2 D3 CMD 5V"
RIGHT_NAMES = "GND 23 22 TX RX 21 GND 19 18 5 17 16 4 0 2 15 D1 D0 CLK"
LEFT_HEADER, RIGHT_HEADER = LEFT_NAMES.split(), RIGHT_NAMES.split()

PARTS: dict[str, dict[str, Hole]] = {
    "J1": {"ring": (0, 1), "switch": (0, 2), "tip": (0, 4), "sleeve": (0, 8)},
    "D1": {"1": (4, 4), "2": (4, 8)},
    "R1": {"1": (8, 4), "2": (8, 8)},
    "R4": {"1": (10, 4), "2": (14, 4)},
    "C3": {"1": (17, 6), "2": (17, 8)},
    "D2": {"anode": (20, 4), "cathode": (20, 0)},
    "D3": {"cathode": (24, 4), "anode": (24, 1)},
    "R5": {"1": (27, 4), "2": (31, 4)},
    "J2": {"pin": (0, 12), "sleeve": (0, 9)},
    "F1": {"1": (2, 12), "2": (4, 12)},
    "R6": {"1": (5, 12), "2": (9, 12)},
    "R7": {"1": (11, 12), "2": (11, 8)},
    "R8": {"1": (13, 12), "2": (17, 12)},
    "C4": {"1": (19, 10), "2": (19, 8)},
    "D4": {"anode": (21, 12), "cathode": (21, 16)},
    "D5": {"cathode": (25, 12), "anode": (25, 15)},
    "R9": {"1": (27, 12), "2": (31, 12)},
    "R2": {"1": (6, 16), "2": (6, 20)},
    "R3": {"1": (10, 20), "2": (10, 24)},
    "C1": {"plus": (14, 20), "minus": (14, 21)},
    "C2": {"1": (18, 20), "2": (18, 21)},
    "C5": {"1": (29, 0), "2": (29, 1)},
    "C6": {"plus": (30, 16), "minus": (30, 15)},
    "R10": {"1": (46, 10), "2": (46, 14)},
    "R11": {"1": (49, 11), "2": (49, 15)},
    "R15": {"1": (25, 8), "2": (29, 8)},
    "J3": {"1": (46, 24), "2": (48, 24), "3": (50, 24)},
}

BUSES: list[tuple[str, Hole, Hole]] = [
    ("3V3", (20, 0), (34, 0)),
    ("GND", (0, 1), (33, 1)),
    ("SWITCH", (0, 2), (18, 2)),
    ("SWITCH", (29, 8), (34, 8)),
    ("TIP", (0, 4), (10, 4)),
    ("CURRENT", (14, 4), (27, 4)),
    ("CURRENT", (17, 4), (17, 6)),
    ("PIN34", (31, 4), (34, 4)),
    ("BIAS", (0, 8), (19, 8)),
    ("BIAS", (0, 8), (0, 9)),
    ("AC", (0, 12), (2, 12)),
    ("FUSED", (4, 12), (5, 12)),
    ("DIVIDED", (9, 12), (13, 12)),
    ("VOLTAGE", (17, 12), (27, 12)),
    ("VOLTAGE", (19, 10), (19, 12)),
    ("GND", (25, 15), (33, 15)),
    ("GND", (33, 13), (33, 15)),
    ("GND", (33, 13), (34, 13)),
    ("3V3", (6, 16), (31, 16)),
    ("BIAS", (1, 20), (18, 20)),
    ("GND", (10, 24), (33, 24)),
    ("GND", (14, 21), (14, 24)),
    ("GND", (18, 21), (18, 24)),
    ("GND", (33, 15), (33, 24)),
    ("GND", (33, 24), (33, 26)),
    ("GND", (33, 26), (50, 26)),
    ("GND", (50, 24), (50, 26)),
    ("TX", (44, 10), (46, 10)),
    ("RX", (44, 11), (49, 11)),
]

LINKS: list[tuple[str, Hole, Hole]] = [
    ("GND", (33, 1), (33, 13)),
    ("3V3", (31, 0), (31, 16)),
    ("PIN35", (31, 12), (34, 5)),
    ("SWITCH", (18, 2), (29, 8)),
    ("3V3", (28, 0), (25, 8)),
    ("BIAS", (1, 8), (1, 20)),
    ("TX_OUT", (46, 14), (46, 24)),
    ("RX_OUT", (49, 15), (48, 24)),
]


def module_pins() -> dict[str, Hole]:
    """Return the development board's pins, `U1.34` and so on, where each first stands."""
    pins: dict[str, Hole] = {}
    for header, column in ((LEFT_HEADER, MODULE_LEFT), (RIGHT_HEADER, MODULE_RIGHT)):
        for row, name in enumerate(header):
            pins.setdefault(f"U1.{name}", (column, MODULE_TOP + row))
    return pins


def pins() -> dict[str, Hole]:
    """Return every pin's hole."""
    placed = {f"{part}.{pin}": hole for part, ends in PARTS.items() for pin, hole in ends.items()}
    return placed | module_pins()


def passed(start: Hole, end: Hole) -> Iterator[Hole]:
    """Yield every hole of a straight bus."""
    (left, top), (right, bottom) = start, end
    for column in range(min(left, right), max(left, right) + 1):
        for row in range(min(top, bottom), max(top, bottom) + 1):
            yield column, row


def wires() -> Iterator[Iterable[Hole]]:
    """Yield the holes that each bus and each link joins."""
    for _, start, end in BUSES:
        yield passed(start, end)
    for _, start, end in LINKS:
        yield start, end
