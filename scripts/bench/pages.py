"""The files that a run writes: rows, plot, and the page of the documentation that shows one run."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from .plot import svg
from .rows import to_json
from .run import Result
from .say import markdown

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/reference/bench.md")
PLOT = Path("docs/pictures/bench.svg")
ROWS = Path("docs/reference/bench.json")
BEGIN = "<!-- one run, as `make bench` wrote it -->\n"
END = "<!-- end of the run -->\n"


def write_json(path: Path, result: Result) -> None:
    """Write the rows."""
    path.write_text(to_json(result.rows))


def write_plot(path: Path, result: Result) -> None:
    """Draw the ratios at the longest key of the run."""
    rows = result.rows
    path.write_text(svg(rows, max(row.bits for row in rows), result.machine.processor))


def write_docs(result: Result, day: date, root: Path = ROOT) -> list[Path]:
    """Put a run into the page, between its marks, its plot and its rows beside it. Returns what was written."""
    page = root / PAGE
    page.write_text(with_run(page.read_text(), markdown(result, day)))
    write_plot(root / PLOT, result)
    write_json(root / ROWS, result)
    return [PAGE, PLOT, ROWS]


def with_run(page: str, run: str) -> str:
    """Return a page with another run between its marks; raises ValueError for a page without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for a run")
    return f"{before}{begin}\n{run}\n{end}{after}"
