"""The interval and detail lengths in force at a time: those of the first start, or what a CONFIG set since.

Rule 1: a CONFIG takes effect at its beginning and not before, through restarts. It is one stored record, replaced as
a whole: what is in force, and what follows from when on.
Rule 2: a damaged record does not count; the lengths of the first start do, until the next CONFIG. A reading of another
length than its neighbourhood's is set aside by the concentrator: its energy stays in the registers.
"""

import binascii
import struct

from firmware.meter.intervals import check_lengths

# The concentrator opens every interval: a taken-over one must not be able to order a finer look into the house.
LEAST_INTERVAL_S = 300

_NAME = "lengths"
_VERSION = 1
_RECORD = ">BHHHHI"  # version, interval and detail length in force, those that follow, from when on (UTC seconds)
_RECORD_BYTES = 13
_ERASED = b"\x00"  # instead of a record: a new enrolment has no lengths of the one before


class Lengths:
    """``at(utc_s)`` gives (interval_s, detail_s); ``change`` is the next change's time or one that is over.

    ``trouble``: None, or what is wrong with what is stored.
    """

    def __init__(self, storage, interval_s, detail_s):
        """Take the stored lengths, or these where a CONFIG never set any; raises ValueError for impossible ones."""
        check_lengths(interval_s, detail_s)
        self._storage = storage
        self._now = self._next = (interval_s, detail_s)
        self.change = 0
        self.trouble = None
        data = storage.read(_NAME)
        if data and data != _ERASED:
            try:
                self._now, self._next, self.change = _unpack(data)
            except ValueError as error:
                self.trouble = str(error)

    def at(self, utc_s):
        """Return the lengths (interval_s, detail_s) of a period that starts at ``utc_s``."""
        return self._next if utc_s >= self.change else self._now

    def set(self, config, utc_s):
        """Take a wire.Config at the time ``utc_s``; returns whether it is possible.

        What says nothing new is not written: a CONFIG comes behind every HELLO.
        """
        if config.effective_from <= utc_s:
            return False
        now = self.at(utc_s)
        if config.interval_s < min(LEAST_INTERVAL_S, now[0]):
            return False
        follow = (config.interval_s, config.detail_s)
        if follow == self._next:
            return True
        record = struct.pack(_RECORD, _VERSION, *(now + follow + (config.effective_from,)))
        self._storage.replace(_NAME, record + struct.pack(">I", binascii.crc32(record)))
        self._now, self._next, self.change = now, follow, config.effective_from
        return True


def erase(storage):
    """Forget what a CONFIG ever set."""
    if storage.read(_NAME) is not None:
        storage.replace(_NAME, _ERASED)


def _unpack(data):
    record = data[:-4]
    if len(record) != _RECORD_BYTES or record[0] != _VERSION or struct.pack(">I", binascii.crc32(record)) != data[-4:]:
        raise ValueError("the stored lengths are damaged")
    fields = struct.unpack(_RECORD, record)
    now, follow = fields[1:3], fields[3:5]
    check_lengths(*now)
    check_lengths(*follow)
    return now, follow, fields[5]
