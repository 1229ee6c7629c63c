"""The outbox: closed reports as their exact signed bytes, and sealed rows on their way. Part of the ledger's file."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from Crypto.PublicKey.ECC import EccKey

from protocol.documents import Document, canonical_json, document_id, sign, to_base64url
from protocol.reports import BILLING_WINDOW, TYPES, BillingWindow, DetailSegment, ItemVerdict, Report

from .ledger import Ledger

MAX_UPLOAD_BYTES = 900_000  # of a batch; the MDMS takes a mebibyte
MAX_SEGMENT_ROWS = 500
KIND_OF = {type_: kind for kind, type_ in TYPES.items()}


class Waiting(NamedTuple):
    """A report that the MDMS has not accepted yet."""

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

    def add(self, report: Report, now_ms: int, title: bytes | None = None) -> None:
        """Sign a report and keep it; call inside the transaction that closes what it reports."""
        kind = KIND_OF[type(report)]
        content = canonical_json(report)
        document = sign(self._identity, kind, self._deployment, content)
        span: tuple[int | None, int | None] = (None, None)
        if isinstance(report, BillingWindow):
            span = (report.register_from, report.register_to)
        self._ledger.execute(
            "INSERT INTO outbox (id, document, title, register_from, register_to, created) VALUES (?,?,?,?,?,?)",
            (
                document_id(kind, self._deployment, content),
                msgspec.json.encode(document),
                title if kind == BILLING_WINDOW else None,
                *span,
                now_ms // 1000,
            ),
        )
        self._closed(kind)

    def add_row(self, title: bytes, row: bytes) -> None:
        """Keep a customer's sealed row; call inside the transaction that takes its frame."""
        self._ledger.execute("INSERT INTO details (title, row) VALUES (?, ?)", (title, row))

    def close_segments(self, now_ms: int) -> int:
        """Turn the waiting rows into reports, one a meter; returns how many. Call inside a transaction."""
        rows: dict[bytes, list[tuple[int, bytes]]] = {}
        for seq, title, row in self._ledger.execute("SELECT seq, title, row FROM details ORDER BY seq"):
            held = rows.setdefault(title, [])
            if len(held) < MAX_SEGMENT_ROWS:
                held.append((seq, row))
        for title, held in rows.items():
            meter = self._ledger.meter(title)
            assert meter is not None, "rows are taken of enrolled meters only"
            segment = DetailSegment(
                neighbourhood=meter.neighbourhood,
                pseudonym=meter.pseudonym,
                rows=[to_base64url(row) for _, row in held],
            )
            self.add(segment, now_ms)
            for seq, _ in held:
                self._ledger.execute("DELETE FROM details WHERE seq = ?", (seq,))
        return len(rows)

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
        """Keep the MDMS's verdicts; call inside a transaction. A conflict or refusal is an alarm, and kept."""
        for seq, verdict in verdicts:
            self._ledger.execute(
                "UPDATE outbox SET verdict = ?, reason = ? WHERE seq = ?",
                (verdict.verdict, verdict.reason, seq),
            )
            if verdict.verdict in ("conflict", "refused"):
                alarm(verdict.verdict, verdict.reason)

    def prune(self, before: int) -> None:
        """Forget the accepted reports that were closed before a time (UTC seconds)."""
        self._ledger.execute("DELETE FROM outbox WHERE verdict IN ('stored', 'duplicate') AND created < ?", (before,))
