"""Which alarms are raised, and what is still to be sent: in the database, so that a restart repeats nothing.

One message when an alarm is raised, one when it is over, and a reminder each day while it lasts. Alarms change in the
transaction that adds their messages. Several watchers may look at one database: whoever comes second finds it done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from ..fleet.rules import Finding
from ..store import Store
from ..tables import alarm_messages, alarms
from .settings import AlarmSettings

RAISED, STILL, OVER = "raised", "still", "over"
FORGET_S = 90 * 86_400
HOUR_S = 3600
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; ``cleared`` is None while it lasts. Times in UTC seconds."""

    name: str
    said: str
    since: int
    seen: int
    told: int
    cleared: int | None


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for one channel. ``next_try`` is None when nothing is left to do: it was sent, or given up."""

    id: int
    channel: str
    kind: str
    alarm: str
    said: str
    made: int
    attempts: int
    next_try: int | None
    sent: int | None
    failure: str | None


def take(
    store: Store, found: Sequence[Finding], settings: AlarmSettings, channels: Sequence[str], now: int
) -> list[tuple[str, str]]:
    """Take over what was found at a time; returns (kind, alarm) of each message that this made."""

    def work(connection: Connection) -> list[tuple[str, str]]:
        known = {row.name: row for row in connection.execute(select(alarms))}
        made = []
        for each in found:
            before = known.get(each.name)
            if before is None or before.cleared is not None:
                _raise(connection, each, now, known=before is not None)
                made.append((RAISED, each.name, each.said))
            elif _remember(connection, each, now, before.told, settings):
                made.append((STILL, each.name, each.said))
        names = {each.name for each in found}
        for row in known.values():
            lasts = row.cleared is None and row.name not in names
            # A cause that comes and goes is one alarm.
            if lasts and now - row.seen >= settings.clear_minutes * MINUTE_S and _clear(connection, row.name, now):
                made.append((OVER, row.name, row.said))
        for kind, name, said in made:
            _write(connection, channels, kind, name, said, now)
        _forget(connection, now)
        return [(kind, name) for kind, name, _ in made]

    return store.write(work)


def _raise(connection: Connection, found: Finding, now: int, *, known: bool) -> None:
    if known:
        connection.execute(delete(alarms).where(alarms.c.name == found.name))
    row = {"name": found.name, "said": found.said, "since": now, "seen": now, "told": now, "cleared": None}
    connection.execute(insert(alarms).values(row))


def _remember(connection: Connection, found: Finding, now: int, told: int, settings: AlarmSettings) -> bool:
    """Note that a cause is still there; returns whether it is to be told again."""
    this = alarms.c.name == found.name
    connection.execute(update(alarms).where(this).values(said=found.said, seen=now))
    if now - told < settings.remind_hours * HOUR_S:
        return False
    # Only whoever changes it tells: another watcher may have done so meanwhile.
    return bool(connection.execute(update(alarms).where(this, alarms.c.told == told).values(told=now)).rowcount)


def _clear(connection: Connection, name: str, now: int) -> bool:
    lasts = and_(alarms.c.name == name, alarms.c.cleared.is_(None))
    return bool(connection.execute(update(alarms).where(lasts).values(cleared=now)).rowcount)


def _write(connection: Connection, channels: Sequence[str], kind: str, name: str, said: str, now: int) -> None:
    for channel in channels:
        letter = {"channel": channel, "kind": kind, "alarm": name, "said": said, "made": now}
        connection.execute(insert(alarm_messages).values(attempts=0, next_try=now, **letter))


def _forget(connection: Connection, now: int) -> None:
    connection.execute(delete(alarms).where(alarms.c.cleared < now - FORGET_S))
    done = and_(alarm_messages.c.next_try.is_(None), alarm_messages.c.made < now - FORGET_S)
    connection.execute(delete(alarm_messages).where(done))


# --- What a page and a sender ask ---------------------------------------------------------------------------------


def known_alarms(store: Store, limit: int = 100) -> list[Alarm]:
    """Return those that last, and the newest of those that are over."""
    query = select(alarms).order_by(alarms.c.cleared.is_not(None), alarms.c.since.desc(), alarms.c.name).limit(limit)
    return [Alarm(row.name, row.said, row.since, row.seen, row.told, row.cleared) for row in store.ask(query)]


def due_letters(store: Store, now: int, limit: int = 50) -> list[Letter]:
    """Return what is to be tried now, the oldest first."""
    query = select(alarm_messages).where(alarm_messages.c.next_try <= now).order_by(alarm_messages.c.id).limit(limit)
    return [_letter(row) for row in store.ask(query)]


def troubled_letters(store: Store, limit: int = 50) -> list[Letter]:
    """Return what has failed and what waits, the newest first."""
    troubled = or_(alarm_messages.c.next_try.is_not(None), alarm_messages.c.sent.is_(None))
    query = select(alarm_messages).where(troubled).order_by(alarm_messages.c.id.desc()).limit(limit)
    return [_letter(row) for row in store.ask(query)]


def _letter(row: object) -> Letter:
    return Letter(*(getattr(row, name) for name in Letter.__slots__))


def count(store: Store) -> tuple[int, int, int]:
    """Return how many alarms last, how many messages wait, and how many of those have failed before."""
    lasting = store.ask(select(func.count()).select_from(alarms).where(alarms.c.cleared.is_(None)))[0][0]
    waits = alarm_messages.c.next_try.is_not(None)
    waiting = store.ask(select(func.count()).select_from(alarm_messages).where(waits))[0][0]
    failed = and_(waits, alarm_messages.c.failure.is_not(None))
    return lasting, waiting, store.ask(select(func.count()).select_from(alarm_messages).where(failed))[0][0]


def claim(store: Store, letter: Letter, until: int) -> bool:
    """Take a message for oneself until a time; False where another has it, or it is done."""

    def work(connection: Connection) -> bool:
        this = (alarm_messages.c.id == letter.id, alarm_messages.c.next_try == letter.next_try)
        values = {"next_try": until, "attempts": letter.attempts + 1}
        return bool(connection.execute(update(alarm_messages).where(*this).values(values)).rowcount)

    return store.write(work)


def settle(store: Store, letter: Letter, *, sent: int | None, next_try: int | None, failure: str | None) -> None:
    """Note what became of an attempt."""
    values = {"sent": sent, "next_try": next_try, "failure": failure and failure[:200]}
    store.write(lambda it: it.execute(update(alarm_messages).where(alarm_messages.c.id == letter.id).values(values)))
