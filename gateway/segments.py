"""Customers' sealed rows on their way: live while they are fresh, and for good in one report a meter and hour.

Rule 1: a row waits in the table ``details``, in the order of arrival, until a report in the outbox holds it.
Rule 2: an hour is closed a few meters at a time, so that frames wait for no street. Which meters are done stands in
the same transaction as their reports; the rows themselves go when all are, at once: that way each page of the table is
written twice and not once a meter.
Rule 3: the live relay only reads. It may fail, be slow or leave rows out: their hour brings them.

No row is opened here: a concentrator has no key for one.
"""

import sqlite3
from collections.abc import Callable

from protocol.documents import to_base64url
from protocol.reports import DetailSegment

from .holdings import enrolled
from .ledger import Ledger

HOUR_S = 3600
MAX_SEGMENT_ROWS = 1000  # of one report, the specification's limit
MAX_WAITING_ROWS = 100_000  # closed before the hour's end when there are more: it bounds the disk and the memory
METERS_AT_ONCE = 50  # of one transaction
MAX_FRESH_ROWS = 1000  # of which the live relay may lag behind; what is older comes with its hour
ROW_BYTES_IN_REPORT = 164  # 90 bytes as base64url in JSON, and that as base64url in a signed document


class Segments:
    """The rows of one ledger. Every method runs in the ledger's thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._passed_on = self._newest()  # what an earlier start has left is not fresh

    def add_row(self, title: bytes, row: bytes) -> None:
        """Keep a sealed row (90 bytes); call inside the transaction that takes its frame."""
        self._ledger.execute("INSERT INTO details (title, row) VALUES (?, ?)", (title, row))

    def fresh(self, limit: int) -> list[DetailSegment]:
        """Return rows that came since the last call, oldest first, at most ``limit``; each is returned once."""
        newest = self._newest()
        rows = self._ledger.execute(
            "SELECT seq, title, row FROM details WHERE seq > ? ORDER BY seq LIMIT ?",
            (max(self._passed_on, newest - MAX_FRESH_ROWS), limit),
        ).fetchall()
        if rows:
            self._passed_on = rows[-1][0]
        return self._by_meter([(title, row) for _, title, row in rows])

    def is_due(self, now: int) -> bool:
        """Say whether there is something for ``close_some`` to do; ``now`` in UTC seconds."""
        hour, through, _ = self._state()
        return bool(through) or hour != now // HOUR_S or rows_waiting(self._ledger.execute) > MAX_WAITING_ROWS

    def close_some(self, add: Callable[[DetailSegment, int], None], now_ms: int, *, everything: bool = False) -> bool:
        """Take one step of closing; returns whether there may be another. Call inside a transaction.

        ``add`` signs a segment and puts it into the outbox: (segment, UTC milliseconds).
        An hour's rows are those that have come until the first call of the next hour. ``everything``: of this hour
        too.
        """
        hour, through, done = self._state()
        if not through:
            through = self._newest() if everything or self.is_due(now_ms // 1000) else 0
            self._set_state(hour if everything else now_ms // 1000 // HOUR_S, through, b"")
            return bool(through)
        titles = self._ledger.execute(
            "SELECT DISTINCT title FROM details WHERE seq <= ? AND title > ? ORDER BY title LIMIT ?",
            (through, done, METERS_AT_ONCE),
        ).fetchall()
        if not titles:
            self._forget(through)
            self._set_state(hour, 0, b"")
            return True
        last = titles[-1][0]
        rows = self._ledger.execute(
            "SELECT title, row FROM details WHERE seq <= ? AND title > ? AND title <= ? ORDER BY seq",
            (through, done, last),
        ).fetchall()
        for segment in self._by_meter(rows):
            add(segment, now_ms)
        self._set_state(hour, through, last)
        return True

    def _forget(self, through: int) -> None:
        with self._ledger.quick_deletion():
            self._ledger.execute("DELETE FROM details WHERE seq <= ?", (through,))
        if not self._newest():
            self._passed_on = 0  # SQLite numbers an empty table from 1 again

    def _by_meter(self, rows: list[tuple[bytes, bytes]]) -> list[DetailSegment]:
        """Return rows as segments of one meter each, in the order of the rows."""
        held: dict[bytes, list[bytes]] = {}
        for title, row in rows:
            held.setdefault(title, []).append(row)
        found = []
        for title, of_meter in held.items():
            meter = enrolled.get(self._ledger, title)
            assert meter is not None, "rows are taken of enrolled meters only"
            for at in range(0, len(of_meter), MAX_SEGMENT_ROWS):
                part = of_meter[at : at + MAX_SEGMENT_ROWS]
                found.append(DetailSegment(meter.neighbourhood, meter.pseudonym, [to_base64url(row) for row in part]))
        return found

    def _newest(self) -> int:
        return self._ledger.execute("SELECT coalesce(max(seq), 0) FROM details").fetchone()[0]  # type: ignore[no-any-return]

    def _state(self) -> tuple[int, int, bytes]:
        """Return (the hour that is open, the last row of the hour being closed or 0, the last meter done in it)."""
        return self._ledger.execute("SELECT hour, through, title FROM closing_hour").fetchone()  # type: ignore[no-any-return]

    def _set_state(self, hour: int, through: int, title: bytes) -> None:
        self._ledger.execute("UPDATE closing_hour SET hour = ?, through = ?, title = ?", (hour, through, title))


def rows_waiting(execute: Callable[..., sqlite3.Cursor]) -> int:
    """Return how many rows wait, from a ledger's ``execute``, without counting: at most those of a closing too many."""
    first, last = execute("SELECT min(seq), max(seq) FROM details").fetchone()
    return 0 if first is None else last - first + 1
