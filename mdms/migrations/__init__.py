"""The tables' versions: brings a database forward, and says what is wrong with one that cannot be.

`versions/` holds one file per version, each with its own words for the tables as they were then: `mdms.tables` is
today's shape and must not be read there. All steps of one call are one transaction, so a database is of one version
or of another, and a program that stops in the middle has changed nothing.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from ..errors import CannotStart

INITIAL = "0001"
HERE = Path(__file__).parent
# Two servers that start at once: the second waits, and finds the tables there. On SQLite the write lock does it.
ADVISORY_LOCK = 0x68757368


class SchemaBehind(CannotStart):
    """The tables are not there yet, or are of an older version; the message says what to run."""


def bring_forward(connection: Connection) -> str:
    """Make or change the tables of an open, writing transaction to today's version; returns that version.

    Raises CannotStart for tables that a newer program made.
    """
    config = Config()
    # Config reads % as its own sign.
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    newest = _newest()
    version = _version(connection)
    if version is None and inspect(connection).has_table("schema_version"):
        # Made before versions were kept as data: exactly the tables of the initial one.
        command.stamp(config, INITIAL)
        version = INITIAL
    _refuse_newer(version)
    if version != newest:
        command.upgrade(config, "head")
    return newest


def check_version(connection: Connection) -> None:
    """Raise SchemaBehind for tables that are missing or older than this program, CannotStart for newer ones."""
    version = _version(connection)
    _refuse_newer(version)
    if version is None:
        raise SchemaBehind("database: its tables are not there yet; start serve, or run migrate")
    if version != _newest():
        raise SchemaBehind(
            f"database: its tables are of version {version}, this program's of {_newest()}; start serve, or run migrate"
        )


def _newest() -> str:
    newest = _scripts().get_current_head()
    assert newest is not None, "there is an initial version"
    return newest


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(HERE))


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(version: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if version is not None and version not in known:
        raise CannotStart(
            f"database: its tables are of version {version}, which this program does not know: a newer one made them"
        )
