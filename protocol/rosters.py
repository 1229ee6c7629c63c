"""Rosters: which meters make a neighbourhood, signed by the operator (README.md, chapter 7)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from .documents import Document, DocumentError, canonical_json, import_public_key, parse, sign, verify
from .reports import Count, Fingerprint, Length, Name, Pseudonym, Seconds
from .windows import window_of

ROSTER = "roster"
MWH_PER_WH = 1000
SECONDS_PER_HOUR = 3600
ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*\Z")


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter of a neighbourhood by its pseudonym, from the start of the window that holds ``since``."""

    pseudonym: Pseudonym
    since: Seconds


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a neighbourhood: its meters, its concentrator's key, its Paillier key.

    k of the release gate counts distinct members of this list. ``rating_w`` is the largest power that a meter of
    it may report, in watts; ``paillier_n`` is base64url of n, big-endian, without padding.
    """

    neighbourhood: Name
    version: Count
    valid_from: Seconds
    zone: str
    interval_s: Length
    rating_w: Annotated[int, Meta(gt=0, lt=1 << 31)]
    concentrator: str
    paillier_key: Fingerprint
    paillier_n: str
    members: Annotated[list[Member], Meta(max_length=100_000)]

    def tz(self) -> tzinfo:
        """Return the zone whose wall clock cuts the windows; raises DocumentError for an unknown name."""
        try:
            if not ZONE.match(self.zone):
                # "localtime" and "posixrules" are whatever this machine says: two parties would cut other windows.
                raise ValueError
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, or one too long
            raise DocumentError(f"no such time zone: {self.zone[:64]}") from None

    def index(self, pseudonym: str) -> int | None:
        """Return a member's place in the bitmap, or None."""
        for at, member in enumerate(self.members):
            if member.pseudonym == pseudonym:
                return at
        return None

    def concentrator_key(self) -> EccKey:
        """Return the key that signs this neighbourhood's reports."""
        return import_public_key(self.concentrator)


def sign_roster(operator: EccKey, deployment: str, roster: Roster) -> Document:
    """Return the roster as the operator's signed document."""
    return sign(operator, ROSTER, deployment, canonical_json(roster))


def open_roster(document: Document, deployment: str, operator: EccKey) -> Roster:
    """Return a roster that the operator signed; raises DocumentError with the reason."""
    if document.type != ROSTER:
        raise DocumentError("not a roster")
    roster: Roster = parse(verify(document, deployment, operator), Roster)
    if len({member.pseudonym for member in roster.members}) != len(roster.members):
        raise DocumentError("a meter stands on the roster twice")
    roster.tz()
    roster.concentrator_key()
    return roster


# --- Versions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One pseudonym's time in a neighbourhood: from the start of the window that holds its ``since``.

    ``until`` is where the first roster without it came into force, or None.
    """

    pseudonym: str
    neighbourhood: str
    since: int
    first_window: int
    until: int | None

    def covers(self, at: int) -> bool:
        """Say whether a window or interval that starts at ``at`` belongs to this tenancy."""
        return self.first_window <= at and (self.until is None or at < self.until)


def check_versions(versions: Sequence[Roster]) -> None:
    """Raise DocumentError where a neighbourhood's rosters, by rising version, contradict each other."""
    for earlier, later in pairwise(versions):
        if earlier.version == later.version:
            raise DocumentError(f"two different rosters call themselves {_name(later)}")
        if earlier.valid_from >= later.valid_from:
            raise DocumentError(f"roster {_name(later)} is valid no later than the version before it")
        if earlier.zone != later.zone:
            raise DocumentError(f"roster {_name(later)} moves the neighbourhood to another time zone")
        if earlier.paillier_key == later.paillier_key:
            continue
        if window_of(later.valid_from, later.tz()).start != later.valid_from:
            raise DocumentError(f"roster {_name(later)} changes the Paillier key within a billing window")
        if any(before.paillier_key == later.paillier_key for before in versions if before.version < later.version):
            raise DocumentError(f"roster {_name(later)} brings back a former Paillier key")


def tenancies(versions: Sequence[Roster]) -> Iterator[Tenancy]:
    """Yield the tenancies of a neighbourhood's rosters, by rising version; raises DocumentError where one moves."""
    since: dict[str, int] = {}
    until: dict[str, int] = {}
    for roster in versions:
        named = {member.pseudonym: member.since for member in roster.members}
        for pseudonym, start in named.items():
            # A tenancy's first window must not move: the gate demands every window from there on, and a later
            # start would let a released sum leave chosen windows out.
            if since.setdefault(pseudonym, start) != start:
                raise DocumentError(f"roster {_name(roster)} moves the since of pseudonym {pseudonym}")
            if pseudonym in until:
                raise DocumentError(f"roster {_name(roster)} brings back pseudonym {pseudonym}")
        for gone in since.keys() - named.keys():
            until.setdefault(gone, roster.valid_from)
    zone = versions[0].tz()
    for pseudonym, start in since.items():
        first = window_of(start, zone).start
        yield Tenancy(pseudonym, versions[0].neighbourhood, start, first, until.get(pseudonym))


def most_mwh(power_w: int, seconds: int) -> int:
    """Return the energy of a power over a time in mWh, rounded down: no sum of meters rated so can be more."""
    return power_w * seconds * MWH_PER_WH // SECONDS_PER_HOUR


def _name(roster: Roster) -> str:
    return f"{roster.neighbourhood} version {roster.version}"
