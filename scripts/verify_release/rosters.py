"""Whose the publication is said to be, and the operator's rosters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import releases
from protocol.documents import Document, DocumentError, document_id, import_public_key, key_id, parse
from protocol.releases import moment
from protocol.reports import BillingWindow, IntervalLoad
from protocol.rosters import Roster, Tenancy, check_versions, open_roster, tenancies

from .files import ABOUT_BYTES, DOCUMENT_BYTES, json_files, read_whole
from .outcome import Options, Unusable, Wrong

Report = IntervalLoad | BillingWindow


@dataclass(frozen=True)
class Trusted:
    """The deployment, and the two Ed25519 public keys that the reader means."""

    deployment: str
    operator: Any
    log: Any
    format: int = releases.FORMAT


def read_about(options: Options) -> Trusted:
    """Return what a publication says of itself, its keys being those that the reader means."""
    path = options.folder / releases.ABOUT_FILE
    try:
        about: releases.Publication = parse(read_whole(path, ABOUT_BYTES), releases.Publication)
        if about.format not in releases.FORMATS:
            raise Unusable(f"{path}: format {about.format}, which this program does not know")
        keys = {}
        for which, text, meant in (
            ("operator", about.operator_key, options.operator_key),
            ("log", about.log_key, options.log_key),
        ):
            keys[which] = import_public_key(text)
            if meant not in (text, key_id(keys[which])):
                raise Unusable(f"{path}: its {which} key is not the one that was given")
    except DocumentError as error:
        raise Unusable(f"{path}: {error}") from None
    return Trusted(about.deployment, keys["operator"], keys["log"], about.format)


def read_rosters(options: Options, trusted: Trusted) -> dict[str, Roster]:
    """Return the rosters by their documents' ids, each signed by the operator; one that is there twice is one."""
    elsewhere = options.rosters is not None
    folder: Path = options.rosters or options.folder / releases.ROSTERS_FOLDER
    rosters = {}
    for path in json_files(folder, given=elsewhere):
        data = read_whole(path, DOCUMENT_BYTES)
        try:
            document: Document = parse(data, Document)
            roster = open_roster(document, trusted.deployment, trusted.operator)
            rosters[document_id(document.type, trusted.deployment, document.content_bytes())] = roster
        except DocumentError as error:
            raise Wrong(f"roster {path.name}: {error}") from None
    if not rosters:
        raise Unusable(f"{folder}: there is no roster") if elsewhere else Wrong("there is no roster")
    return rosters


class Rosters:
    """All versions of all neighbourhoods, and the questions asked of them. Raises Wrong where two contradict."""

    def __init__(self, rosters: Mapping[str, Roster]) -> None:
        self.count = len(rosters)
        self.signers: dict[str, Any] = {}  # Ed25519 public keys by their fingerprint
        self._names = {(roster.neighbourhood, roster.version): name for name, roster in rosters.items()}
        self._versions: dict[str, list[Roster]] = {}
        self._signer_of: dict[tuple[str, int], str] = {}
        self._tenancies: dict[str, Tenancy] = {}
        for roster in sorted(rosters.values(), key=lambda roster: roster.version):
            self._versions.setdefault(roster.neighbourhood, []).append(roster)
            key = roster.concentrator_key()
            self.signers[key_id(key)] = key
            self._signer_of[roster.neighbourhood, roster.version] = key_id(key)
        for versions in self._versions.values():
            self._note_tenancies(versions)

    def _note_tenancies(self, versions: list[Roster]) -> None:
        try:
            check_versions(versions)
            for tenancy in tenancies(versions):
                if tenancy.pseudonym in self._tenancies:
                    raise Wrong(f"pseudonym {tenancy.pseudonym} stands on the rosters of two neighbourhoods")
                self._tenancies[tenancy.pseudonym] = tenancy
        except DocumentError as error:
            raise Wrong(str(error)) from None

    def __iter__(self) -> Iterator[Roster]:
        for versions in self._versions.values():
            yield from versions

    def newest(self) -> Iterator[str]:
        """Say of each neighbourhood which roster is its newest: that a newer one was left out cannot be seen."""
        for neighbourhood, versions in sorted(self._versions.items()):
            last = versions[-1]
            name = self._names[neighbourhood, last.version]
            yield (
                f"newest roster of {neighbourhood}: version {last.version}, valid from {moment(last.valid_from)}, "
                f"document {name}"
            )
            lacking = last.version - versions[0].version + 1 - len(versions)
            if lacking:
                yield f"rosters of {neighbourhood}: {lacking} numbers between the versions that are there have none"

    def in_force(self, neighbourhood: str, at: int) -> Roster | None:
        """Return the roster in force at a time; before the first one's time that first one."""
        chosen = None
        for roster in self._versions.get(neighbourhood, ()):
            if chosen is None or roster.valid_from <= at:
                chosen = roster
        return chosen

    def may_sign(self, report: Report, signer: str) -> bool:
        """Say whether a concentrator speaks for a report's neighbourhood at its time.

        A load is reported by the one in force, a window by that one or a later one that seals it.
        """
        at = report.interval_start if isinstance(report, IntervalLoad) else report.window_start
        then = self.in_force(report.neighbourhood, at)
        if then is None:
            return False
        if isinstance(report, IntervalLoad):
            return self._signer_of[then.neighbourhood, then.version] == signer
        later = (roster for roster in self._versions[report.neighbourhood] if roster.version >= then.version)
        return any(self._signer_of[roster.neighbourhood, roster.version] == signer for roster in later)

    def zone(self, neighbourhood: str) -> str:
        """Return the name of a neighbourhood's time zone, empty for an unknown one."""
        versions = self._versions.get(neighbourhood)
        return versions[0].zone if versions else ""

    def covers(self, neighbourhood: str, pseudonym: str, at: int) -> bool:
        """Say whether a window or interval that starts at a time belongs to a meter's tenancy there."""
        tenancy = self._tenancies.get(pseudonym)
        return tenancy is not None and tenancy.neighbourhood == neighbourhood and tenancy.covers(at)
