"""What the operator gives the concentrator: rosters to keep, and records and revocations of meters, once.

A record's keys are kept in the ledger only, then the record is erased.
"""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from protocol.documents import Document, DocumentError, parse
from protocol.keychain import KEY_BYTES
from protocol.reports import Count, Name, Pseudonym, Seconds
from protocol.revocations import Revocation, Title, open_revocation
from protocol.rosters import Roster, open_roster

Key = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{2 * KEY_BYTES}}}\Z")]
Register = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class EnrolmentError(Exception):
    """A record or roster cannot be used; the message names the file and the reason."""


class EnrolmentRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter as its enrolment left it. Keys are hex, registers mWh at ``since`` (UTC seconds).

    A meter that takes another's place names it in ``replaces`` (system title, hex) and has its pseudonym; ``final_...``
    are the other's registers when it was taken down, None where they could not be read.
    """

    system_title: Title
    pseudonym: Pseudonym
    neighbourhood: Name
    since: Seconds
    series: Annotated[int, Meta(ge=0, lt=1 << 32)]
    first_import_mwh: Register
    first_export_mwh: Register
    epoch: Count
    hop_chain: Key
    hello_key: Key
    time_key: Key
    replaces: Title | None = None
    final_import_mwh: Register | None = None
    final_export_mwh: Register | None = None

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


def read_revocation(path: Path, deployment: str, operator: EccKey) -> Revocation | None:
    """Read one revocation, None where the file is no signed document at all; raises EnrolmentError."""
    try:
        document: Document = parse(path.read_bytes(), Document)
    except OSError as error:
        raise EnrolmentError(f"cannot read {path}: {error.strerror}") from None
    except DocumentError:
        return None
    try:
        return open_revocation(document, deployment, operator)
    except DocumentError as error:
        raise EnrolmentError(f"{path}: {error}") from None


def read_roster(path: Path, deployment: str, operator: EccKey) -> Roster:
    """Read one signed roster; raises EnrolmentError."""
    try:
        return open_roster(parse(path.read_bytes(), Document), deployment, operator)
    except OSError as error:
        raise EnrolmentError(f"cannot read {path}: {error.strerror}") from None
    except DocumentError as error:
        raise EnrolmentError(f"{path}: {error}") from None


def incoming(folder: Path) -> list[Path]:
    """Return the files of a folder that are meant for us, in their names' order: ``*.json``, not hidden."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
