"""The titles that are refused for good: of revoked and of replaced meters. Part of the ledger's file."""

from ..ledger import Ledger

REVOKED = "revoked"
REPLACED = "replaced"


def note(ledger: Ledger, title: bytes, at: int, why: str) -> None:
    """Refuse a title from now on; ``at`` in UTC seconds. Call inside a transaction."""
    ledger.execute("INSERT OR IGNORE INTO revoked (title, since, why) VALUES (?, ?, ?)", (title, at, why))


def is_revoked(ledger: Ledger, title: bytes) -> bool:
    """Say whether a title is refused."""
    return ledger.execute("SELECT 1 FROM revoked WHERE title = ?", (title,)).fetchone() is not None
