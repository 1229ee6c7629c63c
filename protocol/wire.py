"""Meter <-> concentrator: the sealed frame (README.md, chapter 2). Runs on CPython and on MicroPython alike.

Strategy: everything that both ends must agree on stands here as pure functions over bytes. AES-256-CCM is handed
in as ``ccm``, an object with ``seal(key, nonce, plaintext, aad) -> ciphertext | tag`` and
``open(key, nonce, sealed, aad) -> plaintext`` which raises ValueError when the tag is wrong: the concentrator hands
in a library's, the meter one that is built from its chip's ECB and CBC.

Rule 1: a peer that sends nonsense causes a WireError (Malformed or Forged) and nothing else; any other exception
out of the ``parse_`` and ``open_`` functions is our bug.
Rule 2: MicroPython truncates integers where CPython raises, so every field's range is checked here before packing.
"""

import binascii
import struct
from collections import namedtuple

VERSION = 1

# Frame types. Bit 7 says downlink, so that a frame reflected to its sender cannot be taken for an answer.
READING = 0x01
DETAIL = 0x02
HELLO = 0x03
EVENT = 0x04
ACK = 0x81
TIME = 0x82
CONFIG = 0x83
UPLINK_TYPES = (READING, DETAIL, HELLO, EVENT)
DOWNLINK_TYPES = (ACK, TIME, CONFIG)

# First byte of every nonce. Keys differ by direction and purpose already; this keeps nonces apart as well.
LAYER_HOP = 1
LAYER_CUSTOMER = 2
LAYER_DOWN = 3

EPOCH_NONE = 0xFFFF  # HELLO and TIME: sealed under keys that belong to no day

# Quality bits of a READING, a DETAIL and a billing window.
APPARENT_ONLY = 0x01
CLOCK_UNSYNCHRONISED = 0x02
POWER_FAILED = 0x04
ESTIMATED = 0x08
COVER_OPENED = 0x10
QUALITY_MASK = 0x1F

# Verdicts of an ACK. Each of them frees the meter's slot.
STORED = 0
DUPLICATE = 1
CONFLICT = 2
QUARANTINED = 3
VERDICTS = ("stored", "duplicate", "conflict", "quarantined")

# Reasons of a HELLO.
BOOT = 0
TIME_UNKNOWN = 1
PERIODIC = 2

# Codes of an EVENT.
POWER_LOST = 1
TAMPER = 2
STORE_OVERFLOW = 3
DROPPED_BY_AGE = 4
FIRMWARE_VERSION = 5
MEASURING_FAULT = 6
DATA_UNUSABLE = 7
EVENTS = {
    POWER_LOST: "power failed",
    TAMPER: "cover opened",
    STORE_OVERFLOW: "store overflow",
    DROPPED_BY_AGE: "frames dropped by age",
    FIRMWARE_VERSION: "firmware version",
    MEASURING_FAULT: "measuring fault",
    DATA_UNUSABLE: "stored data unusable",
}
EVENTS_WITH_TEXT = (FIRMWARE_VERSION, MEASURING_FAULT, DATA_UNUSABLE)
FAULT_OVER = "none"  # the text of a MEASURING_FAULT when it has ended
TIME_NOT_KNOWN = 0xFFFFFFFF  # when an EVENT happened

WINDOW_S = 3 * 3600  # an interval divides a billing window

TITLE_BYTES = 8
SALT_BYTES = 4
NONCE_BYTES = 13  # leaves CCM two length octets: messages up to 65,535 bytes (RFC 3610, section 2)
TAG_BYTES = 16
CHALLENGE_BYTES = 16
RANDOM_BYTES = 12  # of a downlink nonce
CRC_BYTES = 4
MAX_ENCODED = 255
MAX_FRAME = MAX_ENCODED - 1 - CRC_BYTES

