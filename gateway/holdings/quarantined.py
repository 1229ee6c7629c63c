"""The readings that were set aside, each energy as a ciphertext under every key that may need it."""

from collections.abc import Mapping

from ..ledger import Ledger


def set_aside(
    ledger: Ledger,
    title: bytes,
    series: int,
    number: int,
    start: int,
    end: int,
    reason: str,
    energies: Mapping[str, bytes],
) -> bool:
    """Set a reading aside: its energy as a ciphertext under each key (fingerprint), for the operator to release.

    Returns whether it is new: a meter may send one again when its reading is no longer remembered, or when the
    operator has released it.
    """
    decided = ledger.execute(
        "SELECT 1 FROM quarantine_decisions WHERE title = ? AND series = ? AND interval_number = ?",
        (title, series, number),
    )
    if decided.fetchone() is not None:
        return False
    first, *others = energies
    done = ledger.execute(
        "INSERT OR IGNORE INTO quarantine VALUES (?,?,?,?,?,?,?)",
        (title, series, number, start, end, reason, energies[first]),
    )
    if done.rowcount != 1:
        return False
    ledger.executemany(
        "INSERT INTO quarantine_keys VALUES (?,?,?,?,?)",
        [(title, series, number, first, None), *((title, series, number, key, energies[key]) for key in others)],
    )
    return True


def energies_until(ledger: Ledger, title: bytes, series: int, end: int, key: str, since: int = 0) -> list[bytes]:
    """Return the energies, under a key, of a register series' quarantined readings that end within two times.

    ``since``: from when on the key is in force. Its registers all hold what was measured before.
    """
    rows = ledger.execute(
        "SELECT coalesce(quarantine_keys.energy, quarantine.energy) FROM quarantine"
        " JOIN quarantine_keys USING (title, series, interval_number)"
        " WHERE title = ? AND series = ? AND interval_end BETWEEN ? AND ? AND key = ?",
        (title, series, since, end, key),
    )
    return [row[0] for row in rows]
