"""What meters reported about themselves."""

from protocol import wire

from ..ledger import Ledger


def add(ledger: Ledger, title: bytes, event: wire.Event, received: int) -> None:
    """Keep what a meter reported about itself; ``received`` in UTC seconds."""
    time = None if event.time == wire.TIME_NOT_KNOWN else event.time
    ledger.execute(
        "INSERT INTO events (title, code, time, count, text, received) VALUES (?,?,?,?,?,?)",
        (title, event.code, time, event.count, event.text, received),
    )


def prune(ledger: Ledger, before: int) -> None:
    """Forget the events that were received before a time (UTC seconds)."""
    ledger.execute("DELETE FROM events WHERE received < ?", (before,))
