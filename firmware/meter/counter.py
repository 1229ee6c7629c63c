"""The invocation counter: no (boot salt, number) pair is ever handed out twice, whatever happens to the power.

Rule 1: a number is handed out only after the storage says that it is reserved. A power cut skips what was reserved
and not used; it repeats nothing.
Rule 2: the boot salt makes a repeat improbable (2**-32 for each earlier boot) even where the storage was wiped or
restored from a copy, and the counter with it.
"""

import binascii
import struct

from protocol import keychain, wire

_NAME = "counter"

# A meter that seals a DETAIL a minute and a READING a quarter of an hour uses about 1,540 numbers a day: 64 make 24
# small writes a day and 88,000 in ten years, and a power cut skips at most 64 of 2**64 numbers.
BLOCK = 64


class Counter:
    """The numbers of one boot, in ascending order, and the boot's ``salt`` (4 bytes)."""

    def __init__(self, storage, secret, random):
        """Reserve the boot's first block. ``random(n)`` returns n bytes of the operating system."""
        self._storage = storage
        self._next = _stored(storage)
        self._reserved = self._next
        self._reserve()
        # The ESP32's random numbers are weak while its radio is off. The secret and the counter make the salt
        # unpredictable and different at every boot that still knows its counter; the random part serves a
        # storage that has forgotten it.
        message = keychain.SALT + struct.pack(">Q", self._reserved) + random(16)
        self.salt = keychain.hmac_sha256(secret, message)[: wire.SALT_BYTES]

    def take(self):
        """Return the next number; reserves another block first when the last one is used up."""
        if self._next >= self._reserved:
            self._reserve()
        number = self._next
        self._next += 1
        return number

    def _reserve(self):
        reserved = self._next + BLOCK
        if reserved >> 64:
            raise ValueError("the invocation counter is used up")
        self._storage.replace(_NAME, pack(reserved))
        self._reserved = reserved


def pack(reserved):
    """Return the stored record: every number below ``reserved`` may have been handed out."""
    record = struct.pack(">Q", reserved)
    return record + struct.pack(">I", binascii.crc32(record))


def erase_damaged(storage):
    """Let a counter that cannot be read begin anew. Only new keys may: under the old ones its numbers are used."""
    try:
        _stored(storage)
    except ValueError:
        storage.replace(_NAME, b"")


def _stored(storage):
    data = storage.read(_NAME)
    if not data:
        return 0
    reserved = struct.unpack(">Q", data[:8])[0] if len(data) == 12 else 0
    if pack(reserved) != data:
        raise ValueError("the stored invocation counter is damaged")
    return reserved
