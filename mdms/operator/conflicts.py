"""A report that was set aside is there until somebody says that they looked into it."""

from sqlalchemy import Connection, update

from ..store import Store
from ..tables import conflicts
from .audit import note


def handle(store: Store, report: str, who: str, now: int) -> bool:
    """Note that a report that was set aside has been looked into; False where there is none that waits for it."""

    def work(connection: Connection) -> bool:
        waits = (conflicts.c.id == report, conflicts.c.handled.is_(None))
        if not connection.execute(update(conflicts).where(*waits).values(handled=now, handled_by=who)).rowcount:
            return False
        note(connection, now, who, "looked into a conflict", report)
        return True

    return store.write(work)
