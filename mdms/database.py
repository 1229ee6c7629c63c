"""The engine under the store: durable on SQLite, ordinary on PostgreSQL.

On SQLite a transaction that will write takes its lock at once (BEGIN IMMEDIATE): one that reads first and writes
later can find that another has written in between, and no waiting helps it then.
"""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from .errors import CannotStart
from .migrations import bring_forward, check_version

WRITES = "hushmeter_writes"
BUSY_S = 30
RETRY_S = 0.02


def open_database(url: str, migrate: bool = True) -> Engine:
    """Return an engine whose tables are there, brought forward or only checked; raises CannotStart with one line.

    Without ``migrate``, tables that are missing or older raise migrations.SchemaBehind.
    """
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        engine = create_engine(parsed, connect_args={"timeout": BUSY_S} if sqlite else {})
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise CannotStart(f"database: not a usable SQLAlchemy URL: {type(error).__name__}") from None
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.execution_options(**{WRITES: migrate}).begin() as connection:
            (bring_forward if migrate else check_version)(connection)
    except CannotStart:
        engine.dispose()
        raise
    except SQLAlchemyError as error:
        engine.dispose()
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        # The URL without its password.
        raise CannotStart(f"database {parsed}: {reason}") from None
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: _begin_sqlite does.
    connection.isolation_level = None
    cursor = connection.cursor()
    _keep_a_write_ahead_log(cursor)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _keep_a_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Change a database to WAL, waiting up to BUSY_S seconds for whoever has it open.

    Where another writes, SQLite does not call its own busy handler for this one statement: it holds a shared lock
    already when it asks for more, and waiting with that could be a deadlock. So of two servers that start at once
    on a new database, one would be told "locked" without having waited.
    """
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= give_up:
                raise
        time.sleep(RETRY_S)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
