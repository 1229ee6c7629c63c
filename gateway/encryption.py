"""PaillierEncryption, the second step: a reading becomes a ciphertext at once, and its plaintext is let go.

Strict mode: every value gets a fresh randomiser. Everything after this file treats energies as opaque integers.
"""

from typing import NamedTuple

import paillier
from protocol.rosters import Roster
from protocol.wire import Reading


class EncryptedReading(NamedTuple):
    """A reading as the rest of the concentrator knows it: when, how good, and ciphertexts of two slots."""

    series: int
    interval_number: int
    start: int
    end: int
    quality: int
    energy: int
    register: int | None


def key_of(roster: Roster, *, unsafe_small_key: bool) -> paillier.PublicKey:
    """Return the validated Paillier key that a roster pins; raises PaillierError."""
    public_key = paillier.PublicKey.from_jwk(
        {"kty": "DAJ", "alg": "PAI-GN1", "n": roster.paillier_n}, unsafe_small_key=unsafe_small_key
    )
    if public_key.fingerprint != roster.paillier_key:
        raise paillier.BadPublicKey("the roster's key is not the one of its fingerprint")
    paillier.ENERGY_SLOTS.check_fits(public_key)
    return public_key


class PaillierEncryption:
    """Encrypts the readings of one neighbourhood under its own key. Building one takes tens of milliseconds."""

    def __init__(self, public_key: paillier.PublicKey) -> None:
        self.public_key = public_key
        self._encryptor = paillier.Encryptor(public_key)

    def encrypt(self, reading: Reading, *, with_register: bool) -> EncryptedReading:
        """Encrypt a reading's energies, and its registers where the sum of intervals has a gap before it."""
        register = None
        if with_register:
            register = self.encrypt_slots(reading.import_register, reading.export_register)
        return EncryptedReading(
            series=reading.series,
            interval_number=reading.interval_number,
            start=reading.interval_end - reading.interval_s,
            end=reading.interval_end,
            quality=reading.quality,
            energy=self.encrypt_slots(reading.import_mwh, reading.export_mwh),
            register=register,
        )

    def encrypt_slots(self, import_mwh: int, export_mwh: int) -> int:
        """Return a fresh ciphertext of both energies, mWh."""
        return self._encryptor.encrypt(paillier.ENERGY_SLOTS.pack((import_mwh, export_mwh)))

    def rerandomise(self, ciphertext: int) -> int:
        """Return the same message under a fresh randomiser: what leaves cannot be matched with what stayed."""
        return self._encryptor.rerandomise(ciphertext)
