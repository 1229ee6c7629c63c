"""Notes of commands that are to be run now and then: when each was last done, for whoever wonders whether it is."""

from sqlalchemy import Connection, delete, insert

from ..store import Store
from ..tables import chores

MOST_SAID = 200


def note_done(store: Store, name: str, now: int, said: str) -> None:
    """Remember that a command has just been done."""

    def work(connection: Connection) -> None:
        connection.execute(delete(chores).where(chores.c.name == name))
        connection.execute(insert(chores).values(name=name, at=now, said=said[:MOST_SAID]))

    store.write(work)