_HEADER = ">BB8sH4sQ"
_READING = ">IIIHIIQQB"
_DETAIL = ">IHIIQQHHhB"
_EVENT = ">BII16s"
_CONFIG = ">HHI"
_RANGE = ">4sQHB"
HEADER_BYTES = 24
READING_BYTES = 39
DETAIL_BYTES = 37
EVENT_BYTES = 25
EVENT_TEXT_BYTES = 16
CONFIG_BYTES = 8
RANGE_BYTES = 15
DETAIL_BLOB_BYTES = NONCE_BYTES + DETAIL_BYTES + TAG_BYTES
ROW_BYTES = HEADER_BYTES + DETAIL_BLOB_BYTES
MAX_RANGES = (MAX_FRAME - HEADER_BYTES - RANDOM_BYTES - TAG_BYTES) // RANGE_BYTES

NOT_MEASURED = 0xFFFF  # voltage and current of a DETAIL
FACTOR_NOT_MEASURED = 0x7FFF  # its power factor

Header = namedtuple("Header", ("type", "system_title", "epoch", "salt", "counter"))
Reading = namedtuple(
    "Reading",
    (
        "series",
        "interval_number",
        "interval_end",
        "interval_s",
        "import_mwh",
        "export_mwh",
        "import_register",
        "export_register",
        "quality",
    ),
)
Detail = namedtuple(
    "Detail",
    (
        "end",
        "length_s",
        "import_mwh",
        "export_mwh",
        "import_register",
        "export_register",
        "decivolts",
        "centiamperes",
        "power_factor",
        "quality",
    ),
)
Event = namedtuple("Event", ("code", "time", "count", "text"))
Config = namedtuple("Config", ("interval_s", "detail_s", "effective_from"))
Range = namedtuple("Range", ("salt", "first", "count", "verdict"))


class WireError(Exception):
    """The peer sent something that this protocol does not allow."""


class Malformed(WireError):
    """A length, version, type or field is not one that the specification allows."""


class Forged(WireError):
    """The tag does not verify: a wrong key, or a forged or damaged frame."""


def _within(name, value, bits):
    if not 0 <= value < 1 << bits:
        # The name only: a value may be an energy.
        raise ValueError(name + " does not fit its field")


# --- Header -----------------------------------------------------------------------------------------------------


def pack_header(header):
    """Return the 24 bytes that travel in clear and are authenticated as CCM's associated data."""
    if len(header.system_title) != TITLE_BYTES or len(header.salt) != SALT_BYTES:
        raise ValueError("system title or boot salt of a wrong length")
    _within("type", header.type, 8)
    _within("epoch", header.epoch, 16)
    _within("invocation counter", header.counter, 64)
    return struct.pack(_HEADER, VERSION, header.type, header.system_title, header.epoch, header.salt, header.counter)


def parse_header(frame):
    """Return the Header of a frame, unauthenticated: good for choosing a key and for nothing else."""
    if len(frame) < HEADER_BYTES:
        raise Malformed("short frame")
    if len(frame) > MAX_FRAME:
        raise Malformed("oversized frame")
    version, kind, title, epoch, salt, counter = struct.unpack(_HEADER, frame[:HEADER_BYTES])
    if version != VERSION:
        raise Malformed("unknown version")
    return Header(kind, title, epoch, salt, counter)


# --- Sealing ----------------------------------------------------------------------------------------------------


def uplink_nonce(layer, salt, counter):
    """Nonce of a meter's seal: layer | boot salt | invocation counter, never used twice under one key."""
    return struct.pack(">B4sQ", layer, salt, counter)


def seal_uplink(ccm, key, header, body):
    """Seal ``body`` under the hop key of the header's epoch. Returns the frame: header | ciphertext | tag."""
    aad = pack_header(header)
    frame = aad + ccm.seal(key, uplink_nonce(LAYER_HOP, header.salt, header.counter), body, aad)
    if len(frame) > MAX_FRAME:
        raise ValueError("the body is too long for a frame")
    return frame


def open_uplink(ccm, key, frame):
    """Verify and open an uplink frame. Returns (Header, body); raises Malformed or Forged."""
    header = parse_header(frame)
    if header.type & 0x80:
        raise Malformed("a downlink type on the uplink")
    if len(frame) < HEADER_BYTES + TAG_BYTES:
        raise Malformed("short frame")
    nonce = uplink_nonce(LAYER_HOP, header.salt, header.counter)
    try:
        body = ccm.open(key, nonce, frame[HEADER_BYTES:], frame[:HEADER_BYTES])
    except ValueError:
        raise Forged("tag does not verify")
    return header, body


