"""The records of the store's segments, as bytes: pure packing and parsing, no state.

Record: length of the payload (u16) | payload | CRC-32 of the payload. Payloads:
STATE: kind 1 | sequence of the segment (u32) | bytes that count in the segment before (u16) | dropped, aged, told of
overflow, told of age (u32 each) | has an account (u8) | account | registers | spare | frames carried over.
PERIOD: kind 2 | account | registers | the spare is in them (u8) | frames.
GONE: kind 3 | dropped, aged (u32 each) | places (u32 each) of frames that wait no longer.
TOLD: kind 4 | told of overflow, told of age (u32 each) | an EVENT's frame or none.
SAVED: kind 5 | import and export (u64 each) that were measured and are in no period yet.
Counts and energies are totals and no differences: a record that is read twice does no harm.
A frame is: start of its interval (u32) | length (u8) | its bytes. A place is: its type << 18 | slot << 12 | offset of
the frame's start in its segment: a small integer on every board.
"""

import binascii
import struct
from collections import namedtuple

from firmware.meter.intervals import Account
from firmware.meter.registers import Registers

STATE, PERIOD, GONE, TOLD, SAVED = 1, 2, 3, 4, 5

_ACCOUNT = "IHQQHBI"
_STATE = ">BIHIIIIB" + _ACCOUNT + "QQQQ"
_PERIOD = ">B" + _ACCOUNT + "QQB"
_GONE = ">BII"
_TOLD = ">BII"
_SAVED = ">BQQ"
_FRAME = ">IB"
_FRAME_BYTES = 5
AROUND = 6  # length and CRC
_NO_ACCOUNT = Account(0, 0, 0, 0, 0, 0, 0)

State = namedtuple(
    "State",
    ("sequence", "before", "dropped", "aged", "told_overflowed", "told_aged", "account", "registers", "spare"),
)
Held = namedtuple("Held", ("salt", "counter", "epoch", "interval_start", "frame"))


def pack_state(state, frames):
    """Return the payload of a STATE; ``frames`` are (interval_start, frame)."""
    head = (STATE,) + tuple(state[:6]) + (state.account is not None,)
    account = state.account or _NO_ACCOUNT
    return struct.pack(_STATE, *(head + tuple(account) + tuple(state.registers) + tuple(state.spare))) + _join(frames)


def pack_period(account, registers, counted, frames):
    """Return the payload of a PERIOD; ``counted``: whether the spare energy is in the registers now."""
    return struct.pack(_PERIOD, PERIOD, *(tuple(account) + tuple(registers) + (counted,))) + _join(frames)


def pack_gone(dropped, aged, places):
    """Return the payload of a GONE."""
    return struct.pack(_GONE, GONE, dropped, aged) + b"".join(struct.pack(">I", place) for place in places)


def pack_told(overflowed, aged, frames):
    """Return the payload of a TOLD."""
    return struct.pack(_TOLD, TOLD, overflowed, aged) + _join(frames)


def pack_saved(spare):
    """Return the payload of a SAVED; ``spare`` is Registers."""
    return struct.pack(_SAVED, SAVED, *spare)


def parse_state(payload):
    """Return the State of a STATE."""
    fields = struct.unpack(_STATE, payload[: struct.calcsize(_STATE)])
    account = Account(*fields[8:15]) if fields[7] else None
    sequence, before, dropped, aged, told_overflowed, told_aged = fields[1:7]
    registers, spare = Registers(fields[15], fields[16]), Registers(fields[17], fields[18])
    return State(sequence, before, dropped, aged, told_overflowed, told_aged, account, registers, spare)


def parse_period(payload):
    """Return (Account, Registers, whether the spare is counted) of a PERIOD."""
    fields = struct.unpack(_PERIOD, payload[: struct.calcsize(_PERIOD)])
    return Account(*fields[1:8]), Registers(*fields[8:10]), bool(fields[10])


def parse_gone(payload):
    """Return (dropped, aged, places) of a GONE."""
    head = struct.calcsize(_GONE)
    places = [struct.unpack(">I", payload[at : at + 4])[0] for at in range(head, len(payload), 4)]
    return struct.unpack(_GONE, payload[:head])[1:] + (places,)


def parse_told(payload):
    """Return (told of overflow, told of age) of a TOLD."""
    return struct.unpack(_TOLD, payload[: struct.calcsize(_TOLD)])[1:]


def parse_saved(payload):
    """Return the Registers of a SAVED."""
    return Registers(*struct.unpack(_SAVED, payload)[1:])


def frames_in(payload):
    """Yield (type, offset in the payload) of each frame of a STATE, PERIOD or TOLD."""
    head = {STATE: _STATE, PERIOD: _PERIOD, TOLD: _TOLD}.get(payload[0])
    at = struct.calcsize(head) if head else len(payload)
    while at < len(payload):
        yield payload[at + _FRAME_BYTES + 1], at
        at += _FRAME_BYTES + payload[at + 4]


def frame_at(segment, offset):
    """Return (interval_start, frame) of the frame at an offset of a segment."""
    start, length = struct.unpack(_FRAME, segment[offset : offset + _FRAME_BYTES])
    return start, segment[offset + _FRAME_BYTES : offset + _FRAME_BYTES + length]


def wrap(payload):
    """Return the record of a payload."""
    return struct.pack(">H", len(payload)) + payload + struct.pack(">I", binascii.crc32(payload))


def unwrap(segment, at):
    """Return (payload, offset behind the record at ``at``); payload is None where no whole record is there."""
    if at + AROUND >= len(segment):
        return None, len(segment)
    behind = at + AROUND + struct.unpack(">H", segment[at : at + 2])[0]
    payload = segment[at + 2 : behind - 4]
    if behind > len(segment) or not payload or not STATE <= payload[0] <= SAVED:
        return None, behind
    if struct.pack(">I", binascii.crc32(payload)) != segment[behind - 4 : behind]:
        return None, behind
    return payload, behind


def next_whole(segment, at):
    """Return the offset of the first whole record behind ``at``, or None: what follows a damage, not a cut."""
    for place in range(at + 1, len(segment) - AROUND):
        if unwrap(segment, place)[0] is not None:
            return place
    return None


def _join(frames):
    return b"".join(struct.pack(_FRAME, start, len(frame)) + frame for start, frame in frames)
