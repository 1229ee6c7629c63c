"""The frames and readings that were taken, each known again by its name and its comparison tag: counted once.

The tags are HMACs under a key that lives in memory and changes at every start: on disk they are noise, for a plain
digest of a reading could be searched by whoever takes the card.
"""

import hmac

from protocol.windows import Span

from ..ledger import Ledger

TAG_BYTES = 16


def tag(ledger: Ledger, content: bytes) -> bytes:
    """Return the comparison tag of a content, good for this start of the process only."""
    return hmac.digest(ledger.tag_key, content, "sha256")[:TAG_BYTES]


def frame(ledger: Ledger, title: bytes, salt: bytes, counter: int, tag: bytes) -> bool | None:
    """Return None for a new (title, salt, counter), else whether its content is the one seen before.

    What an earlier start of the process has seen cannot be compared any more; it authenticated under the same
    nonce and counts as the same.
    """
    row = ledger.execute(
        "SELECT start, tag FROM frames WHERE title = ? AND salt = ? AND counter = ?",
        (title, salt, counter.to_bytes(8, "big")),
    ).fetchone()
    if row is None:
        return None
    return row[0] != ledger.start or hmac.compare_digest(row[1], tag)


def add_frame(ledger: Ledger, title: bytes, salt: bytes, counter: int, epoch: int, tag: bytes) -> None:
    """Remember that a frame was taken."""
    ledger.execute(
        "INSERT INTO frames VALUES (?,?,?,?,?,?)",
        (title, salt, counter.to_bytes(8, "big"), epoch, ledger.start, tag),
    )


def reading(ledger: Ledger, title: bytes, series: int, number: int, tag: bytes) -> bool | None:
    """Return None for a new (title, series, interval number), else whether its content is the one seen before.

    One that an earlier start of the process has counted cannot be compared. A meter seals a reading once, so
    the same interval in another frame is then taken for another content: refused, and an alarm raised.
    """
    row = ledger.execute(
        "SELECT start, tag FROM readings WHERE title = ? AND series = ? AND interval_number = ?",
        (title, series, number),
    ).fetchone()
    if row is None:
        return None
    return row[0] == ledger.start and hmac.compare_digest(row[1], tag)


def add_reading(
    ledger: Ledger, title: bytes, series: int, number: int, start: int, window: Span | None, epoch: int, tag: bytes
) -> None:
    """Remember a reading and the window that took it (None: quarantined) until ``epoch`` is pruned."""
    ledger.execute(
        "INSERT INTO readings VALUES (?,?,?,?,?,?,?,?)",
        (title, series, number, start, window.start if window else None, epoch, ledger.start, tag),
    )


def prune_before(ledger: Ledger, epoch: int) -> None:
    """Forget the frames and readings of earlier epochs: their chain is gone, they cannot come again."""
    for table in ("frames", "readings"):
        ledger.execute(f"DELETE FROM {table} WHERE epoch < ?", (epoch,))  # noqa: S608 - two names
