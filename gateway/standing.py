"""What one batch knows of its meters: read from the ledger once, and again where the batch has changed it. No rules."""

from .holdings import enrolled, loads, meter_keys
from .holdings.enrolled import Meter
from .holdings.revoked import is_revoked
from .intake import MeterKeys
from .ledger import Ledger


class Standings:
    """A batch's view of the meters. It must not outlive the transaction: others change the ledger between two."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._keys: dict[bytes, MeterKeys | None] = {}
        self._meters: dict[bytes, Meter | None] = {}
        self._revoked: dict[bytes, bool] = {}
        self._open_from: dict[str, int | None] = {}

    def keys(self, title: bytes) -> MeterKeys | None:
        """Return what opens a meter's frames; None for a title that is not enrolled."""
        if title not in self._keys:
            self._keys[title] = meter_keys.get(self._ledger, title)
        return self._keys[title]

    def meter(self, title: bytes) -> Meter | None:
        """Return a meter's standing as this batch has left it; None for a title that is not enrolled."""
        if title not in self._meters:
            self._meters[title] = enrolled.get(self._ledger, title)
        return self._meters[title]

    def enrolled(self, title: bytes) -> Meter:
        """Return the standing of a meter whose frame was opened: only an enrolled one has keys."""
        meter = self.meter(title)
        assert meter is not None, "a frame is opened with an enrolled meter's keys only"
        return meter

    def is_revoked(self, title: bytes) -> bool:
        """Say whether a title is refused for good."""
        if title not in self._revoked:
            self._revoked[title] = is_revoked(self._ledger, title)
        return self._revoked[title]

    def open_from(self, neighbourhood: str) -> int | None:
        """Return the start of the oldest interval whose load is open; no batch closes one."""
        if neighbourhood not in self._open_from:
            self._open_from[neighbourhood] = loads.next_interval(self._ledger, neighbourhood)
        return self._open_from[neighbourhood]

    def saw_epoch(self, title: bytes, epoch: int) -> None:
        """Keep the highest epoch of which a frame was opened: ACKs are sealed under it."""
        # Only where it moves: to change a meter's row is to write its registers anew.
        if epoch > self.enrolled(title).seen_epoch:
            enrolled.saw_epoch(self._ledger, title, epoch)
            self.changed(title)

    def set_tail(self, title: bytes, end: int, register: bytes | None) -> None:
        """Keep a meter's newest register."""
        enrolled.set_tail(self._ledger, title, end, register)
        self.changed(title)

    def changed(self, title: bytes) -> None:
        """Read a meter's standing again when it is next asked for."""
        self._meters.pop(title, None)
