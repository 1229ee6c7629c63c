"""A schematic sheet: schemdraw with this project's style, and parts that take their values from the circuit."""

import re
from itertools import pairwise
from typing import Any

import schemdraw
import schemdraw.elements as elm

from hardware.circuit import Circuit
from hardware.values import value_text

Point = tuple[float, float]
INK = "#1b1b1b"
MAINS_RED = "#b00020"
NUMBER = re.compile(r"-?\d+\.\d+")
TAG = re.compile(r"<[^>]+>")
SIZE = re.compile(r'viewBox="(\S+) (\S+) (\S+) (\S+)"')
UNITS = re.compile(r'((?:width|height)="[\d.]+)pt"')


def new_sheet() -> Any:
    """Return an empty drawing: SVG only, text as text, white behind it."""
    schemdraw.svgconfig.text = "text"  # whatever else is installed: the picture must not depend on it
    drawing = schemdraw.Drawing(canvas="svg", show=False)
    drawing.config(unit=2.0, inches_per_unit=0.42, fontsize=11, color=INK, lw=1.6, bgcolor="white", margin=0.5)
    return drawing


def rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def finished(drawing: Any) -> str:
    """Return the sheet as SVG text that every viewer shows alike.

    Coordinates are rounded: their last digits differ between machines. schemdraw's `sans` is no generic family, its
    `stroke-dasharray:-` no value, and its background a style that only browsers know: white paper is laid under.
    """
    text = drawing.get_imagedata("svg").decode()
    text = TAG.sub(lambda tag: NUMBER.sub(rounded, tag[0]), text)
    text = text.replace('font-family="sans"', 'font-family="sans-serif"').replace("stroke-dasharray:-;", "")
    head, size = text[: text.index(">") + 1], SIZE.search(text)
    assert size
    left, top, width, height = size.groups()
    paper = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="white"/>'
    head = UNITS.sub(r'\1"', head).replace(' style="background-color:white;"', "")
    body = text[text.index(">") + 1 :]
    return head + paper + re.sub(r"(<(?:path|polygon|text|circle))", r"\n\1", body).replace("</svg>", "\n</svg>") + "\n"


class Sheet:
    """Puts parts of a circuit on a drawing, and remembers what the drawing connects.

    ends: where each pin is; wires: their two ends; flags: places that carry a net's name.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.drawing = new_sheet()
        self.ends: dict[str, Point] = {}
        self.wires: list[tuple[Point, Point]] = []
        self.flags: list[tuple[Point, str]] = []

    def text(self, place: Point, text: str, size: float = 11, align: str = "left", color: str = INK) -> None:
        style: dict[str, Any] = {"fontsize": size, "halign": align, "valign": "center", "color": color, "ofst": (0, 0)}
        self.drawing.add(elm.Label().at(place).theta(0).label(text, loc="center", **style))

    def frame(self, corner: Point, opposite: Point, title: str) -> None:
        """Draw the sheet's edge: it also tells the drawing how large it is, which text alone does not."""
        self.drawing.add(elm.Rect(corner1=corner, corner2=opposite, lw=0.8).at((0, 0)))
        self.text((corner[0] + 0.6, corner[1] - 0.8), title, 16)

    def wire(self, *places: Point) -> None:
        for start, end in pairwise(places):
            self.drawing.add(elm.Line().at(start).to(end))
            self.wires.append((start, end))

    def dot(self, *places: Point) -> None:
        for place in places:
            self.drawing.add(elm.Dot(radius=0.07).at(place))

    def part(self, symbol: Any, reference: str, start: Point, end: Point, shift: float = 0.25) -> None:
        """Draw a two-terminal part with its name and value: above it if it lies, right of it if it stands."""
        self.drawing.add(symbol.at(start).to(end))
        self.pins(reference, start, end)
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        label = [reference, value_text(self.circuit.part[reference])]
        if start[1] == end[1]:
            self.text((x, y + 0.62), " ".join(label), 10.5, "center")
        else:
            self.text((x + shift + 0.2, y + 0.22), label[0], 10.5)
            self.text((x + shift + 0.2, y - 0.22), label[1], 10.5)

    def pins(self, reference: str, start: Point, end: Point) -> None:
        """Remember both ends of a part under the names that its pins have in the nets."""
        named = {pin for pins in self.circuit.net.values() for pin in pins}
        for names in (("1", "2"), ("anode", "cathode"), ("plus", "minus")):
            if f"{reference}.{names[0]}" in named:
                self.ends |= {f"{reference}.{names[0]}": start, f"{reference}.{names[1]}": end}

    def resistor(self, reference: str, start: Point, end: Point) -> None:
        self.part(elm.ResistorIEC(), reference, start, end)

    def capacitor(self, reference: str, start: Point, end: Point) -> None:
        self.part(elm.Capacitor(), reference, start, end, 0.35)

    def rail(self, place: Point, name: str = "3V3") -> None:
        self.flags.append((place, name))
        self.drawing.add(elm.Vdd().at(place).theta(0).label(name, fontsize=10.5))

    def ground(self, place: Point) -> None:
        self.flags.append((place, "GND"))
        self.drawing.add(elm.GroundSignal().at(place).theta(0))

    def net(self, place: Point, name: str, towards: str = "right") -> None:
        """Draw a flag with a net's name: every place with the same flag is connected."""
        self.flags.append((place, name))
        tag = elm.Tag(width=1.8, height=0.6).at(place)
        self.drawing.add((tag.right() if towards == "right" else tag.left()).label(name, fontsize=10.5))
