"""What must survive: sealed frames until they are acknowledged, the registers and the account, in one journal.

Strategy: a record is appended for every accounted period (registers, account and its frames together, so that no
power cut can part them) and for every acknowledgement. At start the journal is read through once; when most of it
is history, it is replaced by one record of the present.
Rule 1: the memory follows the journal, never the other way: a frame that is not in it is never sent.
Rule 2: a record that a power cut has torn can only be the last one; it is cut off, and nothing of it was sent.
A damaged record in the middle is refused: cutting there would set the registers back.

Record: length of the payload (u32) | payload | CRC-32 of the payload. Payloads:
STATE: kind 1 | dropped (u32) | account | registers | frames; replaces everything before it.
PERIOD: kind 2 | frames evicted from the front to make room (u32) | account | registers | frames.
FREED: kind 3 | (salt, counter) of every frame with a verdict.
AGED: kind 4 | frames dropped from the front because they are too old (u16).
TOLD: kind 5 | frames dropped by age in all | lost to overflow and by age as far as EVENTs have told | an EVENT or none.
A frame is: start of its interval (u32) | length (u8) | its bytes.
"""

import binascii
import struct
from collections import namedtuple

from firmware.meter.intervals import Account
from firmware.meter.registers import ZERO, Registers, went_back
from protocol import wire

_NAME = "journal"
_STATE = 1
_PERIOD = 2
_FREED = 3
_AGED = 4
_TOLD = 5
_HEAD = ">BIIHQQHBIQQ"  # kind, dropped or evicted, account, registers
_TALLY = ">BIII"  # kind, aged, told of overflow, told of age
_FRAME = ">IB"
_ID = ">4sQ"
_ID_BYTES = 12
_COMPACT_BYTES = 4096  # a journal shorter than this is left alone
CAPACITY = 1400  # frames: seven days of one READING and one DETAIL per quarter of an hour

Held = namedtuple("Held", ("salt", "counter", "epoch", "interval_start", "frame"))


class Damaged(ValueError):
    """The journal is damaged before its end: an operator restarts the register series."""


