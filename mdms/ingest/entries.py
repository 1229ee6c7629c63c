"""The loads and windows of one batch: one question for what is there already, one statement a table for what is new.

Rows are written in the order of their ids, so that two servers that are sent the same batch at once, in whatever
order, wait for each other instead of each for the other.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, select, tuple_

from protocol.reports import BillingWindow, IntervalLoad

from ..tables import billing_windows, interval_loads, reports
from .judgement import Arrival, Refused

Key = tuple[str, int]


class Entries:
    """What a batch is about, looked up once; new entries are noted, and written at its end."""

    def __init__(self, connection: Connection, judged: Sequence[Arrival | Refused], arrived: int | None = None) -> None:
        arrivals = [item.report for item in judged if isinstance(item, Arrival)]
        loads = [key_of(report) for report in arrivals if isinstance(report, IntervalLoad)]
        windows = [key_of(report) for report in arrivals if isinstance(report, BillingWindow)]
        self._connection = connection
        self._arrived = arrived
        self._there = {
            interval_loads: _there(connection, interval_loads, ("neighbourhood", "interval_start"), loads),
            billing_windows: _there(connection, billing_windows, ("pseudonym", "window_start"), windows),
        }
        self._new: dict[Table, list[dict[str, Any]]] = {reports: [], interval_loads: [], billing_windows: []}

    def enter(self, item: Arrival, report: IntervalLoad | BillingWindow) -> str | None:
        """Note a report; returns the id of another, or the same one, that is there under its key already."""
        table = interval_loads if isinstance(report, IntervalLoad) else billing_windows
        key = key_of(report)
        there = self._there[table].get(key)
        if there is None:
            self._there[table][key] = item.id
            self._new[reports].append({"id": item.id, **signed(item)})
            row = _load(item, report, self._arrived) if isinstance(report, IntervalLoad) else _window(report)
            self._new[table].append({**row, "report": item.id})
        return there

    def write(self) -> None:
        """Write what was noted, reports first: the others name them."""
        for table, rows in self._new.items():
            if rows:
                self._connection.execute(insert(table), sorted(rows, key=lambda row: row.get("id") or row["report"]))


def signed(item: Arrival) -> dict[str, Any]:
    """Return a document's columns."""
    document = item.document
    return {
        "type": document.type,
        "content": document.content_bytes(),
        "signer": document.signer,
        "signature": document.signature,
    }


def key_of(report: IntervalLoad | BillingWindow) -> Key:
    """Return what a report is about: nothing else may be stored about the same."""
    if isinstance(report, IntervalLoad):
        return report.neighbourhood, report.interval_start
    return report.pseudonym, report.window_start


def _there(connection: Connection, table: Table, names: tuple[str, str], keys: list[Key]) -> dict[Key, str]:
    if not keys:
        return {}
    first, second = (table.c[name] for name in names)
    query = select(first, second, table.c.report).where(tuple_(first, second).in_(keys))
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def _load(item: Arrival, load: IntervalLoad, arrived: int | None) -> dict[str, Any]:
    return {
        "neighbourhood": load.neighbourhood,
        "interval_start": load.interval_start,
        "interval_end": load.interval_start + load.interval_s,
        "contributors": item.contributors,
        "expected": item.expected,
        "arrived": arrived,
    }


def _window(window: BillingWindow) -> dict[str, Any]:
    return {
        "pseudonym": window.pseudonym,
        "window_start": window.window_start,
        "window_end": window.window_end,
        "present": window.present,
        "expected": window.expected,
        "quality": window.quality,
        "register_from": window.register_from,
        "register_to": window.register_to,
        "filled": window.energy is not None,
    }
