"""A ledger that is damaged, foreign or gone: found at the start, set aside under a dated name, never deleted.

Rule 1: an empty ledger is never started in the place of a lost one: it would bill every meter anew from its
enrolment's register, or nothing. The operator restores (restore.py) or says so (--start-empty).
Rule 2: an error of the disk is not damage: what cannot be read today may be whole behind a loose contact.
Rule 3: what a power cut has left half written is taken back by its journal before a byte of it is judged.
Rule 4: the check runs under the ledger's lock, so that it never meets a daemon at work.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from .ledger import Ledger, LedgerError
from .schema import SCHEMA_VERSION

log = structlog.get_logger()

HEADER = b"SQLite format 3\0"
JOURNAL_HEADER = bytes.fromhex("d9d505f920a163d7")  # of a rollback journal that counts (SQLite's file format, 3)
OURS = {"facts", "meters", "outbox"}
PARTS = ("", "-wal", "-shm", "-journal")  # what SQLite keeps of one database
ASIDE = ".damaged-"
KEPT = "a ledger is kept here\n"  # the lock file's content since the first start
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

LOST = (
    "Lost with it: readings of windows that are not reported (their energy is not: the meters' registers have it), the"
    " loads that were open, reports and sealed rows that were not uploaded, the quarantine, and the meters' keys."
)
WAY_OUT = (
    "Next: 'python -m gateway restore' fetches from the MDMS where billing stood and puts the keys back from a sealed"
    " backup or new enrolment records; or start once with --start-empty: then every meter must be enrolled again as a"
    " new tenancy, and what is not reported yet is never billed."
)


def open_ledger(path: Path, *, start_empty: bool, now: float) -> Ledger:
    """Return the ledger, checked; ``now`` (UTC seconds) dates what is set aside.

    Raises LedgerError where it is damaged, foreign or gone, or cannot be opened; what was there is then kept.
    """
    with held(path) as is_held:
        if is_held:
            _prepare(path, start_empty=start_empty, now=now)
    ledger = Ledger(path)  # says who has the lock where it could not be held
    lock_of(path).write_text(KEPT)
    return ledger


def _prepare(path: Path, *, start_empty: bool, now: float) -> None:
    kept_before = lock_of(path).read_text() == KEPT
    reason = examine(path)
    if reason is None and not (is_missing(path) and (kept_before or set_aside_before(path))):
        return
    if reason is None:
        message = f"the ledger {path} is gone"
    else:
        aside = set_aside(path, now)
        message = f"the ledger {path} is damaged ({reason}); it is kept as {aside.name}"
    if start_empty:
        log.error("alarm: started with an empty ledger", what=message, lost=LOST)
        return
    raise LedgerError(f"{message}. {LOST} {WAY_OUT}")


def lock_of(path: Path) -> Path:
    """Return the file that says that a ledger is in use, and that there was one."""
    return path.with_name(path.name + ".lock")


def is_missing(path: Path) -> bool:
    """Say whether there is nothing: no file, or an empty one, as the first moment of a new ledger leaves it."""
    return not path.exists() or path.stat().st_size == 0


def set_aside_before(path: Path) -> bool:
    """Say whether a damaged ledger stands beside this path."""
    return any(path.parent.glob(path.name + ASIDE + "*"))


def examine(path: Path) -> str | None:
    """Return why a file cannot be a ledger, or None. Reads all of it once; raises LedgerError where it cannot."""
    if is_missing(path):
        return None
    try:
        if _has_journal(path):
            with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA schema_version")  # SQLite takes it back before it reads; what it cannot shows below
            if is_missing(path):
                return None
        with path.open("rb") as file:
            if file.read(len(HEADER)) != HEADER:
                return "its header is not a database's"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                return "its pages contradict each other"
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if version <= SCHEMA_VERSION and (tables or version) and not tables >= OURS:
                return "it is a database, and no ledger"
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return "it cannot be read as a database"
        raise LedgerError(f"the ledger {path} cannot be read: {error}; it is left as it is") from None
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be read: {error.strerror}; it is left as it is") from None
    return None


def _has_journal(path: Path) -> bool:
    journal = path.with_name(path.name + "-journal")
    if not journal.exists():
        return False
    with journal.open("rb") as file:
        return file.read(len(JOURNAL_HEADER)) == JOURNAL_HEADER


def is_damage(error: BaseException) -> bool:
    """Say whether SQLite found a file's content wrong, as distinct from not getting at it."""
    # The lower byte is the kind; the upper ones say where it was found.
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DAMAGE


def set_aside(path: Path, now: float) -> Path:
    """Rename a ledger's files to a dated name beside it, and return the new path. Raises LedgerError."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}{ASIDE}{stamp}")
    number = 1
    while any(aside.with_name(aside.name + part).exists() for part in PARTS):
        number += 1
        aside = path.with_name(f"{path.name}{ASIDE}{stamp}-{number}")
    try:
        # The log first: a database without it would be an older one, that looks whole.
        for part in reversed(PARTS):
            source = path.with_name(path.name + part)
            if source.exists():
                source.rename(aside.with_name(aside.name + part))
        sync_folder(path.parent)
    except OSError as error:
        raise LedgerError(f"the ledger {path} is damaged and cannot be set aside: {error.strerror}") from None
    return aside


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explain(error: sqlite3.Error, path: Path) -> str:
    """Return what a running daemon says when it stops because of its ledger."""
    if is_damage(error):
        return (
            f"the ledger {path} is damaged; nothing was acknowledged since that was found, and the meters keep what"
            " has no acknowledgement. The next start sets it aside and says what to do"
        )
    return f"the ledger failed, what was acknowledged is in it: {error}"


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the ledger's lock; yields False where somebody else has it or it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_of(path).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
    except OSError as error:
        raise LedgerError(f"cannot open the ledger {path}: {error.strerror}") from None
