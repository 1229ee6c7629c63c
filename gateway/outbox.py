"""The outbox: closed reports as their exact signed bytes, until the MDMS has decided. Part of the ledger's file."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from Crypto.PublicKey.ECC import EccKey

from protocol.documents import Document, canonical_json, document_id, sign
from protocol.reports import BILLING_WINDOW, DETAIL_SEGMENT, TYPES, BillingWindow, ItemVerdict, Report

from .ledger import Ledger
from .segments import HOUR_S, Segments

MAX_UPLOAD_BYTES = 900_000  # of a batch; the MDMS takes a mebibyte
KIND_OF = {type_: kind for kind, type_ in TYPES.items()}
ACCEPTED = ("stored", "duplicate")
# How the kept bytes of a segment begin: a document's first member is its type.
SEGMENT_BEGINS = msgspec.json.encode(Document(DETAIL_SEGMENT, "", "", "")).partition(b",")[0]


class Waiting(NamedTuple):
    """A report that the MDMS has not accepted yet; ``seq`` is 0 for one that is not kept."""

    seq: int
    id: str
    document: Document


class Outbox:
    """Signs what is closed and keeps it until the MDMS has given its verdict."""

    def __init__(
        self, ledger: Ledger, identity: EccKey, deployment: str, closed: Callable[[str], None] = lambda kind: None
    ) -> None:
        """``closed`` is told the type of every report that is signed."""
        self._closed = closed
        self._ledger = ledger
        self._identity = identity
        self._deployment = deployment
        self.segments = Segments(ledger, self.add)

    def add(self, report: Report, now_ms: int, title: bytes | None = None) -> None:
        """Sign a report and keep it; call inside the transaction that closes what it reports."""
        kind, name, document = self._sign(report)
        span: tuple[int | None, int | None] = (None, None)
        if isinstance(report, BillingWindow):
            span = (report.register_from, report.register_to)
        self._ledger.execute(
            "INSERT INTO outbox (id, document, title, register_from, register_to, created) VALUES (?,?,?,?,?,?)",
            (
                name,
                msgspec.json.encode(document),
                title if kind == BILLING_WINDOW else None,
                *span,
                now_ms // 1000,
            ),
        )
        self._closed(kind)

    def transient(self, report: Report) -> Waiting:
        """Return a report signed and not kept. For any thread."""
        _, name, document = self._sign(report)
        return Waiting(0, name, document)

    def _sign(self, report: Report) -> tuple[str, str, Document]:
        kind = KIND_OF[type(report)]
        content = canonical_json(report)
        document = sign(self._identity, kind, self._deployment, content)
        return kind, document_id(kind, self._deployment, content), document

    def add_row(self, title: bytes, row: bytes) -> None:
        """Keep a customer's sealed row; call inside the transaction that takes its frame."""
        self.segments.add_row(title, row)

    def waiting(self, limit: int) -> list[Waiting]:
        """Return the oldest reports without a verdict, at most ``limit`` and as many as one upload may hold."""
        found: list[Waiting] = []
        size = 0
        for seq, id_, data in self._ledger.execute(
            "SELECT seq, id, document FROM outbox WHERE verdict IS NULL ORDER BY seq LIMIT ?", (limit,)
        ):
            size += len(data)
            if found and size > MAX_UPLOAD_BYTES:
                break
            found.append(Waiting(seq, id_, msgspec.json.decode(data, type=Document)))
        return found

    def is_empty(self) -> bool:
        """Say whether nothing waits: no report without a verdict, no row that is not in a report."""
        row = self._ledger.execute(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE verdict IS NULL) OR EXISTS (SELECT 1 FROM details)"
        ).fetchone()
        return not row[0]

    def decide(self, verdicts: list[tuple[int, ItemVerdict]], alarm: Callable[[str, str], None]) -> None:
        """Keep the MDMS's verdicts; call inside a transaction. A conflict or refusal is an alarm, and kept.

        Accepted segments are forgotten at once: they are nearly all the bytes of a street.
        """
        with self._ledger.quick_deletion():
            # Before a verdict is written to it: that would write the whole report anew.
            kept = [pair for pair in verdicts if pair[1].verdict not in ACCEPTED or not self._forget_segment(pair[0])]
        for seq, verdict in kept:
            self._ledger.execute(
                "UPDATE outbox SET verdict = ?, reason = ? WHERE seq = ?",
                (verdict.verdict, verdict.reason, seq),
            )
            if verdict.verdict in ("conflict", "refused"):
                alarm(verdict.verdict, verdict.reason)

    def _forget_segment(self, seq: int) -> bool:
        """Forget an accepted report if it is a segment; returns whether it was."""
        gone = self._ledger.execute(
            "DELETE FROM outbox WHERE seq = ? AND substr(document, 1, ?) = ? RETURNING created / ?, length(document)",
            (seq, len(SEGMENT_BEGINS), SEGMENT_BEGINS, HOUR_S),
        ).fetchone()
        if gone is not None:
            self._ledger.execute(
                "INSERT INTO segments_gone VALUES (?, ?)"
                " ON CONFLICT (hour) DO UPDATE SET bytes = bytes + excluded.bytes",
                gone,
            )
        return gone is not None

    def prune(self, before: int) -> None:
        """Forget the accepted reports that were closed before a time (UTC seconds)."""
        self._ledger.execute("DELETE FROM outbox WHERE verdict IN (?, ?) AND created < ?", (*ACCEPTED, before))
        self._ledger.execute("DELETE FROM segments_gone WHERE hour < ?", (before // HOUR_S,))
