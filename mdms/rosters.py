"""Every roster that the operator has signed, and the questions that ingest and the release gate ask of them.

Strategy: rosters are read once, at start, and are then immutable: what a request meets does not change under it.
A neighbourhood's versions are in force one after the other; the first also speaks for the windows before its own
``valid_from``, because a meter's first window begins before the moment at which it was enrolled.
"""

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from pathlib import Path

import msgspec
from Crypto.PublicKey.ECC import EccKey

from paillier import base64url
from paillier.errors import PaillierError
from paillier.keys import PublicKey
from protocol.documents import Document, DocumentError, key_id
from protocol.rosters import Roster, Tenancy, check_versions, open_roster, tenancies

from .errors import CannotStart


class RosterBook:
    """The rosters of a deployment. Raises CannotStart where two of them contradict each other."""

    def __init__(self, rosters: Iterable[Roster]) -> None:
        self._versions: dict[str, tuple[Roster, ...]] = {}
        self._signers: dict[str, EccKey] = {}
        self._signer_of: dict[tuple[str, int], str] = {}
        self._paillier: dict[str, PublicKey] = {}
        self._tenancies: dict[str, Tenancy] = {}
        found: dict[str, list[Roster]] = {}
        for roster in rosters:
            found.setdefault(roster.neighbourhood, []).append(roster)
        for name, several in sorted(found.items()):
            versions = tuple(sorted(several, key=lambda roster: roster.version))
            try:
                check_versions(versions)
                found_here = list(tenancies(versions))
            except DocumentError as error:
                raise CannotStart(str(error)) from None
            self._versions[name] = versions
            for roster in versions:
                self._note_keys(roster)
            for tenancy in found_here:
                if tenancy.pseudonym in self._tenancies:
                    raise CannotStart(f"pseudonym {tenancy.pseudonym} stands on the rosters of two neighbourhoods")
                self._tenancies[tenancy.pseudonym] = tenancy

    def _note_keys(self, roster: Roster) -> None:
        key = roster.concentrator_key()
        signer = key_id(key)
        self._signers[signer] = key
        self._signer_of[roster.neighbourhood, roster.version] = signer
        try:
            public_key = PublicKey(base64url.decode_integer(roster.paillier_n))
        except (ValueError, PaillierError) as error:
            raise CannotStart(f"roster {_name(roster)}: paillier_n: {error}") from None
        if public_key.fingerprint != roster.paillier_key:
            raise CannotStart(f"roster {_name(roster)}: paillier_n is not the key that paillier_key names")
        self._paillier[public_key.fingerprint] = public_key

    def neighbourhoods(self) -> tuple[str, ...]:
        """Return the names of all neighbourhoods, sorted."""
        return tuple(self._versions)

    def versions(self, neighbourhood: str) -> tuple[Roster, ...]:
        """Return a neighbourhood's rosters by rising version; empty for an unknown one."""
        return self._versions.get(neighbourhood, ())

    def roster(self, neighbourhood: str, version: int) -> Roster | None:
        """Return one version of one neighbourhood's roster."""
        for roster in self.versions(neighbourhood):
            if roster.version == version:
                return roster
        return None

    def in_force(self, neighbourhood: str, at: int) -> Roster | None:
        """Return the roster in force at a time; before the first one's ``valid_from`` that first one."""
        chosen = None
        for roster in self.versions(neighbourhood):
            if chosen is None or roster.valid_from <= at:
                chosen = roster
        return chosen

    def signer(self, signer: str) -> EccKey | None:
        """Return the public key of a concentrator by its fingerprint, or None for a stranger."""
        return self._signers.get(signer)

    def signer_of(self, roster: Roster) -> str:
        """Return the fingerprint of the concentrator that a roster names."""
        return self._signer_of[roster.neighbourhood, roster.version]

    def may_sign_window(self, neighbourhood: str, signer: str, window_start: int) -> bool:
        """Say whether a concentrator may report a window: the one in force then, or a later one that seals it.

        An earlier one may not: its key may be gone astray since it was replaced.
        """
        then = self.in_force(neighbourhood, window_start)
        return then is not None and any(
            self.signer_of(roster) == signer
            for roster in self.versions(neighbourhood)
            if roster.version >= then.version
        )

    def paillier_key(self, roster: Roster) -> PublicKey:
        """Return the Paillier key that a roster's neighbourhood encrypts under."""
        return self._paillier[roster.paillier_key]

    def tenancy(self, pseudonym: str) -> Tenancy | None:
        """Return a pseudonym's tenancy, or None where no roster names it."""
        return self._tenancies.get(pseudonym)

    def tenancies(self) -> Iterator[Tenancy]:
        """Yield every tenancy."""
        yield from self._tenancies.values()

    def zone(self, neighbourhood: str) -> tzinfo:
        """Return the zone whose wall clock cuts a neighbourhood's windows; the same in all its versions."""
        return self.versions(neighbourhood)[0].tz()

    def zone_of(self, pseudonym: str) -> str:
        """Return the name of the zone of a pseudonym's neighbourhood; UTC where no roster names the pseudonym."""
        tenancy = self.tenancy(pseudonym)
        return self.versions(tenancy.neighbourhood)[0].zone if tenancy else "UTC"


def _name(roster: Roster) -> str:
    return f"{roster.neighbourhood} version {roster.version}"


def load_rosters(directory: Path, deployment: str, operator: EccKey) -> RosterBook:
    """Return the book of a directory of signed rosters (*.json); raises CannotStart naming what is wrong."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise CannotStart(f"rosters {directory}: {error.strerror}") from None
    if not paths:
        raise CannotStart(f"rosters {directory}: no signed roster (*.json) in it")
    rosters: dict[bytes, Roster] = {}
    for path in paths:
        document = read_document(path)
        try:
            rosters[document.content_bytes()] = open_roster(document, deployment, operator)
        except DocumentError as error:
            raise CannotStart(f"roster {path}: {error}") from None
    return RosterBook(rosters.values())


def read_document(path: Path) -> Document:
    """Return the signed document in a file, unverified; raises CannotStart naming the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Document, strict=True)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CannotStart(f"{path}: not a signed document") from None
