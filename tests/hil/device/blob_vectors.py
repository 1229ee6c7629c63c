"""Runs the official AES-CCM cases that vector_blob.py laid down in memory. Any board."""

import struct

from vectors import Tally, ccm_case

from firmware.meter.seal import Ccm

CASE = "<BBBHIHH"  # lengths of tag and key; whether valid; lengths of nonce, associated data, sealed, plaintext
CASE_BYTES = struct.calcsize(CASE)


def run(blob, ccm=Ccm):
    """Return the Tally of every case in ``blob``: a count (u32), then case by case."""
    (count,) = struct.unpack("<I", blob[:4])
    tally = Tally("AES-CCM")
    at = 4
    for number in range(count):
        tag, key, valid, nonce, aad, sealed, plaintext = struct.unpack(CASE, blob[at : at + CASE_BYTES])
        at += CASE_BYTES
        parts = []
        for length in (key, nonce, aad, sealed, plaintext):
            parts.append(bytes(blob[at : at + length]))
            at += length
        is_right = ccm_case(ccm, tag, parts[0], parts[1], parts[2], parts[3], parts[4] if valid else None)
        tally.judge(f"case {number}", is_right, key)
    return tally


class Blunt(Ccm):
    """A planted bug: compares all of a tag but its last byte."""

    def open(self, key, nonce, sealed, aad=b""):
        try:
            return super().open(key, nonce, sealed, aad)
        except ValueError:
            length = len(sealed) - self._tag_bytes
            plaintext = self.seal(key, nonce, sealed[:length], aad)[:length]
            if length >= 0 and self.seal(key, nonce, plaintext, aad)[:-1] == sealed[:-1]:
                return plaintext
            raise


def report(blob, ccm=Ccm):
    print(run(blob, ccm))


def report_at(address, length, ccm=Ccm):
    import uctypes

    report(memoryview(uctypes.bytearray_at(address, length)), ccm)
