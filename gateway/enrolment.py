"""Enrolment records: what the concentrator is given of a meter, once, and then keeps in its ledger only."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.documents import Document, DocumentError, import_public_key, key_id, parse
from protocol.keychain import KEY_BYTES
from protocol.reports import Count, Name, Pseudonym, Seconds
from protocol.rosters import Roster, open_roster

Key = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{2 * KEY_BYTES}}}\Z")]


class EnrolmentError(Exception):
    """A record or roster cannot be used; the message names the file and the reason."""


class EnrolmentRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter as its enrolment left it. Keys are hex, registers mWh at ``since`` (UTC seconds)."""

    system_title: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    pseudonym: Pseudonym
    neighbourhood: Name
    since: Seconds
    series: Annotated[int, Meta(ge=0, lt=1 << 32)]
    first_import_mwh: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
    first_export_mwh: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
    epoch: Count
    hop_chain: Key
    hello_key: Key
    time_key: Key

    def __repr__(self) -> str:
        return f"<EnrolmentRecord {self.system_title}>"


def read_record(path: Path) -> EnrolmentRecord:
    """Read one record; raises EnrolmentError."""
    try:
        record: EnrolmentRecord = parse(path.read_bytes(), EnrolmentRecord)
    except OSError as error:
        raise EnrolmentError(f"cannot read {path}: {error.strerror}") from None
    except DocumentError:
        # The decoder's own message could quote a key.
        raise EnrolmentError(f"{path} is not an enrolment record") from None
    return record


def erase_record(path: Path) -> None:
    """Overwrite and remove a record whose keys stand in the ledger: it would open every reading since enrolment.

    Overwriting is best effort on flash and journalling file systems; the documentation says so. Raises
    EnrolmentError.
    """
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        raise EnrolmentError(f"cannot erase {path}: {error.strerror}") from None


def read_rosters(folder: Path, deployment: str, operator_key: str, identity_id: str) -> dict[str, Roster]:
    """Return the newest roster of each neighbourhood that this concentrator serves; raises EnrolmentError."""
    newest: dict[str, Roster] = {}
    try:
        operator = import_public_key(operator_key)
        for path in sorted(folder.glob("*.json")):
            document: Document = parse(path.read_bytes(), Document)
            try:
                roster = open_roster(document, deployment, operator)
            except DocumentError as error:
                raise EnrolmentError(f"{path}: {error}") from None
            if key_id(roster.concentrator_key()) != identity_id:
                continue  # another concentrator's neighbourhood
            known = newest.get(roster.neighbourhood)
            if known is None or roster.version > known.version:
                newest[roster.neighbourhood] = roster
    except OSError as error:
        raise EnrolmentError(f"cannot read the rosters in {folder}: {error.strerror}") from None
    except DocumentError as error:
        raise EnrolmentError(f"the rosters in {folder} cannot be used: {error}") from None
    if not newest:
        raise EnrolmentError(f"no roster in {folder} names this concentrator's key {identity_id}")
    return newest
