"""Lays the official AES-CCM cases out in binary: a board has no room for them as JSON."""

import re
import struct

from scripts.figures import CCM_SETS, ccm_cases

CASE = "<BBBHIHH"  # as in device/blob_vectors.py


def blob(folder):
    """Return (every case of both sets in the form that device/blob_vectors.py reads, how many)."""
    cases = [case[1:] for name in CCM_SETS for case in ccm_cases(folder / name)]
    parts = [struct.pack("<I", len(cases))]
    for tag, key, nonce, aad, sealed, plaintext in cases:
        valid = plaintext is not None
        lengths = (len(aad), len(sealed), len(plaintext or b""))
        parts.append(struct.pack(CASE, tag, len(key), valid, len(nonce), *lengths))
        parts.append(key + nonce + aad + sealed + (plaintext or b""))
    return b"".join(parts), len(cases)


def judged(printed):
    """Return (right, refused keys of 192 bits, wrong) of what a board printed."""
    found = re.search(r"(\d+) right, (\d+) refused \(192-bit\), (\d+) wrong", printed)
    assert found, printed
    return tuple(map(int, found.groups()))
