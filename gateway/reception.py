"""Where the three steps meet: a batch of frames is opened, encrypted, added and committed, and only then answered."""

import functools
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

import paillier
from protocol import keychain, windows, wire

from .aggregate import Tail
from .encryption import EncryptedReading
from .folding import FoldedLoad, FoldedRegister, Folding, SummedLoad
from .intake import CCM, CORRUPT, REVOKED, DataDecryption, MeterKeys, Opened, Refused
from .ledger import Ledger, Meter
from .neighbourhood import Neighbourhood
from .outbox import Outbox
from .revoked import is_revoked

log = structlog.get_logger()

AHEAD_S = 300  # how far in the future an interval may end: two clocks, each within the other's drift
CONFIG_AHEAD_S = 60  # a CONFIG takes effect no sooner: it must still lie ahead when it arrives
LATE = "late for its load"

# A street's readings are of the same few intervals, and the calendar takes longer than a sum.
_window_at = functools.lru_cache(maxsize=1024)(windows.window_of)


class Arrival(NamedTuple):
    """A frame and whom to answer; what a peer is, only the link knows."""

    frame: bytes
    peer: Any


class Reply(NamedTuple):
    """A sealed answer for a peer."""

    peer: Any
    frame: bytes


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
        self._random = random
        self._detail_s = detail_s
        self._accounts: dict[bytes, tuple[str, str]] = {}
        self._folding = Folding()  # what the batch at hand has open
        self.readings = 0  # counted since the start
        self._counted = 0  # of the batch at hand

    def take(self, arrivals: Sequence[Arrival], now_ms: int) -> list[Reply]:
        """Commit a batch in one transaction and return its answers.

        An authentic frame always gets a verdict, so that none can block its meter's store; any other gets none.
        If this raises, nothing was kept and nothing may be answered: the meters send again.
        """
        verdicts: dict[tuple[Any, bytes], list[wire.Range]] = {}
        hellos: list[tuple[Any, Opened, MeterKeys]] = []
        counts: dict[str, int] = {}
        self._folding = Folding()  # whatever a batch that failed had open is void, like its transaction
        self._counted = 0
        trusted = self._trusted()
        with self._ledger.transaction():
            for arrival in arrivals:
                try:
                    opened, keys = self._open(arrival.frame, now_ms if trusted else None)
                except Refused as refused:
                    counts[refused.kind] = counts.get(refused.kind, 0) + 1
                    continue
                header = opened.header
                if header.type == wire.HELLO:
                    if trusted:
                        hellos.append((arrival.peer, opened, keys))
                    continue
                verdict = self._judge(opened, arrival.frame, now_ms if trusted else _end_of_day_ms(header.epoch))
                del opened  # its plaintext ends here, and not with the next frame
                name = wire.VERDICTS[verdict]
                counts[name] = counts.get(name, 0) + 1
                ranges = verdicts.setdefault((arrival.peer, header.system_title), [])
                ranges.append(wire.Range(header.salt, header.counter, 1, verdict))
            self._emit()
            for kind, number in counts.items():
                self._ledger.add_count(kind, number)
        self.readings += self._counted
        for kind, number in counts.items():
            if kind not in ("stored", "duplicate"):
                log.warning("frames", kind=kind, number=number)
        replies = [reply for hello in hellos for reply in self._hello(*hello, now_ms)]
        for (peer, title), ranges in verdicts.items():
            replies += [Reply(peer, frame) for frame in self._acks(title, ranges)]
        return replies

    @property
    def prepares(self) -> bool:
        """Say whether any neighbourhood has a pool of randomisers (pool mode)."""
        return any(place.encryption.has_pool for place in self._neighbourhoods.values())

    def prepare(self) -> bool:
        """Make one randomiser ahead where a pool has room; returns whether one was made."""
        return any(place.encryption.prepare() for place in self._neighbourhoods.values())

    def count_corrupt(self, number: int) -> None:
        """Count pieces that a link could not even frame."""
        with self._ledger.transaction():
            self._ledger.add_count(CORRUPT, number)
        log.warning("frames", kind=CORRUPT, number=number)

    def _open(self, frame: bytes, now_ms: int | None) -> tuple[Opened, MeterKeys]:
        header = self._decryption.header(frame)
        if is_revoked(self._ledger, header.system_title) or self._has_left(header, now_ms):
            raise Refused(REVOKED)
        keys = self._ledger.keys(header.system_title)
        opened = self._decryption.open(frame, keys, now_ms)
        assert keys is not None, "open() refuses a meter without keys"
        return opened, keys

    def _has_left(self, header: wire.Header, now_ms: int | None) -> bool:
        """Say whether a frame was sealed after the day on which its meter's tenancy ended by the roster."""
        account = self._account(header.system_title)
        left = None if account is None else self._neighbourhoods[account[0]].left(account[1])
        if left is None:
            return False
        if header.type != wire.HELLO:
            return bool(header.epoch > keychain.epoch_of(left))
        return now_ms is not None and now_ms // 1000 >= left + keychain.DAY_S

    def _account(self, title: bytes) -> tuple[str, str] | None:
        """Return an enrolled title's neighbourhood and pseudonym, which never change."""
        account = self._accounts.get(title)
        if account is None and (meter := self._ledger.meter(title)) is not None:
            account = self._accounts[title] = meter.neighbourhood, meter.pseudonym
        return account

    # --- Verdicts -----------------------------------------------------------------------------------------------

    def _judge(self, opened: Opened, frame: bytes, now_ms: int) -> int:
        header = opened.header
        title = header.system_title
        tag = self._ledger.tag(frame)
        seen = self._ledger.seen_frame(title, header.salt, header.counter, tag)
        if seen is not None:
            return wire.DUPLICATE if seen else self._conflict(title, "one nonce, two frames")
        self._ledger.add_frame(title, header.salt, header.counter, header.epoch, tag)
        self._ledger.saw_epoch(title, header.epoch)
        if header.type == wire.READING:
            return self._reading(opened, now_ms)
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
        self._ledger.add_event(title, event, now_ms // 1000)
        log.warning("event", meter=title.hex(), code=wire.EVENTS[event.code], number=event.count)
        return wire.STORED

    def _detail(self, opened: Opened) -> int:
        header = opened.header
        nonce = wire.uplink_nonce(wire.LAYER_CUSTOMER, header.salt, header.counter)
        if len(opened.body) != wire.DETAIL_BLOB_BYTES or not opened.body.startswith(nonce):
            return wire.QUARANTINED
        self._outbox.add_row(header.system_title, wire.pack_header(header) + opened.body)
        return wire.STORED

    def _reading(self, opened: Opened, now_ms: int) -> int:
        """Encrypt and count a reading. Its plaintext ends with this call."""
        title = opened.header.system_title
        try:
            reading = wire.parse_reading(opened.body)
        except wire.Malformed:
            return wire.QUARANTINED
        meter = self._ledger.meter(title)
        assert meter is not None, "a frame is opened with an enrolled meter's keys only"
        place = self._neighbourhoods[meter.neighbourhood]
        tag = self._ledger.tag(opened.body)
        seen = self._ledger.seen_reading(title, reading.series, reading.interval_number, tag)
        if seen is not None:
            return wire.DUPLICATE if seen else self._conflict(title, "one interval, two readings")
        reason = impossible(reading, meter, place, now_ms)
        window = None
        if reason is not None:
            encrypted = place.encryption.encrypt(reading, with_register=False)
            self._quarantine(self._settled(meter), place, encrypted, reason)
        else:
            window = self._count(meter, place, reading)
            self._counted += 1
        self._ledger.add_reading(
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

    # --- Counting -----------------------------------------------------------------------------------------------

    def _count(self, meter: Meter, place: Neighbourhood, reading: wire.Reading) -> windows.Span:
        """Count a reading once in its window and, unless that is closed, once in its load. Returns the window."""
        start = reading.interval_end - reading.interval_s
        late = self._is_late(meter, start) or not place.names(meter.pseudonym, start)
        if place.encryption.folds:
            return self._fold(meter, place, reading, late)
        span, encrypted = self._advance(meter, place, reading)
        if not late:
            self._add_to_load(meter, place, encrypted)
        return span

    def _advance(
        self, meter: Meter, place: Neighbourhood, reading: wire.Reading, *, with_energy: bool = True
    ) -> tuple[windows.Span, EncryptedReading]:
        """Count a reading in its meter's register and window, as ciphertexts."""
        key, aggregator = place.encryption.public_key, place.aggregator
        start = reading.interval_end - reading.interval_s
        span = _window_of(meter, place, start)
        window, register = self._ledger.window(meter.title, span)
        tail = Tail(meter.tail_end, _integer(key, meter.tail_register))
        encrypted = place.encryption.encrypt(
            reading,
            with_register=aggregator.needs_register(tail, window, start, reading.interval_end),
            with_energy=with_energy,
        )
        aside = self._ledger.quarantined_until(meter.title, meter.series, reading.interval_end)
        held = [paillier.from_bytes(key, energy) for energy in aside]
        newest, counted = aggregator.count(tail, window, encrypted, paillier.add_many(key, held) if held else None)
        if counted.register is not None:
            register = paillier.to_bytes(key, counted.register)
        self._ledger.set_window(meter.title, counted, register)
        if newest is not tail:
            # Nearly always the window's register is the newest one: its bytes are made, and checked, once.
            same = newest.register == counted.register
            self._ledger.set_tail(meter.title, newest.end, register if same else _bytes(key, newest.register))
        return span, encrypted

    def _add_to_load(self, meter: Meter, place: Neighbourhood, encrypted: EncryptedReading) -> None:
        assert encrypted.energy is not None, "only what is folded has no ciphertext of its own"
        load = self._folding.loads.get((meter.neighbourhood, encrypted.start))
        if load is None:
            held = _integer(place.encryption.public_key, self._ledger.load(meter.neighbourhood, encrypted.start))
            load = SummedLoad(place.encryption.public_key, place.aggregator, held)
            self._folding.loads[meter.neighbourhood, encrypted.start] = load
        assert isinstance(load, SummedLoad), "a neighbourhood folds its readings or it does not"
        load.add(meter.title, encrypted.energy)

    def _is_late(self, meter: Meter, start: int) -> bool:
        """Say, and count, whether the load that a reading belongs to is closed.

        The difference between a load before and after would be this one meter's reading.
        """
        open_from = self._ledger.next_interval(meter.neighbourhood)
        late = open_from is not None and start < open_from
        if late:
            self._ledger.add_count(LATE)
        return late

    def _quarantine(self, meter: Meter, place: Neighbourhood, encrypted: EncryptedReading, reason: str) -> None:
        """Set a reading aside and take its energy out of every register that is not billed yet."""
        log.error("alarm: a reading is quarantined", meter=meter.title.hex(), reason=reason)
        if encrypted.end <= meter.base_end:
            return  # the register that closed its window has been reported: its energy is billed already
        key, aggregator, energy = place.encryption.public_key, place.aggregator, encrypted.energy
        assert energy is not None, "only what is folded has no ciphertext of its own"
        new = self._ledger.quarantine(
            meter.title,
            encrypted.series,
            encrypted.interval_number,
            encrypted.start,
            encrypted.end,
            reason,
            paillier.to_bytes(key, energy),
        )
        if not new or encrypted.series != meter.series:
            return  # taken out before, or never in these registers
        tail = aggregator.hold_back(_integer(key, meter.tail_register), meter.tail_end, energy, encrypted.end)
        self._ledger.set_tail(meter.title, meter.tail_end, _bytes(key, tail))
        for span, last_end, register in self._ledger.windows_read_since(meter.title, encrypted.end):
            kept = aggregator.hold_back(_integer(key, register), last_end, energy, encrypted.end)
            self._ledger.set_window_register(meter.title, span.start, _bytes(key, kept) or register)

    # --- Folding (fold mode) ------------------------------------------------------------------------------------

    def _fold(self, meter: Meter, place: Neighbourhood, reading: wire.Reading, late: bool) -> windows.Span:
        """Fold a reading into its load, and into its meter's register where it continues that. Returns the window."""
        start = reading.interval_end - reading.interval_s
        message = place.encryption.message(reading)
        if not late:
            self._load(meter, place, start).fold(meter.title, message)
        register = self._folding.registers.get(meter.title)
        if register is None or not register.takes(start):
            meter = self._settled(meter)
            register = self._open_register(meter, place, start)
        if register is None:
            return self._advance(meter, place, reading, with_energy=False)[0]
        register.fold(reading, message)
        return register.span

    def _load(self, meter: Meter, place: Neighbourhood, start: int) -> FoldedLoad:
        """Return the load of an interval, open for folding."""
        load = self._folding.loads.get((meter.neighbourhood, start))
        if load is None:
            held = _integer(place.encryption.public_key, self._ledger.load(meter.neighbourhood, start))
            load = FoldedLoad(place.encryption.accumulator(held))
            self._folding.loads[meter.neighbourhood, start] = load
        assert isinstance(load, FoldedLoad), "a neighbourhood folds its readings or it does not"
        return load

    def _open_register(self, meter: Meter, place: Neighbourhood, start: int) -> FoldedRegister | None:
        """Open a meter's register for the reading that starts then; None where that does not continue it."""
        tail = Tail(meter.tail_end, _integer(place.encryption.public_key, meter.tail_register))
        if not tail.continued_by(start):
            return None
        window, _ = self._ledger.window(meter.title, _window_of(meter, place, start))
        register = FoldedRegister(place.encryption.accumulator(tail.register), tail.end, window)
        self._folding.registers[meter.title] = register
        return register

    def _settled(self, meter: Meter) -> Meter:
        """Return a meter's standing with all that this batch has folded of it emitted into the ledger."""
        register = self._folding.registers.pop(meter.title, None)
        if register is None:
            return meter
        self._keep_register(meter.title, register)
        settled = self._ledger.meter(meter.title)
        assert settled is not None, "meters are not removed"
        return settled

    def _keep_register(self, title: bytes, register: FoldedRegister) -> None:
        tail, window = register.emit()
        emitted = _bytes(register.public_key, tail.register)
        self._ledger.set_window(title, window, emitted)
        self._ledger.set_tail(title, tail.end, emitted)

    def _emit(self) -> None:
        """Emit everything that is open into the ledger: the end of a batch."""
        for title, register in self._folding.registers.items():
            self._keep_register(title, register)
        for (neighbourhood, start), load in self._folding.loads.items():
            self._ledger.set_load(neighbourhood, start, paillier.to_bytes(load.public_key, load.emit()), *load.titles)
        self._folding = Folding()

    # --- Answers ------------------------------------------------------------------------------------------------

    def _hello(self, peer: Any, hello: Opened, keys: MeterKeys, now_ms: int) -> list[Reply]:
        try:
            _, challenge = wire.parse_hello(hello.body)
        except wire.Malformed:
            return []
        header = hello.header._replace(type=wire.TIME)
        body = wire.pack_time(now_ms, challenge)
        frames = [wire.seal_downlink(CCM, keys.time_key, header, body, self._random(wire.RANDOM_BYTES))]
        if self._detail_s:
            frames += self._config(hello.header, now_ms // 1000)
        return [Reply(peer, frame) for frame in frames]

    def _config(self, hello: wire.Header, now: int) -> list[bytes]:
        """Return the CONFIG with which a meter takes over the lengths from the next window on, or nothing."""
        title = hello.system_title
        meter = self._ledger.meter(title)
        assert meter is not None, "a frame is opened with an enrolled meter's keys only"
        place = self._neighbourhoods[meter.neighbourhood]
        interval_s = place.roster.interval_s
        start = windows.window_of(now + CONFIG_AHEAD_S, place.zone).end
        if interval_s % self._detail_s or start % interval_s:
            return []  # a roster or a zone that changed since the start
        body = wire.pack_config(wire.Config(interval_s, self._detail_s, start))
        epoch, key = self._down(title)
        header = wire.Header(wire.CONFIG, title, epoch, hello.salt, hello.counter)
        return [wire.seal_downlink(CCM, key, header, body, self._random(wire.RANDOM_BYTES))]

    def _down(self, title: bytes) -> tuple[int, bytes]:
        """Return the epoch of which a meter's newest frame was opened, and the downlink key of that day."""
        meter, keys = self._ledger.meter(title), self._ledger.keys(title)
        assert meter is not None and keys is not None, "answers are given to enrolled meters only"
        epoch = max(meter.seen_epoch, keys.chain.epoch)
        return epoch, self._decryption.daily_key(title, keys, epoch, keychain.DOWN)

    def _acks(self, title: bytes, ranges: list[wire.Range]) -> list[bytes]:
        epoch, key = self._down(title)
        merged = merge(ranges)
        frames = []
        for at in range(0, len(merged), wire.MAX_RANGES):
            part = merged[at : at + wire.MAX_RANGES]
            header = wire.Header(wire.ACK, title, epoch, part[0].salt, part[0].first)
            body = wire.pack_ack(part)
            frames.append(wire.seal_downlink(CCM, key, header, body, self._random(wire.RANDOM_BYTES)))
        return frames


def impossible(reading: wire.Reading, meter: Meter, place: Neighbourhood, now_ms: int) -> str | None:
    """Return why a reading cannot be true, without its values, or None."""
    roster = place.in_force(reading.interval_end - reading.interval_s)
    limit_mwh = roster.rating_w * reading.interval_s * 1000 // 3600
    if reading.interval_s != roster.interval_s:
        return "interval of another length than the neighbourhood's"
    if reading.series != meter.series:
        return "unknown register series"
    if reading.interval_end * 1000 > now_ms + AHEAD_S * 1000:
        return "interval ends in the future"
    if reading.interval_end - reading.interval_s < meter.since:
        return "interval before the meter's enrolment"
    left = place.left(meter.pseudonym)
    if left is not None and reading.interval_end - reading.interval_s >= left:
        return "interval after the meter left the roster"
    if reading.import_mwh > limit_mwh or reading.export_mwh > limit_mwh:
        return "more energy than the meter's rating allows"
    if reading.import_register < reading.import_mwh or reading.export_register < reading.export_mwh:
        return "register below its interval's energy"
    return None


def _end_of_day_ms(epoch: int) -> int:
    """Return the end of a frame's own day: the present while this machine does not know it."""
    return (epoch + 1) * keychain.DAY_S * 1000


def merge(ranges: list[wire.Range]) -> list[wire.Range]:
    """Return ranges of single counters joined where salt and verdict agree and counters follow each other."""
    merged: list[wire.Range] = []
    for item in sorted(set(ranges)):
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.salt == item.salt
            and last.verdict == item.verdict
            and last.first + last.count == item.first
            and last.count < 0xFFFF
        ):
            merged[-1] = last._replace(count=last.count + 1)
        else:
            merged.append(item)
    return merged


def _window_of(meter: Meter, place: Neighbourhood, start: int) -> windows.Span:
    """Return the window that takes a reading: its own, or the oldest unsealed one where that is sealed already."""
    span = _window_at(start, place.zone)
    return span if span.start >= meter.next_window else _window_at(meter.next_window, place.zone)


def _integer(key: paillier.PublicKey, data: bytes | None) -> int | None:
    return None if data is None else paillier.from_bytes(key, data)


def _bytes(key: paillier.PublicKey, ciphertext: int | None) -> bytes | None:
    return None if ciphertext is None else paillier.to_bytes(key, ciphertext)