class Store:
    """The frames that wait, oldest first, and the ``account`` (None at first), ``registers`` and ``dropped``.

    Of the dropped ones ``aged`` were too old; EVENTs have told of ``told_overflowed`` and ``told_aged``.
    """

    def __init__(self, storage, capacity=CAPACITY):
        """Read the journal back; ``capacity`` bounds the frames that may wait."""
        if not 2 <= capacity <= 0xFFFF:
            raise ValueError("a store holds 2 to 65535 frames")
        self._storage = storage
        self._capacity = capacity
        self._held = []
        self._held_bytes = 0
        self._bytes = 0
        self._torn = False
        self.account = None
        self.registers = ZERO
        self.dropped = 0
        self.aged = 0
        self.told_overflowed = 0
        self.told_aged = 0
        self._load(storage.read(_NAME) or b"")

    def __len__(self):
        return len(self._held)

    def oldest(self, count):
        """Return up to ``count`` Held frames, oldest first."""
        return self._held[:count]

    def readings(self):
        """Return the interval starts (UTC seconds) of the READINGs that wait."""
        return [held.interval_start for held in self._held if held.frame[1] == wire.READING]

    @property
    def overflowed(self):
        """How many frames were lost because the store was full."""
        return self.dropped - self.aged

    def room(self):
        """Return how many frames fit without losing one."""
        return self._capacity - len(self._held)

    def waits(self, kind):
        """Say whether a frame of this type waits."""
        return any(held.frame[1] == kind for held in self._held)

    def report(self, utc_s, frame, overflowed=None, aged=None):
        """Store a sealed EVENT and how many lost frames it tells of (None: of none). There must be room."""
        overflowed = self.told_overflowed if overflowed is None else overflowed
        aged = self.told_aged if aged is None else aged
        self._append(self._tally(overflowed, aged) + _pack_frame(utc_s, frame))

    def commit(self, account, registers, frames):
        """Store a period: its account, the registers behind it and its sealed frames, all or nothing.

        ``frames`` are (interval_start, frame). A full store loses its oldest frames, counted in ``dropped``.
        """
        if went_back(self.registers, registers):
            raise ValueError("a register never goes back")
        evicted = max(0, len(self._held) + len(frames) - self._capacity)
        self._append(_pack(_PERIOD, evicted, account, registers, frames))

    def skip(self, account):
        """Move past periods in which nothing was measured: not worth a write, a restart finds them empty again."""
        self.account = account

    def free(self, identifiers):
        """Forget frames that have a verdict; ``identifiers`` are (salt, counter)."""
        if identifiers:
            self._append(bytes((_FREED,)) + b"".join(struct.pack(_ID, *each) for each in identifiers))

    def expire(self, oldest_epoch):
        """Drop the frames of epochs before ``oldest_epoch``: the concentrator would refuse them. Counted."""
        count = 0
        while count < len(self._held) and self._held[count].epoch < oldest_epoch:
            count += 1
        if count:
            self._append(bytes((_AGED,)) + struct.pack(">H", count))

    # --- The journal --------------------------------------------------------------------------------------------

    def _append(self, payload):
        if self._torn:
            self._compact()
        self._torn = True
        self._storage.append(_NAME, _record(payload))
        self._torn = False
        self._bytes += len(payload) + 8
        self._apply(payload)
        if self._bytes > _COMPACT_BYTES and self._bytes > 2 * self._held_bytes:
            self._compact()

    def _compact(self):
        frames = [(held.interval_start, held.frame) for held in self._held]
        record = b""
        if self.account is not None:
            record = _record(_pack(_STATE, self.dropped, self.account, self.registers, frames))
            if self.dropped:
                record += _record(self._tally(self.told_overflowed, self.told_aged))
        self._storage.replace(_NAME, record)
        self._torn = False
        self._bytes = len(record)

    def _load(self, journal):
        at = 0
        while at < len(journal):
            payload, behind = _cut(journal, at)
            if payload is None:
                if _cut(journal, behind)[0] is not None:
                    raise Damaged("the journal is damaged before its end")
                break
            self._apply(payload)
            at = behind
        self._bytes = at
        if at < len(journal):
            self._compact()

    def _apply(self, payload):
        kind = payload[0]
        if kind == _STATE:
            self._held = []
            self._held_bytes = 0
            self.dropped = self._take_period(payload)
        elif kind == _PERIOD:
            evicted = self._take_period(payload)
            self._drop(evicted)
        elif kind == _FREED:
            for at in range(1, len(payload), _ID_BYTES):
                self._forget(*struct.unpack(_ID, payload[at : at + _ID_BYTES]))
        elif kind == _AGED:
            count = struct.unpack(">H", payload[1:])[0]
            self._drop(count)
            self.aged += count
        elif kind == _TOLD:
            head = struct.calcsize(_TALLY)
            _, self.aged, self.told_overflowed, self.told_aged = struct.unpack(_TALLY, payload[:head])
            self._take_frames(payload, head)
        else:
            raise Damaged("the journal holds a record of an unknown kind")

    def _take_period(self, payload):
        head = struct.calcsize(_HEAD)
        fields = struct.unpack(_HEAD, payload[:head])
        self.account = Account(*fields[2:9])
        self.registers = Registers(*fields[9:])
        self._take_frames(payload, head)
        return fields[1]

    def _take_frames(self, payload, at):
        while at < len(payload):
            start, length = struct.unpack(_FRAME, payload[at : at + 5])
            frame = payload[at + 5 : at + 5 + length]
            header = wire.parse_header(frame)
            self._held.append(Held(header.salt, header.counter, header.epoch, start, frame))
            self._held_bytes += 5 + length
            at += 5 + length

    def _tally(self, overflowed, aged):
        return struct.pack(_TALLY, _TOLD, self.aged, overflowed, aged)

    def _drop(self, count):
        if not count:
            return
        for held in self._held[:count]:
            self._held_bytes -= 5 + len(held.frame)
        self._held = self._held[count:]
        self.dropped += count

    def _forget(self, salt, counter):
        for place, held in enumerate(self._held):
            if held.counter == counter and held.salt == salt:
                self._held.pop(place)
                self._held_bytes -= 5 + len(held.frame)
                return


def erase(storage):
    """Forget everything: registers, account and frames. Only a new enrolment may."""
    storage.replace(_NAME, b"")


def _pack(kind, number, account, registers, frames):
    payload = struct.pack(_HEAD, kind, number, *(tuple(account) + tuple(registers)))
    return payload + b"".join(_pack_frame(start, frame) for start, frame in frames)


def _pack_frame(start, frame):
    return struct.pack(_FRAME, start, len(frame)) + frame


def _record(payload):
    return struct.pack(">I", len(payload)) + payload + struct.pack(">I", binascii.crc32(payload))


def _cut(journal, at):
    """Return (payload or None, offset behind the record that begins at ``at``)."""
    if at + 8 > len(journal):
        return None, len(journal)
    behind = at + 8 + struct.unpack(">I", journal[at : at + 4])[0]
    payload = journal[at + 4 : behind - 4]
    if behind > len(journal) or not payload:
        return None, behind
    if struct.pack(">I", binascii.crc32(payload)) != journal[behind - 4 : behind]:
        return None, behind
    return payload, behind
