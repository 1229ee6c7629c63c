"""What a run prints: a table for the terminal, the same in Markdown, notes and figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from .figures import Figure, figures
from .operations import BATCH_OF_PROOF, PACKED_SLOT_BITS, VALIDATED_TOGETHER
from .plot import times
from .rows import ONLY, OURS, Row, digits, per_second, spread
from .run import Result

OPERATIONS = (
    "encrypt",
    "fold",
    "emit",
    "add",
    "decrypt",
    "decrypt_packed_value",
    "prove_1000",
    "verify_1000",
    "path_reading",
    "validate",
)

NOTES = (
    "µs: microseconds, the median of batches that were timed in turn, on one core (two-threads: on all). to phe:"
    " phe's median by this one, in this run. Every result was decrypted or verified before it was timed.",
    "fold, emit: a ratio to what phe does instead, its encryption and its `obfuscate`. fold is one reading absorbed by"
    " an open sum. It leaves out what makes the sum leave: `emit`, a fresh randomiser for each emission.",
    "path_reading: open a frame, encrypt, advance load and register; without links and ledger. fold leaves opening and"
    " emitting out; fold-12 and fold-36 count them in, load and register both, once for 12 and for 36 readings.",
    f"decrypt_packed_value: for one value. encrypted-packed: slots of {PACKED_SLOT_BITS} bits filled before"
    " encryption. packed-by-key-holder: a month's import and export of each customer, 17.25 kW at most, the packing"
    " included.",
    f"verify_1000 one-by-one: measured on a few proofs and multiplied up to {BATCH_OF_PROOF:,}. validate, "
    f"{VALIDATED_TOGETHER} together: for one of them.",
    "pypaillier: batches of eight on one thread; its own keys for decryption alone, which takes long to make them, so"
    " a quick run leaves that out, as it does lightphe's. sf-heu: its own keys, checked by itself. Peers have no"
    " fold, packing of sums by the key holder, proofs or concentrator: no rows.",
)


def order(rows: Sequence[Row]) -> list[Row]:
    """Return rows by length of key, longest first, then by operation; this library before its peers."""

    def place(row: Row) -> tuple[int, int, bool]:
        return -row.bits, OPERATIONS.index(row.operation), row.implementation != OURS

    return sorted(rows, key=place)


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    ratio = "" if row.ratio_to_phe is None else times(row.ratio_to_phe)
    return row.operation, row.mode, row.implementation, digits(row.microseconds), ratio


HEADINGS = ("operation", "mode", "by", "µs", "to phe")
RATE_HEADINGS = ("path_reading", "bits", "readings/s on one core")
TABLE_HEADINGS = ("table", "bits", "window", "exponent", "entries", "MB", "built in s")


def rate_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return what the whole path does in a second, as text."""
    return [
        (row.implementation if row.mode == ONLY else row.mode, str(row.bits), f"{per_second(row):,.0f}")
        for row in rows
        if row.operation == "path_reading"
    ]


def table_cells(result: Result) -> list[tuple[str, ...]]:
    """Return what the tables cost, as text."""
    return [
        (
            table.mode,
            str(table.bits),
            str(table.window_bits),
            str(table.exponent_bits),
            f"{table.entries:,}",
            f"{table.memory_bytes / 1e6:.1f}",
            f"{table.build_seconds:.2f}",
        )
        for table in result.tables
    ]


