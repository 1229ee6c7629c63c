"""Looks at a living installation: database, key holder, server, what waits. No energy and no key.

Each finding says what is, and what to do next where that is not as it should be.
"""

import http.client
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ..config import MdmsConfig
from ..errors import CannotStart
from ..keyholder.client import KeyHolderClient, KeyHolderUnavailable
from ..keyholder.messages import policy_request
from ..rosters import RosterBook, load_rosters
from ..store import Store
from ..tables import conflicts, interval_loads

OK = "ok"
WARN = "warn"
FAIL = "fail"

LITTLE_BYTES = 1_000_000_000
HOUR_S = 3600
LOAD_OPEN_S = 48 * HOUR_S  # of protocol, chapter 9: later it is refused for good
SILENT_S = 6 * HOUR_S
TIMEOUT_S = 10


class Finding(NamedTuple):
    """One line: how it is, what was looked at, and what was seen."""

    level: str
    what: str
    said: str

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.what}: {self.said}"


def examine(config: MdmsConfig, now: float | None = None) -> Iterator[Finding]:
    """Yield every finding; ``now`` in UTC seconds is the machine's unless given."""
    now = time.time() if now is None else now
    yield server(config)
    yield keyholder(config.keyholder_socket)
    yield from disk(config)
    try:
        store = Store(config.database, migrate=False)
    except CannotStart as error:
        yield Finding(FAIL, "database", f"{error}")
        return
    with closing(store):
        yield Finding(OK, "database", "answers, and its tables are of this program's version")
        try:
            book = load_rosters(config.rosters, config.deployment, config.operator_key)
            yield from kept(store, book, now)
        except CannotStart as error:
            yield Finding(FAIL, "rosters", str(error))
        except SQLAlchemyError as error:
            yield Finding(FAIL, "database", f"does not answer: {type(error).__name__}")


def server(config: MdmsConfig) -> Finding:
    """Say whether `serve` answers where the configuration says, and its database with it."""
    where = f"{config.listen.host}:{config.listen.port}"
    connection = http.client.HTTPConnection(config.listen.host, config.listen.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Finding(FAIL, "serve", f"{where} does not answer ({type(error).__name__}): start it, or see its log")
    finally:
        connection.close()
    if status != 200:
        return Finding(FAIL, "serve", f"{where} answers {status} to /readyz: see the line about the database")
    return Finding(OK, "serve", f"{where} answers and is ready")


def keyholder(place: Path) -> Finding:
    """Say whether the key holder answers on its socket; asks for its policy and nothing else."""
    client = KeyHolderClient(place)
    try:
        client.ask(policy_request())
    except KeyHolderUnavailable as error:
        why = str(error)
        return Finding(FAIL, "key holder", f"{place}: {why}: start it, or ask as the user whose socket it is")
    finally:
        client.close()
    return Finding(OK, "key holder", f"answers at {place}")


def disk(config: MdmsConfig) -> Iterator[Finding]:
    """Say how much room an SQLite database has left; a PostgreSQL's disk is not seen from here."""
    url = make_url(config.database)
    if url.get_backend_name() != "sqlite":
        return
    folder = Path(url.database or "").absolute().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding(FAIL, "disk space", f"{folder} cannot be looked at: {error.strerror}")
        return
    said = f"{free / 1e9:.1f} GB free"
    yield (
        Finding(WARN, "disk space", f"{said}: make room, or run prune")
        if free < LITTLE_BYTES
        else Finding(OK, "disk space", said)
    )


def kept(store: Store, book: RosterBook, now: float) -> Iterator[Finding]:
    """Say what waits, what contradicts, and who is silent."""
    oldest = store.ask(select(func.min(interval_loads.c.interval_end)).where(interval_loads.c.decided.is_(False)))[0][0]
    yield _waiting(oldest, now)
    aside = store.ask(select(func.count()).select_from(conflicts))[0][0]
    if aside:
        yield Finding(WARN, "conflicts", f"{aside} reports contradict a stored one: look into the log around them")
    else:
        yield Finding(OK, "conflicts", "none")
    newest = {
        row[0]: row[1]
        for row in store.ask(
            select(interval_loads.c.neighbourhood, func.max(interval_loads.c.interval_end)).group_by(
                interval_loads.c.neighbourhood
            )
        )
    }
    silent = [name for name in book.neighbourhoods() if now - newest.get(name, 0) > SILENT_S]
    for name in silent:
        since = f"{(now - newest[name]) / HOUR_S:.0f} h" if name in newest else "ever"
        yield Finding(WARN, "concentrators", f"no load of {name} for {since}: is its concentrator running?")
    if not silent:
        yield Finding(OK, "concentrators", "every neighbourhood has reported within six hours")


def _waiting(oldest: int | None, now: float) -> Finding:
    if oldest is None or now - oldest < HOUR_S:
        return Finding(OK, "releases", "nothing waits for longer than an hour")
    said = f"the oldest load that waits for the key holder ended {(now - oldest) / HOUR_S:.0f} h ago"
    if now - oldest > LOAD_OPEN_S:
        return Finding(FAIL, "releases", f"{said}, which is too late for it: is the worker running?")
    return Finding(WARN, "releases", f"{said}: is the worker running? After 48 h it is refused for good")
