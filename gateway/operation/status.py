"""What the ledger holds, for the operator: read beside the running daemon, without its lock and without changing it.

Only columns that hold neither an energy nor a ciphertext nor a key are read.
"""

import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from protocol import wire

from .. import bounds
from ..ledger import LedgerError
from ..schema import SCHEMA_VERSION
from ..trusted_clock import WAITED_FOR

UNDECIDED = (
    "NOT EXISTS (SELECT 1 FROM quarantine_decisions AS d WHERE (d.title, d.series, d.interval_number) ="
    " (quarantine.title, quarantine.series, quarantine.interval_number))"
)
NEWEST_EVENTS = 20  # shown; their numbers by kind are of all
PLAIN_WIDTH = 160  # where the output is no terminal


class NeighbourhoodStatus(msgspec.Struct, frozen=True):
    """``closed_until`` (UTC seconds) is the end of the newest closed interval."""

    name: str
    meters: int
    closed_until: int | None


class MeterStatus(msgspec.Struct, frozen=True):
    """``last_reading_end`` is UTC seconds, None before any; ``unsealed_windows`` are those with a reading."""

    title: str
    neighbourhood: str
    last_reading_end: int | None
    unsealed_windows: int


class OutboxStatus(msgspec.Struct, frozen=True):
    """Reports without a verdict, the age of the oldest in seconds; sealed rows in no report yet; the bytes of both.

    ``bytes_a_day`` is what was closed in the last week; None before there is an hour of it.
    """

    waiting: int
    oldest_age_s: int | None
    rows: int
    waiting_bytes: int
    bytes_a_day: int | None


class QuarantinedReading(msgspec.Struct, frozen=True):
    """A reading set aside that nobody has decided about; times in UTC seconds, ``name`` for the quarantine command."""

    name: str
    title: str
    interval_start: int
    interval_end: int
    reason: str


class Alarm(msgspec.Struct, frozen=True):
    """Something that somebody has to look at, and how often it was seen."""

    what: str
    number: int


class MeterEvent(msgspec.Struct, frozen=True):
    """What a meter reported about itself; ``time`` (UTC seconds) is None where it did not know it."""

    title: str
    code: int
    event: str
    time: int | None
    count: int
    text: str


class Status(msgspec.Struct, frozen=True):
    """All of it. ``events`` are the newest ones, ``events_by_kind`` counts every one that is kept."""

    neighbourhoods: list[NeighbourhoodStatus]
    meters: list[MeterStatus]
    outbox: OutboxStatus
    counts: dict[str, int]
    quarantined: list[QuarantinedReading]
    alarms: list[Alarm]
    events: list[MeterEvent]
    events_by_kind: dict[str, int]


