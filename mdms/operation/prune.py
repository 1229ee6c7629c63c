"""Detail that is older than the deployment keeps: customers' sealed rows, a day of one account at a time.

Reports, released sums and bills are no detail and stay. A row's day is its epoch, the day on which it was sealed.
"""

from collections.abc import Callable

from sqlalchemy import delete, func, select

from protocol.keychain import epoch_of

from ..rosters import RosterBook
from ..store import Store
from ..tables import detail_rows

DAY_S = 86_400


def first_kept(now: float, days: int) -> int:
    """Return the oldest epoch that is kept at a time (UTC seconds)."""
    return int(epoch_of(int(now))) - days


def prune(store: Store, book: RosterBook, before: int, told: Callable[[int], None] = lambda _rows: None) -> int:
    """Delete every row of an epoch below ``before``; returns how many. It may be killed anywhere and run again.

    Each transaction is one day of one account: nobody who writes meanwhile waits for long.
    """
    deleted = 0
    for pseudonym in sorted(tenancy.pseudonym for tenancy in book.tenancies()):
        while (epoch := _oldest(store, pseudonym)) is not None and epoch < before:
            rows = _delete(store, pseudonym, epoch)
            deleted += rows
            told(rows)
    return deleted


def _oldest(store: Store, pseudonym: str) -> int | None:
    oldest: int | None = store.ask(select(func.min(detail_rows.c.epoch)).where(detail_rows.c.pseudonym == pseudonym))[
        0
    ][0]
    return oldest


def _delete(store: Store, pseudonym: str, epoch: int) -> int:
    day = delete(detail_rows).where(detail_rows.c.pseudonym == pseudonym, detail_rows.c.epoch == epoch)
    return store.write(lambda connection: connection.execute(day).rowcount)
