"""The perforated board seen from above: parts, bare wires below, insulated links on top."""

from hardware.circuit import Circuit
from hardware.drawing import layout
from hardware.drawing.canvas import BLUE, BROWN, COPPER, GREEN, INK, ORANGE, PALE, RED, Canvas, Spot
from hardware.values import value_text

PITCH, LEFT, TOP = 24, 130, 96
NET_COLORS = {"3V3": RED, "GND": INK, "BIAS": BLUE, "PIN34": GREEN, "PIN35": ORANGE}
BODIES = {"R": "#f3e3c3", "C": "#d8e6f5", "D": "#e4e4e4", "F": "#f8dcb0"}
FLAT = ("J", "U")  # drawn as blocks, not as bodies between two holes


def board(circuit: Circuit) -> str:
    """Return the wiring drawing as SVG text."""
    width, height = LEFT + layout.COLUMNS * PITCH + 40, TOP + layout.ROWS * PITCH + 110
    canvas = Canvas(width, height, "Hushmeter: wiring of the perforated board")
    canvas.text((30, 38), "Wiring on a perforated board, seen from the side of the parts", 20)
    canvas.text((30, 62), "One square is 2.54 mm. Not needed for a clamp only: J2, F1, R6 to R9, C4, D4, D5.", 13, PALE)
    holes(canvas)
    for net, start, end in layout.BUSES:
        canvas.line(spot(start), spot(end), color=NET_COLORS.get(net, COPPER), width=5)
    blocks(canvas, circuit)
    for reference, ends in layout.PARTS.items():
        if not reference.startswith(FLAT):
            body(canvas, circuit, reference, ends)
    for net, start, end in layout.LINKS:
        link(canvas, net, spot(start), spot(end))
    legend(canvas, TOP + layout.ROWS * PITCH + 30)
    return canvas.svg()


def spot(hole: layout.Hole) -> Spot:
    return LEFT + hole[0] * PITCH, TOP + hole[1] * PITCH


def holes(canvas: Canvas) -> None:
    left, top = spot((0, 0))
    size = ((layout.COLUMNS - 1) * PITCH + 40, (layout.ROWS - 1) * PITCH + 40)
    canvas.rectangle((left - 20, top - 20), size, "#fbfaf5", PALE, 1.5, 8)
    corner = (left - PITCH / 2, top - PITCH / 2)
    canvas.dots(corner, (layout.COLUMNS * PITCH, layout.ROWS * PITCH), PITCH, "#d4d0c4")


def link(canvas: Canvas, net: str, start: Spot, end: Spot) -> None:
    """Draw an insulated wire: bent aside, so that it is not taken for a bus."""
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    tall = abs(end[1] - start[1]) > abs(end[0] - start[0])
    bend = (middle[0] + 24, middle[1]) if tall else (middle[0], middle[1] - 34)
    color = NET_COLORS.get(net, GREEN)
    canvas.curve(start, bend, end, "#ffffff", 6)
    canvas.curve(start, bend, end, color, 3)
    for place in (start, end):
        canvas.circle(place, 4, color)


def body(canvas: Canvas, circuit: Circuit, reference: str, ends: dict[str, layout.Hole]) -> None:
    """Draw a part between its two holes, with name and value beside it, and a bar at its cathode or a plus."""
    one, other = ends.values()
    start, end = spot(one), spot(other)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    canvas.line(start, end, color=PALE, width=2)
    lying = one[1] == other[1]
    long_ = max(abs(end[0] - start[0]), abs(end[1] - start[1])) * 0.62
    size = (long_, 15) if lying else (15, long_)
    canvas.rectangle((x - size[0] / 2, y - size[1] / 2), size, BODIES[reference[0]], INK, 1.2, 3)
    if "cathode" in ends:
        up = -1 if spot(ends["cathode"])[1] < y else 1
        canvas.rectangle((x - 7.5, y + up * (long_ / 2 - 5) - 2), (15, 4), INK, "none")
    if "plus" in ends:
        up = -1 if spot(ends["plus"])[1] < y else 1
        sign = (x - 19, y + up * long_ / 2)
        canvas.circle(sign, 7, "#ffffff", INK, 1)
        canvas.text((sign[0], sign[1] + 5), "+", 14, INK, "middle", True)
    for place in (start, end):
        canvas.circle(place, 3.2, INK)
    name, value = caption(circuit, reference)
    if max(size) < PITCH:  # no room beside it
        canvas.text((x, y - PITCH), f"{name} {value}", 11, INK, "middle", True)
    elif lying:
        canvas.text((x, y - 14), name, 12, INK, "middle", True)
        canvas.text((x, y + 24), value, 11, INK, "middle")
    else:
        canvas.text((x + 12, y - 1), name, 12, INK, "start", True)
        canvas.text((x + 12, y + 13), value, 11)


