"""The Paillier keys of a neighbourhood, one after the other, and which of them a number is under (decision 36).

Rule 1: a register is under the key that is in force at its time, and an interval's energy under the one in force when
the interval starts.
Rule 2: a window's energy is a difference of two registers, under the key in force at the first of them. So while the
register that billing counts from is of before a change, registers of behind it are encrypted under both keys.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from paillier import PublicKey
from protocol.rosters import Roster

from .aggregate import DataAggregator
from .encryption import FOLD, PaillierEncryption, Settings, check_settings


class Cipher:
    """What works under one key. Its encryption, with a table that takes seconds, is made when it is first needed."""

    def __init__(self, public_key: PublicKey, settings: Settings) -> None:
        """Raises SettingsError for settings that do not fit the key."""
        check_settings(public_key, settings)
        self.public_key = public_key
        self.aggregator = DataAggregator(public_key)
        self._settings = settings
        self._encryption: PaillierEncryption | None = None

    @property
    def encryption(self) -> PaillierEncryption:
        """Encrypts under the key."""
        if self._encryption is None:
            self._encryption = PaillierEncryption(self.public_key, self._settings)
        return self._encryption

    @property
    def folds(self) -> bool:
        """Say whether readings are folded into open accumulators."""
        return self._settings.accumulator == FOLD

    @property
    def made(self) -> PaillierEncryption | None:
        """The encryption if it has been made."""
        return self._encryption

    def let_go(self) -> None:
        """Free the table; it is made again if it should be needed."""
        self._encryption = None


class Era(NamedTuple):
    """A key and from when on it is in force (UTC seconds); the first one's ``since`` is 0."""

    since: int
    cipher: Cipher

    @property
    def public_key(self) -> PublicKey:
        """The key."""
        return self.cipher.public_key

    @property
    def name(self) -> str:
        """The key's fingerprint."""
        return self.cipher.public_key.fingerprint

    @property
    def encryption(self) -> PaillierEncryption:
        """Encrypts under the key."""
        return self.cipher.encryption

    @property
    def aggregator(self) -> DataAggregator:
        """Adds under the key."""
        return self.cipher.aggregator


def key_changes(rosters: Iterable[Roster]) -> list[tuple[int, str]]:
    """Return (from when on, fingerprint) of rosters' keys in the order of their ``valid_from``; the first is from 0."""
    changes: list[tuple[int, str]] = []
    for roster in rosters:
        if not changes or changes[-1][1] != roster.paillier_key:
            changes.append((roster.valid_from if changes else 0, roster.paillier_key))
    return changes


def differ_from(one: Sequence[tuple[int, str]], other: Sequence[tuple[int, str]], first: int, last: int) -> int | None:
    """Return the earliest time from ``first`` to ``last`` at which two sequences of keys differ, or None."""
    changes = (since for since, _ in (*one, *other) if first < since <= last)
    return next((at for at in (first, *sorted(changes)) if at <= last and _at(one, at) != _at(other, at)), None)


def _at(changes: Sequence[tuple[int, str]], at: int) -> str:
    return next(name for since, name in reversed(changes) if since <= at)
