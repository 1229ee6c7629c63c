"""What both schematics are made of: a channel from its source to a pin of the converter, and the bias."""

import schemdraw.elements as elm

from hardware.drawing.sheet import Point, Sheet

CHANNEL_HEIGHT = 3.0


def front_end(sheet: Sheet, start: Point, names: tuple[str, str, str, str, str], pin: str) -> None:
    """Draw series resistor, filter capacitor, two clamping diodes and the pin's resistor.

    names: of those parts in that order; diodes: the upper, the lower. start: the hot end of the source; its cold end,
    CHANNEL_HEIGHT below, is BIAS.
    """
    series, capacitor, upper, lower, last = names
    x, y = start
    cold = y - CHANNEL_HEIGHT
    sheet.resistor(series, (x, y), (x + 2.6, y))
    sheet.wire((x + 2.6, y), (x + 6.0, y))
    sheet.capacitor(capacitor, (x + 3.2, y), (x + 3.2, cold))
    sheet.wire((x, cold), (x + 3.2, cold))
    sheet.part(elm.Schottky(), upper, (x + 6.0, y), (x + 6.0, y + 2.0))
    sheet.part(elm.Schottky(), lower, (x + 6.0, y - 2.0), (x + 6.0, y))
    sheet.rail((x + 6.0, y + 2.0))
    sheet.ground((x + 6.0, y - 2.0))
    sheet.wire((x + 6.0, y), (x + 8.6, y))
    sheet.resistor(last, (x + 8.6, y), (x + 11.2, y))
    sheet.dot((x + 3.2, y), (x + 6.0, y))
    sheet.net((x + 11.2, y), pin)


def bias(sheet: Sheet, start: Point) -> None:
    """Draw the divider that makes BIAS, with its two capacitors; start: the top of the divider, at 3V3."""
    x, y = start
    sheet.rail((x, y))
    sheet.resistor("R2", (x, y), (x, y - 2.2))
    sheet.resistor("R3", (x, y - 2.2), (x, y - 4.4))
    sheet.part(elm.Capacitor(polar=True), "C1", (x + 2.2, y - 2.2), (x + 2.2, y - 4.4), 0.35)
    sheet.capacitor("C2", (x + 4.6, y - 2.2), (x + 4.6, y - 4.4))
    sheet.wire((x, y - 2.2), (x + 6.4, y - 2.2))
    for shift in (0.0, 2.2, 4.6):
        sheet.ground((x + shift, y - 4.4))
        sheet.dot((x + shift, y - 2.2))
    sheet.net((x + 6.4, y - 2.2), "BIAS")
