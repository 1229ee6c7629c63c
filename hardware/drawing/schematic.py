"""The meter's schematic: clamp, adaptor, bias, development board, link."""

import schemdraw.elements as elm

from hardware.analog.bias import bias_v
from hardware.circuit import Circuit
from hardware.drawing.channels import CHANNEL_HEIGHT, bias, front_end
from hardware.drawing.sheet import Point, Sheet, finished
from hardware.values import value_text


def schematic(circuit: Circuit) -> str:
    """Return the schematic as SVG text."""
    return finished(drawn(circuit).drawing)


def drawn(circuit: Circuit) -> Sheet:
    sheet = Sheet(circuit)
    sheet.frame((-6.0, 7.8), (28.4, -20.4), "Hushmeter: the meter with clamp and AC-AC adaptor")
    current_channel(sheet, (4.4, 3.0))
    contact(sheet, (21.4, 5.0))
    voltage_channel(sheet, (4.4, -5.4))
    sheet.text((-5.4, -11.2), "Zero", 13)
    bias(sheet, (-3.6, -12.6))
    volts = f"BIAS stands at {bias_v(circuit).nominal:.2f} V."
    sheet.text((-5.4, -19.6), f"{volts} The cold ends of both channels and both filter capacitors return to it.", 10.5)
    board(sheet, (12.8, -12.4))
    return sheet


def current_channel(sheet: Sheet, start: Point) -> None:
    x, y = start
    cold = y - CHANNEL_HEIGHT
    clamp, other = sheet.circuit.clamp
    sheet.text((-5.4, y + 2.5), f"Current: {clamp.name}, or {other.name} with R1B", 13)
    sheet.drawing.add(elm.Transformer(t1=2, t2=6).at((x - 7.0, y - 2.0)).theta(0))
    sheet.text((x - 7.9, y + 0.1), "CT1", 10.5, "center")
    jack(sheet, x, y, cold)
    sheet.part(elm.DiodeTVS(), "D1", (x - 3.8, y), (x - 3.8, cold))
    sheet.drawing.add(elm.ResistorIEC().at((x - 0.6, y)).to((x - 0.6, cold)))
    sheet.pins("R1", (x - 0.6, y), (x - 0.6, cold))
    for step, reference in enumerate(("R1A", "R1B")):
        text = f"{reference} {value_text(sheet.circuit.part[reference])}" + (" or" if step == 0 else "")
        sheet.text((x - 0.1, y - 1.25 - 0.45 * step), text, 10.5)
    sheet.dot((x - 3.8, y), (x - 3.8, cold), (x - 0.6, y), (x - 0.6, cold))
    sheet.wire((x - 0.6, cold), (x - 0.6, cold - 0.7))
    sheet.net((x - 0.6, cold - 0.7), "BIAS")
    names = ("R4", "C3", "D2", "D3", "R5")
    front_end(sheet, (x, y), names, f"GPIO{sheet.circuit.converter.pin_current}")


def jack(sheet: Sheet, x: float, y: float, cold: float) -> None:
    for place, name in ((y, "J1 tip"), (cold, "J1 sleeve")):
        sheet.wire((x - 6.0, place), (x - 5.0, place))
        sheet.drawing.add(elm.Dot(open=True, radius=0.1).at((x - 5.0, place)))
        sheet.text((x - 4.8, place + 0.45), name, 10.5, "center")
        sheet.ends[name.replace(" ", ".")] = (x - 4.9, place)
        sheet.wire((x - 4.9, place), (x, place))


def contact(sheet: Sheet, start: Point) -> None:
    """Draw the jack's own contact and its pull-up; start: the top of the pull-up, at 3V3."""
    x, y = start
    sheet.text((x - 1.6, y + 1.5), "Is the clamp plugged in?", 13)
    sheet.rail((x, y))
    sheet.resistor("R15", (x, y), (x, y - 2.2))
    sheet.wire((x, y - 2.2), (x + 2.6, y - 2.2))
    sheet.dot((x, y - 2.2))
    sheet.net((x + 2.6, y - 2.2), f"GPIO{sheet.circuit.jack.pin_switch}")
    sheet.drawing.add(elm.Button(nc=True).at((x, y - 2.2)).to((x, y - 4.4)))
    sheet.ends |= {"J1.switch": (x, y - 2.2), "J1.ring": (x, y - 4.4)}
    sheet.ground((x, y - 4.4))
    for step, text in enumerate(("J1 switch and J1 ring:", "closed without a plug,", "opened by one")):
        sheet.text((x + 0.9, y - 3.0 - 0.5 * step), text, 10.5)


