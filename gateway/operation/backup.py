"""What of a concentrator may leave its machine: who its meters are, in clear, and its keys, sealed to an offline key.

A backup holds no reading, no open window and no quarantine. What billing counts from is not in it either, except a
meter's first register: the MDMS has the newer ones, and only they are right (restore.py). So a backup stays good until
a meter is enrolled or replaced, and an old one cannot make anything count twice.

Sealed (HPKE, RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM) are the identity and the
meters' chains of the day of the backup: whoever opens it reads that street's frames from that day on. The private half
of the recovery key belongs on paper or on a machine without a network, never on the concentrator.
"""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
from Crypto.Protocol import HPKE
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

import paillier
from protocol.documents import DocumentError, from_base64url, parse, to_base64url
from protocol.reports import Name, Pseudonym, Seconds
from protocol.standing import BACKUP_PURPOSE

from ..enrolment import Key
from ..ledger import LedgerError
from ..neighbourhood import Neighbourhood
from ..schema import SCHEMA_VERSION

FORMAT = "hushmeter-concentrator-backup/1"
Title = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


class BackupError(Exception):
    """A backup cannot be made or used; the message says why and what to do."""


class MeterBackup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter's enrolment without its keys. ``first_register`` is a ciphertext in base64url, freshly randomised.

    None for a meter that was enrolled before ledgers kept it, and whose first window was reported since.
    """

    system_title: Title
    pseudonym: Pseudonym
    neighbourhood: Name
    since: Seconds
    series: int
    first_register: str | None


class MeterSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter's keys on the day of the backup, hex."""

    epoch: int
    hop_chain: Key
    hello_key: Key
    time_key: Key

    def __repr__(self) -> str:
        return "<MeterSecrets>"


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed: the identity's PEM, and the meters' keys by system title."""

    identity: str
    meters: dict[Title, MeterSecrets]

    def __repr__(self) -> str:
        return "<Secrets>"


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An HPKE message, base64url."""

    enc: str
    ciphertext: str


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. Times are UTC seconds; ``loads_until`` is the end of each neighbourhood's newest closed load.

    ``revoked`` are the titles that are refused for good, and since when: revoked, or replaced by another meter.
    """

    format: str
    deployment: Name
    made: Seconds
    configuration: str
    loads_until: dict[Name, Seconds]
    meters: list[MeterBackup]
    revoked: dict[Title, Seconds]
    sealed: Sealed | None


def make(
    ledger: Path,
    neighbourhoods: Mapping[str, Neighbourhood],
    *,
    deployment: str,
    configuration: str,
    identity: str,
    recovery: EccKey | None,
    now: int,
) -> Backup:
    """Return a backup of a ledger, beside a running daemon too; without ``recovery`` it has no keys.

    ``identity`` is the PEM. Raises LedgerError or BackupError.
    """
    if not ledger.is_file():
        raise LedgerError(f"there is no ledger at {ledger}: nothing to back up")
    try:
        uri = f"{ledger.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")  # one moment of it
            if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                raise LedgerError(f"{ledger} is of another version: start the daemon once, it brings it up to date")
            rows = db.execute(
                "SELECT title, pseudonym, neighbourhood, since, series, epoch, chain, hello_key, time_key,"
                " (SELECT register FROM first_registers WHERE first_registers.title = meters.title)"
                " FROM meters ORDER BY title"
            ).fetchall()
            loads_until = dict(db.execute("SELECT name, next_interval FROM neighbourhoods"))
            refused = {title.hex(): since for title, since in db.execute("SELECT title, since FROM revoked")}
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"the ledger {ledger} cannot be read: {error}") from None
    meters = [
        MeterBackup(title.hex(), pseudonym, name, since, series, _leaving(neighbourhoods.get(name), since, register))
        for title, pseudonym, name, since, series, _, _, _, _, register in rows
    ]
    sealed = None
    if recovery is not None:
        keys = {
            title.hex(): MeterSecrets(epoch, chain.hex(), hello.hex(), time.hex())
            for title, _, _, _, _, epoch, chain, hello, time, _ in rows
        }
        sealed = seal(recovery, deployment, Secrets(identity, keys))
    return Backup(FORMAT, deployment, now, configuration, loads_until, meters, refused, sealed)


def _leaving(place: Neighbourhood | None, since: int, register: bytes | None) -> str | None:
    if place is None or register is None:
        return None
    era = place.era(since)
    key = era.public_key
    try:
        fresh = era.encryption.rerandomise(paillier.from_bytes(key, register))
    except paillier.BadCiphertext:
        return None  # the roster of its key is gone, and so is what is under it
    return paillier.to_base64url(key, fresh)


def write(path: Path, backup: Backup) -> None:
    """Write a backup for its owner only, whole or not at all; raises BackupError."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(backup))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise BackupError(f"cannot write the backup {path}: {error.strerror}") from None


def read(path: Path, deployment: str) -> Backup:
    """Return a backup from its file; raises BackupError."""
    try:
        backup: Backup = parse(path.read_bytes(), Backup)
    except OSError as error:
        raise BackupError(f"cannot read the backup {path}: {error.strerror}") from None
    except DocumentError as error:
        raise BackupError(f"{path} is not a concentrator's backup: {error}") from None
    if backup.format != FORMAT:
        raise BackupError(f"{path} is a backup of another format, {backup.format[:40]}; this one reads {FORMAT}")
    if backup.deployment != deployment:
        raise BackupError(f"{path} is of the deployment {backup.deployment}, not of {deployment}")
    return backup


# --- Sealing ----------------------------------------------------------------------------------------------------


def read_recovery_key(path: Path, *, private: bool) -> EccKey:
    """Return an X25519 key from its PEM file, as openssl writes it; raises BackupError."""
    kind = "private" if private else "public"
    try:
        key = ECC.import_key(path.read_text())
    except OSError as error:
        raise BackupError(f"cannot read the recovery key {path}: {error.strerror}") from None
    except (ValueError, IndexError, TypeError):
        raise BackupError(f"{path} holds no X25519 {kind} key") from None
    if key.curve != "Curve25519" or key.has_private() != private:
        raise BackupError(
            f"{path} holds no X25519 {kind} key; a backup takes the public one, a restoration the private"
        )
    return key


def seal(recovery: EccKey, deployment: str, secrets: Secrets) -> Sealed:
    """Seal the keys of a concentrator to its deployment's recovery key."""
    cipher = HPKE.new(receiver_key=recovery, aead_id=HPKE.AEAD.AES256_GCM, info=_info(deployment))
    ciphertext = cipher.seal(msgspec.json.encode(secrets))
    return Sealed(to_base64url(cipher.enc), to_base64url(ciphertext))


def unseal(recovery: EccKey, backup: Backup) -> Secrets:
    """Open the keys of a backup; raises BackupError."""
    if backup.sealed is None:
        raise BackupError("the backup has no sealed keys: it was made without --seal-for")
    try:
        enc = from_base64url(backup.sealed.enc, "enc", 32)
        ciphertext = from_base64url(backup.sealed.ciphertext, "ciphertext")
        cipher = HPKE.new(receiver_key=recovery, aead_id=HPKE.AEAD.AES256_GCM, enc=enc, info=_info(backup.deployment))
        secrets: Secrets = parse(cipher.unseal(ciphertext), Secrets)
    except (ValueError, DocumentError):
        # Not the decoder's message: it could quote a key.
        raise BackupError("the backup's keys do not open with this recovery key") from None
    return secrets


def _info(deployment: str) -> bytes:
    return BACKUP_PURPOSE + b" " + deployment.encode()
