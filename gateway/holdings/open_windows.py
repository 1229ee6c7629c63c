"""The billing windows that are not sealed, each with its newest register, and that under former keys where needed."""

from protocol.windows import Span

from ..aggregate import OpenWindow
from ..ledger import Ledger


def get(ledger: Ledger, title: bytes, span: Span) -> tuple[OpenWindow, bytes | None]:
    """Return a meter's unsealed window, without its register, and the register's bytes."""
    row = ledger.execute(
        "SELECT present, quality, last_end, register FROM windows WHERE title = ? AND window_start = ?",
        (title, span.start),
    ).fetchone()
    if row is None:
        return OpenWindow(span), None
    return OpenWindow(span, *row[:3]), row[3]


def oldest(ledger: Ledger) -> list[tuple[bytes, str, int, int]]:
    """Return (title, neighbourhood, start, intervals present) of every meter's oldest unsealed window."""
    rows = ledger.execute(
        "SELECT meters.title, neighbourhood, next_window, coalesce(present, 0) FROM meters"
        " LEFT JOIN windows ON windows.title = meters.title AND window_start = next_window ORDER BY meters.title"
    )
    return rows.fetchall()


def read_since(ledger: Ledger, title: bytes, end: int) -> list[tuple[Span, int, bytes]]:
    """Return (span, last reading's end, register) of the unsealed windows last read at ``end`` or later."""
    rows = ledger.execute(
        "SELECT window_start, window_end, last_end, register FROM windows"
        " WHERE title = ? AND last_end >= ? AND register IS NOT NULL",
        (title, end),
    )
    return [(Span(row[0], row[1]), row[2], row[3]) for row in rows]


def put(ledger: Ledger, title: bytes, window: OpenWindow, register: bytes | None) -> None:
    """Keep an unsealed window."""
    ledger.execute(
        "INSERT OR REPLACE INTO windows VALUES (?,?,?,?,?,?,?)",
        (title, *window.span, window.present, window.quality, window.last_end, register),
    )


def set_register(ledger: Ledger, title: bytes, start: int, register: bytes) -> None:
    """Replace an unsealed window's register."""
    ledger.execute("UPDATE windows SET register = ? WHERE title = ? AND window_start = ?", (register, title, start))


def remove(ledger: Ledger, title: bytes, start: int) -> None:
    """Remove a window that has been sealed: its report is in the outbox."""
    for table in ("windows", "former_registers"):
        ledger.execute(
            f"DELETE FROM {table} WHERE title = ? AND window_start = ?",  # noqa: S608 - two names
            (title, start),
        )


def former_registers(ledger: Ledger, title: bytes, start: int) -> dict[str, bytes]:
    """Return an unsealed window's register under each key (fingerprint) that is kept beside that of its time."""
    return dict(
        ledger.execute(
            "SELECT key, register FROM former_registers WHERE title = ? AND window_start = ?", (title, start)
        )
    )


def set_former_register(ledger: Ledger, title: bytes, start: int, key: str, register: bytes) -> None:
    """Keep an unsealed window's register under a former key."""
    ledger.execute("INSERT OR REPLACE INTO former_registers VALUES (?, ?, ?, ?)", (title, start, key, register))
