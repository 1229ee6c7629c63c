"""Where the clamp goes: around one conductor, arrow towards the load; and what its plug carries."""

from collections.abc import Callable

from hardware.circuit import Circuit
from hardware.drawing.canvas import BLUE, BROWN, GREEN, INK, PALE, RED, YELLOW, Canvas
from hardware.values import value_text

WIDTH, HEIGHT = 1180, 900
LOAD_X = 1000


def clamp(circuit: Circuit) -> str:
    """Return the drawing as SVG text."""
    canvas = Canvas(WIDTH, HEIGHT, "Hushmeter: where the clamp goes")
    canvas.text((30, 40), "Where the clamp goes", 20)
    canvas.text(
        (30, 64),
        "The cover of a distribution board comes off by an electrician's hand only, with the supply off.",
        13,
        RED,
    )
    right(canvas)
    wrong(canvas, 30, "around L and N: reads nothing", both)
    wrong(canvas, 610, "arrow towards the grid: import counts as export", backwards)
    plug(canvas, circuit)
    return canvas.svg()


def cables(canvas: Canvas, left: float, right_: float, top: float, gap: float = 44) -> None:
    """Draw L, N and PE as insulated conductors."""
    for step, (name, color) in enumerate((("L", BROWN), ("N", BLUE), ("PE", GREEN))):
        y = top + gap * step
        canvas.line((left, y), (right_, y), color=color, width=11)
        if name == "PE":
            for x in range(int(left) + 10, int(right_) - 10, 36):
                canvas.line((x, y), (x + 12, y), color=YELLOW, width=7)
        canvas.text((left - 12, y + 5), name, 14, INK, "end", True)


def box(canvas: Canvas, corner: tuple[float, float], size: tuple[float, float], *texts: str) -> None:
    canvas.rectangle(corner, size, "#f4f4f4", INK, 1.5, 6)
    for step, text in enumerate(texts):
        y = corner[1] + size[1] / 2 + 5 + (step - (len(texts) - 1) / 2) * 19
        canvas.text((corner[0] + size[0] / 2, y), text, 13, INK, "middle")


def core(canvas: Canvas, x: float, top: float, height: float, towards_load: bool = True) -> None:
    """Draw a closed clamp across conductors: a dark body with its split and its arrow above."""
    canvas.rectangle((x - 32, top), (64, height), "#3a4654", INK, 1.5, 8)
    canvas.line((x - 32, top + height / 2), (x + 32, top + height / 2), color="#9aa7b5", width=1.5)
    ends = (x - 22, x + 22) if towards_load else (x + 22, x - 22)
    arrow(canvas, ends[0], ends[1], top + 13, "#ffffff")


def arrow(canvas: Canvas, start: float, end: float, y: float, color: str, width: float = 3) -> None:
    sign = 1 if end > start else -1
    canvas.line((start, y), (end - sign * 6, y), color=color, width=width)
    canvas.polygon((end, y), (end - sign * 11, y - 6), (end - sign * 11, y + 6), fill=color)


def right(canvas: Canvas) -> None:
    """Draw the right way, large: the clamp on the line conductor behind the main switch."""
    canvas.rectangle((30, 88), (1120, 300), "#ffffff", PALE, 1, 8)
    canvas.text(
        (50, 118),
        "Right: around the line conductor alone, closed until it clicks, arrow towards the load",
        15,
        GREEN,
        bold=True,
    )
    cables(canvas, 220, 310, 190)
    cables(canvas, 446, LOAD_X + 10, 190)
    box(canvas, (60, 150), (120, 190), "utility's", "meter", "(sealed: leave", "it alone)")
    box(canvas, (300, 150), (110, 190), "main switch", "and RCD")
    box(canvas, (LOAD_X, 150), (120, 190), "circuit", "breakers,", "the home")
    core(canvas, 640, 164, 52)
    canvas.line((640, 164), (640, 138), (700, 138), color=INK, width=3)
    canvas.text((710, 143), "lead to J1", 13)
    arrow(canvas, 820, 980, 138, INK)
    canvas.text((820, 164), "towards the load", 13)
    canvas.text((446, 330), "Insulated conductors only: nothing bare, nothing of metal in the gap of the core.", 13)
    canvas.text((446, 354), "A home that feeds in sends its current the other way, and reads negative.", 13)


def both(canvas: Canvas, left: float) -> None:
    core(canvas, left + 250, 470, 96)


def backwards(canvas: Canvas, left: float) -> None:
    core(canvas, left + 250, 470, 52, towards_load=False)


def wrong(canvas: Canvas, left: float, text: str, draw: Callable[[Canvas, float], None]) -> None:
    canvas.rectangle((left, 408), (540, 210), "#ffffff", PALE, 1, 8)
    canvas.text((left + 20, 438), f"Wrong: {text}", 15, RED, bold=True)
    cables(canvas, left + 70, left + 430, 496)
    box(canvas, (left + 420, 470), (90, 140), "the home")
    draw(canvas, left)


def plug(canvas: Canvas, circuit: Circuit) -> None:
    """Draw the clamp's plug and what each contact carries."""
    canvas.rectangle((30, 638), (1120, 236), "#ffffff", PALE, 1, 8)
    canvas.text((50, 668), "The clamp's plug, 3.5 mm, and the jack J1", 15, INK, bold=True)
    top = 730
    canvas.rectangle((70, top - 24), (150, 48), "#3a4654", INK, 1.5, 8)
    for x, width, fill in ((220, 80, "#d9d9d9"), (310, 46, "#d9d9d9"), (366, 40, "#d9d9d9")):
        canvas.rectangle((x, top - 13), (width, 26), fill, INK, 1.2, 2)
    for x in (302, 358):
        canvas.rectangle((x - 2, top - 13), (10, 26), INK, "none")
    canvas.polygon((406, top - 13), (428, top), (406, top + 13), fill="#bdbdbd")
    for x, name, text in (
        (260, "sleeve", "to BIAS"), (333, "ring", "nothing; opens J1's contact"), (400, "tip", "to D1, R1, R4"),
    ):  # fmt: skip
        canvas.line((x, top + 15), (x, top + 38), color=INK)
        canvas.text((x, top + 54), name, 13, INK, "middle", True)
        canvas.text((x, top + 72 + (18 if name == "ring" else 0)), text, 12, INK, "middle")
    first, second = (value_text(circuit.part[name]) for name in ("R1A", "R1B"))
    names = " and ".join(clamp_.name for clamp_ in circuit.clamp)
    for step, line in enumerate((
        f"{names} look alike: read the label on the case.",
        f"The 100 A one gives a current: it needs R1A, {first}, soldered in BEFORE it is clamped on.",
        f"The 30 A one has its burden inside and needs R1B, {second}, beside it.",
        "Never pull the plug while the clamp is closed around a conductor that carries current.",
        "Current along the arrow makes the tip positive against the sleeve.",
    )):  # fmt: skip
        canvas.text((500, 710 + 27 * step), line, 13)
