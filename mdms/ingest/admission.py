"""Enters a batch of judged reports: all in one transaction, each with a verdict of its own.

A load and a window are keyed twice: by id (the same content again is a duplicate) and by what they are about (other
content is a conflict). A segment is worth its rows only, each keyed by (title, salt, counter): a row comes live, and
once more with its hour, and is stored once. The first to arrive stays; nothing is ever overwritten.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy import Connection, insert, select

from protocol.reports import DetailSegment, IntervalLoad, ItemVerdict

from ..retention import last_number
from ..store import Store
from ..tables import conflicts, detail_rows
from .entries import Entries, signed
from .judgement import Arrival, Refused, Row
from .refusals import note_refusals

log = structlog.get_logger()


def admit(store: Store, judged: Sequence[Arrival | Refused], arrived: int | None = None) -> list[ItemVerdict]:
    """Return the verdicts, in order, after the transaction that holds them has been committed.

    ``arrived`` is when the batch came in, UTC seconds; None where the server's clock is not the deployment's.
    """

    def work(connection: Connection) -> list[ItemVerdict]:
        entries = Entries(connection, judged, arrived)
        verdicts = [_admit(connection, entries, item, arrived) for item in judged]
        entries.write()
        if arrived is not None:
            note_refusals(connection, judged, arrived)
        return verdicts

    verdicts = store.write(work)
    for verdict, item in zip(verdicts, judged, strict=True):
        if verdict.verdict == "conflict" and isinstance(item, Arrival):
            log.error(
                "alarm: conflicting report set aside",
                report=verdict.id,
                type=item.document.type,
                neighbourhood=item.report.neighbourhood,
                reason=verdict.reason,
            )
        elif verdict.verdict == "refused":
            log.warning("report refused", report=verdict.id, reason=verdict.reason)
    return verdicts


def _admit(connection: Connection, entries: Entries, item: Arrival | Refused, arrived: int | None) -> ItemVerdict:
    if isinstance(item, Refused):
        return ItemVerdict(item.id, "refused", item.reason)
    report = item.report
    if isinstance(report, DetailSegment):
        return _admit_segment(connection, item, report, arrived)
    there = entries.enter(item, report)
    if there is None:
        return ItemVerdict(item.id, "stored")
    if there == item.id:
        return ItemVerdict(item.id, "duplicate")
    about = "load of this interval" if isinstance(report, IntervalLoad) else "report of this window"
    return _set_aside(connection, item, f"another {about} is stored", arrived)


def _admit_segment(connection: Connection, item: Arrival, segment: DetailSegment, arrived: int | None) -> ItemVerdict:
    new: dict[tuple[bytes, bytes, bytes], bytes] = {}
    stored = _stored_rows(connection, item)
    fresh = []
    for row in item.rows:
        key = (row.title, row.salt, row.counter)
        known = stored.get(key, (segment.pseudonym, new.get(key, row.row)))
        if known != (segment.pseudonym, row.row):
            reason = f"another row of this meter, salt and counter is stored: {_name(row)}"
            return _set_aside(connection, item, reason, arrived)
        if key not in stored and key not in new:
            new[key] = row.row
            fresh.append(
                {
                    "title": row.title,
                    "salt": row.salt,
                    "counter": row.counter,
                    "pseudonym": segment.pseudonym,
                    "epoch": row.epoch,
                    "row": row.row,
                }
            )
    if not fresh:
        return ItemVerdict(item.id, "duplicate")
    last = last_number(connection, segment.pseudonym)
    numbered = [{**row, "arrival": last + at} for at, row in enumerate(fresh, start=1)]
    connection.execute(insert(detail_rows), numbered)
    return ItemVerdict(item.id, "stored")


def _name(row: Row) -> str:
    """Return what names a row to a person: salt and counter. The title would name a home in a log."""
    return f"{row.salt.hex()}/{int.from_bytes(row.counter, 'big')}"


def _stored_rows(connection: Connection, item: Arrival) -> dict[tuple[bytes, bytes, bytes], tuple[str, bytes]]:
    # At most a thousand rows: fewer bound values than any database's limit.
    counters = [row.counter for row in item.rows]
    salts = sorted({row.salt for row in item.rows})
    query = select(
        detail_rows.c.title,
        detail_rows.c.salt,
        detail_rows.c.counter,
        detail_rows.c.pseudonym,
        detail_rows.c.row,
    ).where(
        detail_rows.c.title == item.rows[0].title,
        detail_rows.c.salt.in_(salts),
        detail_rows.c.counter.in_(counters),
    )
    return {
        (bytes(row.title), bytes(row.salt), bytes(row.counter)): (row.pseudonym, bytes(row.row))
        for row in connection.execute(query)
    }


def _set_aside(connection: Connection, item: Arrival, reason: str, arrived: int | None) -> ItemVerdict:
    known = select(conflicts.c.id).where(conflicts.c.id == item.id)
    if connection.execute(known).scalar() is None:
        connection.execute(insert(conflicts).values(id=item.id, reason=reason, arrived=arrived, **signed(item)))
    return ItemVerdict(item.id, "conflict", reason)
