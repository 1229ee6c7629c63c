"""A small SVG writer for the wiring drawings: whole numbers, one element a line, text that is really text."""

from xml.sax.saxutils import escape

INK, PALE, PAPER = "#1b1b1b", "#8a8a8a", "#ffffff"
RED, BROWN, BLUE, GREEN, YELLOW, ORANGE, COPPER = (
    "#b00020", "#7a4a21", "#1f5fbf", "#2e7d32", "#e6c229", "#d9730d", "#c77c3a",
)  # fmt: skip
Spot = tuple[float, float]


class Canvas:
    """Collects elements; `svg` is the picture. Lengths in pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.size = (width, height)
        self.lines = [f"<title>{escape(title)}</title>"]
        self.rectangle((0, 0), (width, height), PAPER, "none")

    def svg(self) -> str:
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        )
        return "\n".join([head, *self.lines, "</svg>"]) + "\n"

    def rectangle(
        self, corner: Spot, size: Spot, fill: str, edge: str = INK, width: float = 1.5, round_: float = 0
    ) -> None:
        self.lines.append(
            f'<rect x="{corner[0]:g}" y="{corner[1]:g}" width="{size[0]:g}" height="{size[1]:g}" rx="{round_:g}"'
            f' fill="{fill}" stroke="{edge}" stroke-width="{width:g}"/>'
        )

    def line(self, *spots: Spot, color: str = INK, width: float = 1.5, dashed: bool = False) -> None:
        points = " ".join(f"{x:g},{y:g}" for x, y in spots)
        dash = ' stroke-dasharray="7 5"' if dashed else ""
        self.lines.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width:g}"'
            f' stroke-linecap="round" stroke-linejoin="round"{dash}/>'
        )

    def dots(self, corner: Spot, size: Spot, pitch: float, color: str) -> None:
        """Fill a rectangle with dots, the first of them half a pitch inside its corner."""
        half = pitch / 2
        self.lines.append(
            f'<defs><pattern id="holes" x="{corner[0]:g}" y="{corner[1]:g}" width="{pitch:g}" height="{pitch:g}"'
            f' patternUnits="userSpaceOnUse"><circle cx="{half:g}" cy="{half:g}" r="2" fill="{color}"/></pattern>'
            "</defs>"
        )
        self.rectangle(corner, size, "url(#holes)", "none")

    def curve(self, start: Spot, bend: Spot, end: Spot, color: str, width: float) -> None:
        spots = " ".join(f"{x:g} {y:g}" for x, y in (bend, end))
        self.lines.append(
            f'<path d="M {start[0]:g} {start[1]:g} Q {spots}" fill="none" stroke="{color}" stroke-width="{width:g}"'
            ' stroke-linecap="round"/>'
        )

    def circle(self, middle: Spot, radius: float, fill: str, edge: str = "none", width: float = 1.5) -> None:
        self.lines.append(
            f'<circle cx="{middle[0]:g}" cy="{middle[1]:g}" r="{radius:g}" fill="{fill}" stroke="{edge}"'
            f' stroke-width="{width:g}"/>'
        )

    def polygon(self, *spots: Spot, fill: str) -> None:
        points = " ".join(f"{x:g},{y:g}" for x, y in spots)
        self.lines.append(f'<polygon points="{points}" fill="{fill}"/>')

    def text(
        self, spot: Spot, text: str, size: int = 13, color: str = INK, anchor: str = "start", bold: bool = False
    ) -> None:
        """Write one line; spot: on the base line. `dominant-baseline` is left alone, viewers differ in it."""
        weight = ' font-weight="bold"' if bold else ""
        self.lines.append(
            f'<text x="{spot[0]:g}" y="{spot[1]:g}" font-family="sans-serif" font-size="{size}" fill="{color}"'
            f' text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )
