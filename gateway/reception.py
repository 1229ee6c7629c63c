"""Where the three steps meet: a batch of frames is opened, encrypted, added and committed, and only then answered."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from protocol import keychain, wire

from .answers import Answers
from .counting import Counting
from .encryption import PaillierEncryption
from .holdings import events, seen
from .intake import CORRUPT, REVOKED, DataDecryption, MeterKeys, Opened, Refused
from .ledger import Ledger
from .neighbourhood import Neighbourhood
from .outbox import Outbox
from .standing import Standings
from .validation import impossible

log = structlog.get_logger()


class Arrival(NamedTuple):
    """A frame and whom to answer; what a peer is, only the link knows."""

    frame: bytes
    peer: Any


class Reply(NamedTuple):
    """A sealed answer for a peer."""

    peer: Any
    frame: bytes


class Batch:
    """What one transaction has in memory of the ledger, and what it has counted. It ends with the transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self.standings = Standings(ledger)
        self.counting = Counting(ledger, self.standings)
        self.readings = 0


class Reception:
    """Takes batches of frames. Every method runs in the ledger's thread."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        neighbourhoods: Mapping[str, Neighbourhood],
        decryption: DataDecryption,
        random: Callable[[int], bytes] = secrets.token_bytes,
        detail_s: int = 0,
        trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        """``detail_s``: every HELLO is answered by a CONFIG with this detail length too; 0: by none.

        ``trusted`` says whether the clock may be believed. Until then frames are taken by their own times, and no
        HELLO is answered.
        """
        self._trusted = trusted
        self._ledger = ledger
        self._outbox = outbox
        self._neighbourhoods = neighbourhoods
        self._decryption = decryption
        self._accounts: dict[bytes, tuple[str, str]] = {}
        self._answers = Answers(ledger, neighbourhoods, decryption, random, detail_s)
        self.readings = 0  # counted since the start

    def take(self, arrivals: Sequence[Arrival], now_ms: int) -> list[Reply]:
        """Commit a batch in one transaction and return its answers.

        An authentic frame always gets a verdict, so that none can block its meter's store; any other gets none.
        If this raises, nothing was kept and nothing may be answered: the meters send again.
        """
        verdicts: dict[tuple[Any, bytes], list[wire.Range]] = {}
        hellos: list[tuple[Any, Opened, MeterKeys]] = []
        counts: dict[str, int] = {}
        trusted = self._trusted()
        with self._ledger.transaction():
            batch = Batch(self._ledger)
            for arrival in arrivals:
                try:
                    opened, keys = self._open(batch, arrival.frame, now_ms if trusted else None)
                except Refused as refused:
                    counts[refused.kind] = counts.get(refused.kind, 0) + 1
                    continue
                header = opened.header
                if header.type == wire.HELLO:
                    if trusted:
                        hellos.append((arrival.peer, opened, keys))
                    continue
                verdict = self._judge(batch, opened, arrival.frame, now_ms if trusted else _end_of_day_ms(header.epoch))
                del opened  # its plaintext ends here, and not with the next frame
                name = wire.VERDICTS[verdict]
                counts[name] = counts.get(name, 0) + 1
                ranges = verdicts.setdefault((arrival.peer, header.system_title), [])
                ranges.append(wire.Range(header.salt, header.counter, 1, verdict))
            batch.counting.emit()
            for kind, number in counts.items():
                self._ledger.add_count(kind, number)
        self.readings += batch.readings
        for kind, number in counts.items():
            if kind not in ("stored", "duplicate"):
                log.warning("frames", kind=kind, number=number)
        replies = [
            Reply(peer, frame) for peer, hello, keys in hellos for frame in self._answers.to_hello(hello, keys, now_ms)
        ]
        for (peer, title), ranges in verdicts.items():
            replies += [Reply(peer, frame) for frame in self._answers.acks(title, ranges)]
        return replies

    @property
    def prepares(self) -> bool:
        """Say whether any neighbourhood has a pool of randomisers (pool mode)."""
        return any(encryption.has_pool for encryption in self._made())

    def prepare(self) -> bool:
        """Make one randomiser ahead where a pool has room; returns whether one was made."""
        return any(encryption.prepare() for encryption in self._made())

    def _made(self) -> Iterator[PaillierEncryption]:
        for place in self._neighbourhoods.values():
            yield from place.made()

    def count_corrupt(self, number: int) -> None:
        """Count pieces that a link could not even frame."""
        with self._ledger.transaction():
            self._ledger.add_count(CORRUPT, number)
        log.warning("frames", kind=CORRUPT, number=number)

    def _open(self, batch: Batch, frame: bytes, now_ms: int | None) -> tuple[Opened, MeterKeys]:
        header = self._decryption.header(frame)
        if batch.standings.is_revoked(header.system_title) or self._has_left(batch, header, now_ms):
            raise Refused(REVOKED)
        keys = batch.standings.keys(header.system_title)
        opened = self._decryption.open(frame, header, keys, now_ms)
        assert keys is not None, "open() refuses a meter without keys"
        return opened, keys

    def _has_left(self, batch: Batch, header: wire.Header, now_ms: int | None) -> bool:
        """Say whether a frame was sealed after the day on which its meter's tenancy ended by the roster."""
        account = self._account(batch, header.system_title)
        left = None if account is None else self._neighbourhoods[account[0]].left(account[1])
        if left is None:
            return False
        if header.type != wire.HELLO:
            return bool(header.epoch > keychain.epoch_of(left))
        return now_ms is not None and now_ms // 1000 >= left + keychain.DAY_S

    def _account(self, batch: Batch, title: bytes) -> tuple[str, str] | None:
        """Return an enrolled title's neighbourhood and pseudonym, which never change."""
        account = self._accounts.get(title)
        if account is None and (meter := batch.standings.meter(title)) is not None:
            account = self._accounts[title] = meter.neighbourhood, meter.pseudonym
        return account

    # --- Verdicts -----------------------------------------------------------------------------------------------

    def _judge(self, batch: Batch, opened: Opened, frame: bytes, now_ms: int) -> int:
        header = opened.header
        title = header.system_title
        tag = seen.tag(self._ledger, frame)
        known = seen.frame(self._ledger, title, header.salt, header.counter, tag)
        if known is not None:
            return wire.DUPLICATE if known else self._conflict(title, "one nonce, two frames")
        seen.add_frame(self._ledger, title, header.salt, header.counter, header.epoch, tag)
        batch.standings.saw_epoch(title, header.epoch)
        if header.type == wire.READING:
            return self._reading(batch, opened, now_ms)
        if header.type == wire.DETAIL:
            return self._detail(opened)
        if header.type == wire.EVENT:
            return self._event(opened, now_ms)
        return wire.QUARANTINED

    def _event(self, opened: Opened, now_ms: int) -> int:
        title = opened.header.system_title
        try:
            event = wire.parse_event(opened.body)
        except wire.Malformed:
            return wire.QUARANTINED
        events.add(self._ledger, title, event, now_ms // 1000)
        log.warning("event", meter=title.hex(), code=wire.EVENTS[event.code], number=event.count)
        return wire.STORED

    def _detail(self, opened: Opened) -> int:
        header = opened.header
        nonce = wire.uplink_nonce(wire.LAYER_CUSTOMER, header.salt, header.counter)
        if len(opened.body) != wire.DETAIL_BLOB_BYTES or not opened.body.startswith(nonce):
            return wire.QUARANTINED
        self._outbox.add_row(header.system_title, wire.pack_header(header) + opened.body)
        return wire.STORED

    def _reading(self, batch: Batch, opened: Opened, now_ms: int) -> int:
        """Encrypt and count a reading. Its plaintext ends with this call."""
        title = opened.header.system_title
        try:
            reading = wire.parse_reading(opened.body)
        except wire.Malformed:
            return wire.QUARANTINED
        meter = batch.standings.enrolled(title)
        place = self._neighbourhoods[meter.neighbourhood]
        tag = seen.tag(self._ledger, opened.body)
        known = seen.reading(self._ledger, title, reading.series, reading.interval_number, tag)
        if known is not None:
            return wire.DUPLICATE if known else self._conflict(title, "one interval, two readings")
        reason = impossible(reading, meter, place, now_ms)
        window = None
        if reason is not None:
            batch.counting.quarantine(meter, place, reading, reason)
        else:
            window = batch.counting.count(meter, place, reading)
            batch.readings += 1
        seen.add_reading(
            self._ledger,
            title,
            reading.series,
            reading.interval_number,
            reading.interval_end - reading.interval_s,
            window,
            # Whenever it was sealed: as long as its load and its window may be open, it must not enter them again.
            max(opened.header.epoch, keychain.epoch_of(window.end if window else reading.interval_end)),
            tag,
        )
        return wire.STORED if reason is None else wire.QUARANTINED

    def _conflict(self, title: bytes, what: str) -> int:
        log.error("alarm: a clone or a broken meter", meter=title.hex(), what=what)
        return wire.CONFLICT


def _end_of_day_ms(epoch: int) -> int:
    """Return the end of a frame's own day: the present while this machine does not know it."""
    return (epoch + 1) * keychain.DAY_S * 1000
