"""The other voltage channel: a bare ZMPT101B at the mains, for those who may."""

import schemdraw.elements as elm

from hardware.circuit import Circuit
from hardware.drawing.channels import CHANNEL_HEIGHT, front_end
from hardware.drawing.sheet import MAINS_RED, Point, Sheet, finished


def isolated(circuit: Circuit) -> str:
    """Return the schematic of the voltage channel with a ZMPT101B as SVG text."""
    sheet = Sheet(circuit)
    sheet.frame(
        (-12.4, 5.6), (17.4, -6.8), "Hushmeter: voltage channel with a ZMPT101B, instead of AD1, J2, F1, R6 and R7"
    )
    primary(sheet, (0.0, 0.0))
    secondary(sheet, (4.2, 0.0))
    pin = f"GPIO{circuit.converter.pin_voltage}"
    front_end(sheet, (4.2, 0.0), ("R8", "C4", "D4", "D5", "R9"), pin)
    return finished(sheet.drawing)


def primary(sheet: Sheet, end: Point) -> None:
    """Draw the mains side; end: the hot end of the primary winding."""
    x, y = end
    cold = y - CHANNEL_HEIGHT
    sheet.text((x - 11.8, y + 3.4), "Mains. Deadly. For a qualified electrician only.", 13, color=MAINS_RED)
    for place, name in ((y, "L"), (cold, "N")):
        sheet.drawing.add(elm.Dot(open=True, radius=0.1).at((x - 11.2, place)).color(MAINS_RED))
        sheet.text((x - 11.5, place), name, 12, "right", MAINS_RED)
    sheet.wire((x - 11.1, y), (x - 10.4, y))
    sheet.part(elm.FuseIEC(), "F2", (x - 10.4, y), (x - 7.8, y))
    sheet.wire((x - 7.8, y), (x - 5.4, y))
    sheet.part(elm.RBox().fill("white"), "RV1", (x - 7.4, y), (x - 7.4, cold))
    sheet.dot((x - 7.4, y), (x - 7.4, cold))
    sheet.resistor("R12", (x - 5.4, y), (x - 2.7, y))
    sheet.resistor("R13", (x - 2.7, y), (x, y))
    sheet.wire((x - 11.1, cold), (x, cold))
    barrier = elm.Line().at((x + 0.49, y + 3.0)).to((x + 0.49, cold - 2.0))
    sheet.drawing.add(barrier.linestyle("--").color(MAINS_RED))
    note = "Left of the dashed line: 8 mm to everything right of it, on the board and in the air"
    sheet.text((x - 11.8, cold - 2.9), note, 10.5, color=MAINS_RED)


def secondary(sheet: Sheet, start: Point) -> None:
    """Draw transformer and burden; start: where the front end begins."""
    x, y = start
    cold = y - CHANNEL_HEIGHT
    coil = elm.Transformer(t1=6, t2=6).at((x - 4.2, y - 0.3)).theta(0).anchor("p1")
    placed = sheet.drawing.add(coil)
    for corner, level, reach in ((placed.p1, y, x - 4.2), (placed.p2, cold, x - 4.2)):
        sheet.wire((reach, level), (corner[0], level), (corner[0], corner[1]))
    for corner, level in ((placed.s1, y), (placed.s2, cold)):
        sheet.wire((corner[0], corner[1]), (corner[0], level), (x, level))
    sheet.text((x - 3.35, y + 3.4), "T1 ZMPT101B", 10.5, "center")
    sheet.resistor("R14", (x - 0.6, y), (x - 0.6, cold))
    sheet.dot((x - 0.6, y), (x - 0.6, cold))
    sheet.wire((x - 0.6, cold), (x - 0.6, cold - 0.7))
    sheet.net((x - 0.6, cold - 0.7), "BIAS")