def seal_downlink(ccm, key, header, body, random):
    """Seal a reply. ``header`` names the salt and counter of the uplink frame that it answers.

    ``random`` is 12 fresh bytes of the operating system: the concentrator keeps no counter that a restored backup
    could repeat, and 96 random bits per daily key are far from a collision.
    """
    if len(random) != RANDOM_BYTES:
        raise ValueError("a downlink nonce takes 12 random bytes")
    aad = pack_header(header)
    nonce = bytes((LAYER_DOWN,)) + random
    frame = aad + random + ccm.seal(key, nonce, body, aad)
    if len(frame) > MAX_FRAME:
        raise ValueError("the body is too long for a frame")
    return frame


def open_downlink(ccm, key, frame):
    """Verify and open a reply. Returns (Header, body); raises Malformed or Forged."""
    header = parse_header(frame)
    if header.type not in DOWNLINK_TYPES:
        raise Malformed("not a downlink type")
    if len(frame) < HEADER_BYTES + RANDOM_BYTES + TAG_BYTES:
        raise Malformed("short frame")
    start = HEADER_BYTES + RANDOM_BYTES
    nonce = bytes((LAYER_DOWN,)) + frame[HEADER_BYTES:start]
    try:
        body = ccm.open(key, nonce, frame[start:], frame[:HEADER_BYTES])
    except ValueError:
        raise Forged("tag does not verify")
    return header, body


# --- Bodies -----------------------------------------------------------------------------------------------------


def pack_reading(reading):
    """Return the 39-byte body of a READING; energies in mWh, times in UTC seconds."""
    for name, value, bits in (
        ("register series", reading.series, 32),
        ("interval number", reading.interval_number, 32),
        ("interval end", reading.interval_end, 32),
        ("interval length", reading.interval_s, 16),
        ("import energy", reading.import_mwh, 32),
        ("export energy", reading.export_mwh, 32),
        ("import register", reading.import_register, 64),
        ("export register", reading.export_register, 64),
        ("quality", reading.quality, 8),
    ):
        _within(name, value, bits)
    return struct.pack(_READING, *reading)


def parse_reading(body):
    """Return the Reading of a body; raises Malformed when its interval contradicts itself."""
    if len(body) != READING_BYTES:
        raise Malformed("a READING of a wrong length")
    reading = Reading(*struct.unpack(_READING, body))
    if not reading.interval_s or reading.interval_end != (reading.interval_number + 1) * reading.interval_s:
        raise Malformed("an interval whose number, length and end disagree")
    if reading.quality & ~QUALITY_MASK:
        raise Malformed("unknown quality bits")
    return reading


def pack_detail(detail):
    """Return the 37-byte body of a DETAIL's inner seal; energies in mWh, times in UTC seconds."""
    for name, value, bits in (
        ("end", detail.end, 32),
        ("length", detail.length_s, 16),
        ("import energy", detail.import_mwh, 32),
        ("export energy", detail.export_mwh, 32),
        ("import register", detail.import_register, 64),
        ("export register", detail.export_register, 64),
        ("voltage", detail.decivolts, 16),
        ("current", detail.centiamperes, 16),
        ("power factor", detail.power_factor + 0x8000, 16),
        ("quality", detail.quality, 8),
    ):
        _within(name, value, bits)
    return struct.pack(_DETAIL, *detail)


def parse_detail(body):
    """Return the Detail of an opened inner seal."""
    if len(body) != DETAIL_BYTES:
        raise Malformed("a DETAIL of a wrong length")
    return Detail(*struct.unpack(_DETAIL, body))


def seal_detail(ccm, key, header, body):
    """Seal a DETAIL for the customer: 66 bytes, nonce | ciphertext | tag, bound to the frame's header.

    The counter is the frame's own: under the customer's key of that epoch it is used once, as under the hop key.
    """
    nonce = uplink_nonce(LAYER_CUSTOMER, header.salt, header.counter)
    return nonce + ccm.seal(key, nonce, body, pack_header(header))


