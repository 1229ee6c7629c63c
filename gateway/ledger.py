"""The ledger: what must not be lost (SQLite, WAL, synchronous=FULL). One transaction, THEN the acknowledgement.

It holds ciphertexts, sealed rows, today's chain values and identifiers, and no energy in clear. The comparison tags
of frames and readings are HMACs under a key that lives in memory and changes at every start: on disk they are noise,
for a plain digest of a reading could be searched by whoever takes the card.
"""

import fcntl
import hmac
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from protocol import wire
from protocol.keychain import Chain
from protocol.windows import Span

from .aggregate import OpenWindow
from .enrolment import EnrolmentRecord
from .intake import MeterKeys
from .schema import SCHEMA_VERSION, STEPS

TAG_BYTES = 16


class LedgerError(Exception):
    """The ledger cannot be used; the message says why and what to do."""


class Meter(NamedTuple):
    """A meter's standing in the ledger; registers are ciphertext bytes."""

    title: bytes
    pseudonym: str
    neighbourhood: str
    since: int
    series: int
    seen_epoch: int
    tail_end: int
    tail_register: bytes | None
    base_end: int
    base_register: bytes
    next_window: int


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
        self._tag_key = secrets.token_bytes(32)
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
        """Run one statement; for the modules of this room that keep tables of their own here."""
        return self._db.execute(sql, parameters)

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

    # --- Meters -------------------------------------------------------------------------------------------------

    def add_meter(self, record: EnrolmentRecord, first_window: int, base_register: bytes) -> None:
        """Take a meter in. Raises LedgerError where the title or pseudonym is enrolled already."""
        try:
            self._db.execute(
                "INSERT INTO meters VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    bytes.fromhex(record.system_title),
                    record.pseudonym,
                    record.neighbourhood,
                    record.since,
                    record.series,
                    record.epoch,
                    bytes.fromhex(record.hop_chain),
                    bytes.fromhex(record.hello_key),
                    bytes.fromhex(record.time_key),
                    record.epoch,
                    record.since,
                    None,
                    record.since,
                    base_register,
                    first_window,
                ),
            )
            self._db.execute(
                "INSERT INTO first_registers VALUES (?, ?)", (bytes.fromhex(record.system_title), base_register)
            )
        except sqlite3.IntegrityError:
            raise LedgerError(f"meter {record.system_title} is enrolled already") from None

    def holds(self, record: EnrolmentRecord) -> bool:
        """Say whether a record is the one that its meter was enrolled with: an interrupted start reads it again."""
        meter = self.meter(bytes.fromhex(record.system_title))
        return meter is not None and (meter.pseudonym, meter.since) == (record.pseudonym, record.since)

    def meter(self, title: bytes) -> Meter | None:
        """Return a meter's standing."""
        row = self._db.execute(
            "SELECT title, pseudonym, neighbourhood, since, series, seen_epoch, tail_end, tail_register, base_end,"
            " base_register, next_window FROM meters WHERE title = ?",
            (title,),
        ).fetchone()
        return Meter(*row) if row else None

    def titles(self) -> list[bytes]:
        """Return every meter's title."""
        return [row[0] for row in self._db.execute("SELECT title FROM meters ORDER BY title")]

    def keys(self, title: bytes) -> MeterKeys | None:
        """Return what opens a meter's frames."""
        row = self._db.execute(
            "SELECT epoch, chain, hello_key, time_key FROM meters WHERE title = ?", (title,)
        ).fetchone()
        return MeterKeys(Chain(row[0], row[1]), row[2], row[3]) if row else None

    def saw_epoch(self, title: bytes, epoch: int) -> None:
        """Keep the highest epoch of which a frame was opened: ACKs are sealed under it."""
        # Only where it moves: to change a meter's row is to write its registers anew.
        self._db.execute("UPDATE meters SET seen_epoch = ? WHERE title = ? AND seen_epoch < ?", (epoch, title, epoch))

    def set_tail(self, title: bytes, end: int, register: bytes | None) -> None:
        """Keep a meter's newest register."""
        self._db.execute("UPDATE meters SET tail_end = ?, tail_register = ? WHERE title = ?", (end, register, title))

    def set_base(self, title: bytes, end: int, register: bytes) -> None:
        """Keep the register that closed a meter's last non-empty window."""
        self._db.execute("UPDATE meters SET base_end = ?, base_register = ? WHERE title = ?", (end, register, title))

    def set_next_window(self, title: bytes, start: int) -> None:
        """Keep the start of a meter's oldest unsealed window."""
        self._db.execute("UPDATE meters SET next_window = ? WHERE title = ?", (start, title))

    # --- Frames and readings: counted once ----------------------------------------------------------------------

    def tag(self, content: bytes) -> bytes:
        """Return the comparison tag of a content, good for this start of the process only."""
        return hmac.digest(self._tag_key, content, "sha256")[:TAG_BYTES]

    def seen_frame(self, title: bytes, salt: bytes, counter: int, tag: bytes) -> bool | None:
        """Return None for a new (title, salt, counter), else whether its content is the one seen before.

        What an earlier start of the process has seen cannot be compared any more; it authenticated under the same
        nonce and counts as the same.
        """
        row = self._db.execute(
            "SELECT start, tag FROM frames WHERE title = ? AND salt = ? AND counter = ?",
            (title, salt, counter.to_bytes(8, "big")),
        ).fetchone()
        if row is None:
            return None
        return row[0] != self.start or hmac.compare_digest(row[1], tag)

    def add_frame(self, title: bytes, salt: bytes, counter: int, epoch: int, tag: bytes) -> None:
        """Remember that a frame was taken."""
        self._db.execute(
            "INSERT INTO frames VALUES (?,?,?,?,?,?)",
            (title, salt, counter.to_bytes(8, "big"), epoch, self.start, tag),
        )

    def seen_reading(self, title: bytes, series: int, number: int, tag: bytes) -> bool | None:
        """Return None for a new (title, series, interval number), else whether its content is the one seen before.

        One that an earlier start of the process has counted cannot be compared. A meter seals a reading once, so
        the same interval in another frame is then taken for another content: refused, and an alarm raised.
        """
        row = self._db.execute(
            "SELECT start, tag FROM readings WHERE title = ? AND series = ? AND interval_number = ?",
            (title, series, number),
        ).fetchone()
        if row is None:
            return None
        return row[0] == self.start and hmac.compare_digest(row[1], tag)

    def add_reading(
        self, title: bytes, series: int, number: int, start: int, window: Span | None, epoch: int, tag: bytes
    ) -> None:
        """Remember a reading and the window that took it (None: quarantined) until ``epoch`` is pruned."""
        self._db.execute(
            "INSERT INTO readings VALUES (?,?,?,?,?,?,?,?)",
            (title, series, number, start, window.start if window else None, epoch, self.start, tag),
        )

    def quarantine(
        self, title: bytes, series: int, number: int, start: int, end: int, reason: str, energies: Mapping[str, bytes]
    ) -> bool:
        """Set a reading aside: its energy as a ciphertext under each key (fingerprint), for the operator to release.

        Returns whether it is new: a meter may send one again when its reading is no longer remembered, or when the
        operator has released it.
        """
        decided = self._db.execute(
            "SELECT 1 FROM quarantine_decisions WHERE title = ? AND series = ? AND interval_number = ?",
            (title, series, number),
        )
        if decided.fetchone() is not None:
            return False
        first, *others = energies
        done = self._db.execute(
            "INSERT OR IGNORE INTO quarantine VALUES (?,?,?,?,?,?,?)",
            (title, series, number, start, end, reason, energies[first]),
        )
        if done.rowcount != 1:
            return False
        self._db.executemany(
            "INSERT INTO quarantine_keys VALUES (?,?,?,?,?)",
            [(title, series, number, first, None), *((title, series, number, key, energies[key]) for key in others)],
        )
        return True

    def quarantined_until(self, title: bytes, series: int, end: int, key: str, since: int = 0) -> list[bytes]:
        """Return the energies, under a key, of a register series' quarantined readings that end within two times.

        ``since``: from when on the key is in force. Its registers all hold what was measured before.
        """
        rows = self._db.execute(
            "SELECT coalesce(quarantine_keys.energy, quarantine.energy) FROM quarantine"
            " JOIN quarantine_keys USING (title, series, interval_number)"
            " WHERE title = ? AND series = ? AND interval_end BETWEEN ? AND ? AND key = ?",
            (title, series, since, end, key),
        )
        return [row[0] for row in rows]

    # --- Events -------------------------------------------------------------------------------------------------

    def add_event(self, title: bytes, event: wire.Event, received: int) -> None:
        """Keep what a meter reported about itself; ``received`` in UTC seconds."""
        time = None if event.time == wire.TIME_NOT_KNOWN else event.time
        self._db.execute(
            "INSERT INTO events (title, code, time, count, text, received) VALUES (?,?,?,?,?,?)",
            (title, event.code, time, event.count, event.text, received),
        )

    def prune_events(self, before: int) -> None:
        """Forget the events that were received before a time (UTC seconds)."""
        self._db.execute("DELETE FROM events WHERE received < ?", (before,))

    # --- Loads --------------------------------------------------------------------------------------------------

    def next_interval(self, neighbourhood: str) -> int | None:
        """Return the start of the oldest interval whose load is open."""
        row = self._db.execute("SELECT next_interval FROM neighbourhoods WHERE name = ?", (neighbourhood,)).fetchone()
        return row[0] if row else None

    def set_next_interval(self, neighbourhood: str, start: int) -> None:
        """Keep the start of the oldest open interval: what is before it is closed and never revised."""
        self._db.execute("INSERT OR REPLACE INTO neighbourhoods VALUES (?, ?)", (neighbourhood, start))

    def load(self, neighbourhood: str, start: int) -> bytes | None:
        """Return an open load's sum."""
        row = self._db.execute(
            "SELECT sum FROM loads WHERE neighbourhood = ? AND interval_start = ?", (neighbourhood, start)
        ).fetchone()
        return row[0] if row else None

    def set_load(self, neighbourhood: str, start: int, total: bytes, *titles: bytes) -> None:
        """Keep a load's sum and who has just contributed to it."""
        self._db.execute("INSERT OR REPLACE INTO loads VALUES (?, ?, ?)", (neighbourhood, start, total))
        self._db.executemany(
            "INSERT INTO contributors VALUES (?, ?, ?)", [(neighbourhood, start, title) for title in titles]
        )

    def take_load(self, neighbourhood: str, start: int) -> tuple[bytes | None, set[str]]:
        """Return an open load's sum and its contributors' pseudonyms, and remove it: it is being closed."""
        total = self.load(neighbourhood, start)
        rows = self._db.execute(
            "SELECT pseudonym FROM contributors JOIN meters USING (title)"
            " WHERE contributors.neighbourhood = ? AND interval_start = ?",
            (neighbourhood, start),
        )
        pseudonyms = {row[0] for row in rows}
        for table in ("loads", "contributors"):
            self._db.execute(
                f"DELETE FROM {table} WHERE neighbourhood = ? AND interval_start = ?",  # noqa: S608 - two names
                (neighbourhood, start),
            )
        return total, pseudonyms

    # --- Billing windows ----------------------------------------------------------------------------------------

    def window(self, title: bytes, span: Span) -> tuple[OpenWindow, bytes | None]:
        """Return a meter's unsealed window, without its register, and the register's bytes."""
        row = self._db.execute(
            "SELECT present, quality, last_end, register FROM windows WHERE title = ? AND window_start = ?",
            (title, span.start),
        ).fetchone()
        if row is None:
            return OpenWindow(span), None
        return OpenWindow(span, *row[:3]), row[3]

    def oldest_windows(self) -> list[tuple[bytes, str, int, int]]:
        """Return (title, neighbourhood, start, intervals present) of every meter's oldest unsealed window."""
        rows = self._db.execute(
            "SELECT meters.title, neighbourhood, next_window, coalesce(present, 0) FROM meters"
            " LEFT JOIN windows ON windows.title = meters.title AND window_start = next_window ORDER BY meters.title"
        )
        return rows.fetchall()

    def windows_read_since(self, title: bytes, end: int) -> list[tuple[Span, int, bytes]]:
        """Return (span, last reading's end, register) of the unsealed windows last read at ``end`` or later."""
        rows = self._db.execute(
            "SELECT window_start, window_end, last_end, register FROM windows"
            " WHERE title = ? AND last_end >= ? AND register IS NOT NULL",
            (title, end),
        )
        return [(Span(row[0], row[1]), row[2], row[3]) for row in rows]

    def set_window(self, title: bytes, window: OpenWindow, register: bytes | None) -> None:
        """Keep an unsealed window."""
        self._db.execute(
            "INSERT OR REPLACE INTO windows VALUES (?,?,?,?,?,?,?)",
            (title, *window.span, window.present, window.quality, window.last_end, register),
        )

    def set_window_register(self, title: bytes, start: int, register: bytes) -> None:
        """Replace an unsealed window's register."""
        self._db.execute(
            "UPDATE windows SET register = ? WHERE title = ? AND window_start = ?", (register, title, start)
        )

    def remove_window(self, title: bytes, start: int) -> None:
        """Remove a window that has been sealed: its report is in the outbox."""
        for table in ("windows", "former_registers"):
            self._db.execute(
                f"DELETE FROM {table} WHERE title = ? AND window_start = ?",  # noqa: S608 - two names
                (title, start),
            )

    def former_registers(self, title: bytes, start: int) -> dict[str, bytes]:
        """Return an unsealed window's register under each key (fingerprint) that is kept beside that of its time."""
        return dict(
            self._db.execute(
                "SELECT key, register FROM former_registers WHERE title = ? AND window_start = ?", (title, start)
            )
        )

    def set_former_register(self, title: bytes, start: int, key: str, register: bytes) -> None:
        """Keep an unsealed window's register under a former key."""
        self._db.execute("INSERT OR REPLACE INTO former_registers VALUES (?, ?, ?, ?)", (title, start, key, register))

    # --- Keys ---------------------------------------------------------------------------------------------------

    def key_changes(self, neighbourhood: str) -> list[tuple[int, str]]:
        """Return (from when on, fingerprint) of a neighbourhood's Paillier keys, as they were last kept."""
        return self._db.execute(
            "SELECT since, key FROM paillier_keys WHERE neighbourhood = ? ORDER BY since", (neighbourhood,)
        ).fetchall()

    def set_key_changes(self, neighbourhood: str, changes: Sequence[tuple[int, str]]) -> None:
        """Keep a neighbourhood's keys. What an older version has set aside is under the first of them."""
        self._db.execute("DELETE FROM paillier_keys WHERE neighbourhood = ?", (neighbourhood,))
        self._db.executemany(
            "INSERT INTO paillier_keys VALUES (?, ?, ?)", [(neighbourhood, since, key) for since, key in changes]
        )
        self._db.execute(
            "UPDATE quarantine_keys SET key = ?"
            " WHERE key = '' AND title IN (SELECT title FROM meters WHERE neighbourhood = ?)",
            (changes[0][1], neighbourhood),
        )

    def counted_until(self, neighbourhood: str) -> int:
        """Return the newest time (UTC seconds) of a neighbourhood of which anything stands under a key; -1: none."""
        row = self._db.execute(
            "SELECT max(coalesce((SELECT max(max(tail_end, base_end)) FROM meters WHERE neighbourhood = ?1), -1),"
            " coalesce((SELECT max(interval_start) FROM loads WHERE neighbourhood = ?1), -1),"
            " coalesce((SELECT next_interval - 1 FROM neighbourhoods WHERE name = ?1), -1))",
            (neighbourhood,),
        ).fetchone()
        return row[0]  # type: ignore[no-any-return]

    def counted_from(self, neighbourhood: str) -> int | None:
        """Return the oldest time (UTC seconds) of a neighbourhood of which anything stands under a key; None: none."""
        row = self._db.execute(
            "SELECT min(at) FROM (SELECT min(base_end) AS at FROM meters WHERE neighbourhood = ?1"
            " UNION ALL SELECT next_interval FROM neighbourhoods WHERE name = ?1"
            " UNION ALL SELECT min(interval_start) FROM loads WHERE neighbourhood = ?1)",
            (neighbourhood,),
        ).fetchone()
        return row[0]  # type: ignore[no-any-return]

    # --- Erasure ------------------------------------------------------------------------------------------------

    def chains_before(self, epoch: int) -> list[tuple[bytes, Chain]]:
        """Return the chains whose epoch is before ``epoch``."""
        rows = self._db.execute("SELECT title, epoch, chain FROM meters WHERE epoch < ?", (epoch,))
        return [(row[0], Chain(row[1], row[2])) for row in rows]

    def replace_chain(self, title: bytes, chain: Chain) -> None:
        """Overwrite a chain value by a later one."""
        self._db.execute("UPDATE meters SET epoch = ?, chain = ? WHERE title = ?", (chain.epoch, chain.value, title))

    def prune_before(self, epoch: int) -> None:
        """Forget the frames and readings of earlier epochs: their chain is gone, they cannot come again."""
        for table in ("frames", "readings"):
            self._db.execute(f"DELETE FROM {table} WHERE epoch < ?", (epoch,))  # noqa: S608 - two names
