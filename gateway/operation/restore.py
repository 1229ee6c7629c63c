"""Puts a lost ledger back so that nothing counts twice: where billing stood is asked of the MDMS, never of a backup.

The MDMS has what was accepted of this concentrator, each report signed by it. A meter goes on behind its newest window
there, counted from that window's closing register: what lay in windows that were not reported is in the meter's next
register, so the sum of windows stays last register minus first register. A load that was closed stays closed: the next
one starts behind the newest that the MDMS or the backup knows.

Rule 1: nothing is written before everything is known; the ledger appears whole, by one rename, or not at all.
Rule 2: a meter of which base or keys are not known is left out and named. It is not guessed.
"""

import http.client
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from Crypto.PublicKey.ECC import EccKey

import paillier
from protocol import windows
from protocol.documents import Document, DocumentError, canonical_json, import_public_key, key_id, parse, sign, verify
from protocol.reports import BILLING_WINDOW, INTERVAL_LOAD, BillingWindow, IntervalLoad, Report, parse_report
from protocol.standing import STANDING_REQUEST, Standing, StandingRequest

from .. import damage
from ..config import Config
from ..enrolment import EnrolmentRecord, erase_record, incoming, read_record, read_revocation, read_roster
from ..holdings import enrolled, key_changes, loads, revoked
from ..identity import read_identity
from ..ledger import Ledger, LedgerError
from ..neighbourhood import Neighbourhood
from ..roll import read_neighbourhoods
from . import advice
from .backup import Backup, BackupError, MeterBackup, MeterSecrets, Secrets

PATH = "/api/v1/standing"
TIMEOUT_S = 30
MAX_ANSWER = 1 << 20
UNFINISHED = ".restoring"

Ask = Callable[[Document], Standing]


class RestoreError(Exception):
    """Nothing was restored; the message says why and what to do."""


class Place(NamedTuple):
    """Where a neighbourhood stood: its next load's start (None: none was ever closed) and its meters' windows."""

    next_interval: int | None
    meters: dict[str, tuple[BillingWindow, BillingWindow | None]]


class Standpoint(NamedTuple):
    """From where a meter goes on. Registers are ciphertext bytes; ``first`` is None where nobody knows it any more."""

    record: EnrolmentRecord
    next_window: int
    base_end: int
    base: bytes
    first: bytes | None


class Plan(NamedTuple):
    """What will be written, and the meters (title, why) that are left out."""

    next_intervals: dict[str, int]
    meters: list[Standpoint]
    left_out: list[tuple[str, str]]
    revoked: dict[str, int]
    keys: dict[str, list[tuple[int, str]]]


# --- Asking -----------------------------------------------------------------------------------------------------


