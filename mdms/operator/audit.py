"""Who did what at the operator's door, and when: added in the transaction that does it, and never changed."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from ..store import Store
from ..tables import operator_log

MOST_SAID = 200


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the log; ``at`` in UTC seconds."""

    id: int
    at: int
    who: str
    did: str
    about: str
    said: str


def note(connection: Connection, now: int, who: str, did: str, about: str, said: str = "") -> None:
    """Add a line inside a transaction."""
    line = {"at": now, "who": who, "did": did, "about": about[:64], "said": said[:MOST_SAID]}
    connection.execute(insert(operator_log).values(line))


def deeds(store: Store, before: int | None = None, limit: int = 100) -> list[Deed]:
    """Return the newest lines, or those with a number below ``before``; newest first."""
    query = select(operator_log).order_by(operator_log.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(operator_log.c.id < before)
    return [Deed(row.id, row.at, row.who, row.did, row.about, row.said) for row in store.ask(query)]
