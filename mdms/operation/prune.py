"""Detail that is older than the deployment, or its own customer, keeps: sealed rows, a day of one account at a time.

Reports, released sums and bills are no detail and stay. A row's day is its epoch, the day on which it was sealed.
"""

from collections.abc import Callable, Mapping

from protocol.keychain import epoch_of

from ..retention import delete_day, oldest_day
from ..rosters import RosterBook
from ..store import Store

NOTHING: Mapping[str, int] = {}


def first_kept(now: float, days: int) -> int:
    """Return the oldest epoch that is kept at a time (UTC seconds)."""
    return int(epoch_of(int(now))) - days


def prune(
    store: Store,
    book: RosterBook,
    before: int,
    told: Callable[[int], None] = lambda _rows: None,
    own: Mapping[str, int] = NOTHING,
) -> int:
    """Delete every row of an epoch below ``before``, or below an account's ``own``; returns how many.

    It may be killed anywhere and run again. Each transaction is one day of one account: nobody who writes meanwhile
    waits for long.
    """
    deleted = 0
    for pseudonym in sorted(tenancy.pseudonym for tenancy in book.tenancies()):
        first = max(before, own.get(pseudonym, before))
        while (epoch := oldest_day(store, pseudonym)) is not None and epoch < first:
            rows = delete_day(store, pseudonym, epoch)
            deleted += rows
            told(rows)
    return deleted
