"""What is made from circuit.toml: pictures and pages, by file name."""

from pathlib import Path

from hardware.analog.report import report
from hardware.bill import bill
from hardware.circuit import FOLDER, Circuit
from hardware.wiring import wiring


def products(circuit: Circuit) -> dict[str, str]:
    """Return {path below hardware/: text}. Imports schemdraw, which only development needs."""
    from hardware.drawing import board, clamp, isolated, schematic  # noqa: PLC0415

    page = "# The arithmetic\n\nMade by `make hardware`; `python -m hardware analog` prints it.\n\n"
    return {
        "pictures/schematic.svg": schematic.schematic(circuit),
        "pictures/isolated.svg": isolated.isolated(circuit),
        "pictures/clamp.svg": clamp.clamp(circuit),
        "pictures/board.svg": board.board(circuit),
        "bill-of-materials.md": bill(circuit),
        "wiring.md": wiring(circuit),
        "arithmetic.md": f"{page}```text\n{report(circuit)}```\n",
    }


def stale(made: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Return the names of files that are missing or differ from what the circuit makes."""
    return [name for name, text in made.items() if not (folder / name).exists() or (folder / name).read_text() != text]


def write(made: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Write what differs, and return its names."""
    changed = stale(made, folder)
    for name in changed:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(made[name])
    return changed
