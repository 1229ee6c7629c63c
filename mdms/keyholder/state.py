"""What the key holder must never forget: what is spent, what it answered and proved, its log (its own SQLite file).

A decision is one transaction: spends, release batch, log entry and answer become durable together, before the answer
leaves. Primary keys make a second spend impossible even where the gate were wrong.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from ..errors import CannotStart
from .log import EMPTY, Head

BUSY_S = 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent_loads (
    neighbourhood TEXT NOT NULL,
    interval_start INTEGER NOT NULL,
    request TEXT NOT NULL,
    PRIMARY KEY (neighbourhood, interval_start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent_windows (
    pseudonym TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    request TEXT NOT NULL,
    PRIMARY KEY (pseudonym, window_start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    request TEXT PRIMARY KEY,
    answer BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS noted (
    request TEXT NOT NULL,
    reason TEXT NOT NULL,
    answer BLOB NOT NULL,
    PRIMARY KEY (request, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tariffs (
    id TEXT PRIMARY KEY,
    valid_from INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS release_batches (
    id TEXT PRIMARY KEY,
    document BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    entry TEXT NOT NULL
);
"""


class State:
    """The key holder's memory. Raises CannotStart if the file cannot be used or another key holder uses it.

    Not safe to share between threads without a lock around each decision.
    """

    def __init__(self, path: Path) -> None:
        self._lock = _only_one(path)
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            os.chmod(path, 0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock)
            raise CannotStart(f"key holder's database {path}: {error}") from None

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Hold one decision: everything inside is committed together, or nothing is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # --- Asked before a decision --------------------------------------------------------------------------------

    def stored_answer(self, request: str) -> bytes | None:
        """Return the answer that a request (by hex SHA-256) got for good, or None."""
        query = "SELECT answer FROM answers WHERE request = ?"
        row = self._db.execute(query, (request,)).fetchone()
        return bytes(row[0]) if row else None

    def noted_answer(self, request: str, reason: str) -> bytes | None:
        """Return what a request was answered when it was refused for now, for this reason; None the first time."""
        query = "SELECT answer FROM noted WHERE request = ? AND reason = ?"
        row = self._db.execute(query, (request, reason)).fetchone()
        return bytes(row[0]) if row else None

    def load_is_spent(self, neighbourhood: str, interval_start: int) -> bool:
        """Say whether an interval's load has been opened."""
        query = "SELECT 1 FROM spent_loads WHERE neighbourhood = ? AND interval_start = ?"
        return self._db.execute(query, (neighbourhood, interval_start)).fetchone() is not None

    def spent_windows(self, pseudonym: str) -> Set[int]:
        """Return the starts of the windows of a pseudonym that have entered an opened sum."""
        query = "SELECT window_start FROM spent_windows WHERE pseudonym = ?"
        return {row[0] for row in self._db.execute(query, (pseudonym,))}

    def release_batch(self, name: str) -> bytes | None:
        """Return a signed release batch (JSON) by its document's id, or None."""
        row = self._db.execute("SELECT document FROM release_batches WHERE id = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def head(self) -> Head:
        """Return the log's last entry by number and name."""
        row = self._db.execute("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        return Head(*row) if row else EMPTY

    # --- Written by a decision ----------------------------------------------------------------------------------

    def spend_load(self, neighbourhood: str, interval_start: int, request: str) -> None:
        """Use an interval's load up."""
        statement = "INSERT INTO spent_loads (neighbourhood, interval_start, request) VALUES (?, ?, ?)"
        self._db.execute(statement, (neighbourhood, interval_start, request))

    def spend_windows(self, pseudonym: str, starts: Sequence[int], request: str) -> None:
        """Use a pseudonym's windows up."""
        statement = "INSERT INTO spent_windows (pseudonym, window_start, request) VALUES (?, ?, ?)"
        self._db.executemany(statement, [(pseudonym, start, request) for start in starts])

    def append(self, head: Head, entry: str) -> None:
        """Add a signed entry (one line of JSON) under its number and name."""
        self._db.execute("INSERT INTO log (seq, hash, entry) VALUES (?, ?, ?)", (head.seq, head.hash, entry))

    def keep_answer(self, request: str, answer: bytes) -> None:
        """Keep an answer for every repetition of its request."""
        self._db.execute("INSERT INTO answers (request, answer) VALUES (?, ?)", (request, answer))

    def note_answer(self, request: str, reason: str, answer: bytes) -> None:
        """Keep an answer that decides nothing for good, so that it is logged once."""
        self._db.execute("INSERT INTO noted (request, reason, answer) VALUES (?, ?, ?)", (request, reason, answer))

    def keep_release_batch(self, name: str, document: bytes) -> None:
        """Keep a signed release batch (JSON) for whoever asks for it."""
        self._db.execute("INSERT INTO release_batches (id, document) VALUES (?, ?)", (name, document))

    # --- Tariffs ------------------------------------------------------------------------------------------------

    def tariffs(self) -> dict[str, int]:
        """Return the tariffs that were taken in: valid_from by document's id."""
        return dict(self._db.execute("SELECT id, valid_from FROM tariffs"))

    def keep_tariffs(self, found: Mapping[str, int]) -> None:
        """Remember exactly these tariffs."""
        with self.deciding():
            self._db.execute("DELETE FROM tariffs")
            self._db.executemany("INSERT INTO tariffs (id, valid_from) VALUES (?, ?)", list(found.items()))

    # --- The log as a whole -------------------------------------------------------------------------------------

    def entry_hash(self, seq: int) -> str | None:
        """Return the name of an entry, or None where the log does not reach it."""
        row = self._db.execute("SELECT hash FROM log WHERE seq = ?", (seq,)).fetchone()
        return str(row[0]) if row else None

    def last_entry(self) -> str | None:
        """Return the log's last entry, one line of JSON, or None."""
        row = self._db.execute("SELECT entry FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        return str(row[0]) if row else None

    def entries(self, after: int = 0) -> Iterator[str]:
        """Yield the entries behind a number, in order, one line of JSON each."""
        for row in self._db.execute("SELECT entry FROM log WHERE seq > ? ORDER BY seq", (after,)):
            yield row[0]


def _only_one(path: Path) -> int:
    """Lock a file beside the database for the life of the process: two gates would each spend what is there once."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"key holder's database {path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise CannotStart(f"key holder's database {path}: another key holder uses it") from None
    return lock