def voltage_channel(sheet: Sheet, start: Point) -> None:
    x, y = start
    cold = y - CHANNEL_HEIGHT
    sheet.text((-5.4, y + 2.5), "Voltage: AC-AC adaptor (none for a clamp only)", 13)
    front_end(sheet, (x, y), ("R8", "C4", "D4", "D5", "R9"), f"GPIO{sheet.circuit.converter.pin_voltage}")
    for place, name in ((y, "J2 pin"), (cold, "J2 sleeve")):
        sheet.drawing.add(elm.Dot(open=True, radius=0.1).at((x - 8.4, place)))
        sheet.text((x - 8.4, place + 0.5), name, 10.5, "center")
        sheet.ends[name.replace(" ", ".")] = (x - 8.3, place)
    sheet.text((x - 9.3, y - 1.25), "AD1", 10.5)
    sheet.text((x - 9.3, y - 1.7), "9 V AC", 10.5)
    sheet.wire((x - 8.3, y), (x - 6.8, y))
    sheet.part(elm.FuseIEC(), "F1", (x - 6.8, y), (x - 4.4, y))
    sheet.resistor("R6", (x - 4.4, y), (x - 1.4, y))
    sheet.wire((x - 1.4, y), (x, y))
    sheet.resistor("R7", (x - 0.6, y), (x - 0.6, cold))
    sheet.wire((x - 8.3, cold), (x, cold))
    sheet.dot((x - 0.6, y), (x - 0.6, cold))
    sheet.wire((x - 0.6, cold), (x - 0.6, cold - 0.7))
    sheet.net((x - 0.6, cold - 0.7), "BIAS")


def board(sheet: Sheet, start: Point) -> None:
    """Draw the development board, its decoupling and the link's terminals; start: its upper left corner."""
    circuit, (x, y) = sheet.circuit, start
    converter, link, switch = circuit.converter, circuit.link, circuit.jack.pin_switch
    sheet.text((x - 6.4, y + 1.0), "Board and link", 13)
    sheet.drawing.add(elm.Rect(corner1=(0, 0), corner2=(5.4, -5.6)).at((x, y)))
    sheet.text((x + 2.7, y + 0.45), f"U1 {circuit.part['U1'].number}", 10.5, "center")
    pins = (converter.pin_current, converter.pin_voltage, switch)
    for step, name in enumerate([*(f"GPIO{pin}" for pin in pins), "3V3", "GND"]):
        place = (x - 1.0, y - 0.7 - 1.0 * step)
        sheet.wire(place, (x, place[1]))
        sheet.text((x + 0.2, place[1]), name, 10)
        sheet.ends[f"U1.{name.removeprefix('GPIO')}"] = (x, place[1])
        if step < len(pins):
            sheet.net(place, name, "left")
    decoupling(sheet, (x - 1.0, y - 3.7))
    sheet.wire((x - 1.0, y - 4.7), (x - 1.0, y - 5.6))
    sheet.ground((x - 1.0, y - 5.6))
    terminals(sheet, (x + 5.4, y), (f"GPIO{link.uart_tx} TX", f"GPIO{link.uart_rx} RX", "GND", "USB"))


def decoupling(sheet: Sheet, at: Point) -> None:
    """Draw C5 and C6 from 3V3 to ground; at: the end of the board's 3V3."""
    x, y = at
    sheet.wire((x, y), (x - 5.9, y))
    sheet.rail((x - 5.9, y))
    for reference, shift in (("C5", 2.2), ("C6", 4.7)):
        place = (x - shift, y)
        polar = reference == "C6"
        sheet.part(elm.Capacitor(polar=polar), reference, place, (x - shift, y - 2.2), 0.35)
        sheet.ground((x - shift, y - 2.2))
        sheet.dot(place)


def terminals(sheet: Sheet, corner: Point, names: tuple[str, str, str, str]) -> None:
    """Draw what leaves the board to the right; corner: its upper right one."""
    x, y = corner
    for step, name in enumerate(names):
        level = y - 0.8 - 1.3 * step
        sheet.text((x - 0.2, level), name, 10, "right")
        if step < 2:
            sheet.resistor(("R10", "R11")[step], (x, level), (x + 2.8, level))
            sheet.ends[f"U1.{name.removeprefix('GPIO').split()[0]}"] = (x, level)
        else:
            sheet.wire((x, level), (x + 2.8, level))
        if step < 3:  # the fourth is the USB socket
            sheet.ends[f"J3.{step + 1}"] = (x + 2.8, level)
        sheet.drawing.add(elm.Dot(open=True, radius=0.1).at((x + 2.9, level)))
    sheet.flags.append(((x, y - 0.8 - 1.3 * names.index("GND")), "GND"))  # the development board joins its grounds
    for step, text in enumerate(
        ("J3.1 to the concentrator's RX", "J3.2 to the concentrator's TX", "J3.3 ground", "PS1, 5 V")
    ):
        sheet.text((x + 3.2, y - 0.8 - 1.3 * step), text, 10)
