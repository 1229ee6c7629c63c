"""What the customer's page asks of the database: one tenancy's sealed rows and its own bills."""

from sqlalchemy import func, select
from sqlalchemy.sql.functions import Function

from ..records.bills import BILL_COLUMNS, Bill, bills_with_sums
from ..store import Store
from ..tables import bills, detail_rows

ROWS_AT_ONCE = 5000


def rows_behind(store: Store, pseudonym: str, arrival: int, limit: int = ROWS_AT_ONCE) -> list[tuple[int, bytes]]:
    """Return a tenancy's sealed rows (90 bytes) that arrived behind a number, as (number, row) in that order."""
    query = (
        select(detail_rows.c.arrival, detail_rows.c.row)
        .where(detail_rows.c.pseudonym == pseudonym, detail_rows.c.arrival > arrival)
        .order_by(detail_rows.c.arrival)
        .limit(limit)
    )
    return [(row.arrival, bytes(row.row)) for row in store.ask(query)]


def rows_before(store: Store, pseudonym: str, arrival: int, limit: int) -> list[tuple[int, bytes]]:
    """Return the newest of a tenancy's sealed rows that arrived before a number, as (number, row), oldest first."""
    query = (
        select(detail_rows.c.arrival, detail_rows.c.row)
        .where(detail_rows.c.pseudonym == pseudonym, detail_rows.c.arrival < arrival)
        .order_by(detail_rows.c.arrival.desc())
        .limit(limit)
    )
    return [(row.arrival, bytes(row.row)) for row in reversed(store.ask(query))]


def first_arrival(store: Store, pseudonym: str) -> int | None:
    """Return the number of a tenancy's oldest row that is kept, or None."""
    return _arrival(store, pseudonym, func.min(detail_rows.c.arrival))


def last_arrival(store: Store, pseudonym: str) -> int | None:
    """Return the number of a tenancy's newest row, or None."""
    return _arrival(store, pseudonym, func.max(detail_rows.c.arrival))


def _arrival(store: Store, pseudonym: str, which: Function[int]) -> int | None:
    found: int | None = store.ask(select(which).where(detail_rows.c.pseudonym == pseudonym))[0][0]
    return found


def bills_of(store: Store, pseudonym: str) -> list[Bill]:
    """Return a tenancy's bills, newest first."""
    query = select(*BILL_COLUMNS).where(bills.c.pseudonym == pseudonym).order_by(bills.c.period_start.desc())
    return bills_with_sums(store, query)
