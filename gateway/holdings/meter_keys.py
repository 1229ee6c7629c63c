"""What opens the meters' frames: each one's oldest chain value that is still held, and its keys of HELLO and TIME."""

from protocol.keychain import Chain

from ..intake import MeterKeys
from ..ledger import Ledger


def get(ledger: Ledger, title: bytes) -> MeterKeys | None:
    """Return what opens a meter's frames."""
    row = ledger.execute("SELECT epoch, chain, hello_key, time_key FROM meters WHERE title = ?", (title,)).fetchone()
    return MeterKeys(Chain(row[0], row[1]), row[2], row[3]) if row else None


def chains_before(ledger: Ledger, epoch: int) -> list[tuple[bytes, Chain]]:
    """Return the chains whose epoch is before ``epoch``."""
    rows = ledger.execute("SELECT title, epoch, chain FROM meters WHERE epoch < ?", (epoch,))
    return [(row[0], Chain(row[1], row[2])) for row in rows]


def replace_chain(ledger: Ledger, title: bytes, chain: Chain) -> None:
    """Overwrite a chain value by a later one."""
    ledger.execute("UPDATE meters SET epoch = ?, chain = ? WHERE title = ?", (chain.epoch, chain.value, title))
