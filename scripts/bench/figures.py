"""The figures that the library promises, each with what this run measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .operations import ONE_BY_ONE, Table
from .rows import ONLY, OURS, Row, find

BITS = 3072
MEGABYTE = 1e6


@dataclass(frozen=True)
class Figure:
    """A promise. ``measured`` is None where the run has not what it takes."""

    says: str
    wanted: float
    measured: float | None
    unit: str = "x"
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        """Say whether the run reached it; None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def figures(rows: Sequence[Row], tables: Sequence[Table], proof_bytes: Mapping[int, int]) -> list[Figure]:
    """Return every figure of a run. ``proof_bytes``: by length of key, that of the root of 1,000 sums."""

    def to_phe(operation: str, mode: str) -> float | None:
        row = find(rows, operation, mode, BITS)
        return row.ratio_to_phe if row else None

    def between(slow: Row | None, fast: Row | None) -> float | None:
        return slow.microseconds / fast.microseconds if slow and fast else None

    def megabytes(mode: str) -> float | None:
        return next((t.memory_bytes / MEGABYTE for t in tables if (t.mode, t.bits) == (mode, BITS)), None)

    pypaillier = find(rows, "encrypt", ONLY, BITS, "pypaillier")
    one_by_one, batch = (find(rows, "verify_1000", mode, BITS, OURS) for mode in (ONE_BY_ONE, "batch"))
    return [
        Figure("strict encryption with the wide table, to phe", 25, to_phe("encrypt", "strict")),
        Figure("the same, to pypaillier", 2, between(pypaillier, find(rows, "encrypt", "strict", BITS))),
        Figure("memory of the wide table", 140, megabytes("strict"), "MB", at_most=True),
        Figure("strict encryption with the Raspberry Pi's table, to phe", 20, to_phe("encrypt", "strict-pi")),
        Figure("memory of the Raspberry Pi's table", 50, megabytes("strict-pi"), "MB", at_most=True),
        Figure("encryption with a 512-bit exponent, to phe", 70, to_phe("encrypt", "fast-512")),
        Figure("encryption from the pool, online part, to phe", 2_000, to_phe("encrypt", "pool")),
        Figure("a reading folded, to phe's encryption", 10_000, to_phe("fold", ONLY)),
        Figure("the whole path, strict, to phe's", 20, to_phe("path_reading", "strict")),
        Figure("the whole path, fold, to phe's", 1_000, to_phe("path_reading", "fold")),
        Figure("decryption of one sum by one half, to phe", 1.3, to_phe("decrypt", "half-crt")),
        Figure("decryption for each value packed before encryption", 35, to_phe(*_packed("encrypted-packed"))),
        Figure(
            "the same, for bills of a month that the key holder packs", 35, to_phe(*_packed("packed-by-key-holder"))
        ),
        Figure("1,000 sums verified by one root, to one by one", 100, between(one_by_one, batch)),
        Figure("length of that root", 384, proof_bytes.get(BITS), "bytes", at_most=True),
    ]


def _packed(mode: str) -> tuple[str, str]:
    return "decrypt_packed_value", mode