def read(path: Path, *, simulated: bool = False) -> Status:
    """Return a ledger's status; raises LedgerError in one line. ``simulated``: ages count from its newest report."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path}: the daemon makes it at its first start")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA query_only=ON")
            db.execute("BEGIN")  # one moment of it, whatever is committed meanwhile
            _check_version(db, path)
            return _read(db, simulated)
    except sqlite3.OperationalError as error:
        raise LedgerError(f"the ledger {path} cannot be read: {error}") from None
    except sqlite3.DatabaseError:
        raise LedgerError(f"{path} is not a ledger") from None


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"facts", "meters", "outbox"} <= tables:
        raise LedgerError(f"{path} is not a ledger")
    if version < SCHEMA_VERSION:
        raise LedgerError(f"{path} is of version {version}: start the daemon once, it makes version {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise LedgerError(f"{path} is of version {version}, this concentrator keeps {SCHEMA_VERSION}")


def _read(db: sqlite3.Connection, simulated: bool) -> Status:
    counts = dict(db.execute("SELECT kind, number FROM counts ORDER BY kind"))
    return Status(
        neighbourhoods=[
            NeighbourhoodStatus(*row)
            for row in db.execute(
                "SELECT neighbourhood, count(*), (SELECT next_interval FROM neighbourhoods WHERE name = neighbourhood)"
                " FROM meters GROUP BY neighbourhood ORDER BY neighbourhood"
            )
        ],
        meters=[
            MeterStatus(title.hex(), *rest)
            for title, *rest in db.execute(
                "SELECT title, neighbourhood, CASE WHEN tail_register IS NOT NULL THEN tail_end END,"
                " (SELECT count(*) FROM windows WHERE windows.title = meters.title) FROM meters ORDER BY title"
            )
        ],
        outbox=_outbox(db, simulated),
        counts=counts,
        quarantined=[
            QuarantinedReading(f"{title.hex()}:{series}:{number}", title.hex(), *rest)
            for title, series, number, *rest in db.execute(
                "SELECT title, series, interval_number, interval_start, interval_end, reason"  # noqa: S608 - our words
                f" FROM quarantine WHERE {UNDECIDED} ORDER BY interval_start, title"
            )
        ],
        alarms=_alarms(db, counts),
        events=[
            MeterEvent(title.hex(), code, wire.EVENTS.get(code, "unknown"), *rest)
            for title, code, *rest in db.execute(
                "SELECT title, code, time, count, text FROM events ORDER BY seq DESC LIMIT ?", (NEWEST_EVENTS,)
            )
        ],
        events_by_kind={
            wire.EVENTS.get(code, "unknown"): number
            for code, number in db.execute("SELECT code, count(*) FROM events GROUP BY code ORDER BY code")
        },
    )


def _outbox(db: sqlite3.Connection, simulated: bool) -> OutboxStatus:
    waiting, oldest = db.execute("SELECT count(*), min(created) FROM outbox WHERE verdict IS NULL").fetchone()
    newest = db.execute("SELECT max(created) FROM outbox").fetchone()[0]
    now = (newest or 0) if simulated else int(time.time())
    rate = bounds.rate_of(db.execute(bounds.RATE_SQL, (now - bounds.MEASURED_S,)).fetchone())
    rows = db.execute("SELECT count(*) FROM details").fetchone()[0]
    age = None if oldest is None else max(0, now - oldest)
    return OutboxStatus(waiting, age, rows, bounds.waiting_bytes(db.execute), rate.bytes_a_day if rate else None)


def _alarms(db: sqlite3.Connection, counts: dict[str, int]) -> list[Alarm]:
    found = []
    if db.execute("SELECT 1 FROM facts WHERE name = ? AND value", (WAITED_FOR,)).fetchone():
        found.append(Alarm("the clock is not synchronised: nothing is closed or erased, meters get no time", 1))
    if counts.get("conflict"):
        found.append(Alarm("frames in conflict: a clone or a broken meter", counts["conflict"]))
    quarantined = db.execute(f"SELECT count(*) FROM quarantine WHERE {UNDECIDED}").fetchone()[0]  # noqa: S608
    if quarantined:
        found.append(Alarm("quarantined readings", quarantined))
    for verdict, reason, number in db.execute(
        "SELECT verdict, reason, count(*) FROM outbox WHERE verdict IN ('conflict', 'refused')"
        " GROUP BY verdict, reason ORDER BY verdict, reason"
    ):
        why = f"{verdict}, {reason}" if reason else verdict
        found.append(Alarm(f"reports that the MDMS did not take: {why}", number))
    return found


# --- What a person reads ------------------------------------------------------------------------------------------


def as_json(status: Status) -> str:
    """Return one JSON object."""
    return msgspec.json.format(msgspec.json.encode(status), indent=2).decode()


def show(status: Status, console: Console | None = None) -> None:
    """Print tables; plain text where the output is no terminal."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = console or Console(width=width, markup=False, highlight=False)
    for table in _tables(status, box.SIMPLE_HEAD if console.is_terminal else None):
        if table.row_count:
            console.print(table)
            console.print()
    waiting = status.outbox.waiting
    age = f", the oldest for {status.outbox.oldest_age_s} s" if waiting else ""
    console.print(f"outbox: {waiting} reports wait{age}; {status.outbox.rows} sealed rows are in no report yet")


def _tables(status: Status, lines: box.Box | None) -> list[Table]:
    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", box=lines, pad_edge=False)
        for column in columns:
            made.add_column(column, overflow="fold", justify="right" if column in NUMBERS else "left")
        return made

    neighbourhoods = table("neighbourhoods", "neighbourhood", "meters", "closed until")
    for place in status.neighbourhoods:
        neighbourhoods.add_row(place.name, str(place.meters), _moment(place.closed_until))
    meters = table("meters", "title", "neighbourhood", "last reading's end", "unsealed windows")
    for meter in status.meters:
        windows = str(meter.unsealed_windows)
        meters.add_row(meter.title, meter.neighbourhood, _moment(meter.last_reading_end), windows)
    counts = table("frames", "kind", "number")
    for kind, number in status.counts.items():
        counts.add_row(kind, str(number))
    quarantined = table("quarantined readings", "reading", "interval", "reason")
    for reading in status.quarantined:
        interval = f"{_moment(reading.interval_start)} to {_moment(reading.interval_end)}"
        quarantined.add_row(reading.name, interval, reading.reason)
    alarms = table("alarms", "alarm", "number")
    for alarm in status.alarms:
        alarms.add_row(alarm.what, str(alarm.number))
    kinds = table("events", "event", "number")
    for kind, number in status.events_by_kind.items():
        kinds.add_row(kind, str(number))
    events = table("newest events", "title", "event", "time", "count", "text")
    for event in status.events:
        events.add_row(event.title, event.event, _moment(event.time), str(event.count), event.text)
    return [neighbourhoods, meters, counts, quarantined, alarms, kinds, events]


NUMBERS = ("meters", "unsealed windows", "number", "count")


def _moment(at: int | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
