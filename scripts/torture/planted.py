"""Bugs to plant, one at a time: the run must turn red, or it proves nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from gateway import intake
from gateway.ledger import Ledger

LAZY_SYNC = "lazy-sync"  # synchronous=NORMAL: the log is not synced at a commit
LYING_DISK = "lying-disk"  # a sync that syncs nothing
EARLY_ACK = "early-ack"  # acknowledged before the commit
FORGETFUL = "forgetful"  # nothing is known again
CARELESS_TAG = "careless-tag"  # the last byte of a tag is not compared
PLANTS = (LAZY_SYNC, LYING_DISK, EARLY_ACK, FORGETFUL, CARELESS_TAG)


class ForgetfulLedger(Ledger):
    """It takes everything for new, and puts it beside what it has."""

    def seen_frame(self, title: bytes, salt: bytes, counter: int, tag: bytes) -> bool | None:
        """Say that no frame was seen."""
        self.execute("DELETE FROM frames WHERE title = ? AND counter = ?", (title, counter.to_bytes(8, "big")))
        return None

    def seen_reading(self, title: bytes, series: int, number: int, tag: bytes) -> bool | None:
        """Say that no reading was seen."""
        self.execute("DELETE FROM readings WHERE title = ? AND interval_number = ?", (title, number))
        return None

    def set_load(self, neighbourhood: str, start: int, total: bytes, *titles: bytes) -> None:
        """Keep a load's sum, whoever is in it already."""
        titles = tuple(dict.fromkeys(titles))
        for title in titles:
            self.execute("DELETE FROM contributors WHERE interval_start = ? AND title = ?", (start, title))
        super().set_load(neighbourhood, start, total, *titles)


class LateLedger(Ledger):
    """It commits with the next transaction: what is answered behind this one is not on disk yet."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin; the commit comes when the next one begins."""
        self._commit()
        self.execute("BEGIN IMMEDIATE")
        yield

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run a statement; a checkpoint cannot wait for the next transaction."""
        if sql.startswith("PRAGMA wal_checkpoint"):
            self._commit()
        return super().execute(sql, parameters)

    def close(self) -> None:
        """Commit what is left."""
        self._commit()
        super().close()

    def _commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")


class CarelessCcm(intake.Ccm):
    """It does not compare the last byte of a tag."""

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Try every last byte."""
        for last in range(256):
            try:
                return super().open(key, nonce, sealed[:-1] + bytes((last,)), aad)
            except ValueError:
                continue
        raise ValueError("the tag does not verify")


def ledger(plant: str | None) -> type[Ledger]:
    """Return the ledger to use under a plant."""
    return {FORGETFUL: ForgetfulLedger, EARLY_ACK: LateLedger}.get(plant or "", Ledger)


@contextmanager
def careless() -> Iterator[None]:
    """Let the concentrator of this process be careless with tags."""
    right = intake.CCM
    intake.CCM = CarelessCcm()
    try:
        yield
    finally:
        intake.CCM = right
