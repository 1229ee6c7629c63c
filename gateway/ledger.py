"""The ledger: what must not be lost (SQLite, WAL, synchronous=FULL). One transaction, THEN the acknowledgement.

It holds ciphertexts, sealed rows, today's chain values and identifiers, and no energy in clear. What it holds of each
subject is read and changed in ``holdings/``.
"""

import fcntl
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .schema import SCHEMA_VERSION, STEPS


class LedgerError(Exception):
    """The ledger cannot be used; the message says why and what to do."""


class Ledger:
    """One concentrator's ledger, used by one thread. Every change happens inside ``transaction``."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = (path.parent / (path.name + ".lock")).open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(f"{path} is in use by another concentrator: stop that one first") from None
        except OSError as error:
            raise LedgerError(f"cannot open the ledger {path}: {error.strerror}") from None
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise LedgerError(f"the ledger {path} cannot be read: {error}") from None
        try:
            path.chmod(0o600)
            # FULL, because NORMAL loses acknowledged rows in a power cut; secure_delete, because erased chain
            # values must not stay in free pages (best effort: flash keeps old blocks).
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            self._open_schema(path)
        except BaseException as error:
            self._let_go()
            if isinstance(error, sqlite3.DatabaseError):
                raise LedgerError(f"the ledger {path} cannot be read: {error}") from None
            raise
        self.tag_key = secrets.token_bytes(32)  # of comparison tags, in memory alone
        try:
            with self.transaction():
                self.start = self.fact("starts", 0) + 1
                self.set_fact("starts", self.start)
        except BaseException:
            self._let_go()
            raise

    def _open_schema(self, path: Path) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LedgerError(f"{path} is of version {version}, this concentrator keeps {SCHEMA_VERSION}")
        for number, step in enumerate(STEPS[version:], version + 1):
            try:
                self._db.executescript(f"BEGIN; {step} PRAGMA user_version={number}; COMMIT;")
            except sqlite3.DatabaseError:
                self._db.close()  # the step is taken back; the next start goes on with it
                raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit durably what happens inside, or nothing of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def quick_deletion(self) -> Iterator[None]:
        """Inside, free pages are not overwritten: for what is sealed for others and was on its way anyhow.

        Zeroes over a street's sealed rows would be as many bytes on the card as the rows were.
        """
        self._db.execute("PRAGMA secure_delete=FAST")
        try:
            yield
        finally:
            self._db.execute("PRAGMA secure_delete=ON")

    def close(self) -> None:
        """Fold the write-ahead log in and let go of the file, even where the disk refuses the first."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._db.close()
        self._lock.close()

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one statement; for ``holdings`` and the modules of this room that keep tables of their own here."""
        return self._db.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[tuple[object, ...]]) -> sqlite3.Cursor:
        """Run one statement for each row of parameters."""
        return self._db.executemany(sql, rows)

    # --- Facts and counts ---------------------------------------------------------------------------------------

    def fact(self, name: str, default: int) -> int:
        """Return a named number."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else default

    def set_fact(self, name: str, value: int) -> None:
        """Keep a named number."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def add_count(self, kind: str, number: int = 1) -> None:
        """Count frames of a kind, for good: counts outlive the process."""
        self._db.execute(
            "INSERT INTO counts VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET number = number + excluded.number",
            (kind, number),
        )

    def counts(self) -> dict[str, int]:
        """Return every count."""
        return dict(self._db.execute("SELECT kind, number FROM counts"))
