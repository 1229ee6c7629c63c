"""Values that must be found nowhere: registers of eight bytes and pairs of energies, in every spelling of them.

They begin with bytes of their own, so that megabytes are searched at the speed of a regular expression; what is found
is then compared whole. A single energy has four bytes, and some megabytes of ciphertext hold any four: it is looked
for as a number of the database, a number of a text, and together with its other half. None is a time of this century.
"""

import json
import re
import sqlite3

from protocol import documents

REGISTER = 0x4D5A57 << 40  # of a first register: what grows in a day stays below
ENERGY = 0xC5 << 24
LEAST_BITS = 24  # of an energy that are free

EIGHT = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rb"(?=(\x4d\x5a\x57.{5}))",
        rb"(?=(.{5}\x57\x5a\x4d))",
        rb"(?=(\xc5...\xc5...))",
        rb"(?=(...\xc5...\xc5))",
    )
]
SIXTEEN = [
    re.compile(pattern)
    for pattern in (
        rb"(?=(4d5a57[0-9a-f]{10}))",
        rb"(?=([0-9a-f]{10}575a4d))",
        rb"(?=(c5[0-9a-f]{6}c5[0-9a-f]{6}))",
        rb"(?=([0-9a-f]{6}c5[0-9a-f]{6}c5))",
    )
]
DIGITS = re.compile(rb"[0-9]{8,}")
HEX = re.compile(rb"(?<![0-9a-f])[0-9a-f]{8}(?![0-9a-f])")
FLOATS = re.compile(rb"[0-9]\.[0-9]+e\+?[0-9]+")


class Canaries:
    """What was measured, as it could have been written down."""

    def __init__(self):
        self.numbers = set()
        self._floats = set()
        self._spelt = set()

    def add(self, energies, registers):
        """Take in a reading: two energies (u32) and two registers (u64), mWh."""
        assert all(value >> LEAST_BITS == ENERGY >> LEAST_BITS for value in energies)
        assert all(value >> 40 == REGISTER >> 40 for value in registers)
        for order in ("big", "little"):
            pieces = [register.to_bytes(8, order) for register in registers]
            pieces.append(b"".join(energy.to_bytes(4, order) for energy in energies))
            self._spelt.update(pieces)
            self._spelt.update(piece.hex().encode() for piece in pieces)
            self._spelt.update(energy.to_bytes(4, order).hex().encode() for energy in energies)
        for value in (*energies, *registers):
            self.numbers.add(value)
            self._floats.add(float(value))
            self._spelt.add(b"%d" % value)

    def in_bytes(self, data):
        """Return the values that stand in some bytes."""
        lower = data.lower()
        pieces = {found.group(1) for each in EIGHT for found in each.finditer(data)}
        pieces |= {found.group(1) for each in SIXTEEN for found in each.finditer(lower)}
        pieces |= {*DIGITS.findall(data), *HEX.findall(lower)}
        floats = {number for number in FLOATS.findall(lower) if float(number) in self._floats}
        return (pieces & self._spelt) | floats

    def in_document(self, document):
        """Return the values that stand in a signed document: in its bytes, its content, and what that spells."""
        content = document.content_bytes()
        found = self.in_bytes(content)
        for text in strings(json.loads(content)):
            try:
                found |= self.in_bytes(documents.from_base64url(text, "text"))
            except documents.DocumentError:
                continue
        return found

    def in_database(self, path):
        """Return the values that stand in a SQLite file, read beside its owner: what its pages cut in two as well."""
        found, cells = set(), []
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in db.execute(f"SELECT * FROM {name}"):
                    found |= {b"%d" % cell for cell in row if isinstance(cell, int | float) and cell in self.numbers}
                    cells += [cell.encode() if isinstance(cell, str) else cell for cell in row]
        finally:
            db.close()
        return found | self.in_bytes(b"\n".join(cell for cell in cells if isinstance(cell, bytes)))


def strings(value):
    """Yield every text of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