def open_row(ccm, key, row):
    """Open a stored DETAIL row (header | blob, 90 bytes) with the customer's key of the header's epoch.

    Returns (Header, Detail); raises Malformed or Forged.
    """
    if len(row) != ROW_BYTES:
        raise Malformed("a row of a wrong length")
    header = parse_header(row)
    if header.type != DETAIL:
        raise Malformed("a row that is no DETAIL")
    nonce = row[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
    if nonce != uplink_nonce(LAYER_CUSTOMER, header.salt, header.counter):
        raise Malformed("a row whose nonce is not its header's")
    try:
        body = ccm.open(key, nonce, row[HEADER_BYTES + NONCE_BYTES :], row[:HEADER_BYTES])
    except ValueError:
        raise Forged("tag does not verify")
    return header, parse_detail(body)


def pack_hello(reason, challenge):
    """Return the body of a HELLO: its reason and 16 fresh random bytes that the TIME must repeat."""
    if len(challenge) != CHALLENGE_BYTES:
        raise ValueError("a challenge takes 16 bytes")
    _within("reason", reason, 8)
    return bytes((reason,)) + challenge


def parse_hello(body):
    """Return (reason, challenge)."""
    if len(body) != 1 + CHALLENGE_BYTES:
        raise Malformed("a HELLO of a wrong length")
    return body[0], body[1:]


def pack_event(event):
    """Return the 25-byte body of an EVENT; its time in UTC seconds, its text str."""
    _within("event time", event.time, 32)
    _within("event count", event.count, 32)
    text = event.text.encode()
    body = struct.pack(_EVENT, event.code & 0xFF, event.time, event.count, text[:EVENT_TEXT_BYTES])
    try:
        if event.code in EVENTS and parse_event(body) == event:
            return body
    except Malformed:
        pass  # here it is the caller's own mistake, and said below
    raise ValueError("an EVENT's code or text is not one that the specification allows")


def parse_event(body):
    """Return the Event of a body; its text is str, the padding gone."""
    if len(body) != EVENT_BYTES:
        raise Malformed("an EVENT of a wrong length")
    code, time, count, padded = struct.unpack(_EVENT, body)
    if code not in EVENTS:
        raise Malformed("an EVENT of an unknown code")
    length = padded.find(b"\x00")
    text = padded if length < 0 else padded[:length]
    if text + bytes(EVENT_TEXT_BYTES - len(text)) != padded or bool(text) != (code in EVENTS_WITH_TEXT):
        raise Malformed("an EVENT whose text and code disagree, or whose padding is not zero")
    if text and not 0x20 < min(text) <= max(text) < 0x7F:
        raise Malformed("an EVENT whose text is not printable ASCII without spaces")
    return Event(code, time, count, text.decode())


def pack_config(config):
    """Return the 8-byte body of a CONFIG: lengths in seconds, effective_from in UTC seconds."""
    _within("interval length", config.interval_s, 16)
    _within("detail length", config.detail_s, 16)
    _within("effective from", config.effective_from, 32)
    body = struct.pack(_CONFIG, *config)
    try:
        parse_config(body)
    except Malformed:
        raise ValueError("a CONFIG whose lengths or beginning do not fit")
    return body


def parse_config(body):
    """Return the Config of a body; raises Malformed where its lengths and its beginning do not fit."""
    if len(body) != CONFIG_BYTES:
        raise Malformed("a CONFIG of a wrong length")
    config = Config(*struct.unpack(_CONFIG, body))
    if not config.interval_s or WINDOW_S % config.interval_s:
        raise Malformed("an interval that does not divide 3 hours")
    if not config.detail_s or config.interval_s % config.detail_s:
        raise Malformed("a detail length that does not divide the interval")
    if not config.effective_from or config.effective_from % config.interval_s:
        raise Malformed("a beginning inside an interval")
    return config


def pack_time(utc_ms, challenge):
    """Return the body of a TIME: milliseconds since the Unix epoch and the HELLO's challenge."""
    if len(challenge) != CHALLENGE_BYTES:
        raise ValueError("a challenge takes 16 bytes")
    _within("time", utc_ms, 64)
    return struct.pack(">Q", utc_ms) + challenge


def parse_time(body):
    """Return (utc_ms, challenge)."""
    if len(body) != 8 + CHALLENGE_BYTES:
        raise Malformed("a TIME of a wrong length")
    return struct.unpack(">Q", body[:8])[0], body[8:]


def pack_ack(ranges):
    """Return the body of an ACK: 1 to MAX_RANGES exact ranges of (salt, counter), each with its verdict."""
    if not 0 < len(ranges) <= MAX_RANGES:
        raise ValueError("an ACK holds 1 to %d ranges" % MAX_RANGES)
    body = b""
    for item in ranges:
        if len(item.salt) != SALT_BYTES:
            raise ValueError("boot salt of a wrong length")
        _within("first counter", item.first, 64)
        _within("count", item.count, 16)
        _within("verdict", item.verdict, 8)
        body += struct.pack(_RANGE, item.salt, item.first, item.count, item.verdict)
    return body


def parse_ack(body):
    """Return the list of Ranges of an ACK."""
    if not body or len(body) % RANGE_BYTES:
        raise Malformed("an ACK of a wrong length")
    ranges = []
    for at in range(0, len(body), RANGE_BYTES):
        item = Range(*struct.unpack(_RANGE, body[at : at + RANGE_BYTES]))
        if item.verdict >= len(VERDICTS) or not item.count:
            raise Malformed("an ACK with an unknown verdict or an empty range")
        ranges.append(item)
    return ranges


# --- Framing on serial and TCP ----------------------------------------------------------------------------------


def cobs_encode(data):
    """Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no 0x00 in the result."""
    out = bytearray()
    blocks = bytes(data).split(b"\x00")
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        while len(block) >= 254:  # a full block stands for no zero
            out.append(255)
            out += block[:254]
            block = block[254:]
            if last and not block:
                return bytes(out)
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def cobs_decode(data):
    """Inverse of cobs_encode; raises Malformed."""
    out = bytearray()
    at = 0
    end = len(data)
    if not end:
        raise Malformed("nothing between two delimiters")
    while at < end:
        length = data[at]
        if not length or at + length > end:
            raise Malformed("a block that is longer than the frame")
        out += data[at + 1 : at + length]
        at += length
        if length < 255 and at < end:
            out.append(0)
    return bytes(out)


def encode_link(frame):
    """Return what goes on the line: COBS(frame | CRC-32, big-endian) and a 0x00 behind it."""
    if len(frame) > MAX_FRAME:
        raise ValueError("the frame is too long for the line")
    return cobs_encode(frame + struct.pack(">I", binascii.crc32(frame))) + b"\x00"


class Deframer:
    """Cuts a byte stream into frames: ``feed`` bytes as they come, iterate the whole frames that are in.

    The CRC is against line noise only. ``corrupt`` counts what was thrown away: a damaged, short or oversized
    piece; reading goes on at the next delimiter. Holds at most one encoded frame of 255 bytes plus what has been
    decoded and not yet iterated.
    """

    def __init__(self):
        self.corrupt = 0
        self._piece = bytearray()
        self._oversized = False
        self._frames = []

    def feed(self, data):
        parts = bytes(data).split(b"\x00")
        self._take(parts[0])
        for part in parts[1:]:
            self._close()
            self._take(part)

    def __iter__(self):
        frames = self._frames
        self._frames = []
        return iter(frames)

    def _take(self, part):
        if len(self._piece) + len(part) > MAX_ENCODED:
            self._oversized = True
            self._piece = bytearray()
        elif not self._oversized:
            self._piece += part

    def _close(self):
        piece = bytes(self._piece)
        self._piece = bytearray()
        if self._oversized:
            self._oversized = False
            self.corrupt += 1
        elif piece:  # an empty piece is a delimiter sent to wake the line: no fault
            try:
                data = cobs_decode(piece)
                frame = data[:-CRC_BYTES]
                if len(frame) < HEADER_BYTES or struct.pack(">I", binascii.crc32(frame)) != data[-CRC_BYTES:]:
                    raise Malformed("short, or the CRC is wrong")
            except Malformed:
                self.corrupt += 1
            else:
                self._frames.append(frame)
