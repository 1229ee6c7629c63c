"""The neighbourhoods' open loads: a sum and its contributors by interval, and from where on they are open."""

from ..ledger import Ledger


def next_interval(ledger: Ledger, neighbourhood: str) -> int | None:
    """Return the start of the oldest interval whose load is open."""
    row = ledger.execute("SELECT next_interval FROM neighbourhoods WHERE name = ?", (neighbourhood,)).fetchone()
    return row[0] if row else None


def set_next_interval(ledger: Ledger, neighbourhood: str, start: int) -> None:
    """Keep the start of the oldest open interval: what is before it is closed and never revised."""
    ledger.execute("INSERT OR REPLACE INTO neighbourhoods VALUES (?, ?)", (neighbourhood, start))


def total(ledger: Ledger, neighbourhood: str, start: int) -> bytes | None:
    """Return an open load's sum."""
    row = ledger.execute(
        "SELECT sum FROM loads WHERE neighbourhood = ? AND interval_start = ?", (neighbourhood, start)
    ).fetchone()
    return row[0] if row else None


def set_total(ledger: Ledger, neighbourhood: str, start: int, total: bytes, *titles: bytes) -> None:
    """Keep a load's sum and who has just contributed to it."""
    ledger.execute("INSERT OR REPLACE INTO loads VALUES (?, ?, ?)", (neighbourhood, start, total))
    ledger.executemany("INSERT INTO contributors VALUES (?, ?, ?)", [(neighbourhood, start, title) for title in titles])


def take(ledger: Ledger, neighbourhood: str, start: int) -> tuple[bytes | None, set[str]]:
    """Return an open load's sum and its contributors' pseudonyms, and remove it: it is being closed."""
    held = total(ledger, neighbourhood, start)
    rows = ledger.execute(
        "SELECT pseudonym FROM contributors JOIN meters USING (title)"
        " WHERE contributors.neighbourhood = ? AND interval_start = ?",
        (neighbourhood, start),
    )
    pseudonyms = {row[0] for row in rows}
    for table in ("loads", "contributors"):
        ledger.execute(
            f"DELETE FROM {table} WHERE neighbourhood = ? AND interval_start = ?",  # noqa: S608 - two names
            (neighbourhood, start),
        )
    return held, pseudonyms
