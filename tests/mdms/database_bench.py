"""The database that a test's MDMS has: SQLite in its folder, or one of its own on the PostgreSQL that a variable names.

`make test-system` runs these tests once more with the variable set, except those that are about SQLite (`sqlite`).
"""

import hashlib
import os
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

SERVER = "HUSHMETER_TEST_POSTGRESQL"  # SQLAlchemy's URL of a server on which databases may be made


def database_url(folder, name="mdms"):
    """Return the URL of the database of this name of a test's folder; the same one whenever it is asked for."""
    path = Path(folder).resolve() / f"{name}.sqlite3"
    server = os.environ.get(SERVER)
    return _at(server, _name(path), "template1") if server else f"sqlite:///{path}"


def copied_database_url(folder, copy):
    """Return the URL of the same database in a copy of a test's folder, as it is now. Nobody may be connected to it."""
    url = make_url(database_url(folder))
    path = Path(copy).resolve() / "mdms.sqlite3"
    return _at(os.environ[SERVER], _name(path), url.database) if SERVER in os.environ else f"sqlite:///{path}"


def _name(path):
    return "t" + hashlib.sha256(str(path).encode()).hexdigest()[:32]


def _at(server, database, template):
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        found = "SELECT 1 FROM pg_database WHERE datname = :name"
        if not connection.execute(text(found), {"name": database}).first():
            connection.execute(text(f"CREATE DATABASE {database} TEMPLATE {template}"))
    engine.dispose()
    return make_url(server).set(database=database).render_as_string(hide_password=False)
