"""Which Paillier key of a neighbourhood is in force from when on, and of which times anything stands under one."""

from collections.abc import Sequence

from ..ledger import Ledger


def get(ledger: Ledger, neighbourhood: str) -> list[tuple[int, str]]:
    """Return (from when on, fingerprint) of a neighbourhood's Paillier keys, as they were last kept."""
    return ledger.execute(
        "SELECT since, key FROM paillier_keys WHERE neighbourhood = ? ORDER BY since", (neighbourhood,)
    ).fetchall()


def put(ledger: Ledger, neighbourhood: str, changes: Sequence[tuple[int, str]]) -> None:
    """Keep a neighbourhood's keys. What an older version has set aside is under the first of them."""
    ledger.execute("DELETE FROM paillier_keys WHERE neighbourhood = ?", (neighbourhood,))
    ledger.executemany(
        "INSERT INTO paillier_keys VALUES (?, ?, ?)", [(neighbourhood, since, key) for since, key in changes]
    )
    ledger.execute(
        "UPDATE quarantine_keys SET key = ?"
        " WHERE key = '' AND title IN (SELECT title FROM meters WHERE neighbourhood = ?)",
        (changes[0][1], neighbourhood),
    )


def counted_until(ledger: Ledger, neighbourhood: str) -> int:
    """Return the newest time (UTC seconds) of a neighbourhood of which anything stands under a key; -1: none."""
    row = ledger.execute(
        "SELECT max(coalesce((SELECT max(max(tail_end, base_end)) FROM meters WHERE neighbourhood = ?1), -1),"
        " coalesce((SELECT max(interval_start) FROM loads WHERE neighbourhood = ?1), -1),"
        " coalesce((SELECT next_interval - 1 FROM neighbourhoods WHERE name = ?1), -1))",
        (neighbourhood,),
    ).fetchone()
    return row[0]  # type: ignore[no-any-return]


def counted_from(ledger: Ledger, neighbourhood: str) -> int | None:
    """Return the oldest time (UTC seconds) of a neighbourhood of which anything stands under a key; None: none."""
    row = ledger.execute(
        "SELECT min(at) FROM (SELECT min(base_end) AS at FROM meters WHERE neighbourhood = ?1"
        " UNION ALL SELECT next_interval FROM neighbourhoods WHERE name = ?1"
        " UNION ALL SELECT min(interval_start) FROM loads WHERE neighbourhood = ?1)",
        (neighbourhood,),
    ).fetchone()
    return row[0]  # type: ignore[no-any-return]
