"""The street of the drain: what each meter sends at which moment, one slice of time after the other.

A meter has a moment of its own: its readings come within the grace behind their interval, its rows behind their
minute. Readings and rows have counters of their own, under two boot salts, so that a row's counter is its place.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator

from gateway.enrolment import EnrolmentRecord
from protocol import keychain, wire
from protocol.documents import to_base64url
from protocol.reports import PSEUDONYM_BYTES

from ..bench_gateway.street import NAME, RATING_W, START
from ..sealing_meter import SealingMeter

GRACE_S = 300
READINGS, ROWS = b"read", b"rows"


class Meter:
    """One meter, and what it has sent: the number of its readings and of its rows."""

    def __init__(self, number: int, phase: float) -> None:
        root = secrets.token_bytes(keychain.KEY_BYTES)
        pseudonym = to_base64url(secrets.token_bytes(PSEUDONYM_BYTES))
        self.title = b"HSD" + number.to_bytes(5, "big")
        self.pseudonym = pseudonym
        self.phase = phase
        self._of = {
            salt: SealingMeter(title=self.title, pseudonym=pseudonym, root=root, salt=salt, start=START)
            for salt in (READINGS, ROWS)
        }
        self._imported = self._exported = 0
        self.readings = self.rows = 0

    def record(self) -> EnrolmentRecord:
        """Return what the concentrator is told of it."""
        return self._of[READINGS].record_of(NAME, START)

    def due(self, until: int, interval_s: int, detail_s: int) -> Iterator[bytes]:
        """Seal, as they go on the line, what is due before a time (UTC seconds). ``detail_s`` 0: no rows."""
        while START + int((self.readings + 1) * interval_s + self.phase * GRACE_S * 0.9) < until:
            yield self._reading(interval_s)
        while detail_s and START + int((self.rows + 1 + self.phase) * detail_s) < until:
            yield self._row(detail_s)

    def verdicts(self, frame: bytes) -> list[tuple[bytes, int, int]]:
        """Return (salt, counter, verdict) of each frame that an ACK answers."""
        return self._of[READINGS].verdicts(frame)

    def _reading(self, interval_s: int) -> bytes:
        self.readings += 1
        end = START + self.readings * interval_s
        most = RATING_W * interval_s * 1000 // 3600
        imported, exported = secrets.randbelow(most), secrets.randbelow(most // 10)
        self._imported += imported
        self._exported += exported
        number = end // interval_s - 1
        body = wire.Reading(1, number, end, interval_s, imported, exported, self._imported, self._exported, 0)
        return self._seal(READINGS, wire.READING, wire.pack_reading(body), end, self.readings)

    def _row(self, detail_s: int) -> bytes:
        """Seal a customer's row; noise for all that the concentrator sees of it."""
        self.rows += 1
        nonce = wire.uplink_nonce(wire.LAYER_CUSTOMER, ROWS, self.rows)
        noise = hashlib.shake_128(self.title + nonce).digest(wire.DETAIL_BLOB_BYTES - len(nonce))
        return self._seal(ROWS, wire.DETAIL, nonce + noise, START + self.rows * detail_s, self.rows)

    def _seal(self, salt: bytes, kind: int, body: bytes, end: int, counter: int) -> bytes:
        frame = self._of[salt].seal_frame(kind, body, keychain.epoch_of(end), counter)
        return bytes(wire.encode_link(frame))
