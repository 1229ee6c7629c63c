"""Bugs to plant, one at a time: the run must turn red, or it proves nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from gateway import intake
from gateway.holdings import loads, seen
from gateway.ledger import Ledger

LAZY_SYNC = "lazy-sync"  # synchronous=NORMAL: the log is not synced at a commit
LYING_DISK = "lying-disk"  # a sync that syncs nothing
EARLY_ACK = "early-ack"  # acknowledged before the commit
FORGETFUL = "forgetful"  # nothing is known again
CARELESS_TAG = "careless-tag"  # the last byte of a tag is not compared
PLANTS = (LAZY_SYNC, LYING_DISK, EARLY_ACK, FORGETFUL, CARELESS_TAG)


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


def _no_frame(ledger: Ledger, title: bytes, salt: bytes, counter: int, tag: bytes) -> None:
    ledger.execute("DELETE FROM frames WHERE title = ? AND counter = ?", (title, counter.to_bytes(8, "big")))


def _no_reading(ledger: Ledger, title: bytes, series: int, number: int, tag: bytes) -> None:
    ledger.execute("DELETE FROM readings WHERE title = ? AND interval_number = ?", (title, number))


_set_total = loads.set_total


def _load_of_anybody(ledger: Ledger, neighbourhood: str, start: int, total: bytes, *titles: bytes) -> None:
    """Keep a load's sum, whoever is in it already."""
    titles = tuple(dict.fromkeys(titles))
    for title in titles:
        ledger.execute("DELETE FROM contributors WHERE interval_start = ? AND title = ?", (start, title))
    _set_total(ledger, neighbourhood, start, total, *titles)


def ledger(plant: str | None) -> type[Ledger]:
    """Return the ledger to use under a plant."""
    return LateLedger if plant == EARLY_ACK else Ledger


@contextmanager
def bug(plant: str | None) -> Iterator[None]:
    """Let the concentrator of this process be forgetful or careless under such a plant.

    Forgetful: it takes every frame and reading for new, and puts it beside what it has.
    """
    with ExitStack() as patches:
        if plant == FORGETFUL:
            patches.enter_context(patch.multiple(seen, frame=_no_frame, reading=_no_reading))
            patches.enter_context(patch.object(loads, "set_total", _load_of_anybody))
        elif plant == CARELESS_TAG:
            patches.enter_context(patch.object(intake, "CCM", CarelessCcm()))
        yield