def show(console: Console, result: Result) -> None:
    """Print a run."""
    rows = order(result.rows)
    console.print(str(result.machine), soft_wrap=True, highlight=False)
    for name in result.absent:
        console.print(f"without {name}", soft_wrap=True, highlight=False, markup=False)
    for bits in sorted({row.bits for row in rows}, reverse=True):
        grid = _grid(HEADINGS, 2, f"{bits}-bit key")
        before = ""
        for row in (row for row in rows if row.bits == bits):
            if before not in ("", row.operation):
                grid.add_section()
            first, *others = cells(row)
            grid.add_row(
                "" if before == row.operation else first, *others, style="bold" if row.implementation == OURS else None
            )
            before = row.operation
        console.print(grid)
    for headings, lines in ((RATE_HEADINGS, rate_cells(rows)), (TABLE_HEADINGS, table_cells(result))):
        grid = _grid(headings, len(headings) - 1)
        for cells_of_line in lines:
            grid.add_row(*cells_of_line)
        console.print(grid)
    for note in NOTES:
        console.print(f"- {note}", highlight=False, markup=False)
    console.print()
    for line in lines_of_figures(figures_of(result)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(noise(result), highlight=False)


def figures_of(result: Result) -> list[Figure]:
    """Return the figures as this run measured them."""
    return figures(result.rows, result.tables, result.proof_bytes)


def lines_of_figures(found: Sequence[Figure]) -> list[str]:
    """Return one line for each figure: reached, not reached or not measured."""
    return ["figures, 3072-bit key, as this run measured them", *(" ".join(_figure(f)) for f in found)]


def _figure(figure: Figure) -> tuple[str, str]:
    verdict = {True: "reached    ", False: "NOT REACHED", None: "not measured"}[figure.reached]
    return verdict, f"{figure.says}: {_amount(figure)}, wanted {_wanted(figure)}"


def _amount(figure: Figure) -> str:
    if figure.measured is None:
        return "nothing"
    return times(figure.measured) if figure.unit == "x" else f"{figure.measured:,.4g} {figure.unit}"


def _wanted(figure: Figure) -> str:
    amount = times(figure.wanted) if figure.unit == "x" else f"{figure.wanted:,.4g} {figure.unit}"
    return f"{amount} or {'less' if figure.at_most else 'more'}"


def noise(result: Result) -> str:
    """Return how far batches lay apart: what a ratio of this run is worth."""
    spreads = sorted(spread(m.samples) for m in result.measured)
    return (
        f"noise: the middle half of a contender's batches lies within {spreads[len(spreads) // 2]:.0%} of its median, "
        f"{spreads[-1 - len(spreads) // 10]:.0%} for the noisiest tenth"
    )


def _grid(headings: Sequence[str], numbers: int, title: str | None = None) -> Grid:
    """Return an empty table whose last ``numbers`` columns are set to the right."""
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, heading in enumerate(headings):
        grid.add_column(heading, justify="right" if at >= len(headings) - numbers else "left", no_wrap=True)
    return grid


# --- Markdown ---------------------------------------------------------------------------------------------------


def markdown(result: Result, day: date) -> str:
    """Return a run as a part of a page."""
    rows = order(result.rows)
    parts = [f"One run of {day.isoformat()} on {result.machine}.", noise(result).capitalize() + "."]
    parts += [f"Without {name}." for name in result.absent]
    for bits in sorted({row.bits for row in rows}, reverse=True):
        lines = [cells(row) for row in rows if row.bits == bits]
        parts += [f"### {bits}-bit key", _marked(HEADINGS, lines, numbers=2)]
    parts += ["### Readings a second", _marked(RATE_HEADINGS, rate_cells(rows), numbers=2)]
    parts += ["### Tables", _marked(TABLE_HEADINGS, table_cells(result), numbers=6)]
    lines = [(f.says, _wanted(f), _amount(f), _said(f.reached)) for f in figures_of(result)]
    parts += ["### Figures", _marked(("3072-bit key", "wanted", "measured", ""), lines, numbers=0)]
    parts += ["### Notes", "\n".join(f"- {note}" for note in NOTES)]
    return "\n\n".join(parts) + "\n"


def _said(reached: bool | None) -> str:
    return {True: "reached", False: "**not reached**", None: "not measured"}[reached]


def _marked(headings: Sequence[str], lines: Sequence[Sequence[str]], *, numbers: int) -> str:
    """Return a Markdown table whose last ``numbers`` columns are set to the right."""
    kinds = ["---"] * (len(headings) - numbers) + ["--:"] * numbers
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, kinds, *lines))
