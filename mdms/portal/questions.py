"""What the customer's page asks of the database: one tenancy's sealed rows and its own bills."""

from sqlalchemy import select

from ..store import BILL_COLUMNS, Bill, Store
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


def bills_of(store: Store, pseudonym: str) -> list[Bill]:
    """Return a tenancy's bills, newest first."""
    query = select(*BILL_COLUMNS).where(bills.c.pseudonym == pseudonym).order_by(bills.c.period_start.desc())
    return store.bills_with_sums(query)
