"""The meters that are enrolled, and where billing stands with each."""

import sqlite3
from typing import NamedTuple

from ..enrolment import EnrolmentRecord
from ..ledger import Ledger, LedgerError


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


def add(ledger: Ledger, record: EnrolmentRecord, first_window: int, base_register: bytes) -> None:
    """Take a meter in. Raises LedgerError where the title or pseudonym is enrolled already."""
    try:
        ledger.execute(
            "INSERT INTO meters VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                bytes.fromhex(record.system_title),
                record.pseudonym,
                record.neighbourhood,
                *_began(record),
                None,
                record.since,
                base_register,
                first_window,
            ),
        )
        ledger.execute("INSERT INTO first_registers VALUES (?, ?)", (bytes.fromhex(record.system_title), base_register))
    except sqlite3.IntegrityError:
        raise LedgerError(f"meter {record.system_title} is enrolled already") from None


def replace(ledger: Ledger, old: bytes, record: EnrolmentRecord, base_register: bytes) -> None:
    """Put a meter in the place of the one with title ``old``: own keys and beginning, the account's base register."""
    ledger.execute(
        "UPDATE meters SET title = ?, since = ?, series = ?, epoch = ?, chain = ?, hello_key = ?, time_key = ?,"
        " seen_epoch = ?, tail_end = ?, tail_register = NULL, base_register = ? WHERE title = ?",
        (bytes.fromhex(record.system_title), *_began(record), base_register, old),
    )


def _began(record: EnrolmentRecord) -> tuple[object, ...]:
    """Return since, series, epoch, chain, hello key, time key, seen epoch and tail's end of a meter that begins."""
    secrets = (bytes.fromhex(key) for key in (record.hop_chain, record.hello_key, record.time_key))
    return (record.since, record.series, record.epoch, *secrets, record.epoch, record.since)


def holds(ledger: Ledger, record: EnrolmentRecord) -> bool:
    """Say whether a record is the one that its meter was enrolled with: an interrupted start reads it again."""
    meter = get(ledger, bytes.fromhex(record.system_title))
    return meter is not None and (meter.pseudonym, meter.since) == (record.pseudonym, record.since)


def get(ledger: Ledger, title: bytes) -> Meter | None:
    """Return a meter's standing."""
    row = ledger.execute(
        "SELECT title, pseudonym, neighbourhood, since, series, seen_epoch, tail_end, tail_register, base_end,"
        " base_register, next_window FROM meters WHERE title = ?",
        (title,),
    ).fetchone()
    return Meter(*row) if row else None


def titles(ledger: Ledger) -> list[bytes]:
    """Return every meter's title."""
    return [row[0] for row in ledger.execute("SELECT title FROM meters ORDER BY title")]


def saw_epoch(ledger: Ledger, title: bytes, epoch: int) -> None:
    """Keep the highest epoch of which a frame was opened: ACKs are sealed under it."""
    # Only where it moves: to change a meter's row is to write its registers anew.
    ledger.execute("UPDATE meters SET seen_epoch = ? WHERE title = ? AND seen_epoch < ?", (epoch, title, epoch))


def set_tail(ledger: Ledger, title: bytes, end: int, register: bytes | None) -> None:
    """Keep a meter's newest register."""
    ledger.execute("UPDATE meters SET tail_end = ?, tail_register = ? WHERE title = ?", (end, register, title))


def set_base(ledger: Ledger, title: bytes, end: int, register: bytes) -> None:
    """Keep the register that closed a meter's last non-empty window."""
    ledger.execute("UPDATE meters SET base_end = ?, base_register = ? WHERE title = ?", (end, register, title))


def set_next_window(ledger: Ledger, title: bytes, start: int) -> None:
    """Keep the start of a meter's oldest unsealed window."""
    ledger.execute("UPDATE meters SET next_window = ? WHERE title = ?", (start, title))
