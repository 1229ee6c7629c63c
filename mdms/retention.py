"""How long one account's sealed rows are kept, and their erasure: what the customer decided, and what follows.

Rule 1: rows go a day of one account at a time, so that nobody who writes meanwhile waits for long. Whoever is killed
between two days goes on where it stopped.
Rule 2: numbers of arrival never start again. Where the last row goes, its number is kept.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from protocol.keychain import epoch_of

from .store import Store
from .tables import detail_choices, detail_log, detail_rows

LEAST_OWN_DAYS = 7  # a page that shows a week, and a gateway that sends a week late
KEEP, ERASE = "keep", "erase"
ALL = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Done:
    """One decision: ``number`` is days that are kept (0: the deployment's), or rows that were deleted."""

    at: int
    did: str
    number: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies there of one account: ``oldest`` is the day (epoch) of the oldest row, ``days`` the own choice."""

    rows: int
    oldest: int | None
    days: int | None


def kept_of(store: Store, pseudonym: str) -> Kept:
    """Return what is kept of an account, and for how long by its own choice."""
    query = select(func.count(), func.min(detail_rows.c.epoch)).where(detail_rows.c.pseudonym == pseudonym)
    rows, oldest = store.ask(query)[0]
    own = store.ask(select(detail_choices.c.keep_days).where(detail_choices.c.pseudonym == pseudonym))
    return Kept(rows, oldest, own[0][0] if own else None)


def decisions_of(store: Store, pseudonym: str, most: int) -> list[Done]:
    """Return what an account decided, newest first."""
    query = (
        select(detail_log.c.at, detail_log.c.did, detail_log.c.number)
        .where(detail_log.c.pseudonym == pseudonym)
        .order_by(detail_log.c.id.desc())
        .limit(most)
    )
    return [Done(*row) for row in store.ask(query)]


def keep_days(store: Store, pseudonym: str, days: int | None, now: int) -> None:
    """Keep an account's rows for so many days, or as long as the deployment does. `prune` carries it out."""

    def work(connection: Connection) -> None:
        _choose(connection, pseudonym, keep_days=days)
        _note(connection, pseudonym, now, KEEP, days or 0)

    store.write(work)


def erase(store: Store, pseudonym: str, now: int) -> int:
    """Delete every row of an account that is there at the call; returns how many. ``now`` in UTC seconds.

    Rows that come again from before today are deleted by the next `prune`.
    """

    def begin(connection: Connection) -> int:
        _choose(connection, pseudonym, erased_before=int(epoch_of(now)))
        mine = detail_rows.c.pseudonym == pseudonym
        return connection.execute(select(func.max(detail_rows.c.arrival)).where(mine)).scalar() or 0

    up_to = store.write(begin)
    deleted = 0
    while (epoch := oldest_day(store, pseudonym, up_to)) is not None:
        deleted += delete_day(store, pseudonym, epoch, up_to)
    store.write(lambda connection: _note(connection, pseudonym, now, ERASE, deleted))
    return deleted


def first_kept_by_choice(store: Store, now: float) -> dict[str, int]:
    """Return by pseudonym the oldest day (epoch) that customers themselves want kept at a time (UTC seconds)."""
    today = int(epoch_of(int(now)))
    first = {}
    for row in store.ask(select(detail_choices)):
        days = [row.erased_before] if row.erased_before is not None else []
        days += [today - row.keep_days] if row.keep_days is not None else []
        if days:
            first[row.pseudonym] = max(days)
    return first


def last_number(connection: Connection, pseudonym: str) -> int:
    """Return the highest number of arrival that an account's rows ever had; 0 before the first."""
    mine = select(func.max(detail_rows.c.arrival)).where(detail_rows.c.pseudonym == pseudonym)
    if (last := connection.execute(mine).scalar()) is not None:
        return int(last)
    gone = select(detail_choices.c.last_arrival).where(detail_choices.c.pseudonym == pseudonym)
    return connection.execute(gone).scalar() or 0


# --- Days ---------------------------------------------------------------------------------------------------------


def oldest_day(store: Store, pseudonym: str, up_to: int = ALL) -> int | None:
    """Return the day (epoch) of an account's oldest row among the arrivals up to a number, or None."""
    mine = (detail_rows.c.pseudonym == pseudonym, detail_rows.c.arrival <= up_to)
    oldest: int | None = store.ask(select(func.min(detail_rows.c.epoch)).where(*mine))[0][0]
    return oldest


def delete_day(store: Store, pseudonym: str, epoch: int, up_to: int = ALL) -> int:
    """Delete an account's rows of one day (epoch) among the arrivals up to a number; returns how many."""
    mine = detail_rows.c.pseudonym == pseudonym
    highest = select(func.max(detail_rows.c.arrival)).where(mine)

    def work(connection: Connection) -> int:
        last = connection.execute(highest).scalar()
        day = delete(detail_rows).where(mine, detail_rows.c.epoch == epoch, detail_rows.c.arrival <= up_to)
        deleted = connection.execute(day).rowcount
        if last is not None and connection.execute(highest).scalar() != last:
            _choose(connection, pseudonym, last_arrival=last)
        return deleted

    return store.write(work)


def _choose(connection: Connection, pseudonym: str, **chosen: Any) -> None:
    mine = update(detail_choices).where(detail_choices.c.pseudonym == pseudonym)
    if not connection.execute(mine.values(chosen)).rowcount:
        connection.execute(insert(detail_choices).values({"pseudonym": pseudonym, "last_arrival": 0, **chosen}))


def _note(connection: Connection, pseudonym: str, at: int, did: str, number: int) -> None:
    connection.execute(insert(detail_log).values(pseudonym=pseudonym, at=at, did=did, number=number))
