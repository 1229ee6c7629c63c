"""What the MDMS has taken, next to what the street has sent: nothing lost, nothing doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from protocol import wire
from protocol.documents import Document, document_id, from_base64url
from protocol.reports import BillingWindow, DetailSegment, IntervalLoad, parse_report

from ..bench_gateway.street import DEPLOYMENT, START, WINDOW_S
from .street import ROWS, Meter

WAYS = 2  # a row leaves live, and with its hour


class Taken:
    """Counts what has come, by what it is about and not by how it was packed. One thread tells it."""

    def __init__(self, meters: list[Meter]) -> None:
        self._ids: set[str] = set()
        self._loads: Counter[int] = Counter()
        self._windows: Counter[tuple[str, int]] = Counter()
        self._rows = {meter.title: bytearray() for meter in meters}
        self.again = 0  # a document that came before: its answer was lost
        self.bytes = 0

    @property
    def reports(self) -> int:
        """How many documents have come, each counted once."""
        return len(self._ids)

    def take(self, document: Document) -> str:
        """Note a document and return its verdict."""
        content = document.content_bytes()
        name = document_id(document.type, DEPLOYMENT, content)
        if name in self._ids:
            self.again += 1
            return "duplicate"
        self._ids.add(name)
        self.bytes += len(document.content) + len(document.signature)
        report = parse_report(document.type, content)
        if isinstance(report, IntervalLoad):
            self._loads[report.interval_start] += 1
        elif isinstance(report, BillingWindow):
            self._windows[report.pseudonym, report.window_start] += 1
        else:
            self._segment(report)
        return "stored"

    def _segment(self, segment: DetailSegment) -> None:
        for text in segment.rows:
            header = wire.parse_header(from_base64url(text, "row", wire.ROW_BYTES))
            held = self._rows[header.system_title]
            place = header.counter if header.salt == ROWS else 0  # no row has that place
            held.extend(bytes(max(0, place + 1 - len(held))))
            held[place] = min(255, held[place] + 1)

    def off(self, meters: list[Meter], until: int, interval_s: int) -> list[str]:
        """Return what is lost or doubled of all that was sent and is due by a time, in words; [] is right."""
        found = []
        starts = range(START, until - WINDOW_S + 1, WINDOW_S)
        found += _compare("loads", self._loads, set(range(START, until - interval_s + 1, interval_s)))
        found += _compare("windows", self._windows, {(each.pseudonym, start) for each in meters for start in starts})
        lost = twice = strange = 0
        for meter in meters:
            held = self._rows[meter.title]
            known = held[1 : meter.rows + 1]
            lost += meter.rows - sum(map(bool, known))
            twice += sum(number > WAYS for number in known)
            strange += sum(held) - sum(known)
        for word, number in (("lost", lost), ("doubled", twice), ("of nobody", strange)):
            if number:
                found.append(f"{number} rows {word}")
        return found


def _compare(what: str, got: Mapping[Any, int], due: set[Any]) -> list[str]:
    found = []
    if lost := len(due - got.keys()):
        found.append(f"{lost} {what} lost")
    if twice := sum(number > 1 for number in got.values()):
        found.append(f"{twice} {what} doubled")
    return found
