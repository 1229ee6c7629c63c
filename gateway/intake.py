"""DataDecryption, the first of the concentrator's three steps: a frame is opened, or refused with its kind.

What a Reading says in clear lives from here to encryption.py and no further: it is never logged, stored, put in an
exception or kept in an attribute.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from protocol import keychain, wire

# Kinds of refusal: counted, logged without content, never answered.
CORRUPT = "corrupt"
UNKNOWN_METER = "unknown meter"
STALE_EPOCH = "stale epoch"
WRONG_KEY = "wrong key or forged"
REVOKED = "revoked meter"
UNTRUSTED_DAYS = 366  # how far a frame's day may be from the chain while this machine does not know the day
MAX_CACHED_KEYS = 20_000
MOST_AAD = 0xFEFF


class Ccm:
    """AES-CCM of OpenSSL in the shape that the codec takes; the protocol's tag has 16 bytes (decision 17)."""

    def __init__(self, tag_bytes: int = wire.TAG_BYTES) -> None:
        self._tag_bytes = tag_bytes

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Return ciphertext | tag; raises ValueError for lengths that CCM does not allow."""
        return self._cipher(key, nonce, len(plaintext), aad).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Return the plaintext; raises ValueError when the tag is wrong or a length is impossible."""
        try:
            return self._cipher(key, nonce, len(sealed) - self._tag_bytes, aad).decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise ValueError("the tag does not verify") from None

    def _cipher(self, key: bytes, nonce: bytes, message_bytes: int, aad: bytes) -> AESCCM:
        if len(aad) > MOST_AAD:
            # The meter's CCM has the two-octet length only (RFC 3610, section 2.2): both ends refuse alike.
            raise ValueError("the associated data is too long")
        if message_bytes.bit_length() > 8 * (15 - len(nonce)):
            # The library lets the first length that does not fit pass, and OpenSSL then fails as if it were broken.
            raise ValueError("the message is too long for its nonce")
        return AESCCM(key, self._tag_bytes)


CCM = Ccm()


@dataclass(frozen=True, repr=False)
class MeterKeys:
    """What opens one meter's frames: the oldest chain that is still held, and the keys of HELLO and TIME."""

    chain: keychain.Chain
    hello_key: bytes
    time_key: bytes


class Opened(NamedTuple):
    """An authentic frame. ``body`` is plaintext."""

    header: wire.Header
    body: bytes

    def __repr__(self) -> str:
        return f"<Opened frame of type {self.header.type}>"


class Refused(Exception):
    """The frame is not answered; ``kind`` is all that may be known of it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class DataDecryption:
    """Opens frames under the meters' daily keys. Holds derived keys in memory, bounded, and no readings."""

    def __init__(self, accepted_delay_days: int) -> None:
        self._accepted_delay_days = accepted_delay_days
        self._keys: dict[tuple[bytes, int, bytes], bytes] = {}

    def header(self, frame: bytes) -> wire.Header:
        """Return a frame's header, unauthenticated, to look its meter up by; raises Refused."""
        try:
            header: wire.Header = wire.parse_header(frame)
        except wire.Malformed:
            raise Refused(CORRUPT) from None
        if header.type & 0x80 or (header.type == wire.HELLO) != (header.epoch == wire.EPOCH_NONE):
            raise Refused(CORRUPT)
        return header

    def open(self, frame: bytes, header: wire.Header, keys: MeterKeys | None, now_ms: int | None) -> Opened:
        """Return an authentic frame opened; raises Refused. ``now_ms`` None: the clock is not trusted.

        ``header`` is what `header` has returned of it. The epoch is checked before anything is hashed, so that a
        flood of frames from the far future costs no ratchet steps.
        """
        if keys is None:
            raise Refused(UNKNOWN_METER)
        if header.type == wire.HELLO:
            key = keys.hello_key
        else:
            if not self._accepts(header.epoch, keys.chain.epoch, now_ms):
                raise Refused(STALE_EPOCH)
            if header.epoch < keys.chain.epoch:
                raise Refused(STALE_EPOCH)  # enrolled later, or the chain has been erased
            key = self.daily_key(header.system_title, keys, header.epoch, keychain.UP)
        try:
            return Opened(*wire.open_uplink(CCM, key, frame))
        except wire.Malformed:
            raise Refused(CORRUPT) from None
        except wire.Forged:
            raise Refused(WRONG_KEY) from None

    def _accepts(self, epoch: int, oldest: int, now_ms: int | None) -> bool:
        if now_ms is None:
            return epoch <= oldest + UNTRUSTED_DAYS
        today = keychain.epoch_of(now_ms // 1000)
        return bool(today - self._accepted_delay_days <= epoch <= today + 1)

    def daily_key(self, system_title: bytes, keys: MeterKeys, epoch: int, label: bytes) -> bytes:
        """Return one of a meter's keys of a day, derived once and kept in memory."""
        name = (system_title, epoch, label)
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= MAX_CACHED_KEYS:
                self._keys.clear()
            key = self._keys[name] = keys.chain.at(epoch).key(label)
        return key

    def forget(self) -> None:
        """Drop every derived key: called when chains were erased, or a meter was enrolled anew."""
        self._keys.clear()
