"""The database that a test's MDMS has: SQLite in its folder, or one of its own on the PostgreSQL that a variable names.

`make test-system` runs these tests once more with the variable set, except those that are about SQLite (`sqlite`).
"""

import hashlib
import os
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from mdms.store import Store

SERVER = "HUSHMETER_TEST_POSTGRESQL"  # SQLAlchemy's URL of a server on which databases may be made
EMPTY, TODAY = "template1", "today"


def database_url(folder, name="mdms", empty=False):
    """Return the URL of the database of this name of a test's folder; the same one whenever it is asked for.

    On PostgreSQL today's tables are there already, unless it is to be ``empty``.
    """
    path = Path(folder).resolve() / f"{name}.sqlite3"
    server = os.environ.get(SERVER)
    return _made(server, _name(path), EMPTY if empty else TODAY) if server else f"sqlite:///{path}"


def copied_database_url(folder, copy):
    """Return the URL of the same database in a copy of a test's folder, as it is now. Nobody may be connected to it."""
    path = Path(copy).resolve() / "mdms.sqlite3"
    server = os.environ.get(SERVER)
    return _made(server, _name(path), make_url(database_url(folder)).database) if server else f"sqlite:///{path}"


def _name(path):
    return "t" + hashlib.sha256(str(path).encode()).hexdigest()[:32]


def _made(server, database, template):
    """Make a database as another one is, where there is none of its name yet; returns its URL."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(1)"))  # until it is closed: several processes run tests
        if template == TODAY and not _is_there(connection, TODAY):
            connection.execute(text(f"CREATE DATABASE {TODAY} TEMPLATE {EMPTY}"))
            Store(_url(server, TODAY)).close()
        if not _is_there(connection, database):
            connection.execute(text(f"CREATE DATABASE {database} TEMPLATE {template}"))
    engine.dispose()
    return _url(server, database)


def _is_there(connection, database):
    found = text("SELECT 1 FROM pg_database WHERE datname = :name")
    return connection.execute(found, {"name": database}).first() is not None


def _url(server, database):
    return make_url(server).set(database=database).render_as_string(hide_password=False)