def ask_mdms(url: str) -> Ask:
    """Return what sends a signed question to the MDMS; it raises RestoreError."""

    def ask(document: Document) -> Standing:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        try:
            body = msgspec.json.encode(document)
            connection.request("POST", parts.path.rstrip("/") + PATH, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read(MAX_ANSWER)
            if response.status != 200:
                raise RestoreError(f"the MDMS does not say where billing stood: {_reason(response.status, data)}")
            standing: Standing = parse(data, Standing)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RestoreError(
                f"the MDMS cannot be reached: {advice.unreachable(error)}; nothing was restored"
            ) from None
        except DocumentError:
            raise RestoreError("the MDMS's answer cannot be read: is it of another version?") from None
        finally:
            connection.close()
        return standing

    return ask


def _reason(status: int, data: bytes) -> str:
    try:
        return str(msgspec.json.decode(data, type=dict[str, object])["detail"])[:160]
    except (msgspec.DecodeError, KeyError, RecursionError, UnicodeDecodeError):
        return advice.answered(status)


def fetch(ask: Ask, identity: EccKey, deployment: str, name: str, signers: Mapping[str, EccKey], now: int) -> Place:
    """Return where a neighbourhood stood. ``signers`` are the keys of all its rosters by fingerprint; ``now`` is
    machine time in UTC seconds. Raises RestoreError.
    """
    load: Document | None = None
    meters: dict[str, tuple[BillingWindow, BillingWindow | None]] = {}
    after = ""
    while True:
        question = StandingRequest(name, now, after)
        standing = ask(sign(identity, STANDING_REQUEST, deployment, canonical_json(question)))
        load = load or standing.load
        for meter in standing.meters:
            newest = _window(meter.newest, deployment, name, meter.pseudonym, signers)
            filled = None
            if meter.newest_filled is not None:
                filled = _window(meter.newest_filled, deployment, name, meter.pseudonym, signers)
            if newest.closing_register is not None and newest != filled:
                raise RestoreError("the MDMS's answer contradicts itself; nothing was restored")
            meters[meter.pseudonym] = newest, filled
        last = max((meter.pseudonym for meter in standing.meters), default=after)
        if not standing.more:
            break
        if last <= after:
            raise RestoreError("the MDMS's answer has no end; nothing was restored")
        after = last
    next_interval = None
    if load is not None:
        report = _own(load, INTERVAL_LOAD, deployment, name, signers)
        assert isinstance(report, IntervalLoad)
        next_interval = report.interval_start + report.interval_s
    return Place(next_interval, meters)


def _window(
    document: Document, deployment: str, name: str, pseudonym: str, signers: Mapping[str, EccKey]
) -> BillingWindow:
    report = _own(document, BILLING_WINDOW, deployment, name, signers)
    assert isinstance(report, BillingWindow)
    if report.pseudonym != pseudonym:
        raise RestoreError("the MDMS's answer names another meter than its report; nothing was restored")
    return report


def _own(document: Document, kind: str, deployment: str, name: str, signers: Mapping[str, EccKey]) -> Report:
    """Return a report that a concentrator of this neighbourhood has signed: nobody else's word counts."""
    key = signers.get(document.signer)
    try:
        if document.type != kind or key is None:
            raise DocumentError("not signed by a concentrator of this neighbourhood")
        report = parse_report(kind, verify(document, deployment, key))
    except DocumentError as error:
        raise RestoreError(f"the MDMS's answer cannot be believed: {error}; nothing was restored") from None
    if report.neighbourhood != name:
        raise RestoreError("the MDMS's answer is about another neighbourhood; nothing was restored")
    return report


# --- Planning ---------------------------------------------------------------------------------------------------


def plan(
    backup: Backup | None,
    secrets: Secrets | None,
    records: list[EnrolmentRecord],
    places: Mapping[str, Place],
    neighbourhoods: Mapping[str, Neighbourhood],
) -> Plan:
    """Return what to write. Meters are those of the backup and of the enrolment records; a record's keys come first."""
    next_intervals: dict[str, int] = {}
    for name, place in places.items():
        known = (place.next_interval, backup.loads_until.get(name) if backup else None)
        ends = [end for end in known if end is not None]
        if ends:
            next_intervals[name] = max(ends)
    fresh = {record.system_title: record for record in records}
    old = {meter.system_title: meter for meter in backup.meters} if backup else {}
    meters, left_out = [], []
    for title in sorted(fresh.keys() | old.keys()):
        keys = secrets.meters.get(title) if secrets else None
        try:
            meters.append(_standpoint(fresh.get(title), old.get(title), keys, places, neighbourhoods))
        except BackupError as error:
            left_out.append((title, str(error)))
    in_force = {name: place.key_changes() for name, place in neighbourhoods.items()}
    return Plan(next_intervals, meters, left_out, backup.revoked if backup else {}, in_force)


def _standpoint(
    fresh: EnrolmentRecord | None,
    old: MeterBackup | None,
    keys: MeterSecrets | None,
    places: Mapping[str, Place],
    neighbourhoods: Mapping[str, Neighbourhood],
) -> Standpoint:
    record = _record(old, keys) if fresh is None else _again(fresh, old)
    neighbourhood = neighbourhoods.get(record.neighbourhood)
    if neighbourhood is None:
        raise BackupError(f"neighbourhood {record.neighbourhood} is not served here")
    newest, filled = places[record.neighbourhood].meters.get(record.pseudonym, (None, None))
    first = _first(fresh if old is None else None, old, neighbourhood)
    next_window = windows.window_of(record.since, neighbourhood.zone).start if newest is None else newest.window_end
    if filled is None or filled.closing_register is None:
        if first is None:
            raise BackupError("no window of it was accepted, and its first register is in no backup: enrol it anew")
        return Standpoint(record, next_window, record.since, first, first)
    if filled.paillier_key != neighbourhood.era(filled.register_from).name:
        raise BackupError("its newest window is under another key than the rosters': give the rosters of then too")
    if filled.register_to <= record.since:
        raise BackupError("its newest closing register is of the meter that it replaced: enrol it anew")
    key = neighbourhood.era(filled.register_to).public_key
    try:
        base = paillier.to_bytes(key, paillier.from_base64url(key, filled.closing_register))
    except paillier.BadCiphertext:
        raise BackupError("its closing register is no ciphertext of the neighbourhood's key") from None
    return Standpoint(record, next_window, filled.register_to, base, first)


def _again(fresh: EnrolmentRecord, old: MeterBackup | None) -> EnrolmentRecord:
    """Return a new record of a meter; it has been there since its first one."""
    if old is None or old.pseudonym != fresh.pseudonym:
        return fresh
    if old.series != fresh.series:
        raise BackupError("its new record begins another register series: enrol it as a new tenancy")
    return msgspec.structs.replace(fresh, since=old.since)


def _record(old: MeterBackup | None, keys: MeterSecrets | None) -> EnrolmentRecord:
    assert old is not None, "a meter is named by a record or by the backup"
    if keys is None:
        raise BackupError("no keys: give the recovery key of a sealed backup, or a new enrolment record")
    return EnrolmentRecord(
        system_title=old.system_title,
        pseudonym=old.pseudonym,
        neighbourhood=old.neighbourhood,
        since=old.since,
        series=old.series,
        first_import_mwh=0,  # never read: the first register is a ciphertext by now
        first_export_mwh=0,
        epoch=keys.epoch,
        hop_chain=keys.hop_chain,
        hello_key=keys.hello_key,
        time_key=keys.time_key,
    )


def _first(fresh: EnrolmentRecord | None, old: MeterBackup | None, place: Neighbourhood) -> bytes | None:
    record = fresh or old
    if record is None:
        return None
    era = place.era(record.since)
    key = era.public_key
    if fresh is not None:
        return paillier.to_bytes(key, era.encryption.encrypt_slots(fresh.first_import_mwh, fresh.first_export_mwh))
    if old is None or old.first_register is None:
        return None
    try:
        return paillier.to_bytes(key, paillier.from_base64url(key, old.first_register))
    except paillier.BadCiphertext:
        raise BackupError("its first register in the backup is no ciphertext of the neighbourhood's key") from None


# --- Writing ----------------------------------------------------------------------------------------------------


def check_absent(path: Path) -> None:
    """Raise LedgerError where there is a ledger: nothing is ever put over one."""
    if not damage.is_missing(path):
        raise LedgerError(
            f"there is a ledger at {path}: a restoration is for a lost one. If it is damaged, start the"
            " daemon once: it sets it aside"
        )


def write(path: Path, made: Plan) -> None:
    """Write the ledger: beside its place, whole, then by one rename. Raises LedgerError."""
    check_absent(path)
    unfinished = path.with_name(path.name + UNFINISHED)
    _remove(unfinished)
    ledger = Ledger(unfinished)
    try:
        with ledger.transaction():
            for name, start in made.next_intervals.items():
                loads.set_next_interval(ledger, name, start)
            for meter in made.meters:
                _write_meter(ledger, meter)
            for name, changes in made.keys.items():
                key_changes.put(ledger, name, changes)
            for title, since in made.revoked.items():
                revoked.note(ledger, bytes.fromhex(title), since, revoked.REVOKED)
            ledger.add_count("restored from a backup")
    finally:
        ledger.close()
    with damage.held(path) as held:
        if not held:
            raise LedgerError(f"{path} is in use by another concentrator: stop that one first")
        check_absent(path)
        os.replace(unfinished, path)
        damage.sync_folder(path.parent)
    _remove(unfinished)


def _write_meter(ledger: Ledger, meter: Standpoint) -> None:
    title = bytes.fromhex(meter.record.system_title)
    enrolled.add(ledger, meter.record, meter.next_window, meter.first or meter.base)
    if meter.first is None:
        ledger.execute("DELETE FROM first_registers WHERE title = ?", (title,))
    enrolled.set_base(ledger, title, meter.base_end, meter.base)
    enrolled.set_tail(ledger, title, meter.base_end, meter.base)


def _remove(unfinished: Path) -> None:
    for part in (*damage.PARTS, ".lock"):
        unfinished.with_name(unfinished.name + part).unlink(missing_ok=True)


# --- The whole of it --------------------------------------------------------------------------------------------


def restore(config: Config, backup: Backup | None, secrets: Secrets | None, ask: Ask, now: int) -> Plan:
    """Restore a concentrator's ledger and erase the enrolment records that are in it now; returns what was written.

    ``now`` is machine time in UTC seconds. Raises RestoreError, LedgerError, EnrolmentError or ConfigError; then
    nothing was written.
    """
    check_absent(config.ledger)
    identity = read_identity(config.identity_key)
    neighbourhoods = read_neighbourhoods(config, key_id(identity))
    places = {
        name: fetch(ask, identity, config.deployment, name, signers_of(config, name), now) for name in neighbourhoods
    }
    records = _records(config)
    made = plan(backup, secrets, list(records.values()), places, neighbourhoods)
    if not made.meters:
        why = "; ".join(f"{title}: {reason}" for title, reason in made.left_out)
        raise RestoreError(f"no meter can be restored, so nothing was written: {why or 'no backup and no record'}")
    write(config.ledger, made)
    taken = {meter.record.system_title for meter in made.meters}
    for path, record in records.items():
        if record.system_title in taken:
            erase_record(path)
    return made


def _records(config: Config) -> dict[Path, EnrolmentRecord]:
    """Return the enrolment records that name a meter of its own account; the daemon takes all others at its start."""
    operator = import_public_key(config.operator_key)
    paths = [path for path in incoming(config.enrolment) if read_revocation(path, config.deployment, operator) is None]
    found = {path: read_record(path) for path in paths}
    return {path: record for path, record in found.items() if record.replaces is None}


def signers_of(config: Config, name: str) -> dict[str, EccKey]:
    """Return the keys of every concentrator that a neighbourhood has had, by fingerprint; raises EnrolmentError."""
    operator = import_public_key(config.operator_key)
    rosters = [read_roster(path, config.deployment, operator) for path in incoming(config.rosters)]
    keys = [roster.concentrator_key() for roster in rosters if roster.neighbourhood == name]
    return {key_id(key): key for key in keys}


def put_identity_back(path: Path, secrets: Secrets) -> bool:
    """Write the identity's PEM where it is missing, for its owner only; returns whether it was. Raises RestoreError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise RestoreError(f"'identity_key': cannot write {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.identity)
        file.flush()
        os.fsync(file.fileno())
    return True
