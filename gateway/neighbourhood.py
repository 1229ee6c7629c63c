"""A neighbourhood as this concentrator serves it: its rosters, its keys, its sums."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import cached_property

from protocol import windows
from protocol.rosters import Roster

from .encryption import DEFAULTS, PaillierEncryption, Settings, key_of
from .keys import Cipher, Era, key_changes

YEARS_CHECKED_S = 2 * 366 * 86400


@dataclass(frozen=True)
class Neighbourhood:
    """A neighbourhood from its earliest roster on.

    ``roster`` is that earliest one: its zone and interval are those of every version. ``later`` are the versions that
    follow it, by rising ``valid_from``. ``ciphers`` are those of every key that they name, by fingerprint.
    """

    roster: Roster
    zone: tzinfo
    ciphers: Mapping[str, Cipher]
    later: tuple[Roster, ...] = ()

    @cached_property
    def eras(self) -> tuple[Era, ...]:
        """The neighbourhood's keys, in the order in which they are in force."""
        return tuple(Era(since, self.ciphers[key]) for since, key in self.key_changes())

    def key_changes(self) -> list[tuple[int, str]]:
        """Return (from when on, fingerprint) of each key in order; the first is from 0 on."""
        return key_changes((self.roster, *self.later))

    def era(self, at: int) -> Era:
        """Return the key in force at a time (UTC seconds)."""
        eras = self.eras
        if len(eras) == 1:
            return eras[0]
        return next(era for era in reversed(eras) if era.since <= at)

    def eras_between(self, first: int, last: int) -> tuple[Era, ...]:
        """Return the keys in force from ``first`` to ``last``, both included; that of ``last`` where it is earlier."""
        newest = self.era(last)
        oldest = min(self.era(first).since, newest.since)
        return tuple(era for era in self.eras if oldest <= era.since <= newest.since)

    def eras_from(self, first: int) -> tuple[Era, ...]:
        """Return the key in force at a time and every known one that follows it."""
        return self.eras_between(first, self.eras[-1].since) if first < self.eras[-1].since else self.eras[-1:]

    @property
    def folds(self) -> bool:
        """Say whether readings are folded into open accumulators."""
        return self.eras[0].cipher.folds

    def made(self) -> Iterator[PaillierEncryption]:
        """Yield the encryptions that work by now, one for each key in use."""
        for era in self.eras:
            if era.cipher.made is not None:
                yield era.cipher.made

    def in_force(self, at: int) -> Roster:
        """Return the roster in force at a time (UTC seconds); before the earliest one's ``valid_from`` that one."""
        chosen = self.roster
        for roster in self.later:
            if roster.valid_from <= at:
                chosen = roster
        return chosen

    def names(self, pseudonym: str, at: int) -> bool:
        """Say whether the roster in force at a time names a meter."""
        return pseudonym in self._members[self.in_force(at).version]

    def knows(self, pseudonym: str) -> bool:
        """Say whether any roster names a meter, one that is not in force yet among them."""
        return pseudonym in self._known

    def left(self, pseudonym: str) -> int | None:
        """Return where a meter's tenancy ended: the ``valid_from`` of the first roster without it. None: it did not."""
        return self._left.get(pseudonym, None if self.knows(pseudonym) else self.roster.valid_from)

    def with_roster(self, roster: Roster, cipher: Cipher | None = None) -> "Neighbourhood":
        """Return the neighbourhood with one more version, and the cipher of its key where that is new here.

        A version that a higher one precedes or replaces from the same moment on is never in force, and dropped.
        """
        kept: list[Roster] = []
        for version in sorted((self.roster, *self.later, roster), key=lambda each: each.version):
            kept = [each for each in kept if each.valid_from < version.valid_from]
            kept.append(version)
        ciphers = self.ciphers if cipher is None else {**self.ciphers, cipher.public_key.fingerprint: cipher}
        return replace(self, roster=kept[0], later=tuple(kept[1:]), ciphers=ciphers)

    def without(self, version: int) -> "Neighbourhood":
        """Return the neighbourhood without one of its versions; there must be another."""
        kept = [each for each in (self.roster, *self.later) if each.version != version]
        return replace(self, roster=kept[0], later=tuple(kept[1:]))

    @cached_property
    def _members(self) -> dict[int, frozenset[str]]:
        return {
            roster.version: frozenset(member.pseudonym for member in roster.members)
            for roster in (self.roster, *self.later)
        }

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset().union(*self._members.values())

    @cached_property
    def _left(self) -> dict[str, int]:
        left: dict[str, int] = {}
        before: frozenset[str] = frozenset()
        for roster in (self.roster, *self.later):
            members = self._members[roster.version]
            for pseudonym in before - members:
                left.setdefault(pseudonym, roster.valid_from)
            before |= members
        return left


def build(roster: Roster, *, unsafe_small_key: bool, settings: Settings = DEFAULTS) -> Neighbourhood:
    """Return the parts of a neighbourhood; raises PaillierError, DocumentError, windows.Misaligned or SettingsError."""
    zone = roster.tz()
    checked = windows.Span(roster.valid_from, roster.valid_from + YEARS_CHECKED_S)
    windows.check_alignment(checked, roster.interval_s, zone)
    cipher = cipher_of(roster, unsafe_small_key=unsafe_small_key, settings=settings)
    return Neighbourhood(roster, zone, {roster.paillier_key: cipher})


def cipher_of(roster: Roster, *, unsafe_small_key: bool, settings: Settings = DEFAULTS) -> Cipher:
    """Return what works under a roster's key; raises PaillierError or SettingsError."""
    return Cipher(key_of(roster, unsafe_small_key=unsafe_small_key), settings)
