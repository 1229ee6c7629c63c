"""What a run measured, as rows: medians in microseconds, and how many times faster than phe each of them is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

OURS = "hushmeter"
PHE = "phe"
ONLY = "default"
"""The mode of an operation that an implementation offers in one way."""

JSON_OPERATIONS = (
    "encrypt",
    "fold",
    "add",
    "decrypt",
    "decrypt_packed_value",
    "prove_1000",
    "verify_1000",
    "path_reading",
)
"""The operations of the JSON file; the table has the emission of an accumulator and the validation besides."""

REFERENCES = {
    "encrypt": "encrypt",
    "fold": "encrypt",  # what phe does with a reading that is to enter a sum
    "emit": "emit",
    "add": "add",
    "decrypt": "decrypt",
    "decrypt_packed_value": "decrypt",
    "path_reading": "path_reading",
}
"""Which of phe's operations each one is compared with; phe has nothing like the others."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The times of one contender: microseconds per value, one for each batch."""

    operation: str
    mode: str
    bits: int
    implementation: str
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result. ``ratio_to_phe`` above 1 is faster than phe; None where phe has no such operation."""

    operation: str
    mode: str
    bits: int
    implementation: str
    microseconds: float
    ratio_to_phe: float | None


def rows_of(measured: Iterable[Measured]) -> list[Row]:
    """Return a row for each contender: the median of its batches, and the ratio of phe's median to it."""
    measured = list(measured)
    medians = {(m.operation, m.bits): median(m.samples) for m in measured if m.implementation == PHE}
    rows = []
    for m in measured:
        microseconds = median(m.samples)
        reference = medians.get((REFERENCES.get(m.operation, ""), m.bits))
        ratio = None if reference is None else reference / microseconds
        rows.append(Row(m.operation, m.mode, m.bits, m.implementation, microseconds, ratio))
    return rows


def spread(samples: Sequence[float]) -> float:
    """Return how far the middle half of the batches lies apart, as a part of the median: the run's noise."""
    ordered = sorted(samples)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / median(ordered)


def find(rows: Iterable[Row], operation: str, mode: str, bits: int, implementation: str = OURS) -> Row | None:
    """Return the row of one contender, or None where the run does not have it."""
    wanted = (operation, mode, bits, implementation)
    return next((r for r in rows if (r.operation, r.mode, r.bits, r.implementation) == wanted), None)


def per_second(row: Row) -> float:
    """Return how many values a second one core does."""
    return 1e6 / row.microseconds


def to_json(rows: Iterable[Row]) -> str:
    """Return the rows of JSON_OPERATIONS as `{"rows": [...]}`, times and ratios of four digits."""
    kept = [_rounded(asdict(row)) for row in rows if row.operation in JSON_OPERATIONS]
    return "\n".join(['{"rows": [', ",\n".join("  " + json.dumps(row) for row in kept), "]}"]) + "\n"


def digits(value: float) -> str:
    """Return a number with three or more significant digits and thousands set apart: 0.216, 9.81, 29,130."""
    if value >= 99.95:
        return f"{value:,.0f}"
    decimals = 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{decimals}f}"


def _rounded(row: Mapping[str, object]) -> dict[str, object]:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in row.items()}