def caption(circuit: Circuit, reference: str) -> tuple[str, str]:
    if reference != "R1":
        return reference, value_text(circuit.part[reference])
    return "R1A or R1B", " or ".join(value_text(circuit.part[name]) for name in ("R1A", "R1B"))


def blocks(canvas: Canvas, circuit: Circuit) -> None:
    """Draw the development board, the two sockets at the left and the terminals at the lower right."""
    (left, top), (right, bottom) = spot((layout.MODULE_LEFT, 0)), spot((layout.MODULE_RIGHT, 18))
    canvas.rectangle((left - 10, top - 12), (right - left + 20, bottom - top + 24), "#eef3ee", INK, 1.5, 6)
    canvas.text(((left + right) / 2, top + 200), "U1", 16, INK, "middle", True)
    canvas.text(((left + right) / 2, top + 220), circuit.part["U1"].number, 12, INK, "middle")
    canvas.text(((left + right) / 2, top + 14), "antenna", 11, PALE, "middle")
    canvas.text(((left + right) / 2, bottom + 2), "USB", 11, PALE, "middle")
    used = {pin for pins in circuit.net.values() for pin in pins}
    for header, column, shift, anchor in (
        (layout.LEFT_HEADER, layout.MODULE_LEFT, 10, "start"),
        (layout.RIGHT_HEADER, layout.MODULE_RIGHT, -10, "end"),
    ):
        for row, name in enumerate(header):
            x, y = spot((column, row))
            wanted = f"U1.{name}" in used and layout.module_pins()[f"U1.{name}"] == (column, row)
            canvas.circle((x, y), 4, INK if wanted else "#c9c9c9")
            canvas.text((x + shift, y + 4), name, 11, INK if wanted else PALE, anchor, wanted)
    for name, text in (
        ("J1.tip", "J1 tip"),
        ("J1.sleeve", "J1 sleeve"),
        ("J1.ring", "J1 ring"),
        ("J1.switch", "J1 switch"),
        ("J2.pin", "J2 pin"),
        ("J2.sleeve", "J2 sleeve"),
    ):
        x, y = spot(layout.pins()[name])
        canvas.line((x - 44, y), (x, y), color=BROWN, width=3)
        canvas.circle((x, y), 4.5, INK)
        canvas.text((x - 50, y + 4), text, 12, INK, "end", True)
    for pin, text in (("J3.1", "TX"), ("J3.2", "RX"), ("J3.3", "GND")):
        x, y = spot(layout.pins()[pin])
        canvas.rectangle((x - 17, y - 12), (34, 24), "#dbe9db", INK, 1.2, 3)
        canvas.circle((x, y), 4.5, INK)
        canvas.text((x - 8, y + 30), text, 11, INK, "end", True)
    x, y = spot(layout.pins()["J3.2"])
    canvas.text((x - 76, y + 5), "J3", 13, INK, "middle", True)


def legend(canvas: Canvas, y: float) -> None:
    x = LEFT
    for color, text in (
        (RED, "3V3"), (INK, "GND"), (BLUE, "BIAS"), (COPPER, "other nets"),
    ):  # fmt: skip
        canvas.line((x, y), (x + 36, y), color=color, width=5)
        canvas.text((x + 46, y + 5), text, 13)
        x += 140
    canvas.text((x, y + 5), "thick: bare wire under the board", 13)
    x = LEFT
    canvas.curve((x, y + 34), (x + 18, y + 18), (x + 36, y + 34), GREEN, 3)
    canvas.text((x + 46, y + 36), "thin and bent: insulated wire on top, crosses others without touching them", 13)
