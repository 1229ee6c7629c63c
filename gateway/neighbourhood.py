"""A neighbourhood as this concentrator serves it: its rosters, its key, its sums."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import cached_property

from protocol import windows
from protocol.rosters import Roster

from .aggregate import DataAggregator
from .encryption import DEFAULTS, PaillierEncryption, Settings, key_of

YEARS_CHECKED_S = 2 * 366 * 86400


@dataclass(frozen=True)
class Neighbourhood:
    """A neighbourhood from its earliest roster on.

    ``roster`` is that earliest one: its zone, interval and key are those of every version. ``later`` are the versions
    that follow it, by rising ``valid_from``.
    """

    roster: Roster
    zone: tzinfo
    encryption: PaillierEncryption
    aggregator: DataAggregator
    later: tuple[Roster, ...] = ()

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

    def with_roster(self, roster: Roster) -> "Neighbourhood":
        """Return the neighbourhood with one more version.

        A version that a higher one precedes or replaces from the same moment on is never in force, and dropped.
        """
        kept: list[Roster] = []
        for version in sorted((self.roster, *self.later, roster), key=lambda each: each.version):
            kept = [each for each in kept if each.valid_from < version.valid_from]
            kept.append(version)
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
    public_key = key_of(roster, unsafe_small_key=unsafe_small_key)
    return Neighbourhood(roster, zone, PaillierEncryption(public_key, settings), DataAggregator(public_key))
