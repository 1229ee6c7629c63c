"""PaillierEncryption, the second step: a reading becomes a ciphertext at once, and its plaintext is let go.

Where randomisers come from is the mode (decision 18): strict draws one for each value, pool takes one that was made
ahead, fold lets an open accumulator absorb readings and draws one when it is emitted. Everything after this file
treats energies as opaque integers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import paillier
from protocol.rosters import Roster
from protocol.wire import Reading

STRICT = "strict"
POOL = "pool"
FOLD = "fold"
MODES = (STRICT, POOL, FOLD)
# No sum that anyone believes is greater: the slots' own guard bits would be set.
MOST_SUM = (1 << paillier.ENERGY_SLOTS.slots * paillier.ENERGY_SLOTS.slot_bits) - 1


@dataclass(frozen=True)
class Settings:
    """How readings are encrypted. ``table_window_bits`` 0: no table; ``exponent_bits`` 0: half of the key's length."""

    accumulator: str = STRICT
    table_window_bits: int = paillier.PI_WINDOW_BITS
    exponent_bits: int = 0
    pool_size: int = 256


DEFAULTS = Settings()


# What the concentrator says at its start: what each mode protects against, and what it gives up (decision 18).
_STORED = "what is stored and sent opens with the neighbourhood's private key alone"
PROTECTS = {
    STRICT: f"{_STORED}; a copy of the memory adds the readings that are in clear in that moment, and no others",
    POOL: f"{_STORED}, unless the memory was copied just before: then as many values open as the pool held",
    FOLD: f"{_STORED}; two looks at the memory within one commit, or one and the ledger, say what was folded between",
}


class PoolState(NamedTuple):
    """How many randomisers wait in a pool, and how often one was wanted when none did."""

    waiting: int
    misses: int


class SettingsError(Exception):
    """The settings do not fit the neighbourhood's key; the message names the one that does not."""


class EncryptedReading(NamedTuple):
    """A reading as the rest of the concentrator knows it: when, how good, and ciphertexts of two slots.

    ``energy`` is None where a load has absorbed it already.
    """

    series: int
    interval_number: int
    start: int
    end: int
    quality: int
    energy: int | None
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


def check_settings(public_key: paillier.PublicKey, settings: Settings) -> None:
    """Raise SettingsError where settings do not fit a key."""
    if settings.exponent_bits > (public_key.bits + 1) // 2:
        raise SettingsError(f"'exponent_bits' must be at most half of the key's {public_key.bits} bits")


class PaillierEncryption:
    """Encrypts the readings of one neighbourhood under one key of its own.

    Building one takes as long as its table: a second and more at 3072 bits, once in a process for each key. Raises
    PaillierError for a key that cannot be used, SettingsError for settings that do not fit it.
    """

    def __init__(self, public_key: paillier.PublicKey, settings: Settings = DEFAULTS) -> None:
        self.public_key = public_key
        self.settings = settings
        check_settings(public_key, settings)
        self._encryptor = paillier.Encryptor(
            public_key, exponent_bits=settings.exponent_bits or None, window_bits=settings.table_window_bits
        )
        self._pool: paillier.RandomiserPool | None = None
        if settings.accumulator == POOL:
            self._pool = paillier.RandomiserPool(self._encryptor, settings.pool_size)
        # A pool is false while it is empty.
        self._source = self._encryptor if self._pool is None else self._pool

    @property
    def folds(self) -> bool:
        """Say whether readings are folded into open accumulators."""
        return self.settings.accumulator == FOLD

    def described(self) -> dict[str, str | int | float]:
        """Return what a log says of it: the mode, and the table's size in MB and seconds of building. No secret."""
        table = self._encryptor.table
        return {
            "accumulator": self.settings.accumulator,
            "exponent_bits": self._encryptor.exponent_bits or 0,
            "table_window_bits": self.settings.table_window_bits,
            "table_mb": round(table.memory_bytes / 1e6, 1) if table else 0,
            "table_s": round(table.build_seconds, 2) if table else 0,
        }

    def encrypt(self, reading: Reading, *, with_register: bool, with_energy: bool = True) -> EncryptedReading:
        """Encrypt a reading's energies, and its registers where the sum of intervals has a gap before it."""
        energy = register = None
        if with_energy:
            energy = self.encrypt_slots(reading.import_mwh, reading.export_mwh)
        if with_register:
            register = self.encrypt_slots(reading.import_register, reading.export_register)
        return EncryptedReading(
            series=reading.series,
            interval_number=reading.interval_number,
            start=reading.interval_end - reading.interval_s,
            end=reading.interval_end,
            quality=reading.quality,
            energy=energy,
            register=register,
        )

    def encrypt_slots(self, import_mwh: int, export_mwh: int) -> int:
        """Return a fresh ciphertext of both energies, mWh."""
        return self._source.encrypt(paillier.ENERGY_SLOTS.pack((import_mwh, export_mwh)))

    def rerandomise(self, ciphertext: int) -> int:
        """Return the same message under a fresh randomiser: what leaves cannot be matched with what stayed."""
        return self._source.rerandomise(ciphertext)

    def message(self, reading: Reading) -> int:
        """Return a reading's energies as one plaintext, for accumulators to absorb at once."""
        return paillier.ENERGY_SLOTS.pack((reading.import_mwh, reading.export_mwh))

    def accumulator(self, ciphertext: int | None) -> paillier.Accumulator:
        """Open an accumulator over a validated sum, or over nothing yet."""
        return paillier.Accumulator(self._encryptor, ciphertext, most=None if ciphertext is None else MOST_SUM)

    @property
    def has_pool(self) -> bool:
        """Say whether there is a pool for ``prepare`` to fill."""
        return self._pool is not None

    def pool_state(self) -> PoolState | None:
        """Return how the pool fares; None where there is none."""
        return None if self._pool is None else PoolState(len(self._pool), self._pool.misses)

    def prepare(self) -> bool:
        """Make one randomiser ahead, if there is a pool and room in it; returns whether one was made."""
        return self._pool is not None and self._pool.fill() > 0
