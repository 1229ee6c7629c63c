"""The roll: what this concentrator serves while it runs. Rosters, new meters, revocations and replacements.

Strategy: the operator puts files into two folders; at every tick the ledger's thread looks for what is new. A file is
read once it has stood unchanged from one look to the next, so that one that is still being written is not. A file that
cannot be used is refused by its name, once, and stops nothing else; it is tried again when it, or the roll, changes.

Rosters stay in their folder and come into force at their ``valid_from``. Records and revocations are moved into the
ledger, and what holds keys is overwritten and removed.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from paillier import PaillierError
from protocol import keychain, windows
from protocol.documents import DocumentError, import_public_key, key_id
from protocol.revocations import Revocation
from protocol.rosters import Roster, check_versions

from .closing import ERASED_UNTIL, NEVER
from .config import Config, ConfigError
from .encryption import PROTECTS, SettingsError
from .enrolment import (
    EnrolmentError,
    EnrolmentRecord,
    erase_record,
    incoming,
    read_record,
    read_revocation,
    read_roster,
)
from .holdings import enrolled
from .holdings.revoked import REPLACED, REVOKED, is_revoked, note
from .intake import DataDecryption
from .ledger import Ledger, LedgerError
from .neighbourhood import Neighbourhood, build, cipher_of
from .outbox import Outbox
from .replacement import replace_meter
from .rotation import Tidying, check_keys, keep_keys, make_ready, settle

log = structlog.get_logger()


class Stamp(NamedTuple):
    """What shows that a file has changed."""

    inode: int
    size: int
    modified_ns: int


def stamps(folder: Path) -> dict[Path, Stamp]:
    """Return the files of a folder that are meant for us, in their names' order."""
    found = {}
    for path in incoming(folder):
        try:
            status = path.stat()
        except OSError:
            continue  # it was there a moment ago
        found[path] = Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def read_neighbourhoods(config: Config, identity_id: str) -> dict[str, Neighbourhood]:
    """Return what a concentrator serves by its signed rosters at a start.

    A file that cannot be used is named in the log, and in the EnrolmentError where nothing is left to serve.
    """
    served: dict[str, Neighbourhood] = {}
    own: list[tuple[Path, Roster]] = []
    refused: list[str] = []
    operator = import_public_key(config.operator_key)
    for path in incoming(config.rosters):
        try:
            roster = read_roster(path, config.deployment, operator)
            if key_id(roster.concentrator_key()) == identity_id:
                own.append((path, roster))
        except EnrolmentError as error:
            refused.append(refuse(path, str(error)))
    # Where versions contradict each other the newest is right.
    for path, roster in sorted(own, key=lambda each: -each[1].version):
        try:
            serve(served, roster, config)
        except EnrolmentError as error:
            refused.append(refuse(path, str(error)))
    if not served:
        why = f"; {refused[0]}" if refused else ""
        raise EnrolmentError(f"no roster in {config.rosters} names this concentrator's key {identity_id}{why}")
    return served


def refuse(path: Path, reason: str) -> str:
    """Say in the log that a file is not taken in; returns the reason."""
    log.error("a file is refused; it is left where it is, and everything else goes on", file=path.name, reason=reason)
    return reason


def serve(served: dict[str, Neighbourhood], roster: Roster, config: Config) -> None:
    """Put a roster among those served; raises EnrolmentError, or ConfigError where the configuration does not fit."""
    place = served.get(roster.neighbourhood)
    if place is not None:
        served[roster.neighbourhood] = _with_version(place, roster, config)
        return
    try:
        place = build(roster, unsafe_small_key=config.unsafe_small_key, settings=config.encryption())
    except (PaillierError, DocumentError, windows.Misaligned) as error:
        raise EnrolmentError(f"a roster cannot be served: {error}") from None
    except SettingsError as error:
        raise ConfigError(f"{error}, that of {roster.neighbourhood}") from None
    served[roster.neighbourhood] = place


def _with_version(place: Neighbourhood, roster: Roster, config: Config) -> Neighbourhood:
    name = f"{roster.neighbourhood} version {roster.version}"
    first = place.roster
    for known in (first, *place.later):
        if known.version == roster.version:
            if known != roster:
                raise EnrolmentError(f"another roster calls itself {name}")
            return place
    if (roster.zone, roster.interval_s) != (first.zone, first.interval_s):
        raise EnrolmentError(f"roster {name} changes the zone or the interval: that is not done yet")
    try:
        cipher = cipher_of(roster, unsafe_small_key=config.unsafe_small_key, settings=config.encryption())
        more = place.with_roster(roster, None if roster.paillier_key in place.ciphers else cipher)
        check_versions((more.roster, *more.later))
    except (PaillierError, DocumentError) as error:
        raise EnrolmentError(f"roster {name} cannot be served: {error}") from None
    except SettingsError as error:
        raise ConfigError(f"{error}, that of roster {name}") from None
    return more


def first_standing(record: EnrolmentRecord, place: Neighbourhood) -> tuple[int, bytes]:
    """Return (start of the first window, the encrypted register) with which a meter's billing begins."""
    era = place.era(record.since)
    base = era.encryption.encrypt_slots(record.first_import_mwh, record.first_export_mwh)
    window = windows.window_of(record.since, place.zone)
    return window.start, base.to_bytes(era.public_key.ciphertext_bytes, "big")


def check_served(ledger: Ledger, served: Mapping[str, Neighbourhood]) -> None:
    """Raise EnrolmentError where the ledger holds a meter of a neighbourhood without a roster."""
    for title in enrolled.titles(ledger):
        meter = enrolled.get(ledger, title)
        if meter is not None and meter.neighbourhood not in served:
            raise EnrolmentError(f"no roster for {meter.neighbourhood}, of which the ledger holds meter {title.hex()}")


class Roll:
    """Keeps ``served`` and the ledger's meters as the operator's files say; in the ledger's thread."""

    def __init__(
        self,
        config: Config,
        identity_id: str,
        ledger: Ledger,
        outbox: Outbox,
        decryption: DataDecryption,
        served: dict[str, Neighbourhood],
    ) -> None:
        self._config = config
        self._identity_id = identity_id
        self._operator = import_public_key(config.operator_key)
        self._ledger = ledger
        self._outbox = outbox
        self._decryption = decryption
        self._served = served
        self._seen: dict[Path, Stamp] = {}
        self._rosters: dict[Path, Stamp] = stamps(config.rosters)  # looked at, for good or ill
        self._refused: dict[Path, tuple[Stamp, int, str]] = {}
        self._tidying = Tidying()
        self._changes = 0  # what was refused before one may be good behind it

    def begin(self, now_ms: int) -> list[str]:
        """Take in what lies in the folder of records at the start; returns why files were refused.

        Raises EnrolmentError where the ledger is under a key that no roster names.
        """
        refused = settle(self._ledger, self._served)
        for place in self._served.values():
            make_ready(place, now_ms // 1000, PROTECTS[self._config.accumulator])
        return refused + self._look_at(stamps(self._config.enrolment), now_ms)

    def look(self, now_ms: int) -> list[str]:
        """Take in what is new and no longer changes; returns why files were refused, each once."""
        rosters = stamps(self._config.rosters)
        records = stamps(self._config.enrolment)
        steady = {path: stamp for path, stamp in (rosters | records).items() if self._seen.get(path) == stamp}
        self._seen = rosters | records
        new = [path for path in rosters if path in steady and self._rosters.get(path) != rosters[path]]
        refused = [text for path in new if (text := self._take_roster(path, rosters[path], now_ms))]
        self._tidying.look(self._ledger, self._served, now_ms // 1000)
        return refused + self._look_at({path: stamp for path, stamp in steady.items() if path in records}, now_ms)

    def _take_roster(self, path: Path, stamp: Stamp, now_ms: int) -> str | None:
        self._rosters[path] = stamp
        try:
            roster = read_roster(path, self._config.deployment, self._operator)
            if key_id(roster.concentrator_key()) != self._identity_id:
                return None  # another concentrator's neighbourhood
            if self._config.detail_s and roster.interval_s % self._config.detail_s:
                raise ConfigError(f"'detail_s' must divide the interval of {roster.neighbourhood}")
            self._serve(roster, now_ms)
        except (EnrolmentError, ConfigError) as error:
            return refuse(path, str(error))
        self._changes += 1
        log.info(
            "roster taken in",
            neighbourhood=roster.neighbourhood,
            version=roster.version,
            valid_from=roster.valid_from,
            meters=len(roster.members),
        )
        return None

    def _serve(self, roster: Roster, now_ms: int) -> None:
        """Serve a roster from now on where its key fits what has been counted."""
        after = dict(self._served)
        serve(after, roster, self._config)
        place = after[roster.neighbourhood]
        check_keys(self._ledger, place)
        make_ready(place, now_ms // 1000, PROTECTS[self._config.accumulator])
        with self._ledger.transaction():
            keep_keys(self._ledger, place)
        self._served[roster.neighbourhood] = place

    def _look_at(self, files: Mapping[Path, Stamp], now_ms: int) -> list[str]:
        """Take records in until no more of them fit: one may wait for another, whatever their names are."""
        before = -1
        while before != self._changes:
            before = self._changes
            for path, stamp in files.items():
                if self._refused.get(path, (None, None))[:2] == (stamp, self._changes) or not path.exists():
                    continue
                self._take_record(path, stamp, now_ms)
        self._refused = {path: kept for path, kept in self._refused.items() if path in files}
        said = []
        for path, (stamp, changes, text) in self._refused.items():
            if text:
                said.append(refuse(path, text))
                self._refused[path] = (stamp, changes, "")  # said once
        return said

    def _take_record(self, path: Path, stamp: Stamp, now_ms: int) -> None:
        known = self._refused.pop(path, None)
        try:
            revocation = read_revocation(path, self._config.deployment, self._operator)
            if revocation is None:
                self._enrol(path, read_record(path), now_ms)
                erase_record(path)
            else:
                self._revoke(path, revocation, now_ms)
                path.unlink()
        except (EnrolmentError, LedgerError, OSError) as error:
            text = str(error)
            if isinstance(error, LedgerError):
                text = f"{path}: {error}"
            elif isinstance(error, OSError):
                text = f"cannot remove {path}: {error.strerror}"
            # The same file, refused before and said so: its reason is not said again.
            again = known is not None and known[0] == stamp and not known[2]
            self._refused[path] = (stamp, self._changes, "" if again else text)

    # --- Meters -------------------------------------------------------------------------------------------------

    def _enrol(self, path: Path, record: EnrolmentRecord, now_ms: int) -> None:
        place = self._served.get(record.neighbourhood)
        if place is None:
            raise EnrolmentError(f"{path}: neighbourhood {record.neighbourhood} is not served here")
        if not place.knows(record.pseudonym):
            raise EnrolmentError(f"{path}: the roster does not name this meter")
        title = bytes.fromhex(record.system_title)
        if is_revoked(self._ledger, title):
            raise EnrolmentError(
                f"{path}: meter {record.system_title} was revoked or replaced here: enrol it again under another title"
            )
        if enrolled.get(self._ledger, title) is not None:
            if not enrolled.holds(self._ledger, record):
                raise EnrolmentError(f"{path}: meter {record.system_title} is enrolled already, as another tenancy")
            return
        record = self._forgetting(record)
        with self._ledger.transaction():
            if record.replaces is None:
                enrolled.add(self._ledger, record, *first_standing(record, place))
            else:
                old = bytes.fromhex(record.replaces)
                try:
                    replace_meter(self._ledger, self._outbox, record, place, now_ms)
                except EnrolmentError as error:
                    raise EnrolmentError(f"{path}: {error}") from None
                note(self._ledger, old, record.since, REPLACED)
        self._changes += 1
        if record.replaces is None:
            log.info("meter enrolled", meter=record.system_title, neighbourhood=record.neighbourhood)
        else:
            self._forget()
            log.info(
                "meter replaced",
                meter=record.system_title,
                replaces=record.replaces,
                neighbourhood=record.neighbourhood,
                final_register="as read" if record.final_import_mwh is not None else "of its last reading",
            )

    def _forgetting(self, record: EnrolmentRecord) -> EnrolmentRecord:
        """Return a record whose chain opens nothing that the ledger's other chains do not open any more.

        The last erasure says how far: it went by a clock that was trusted.
        """
        last = self._ledger.fact(ERASED_UNTIL, NEVER)
        oldest = last - self._config.accepted_delay_days
        if last == NEVER or record.epoch >= oldest:
            return record
        chain = keychain.Chain(record.epoch, bytes.fromhex(record.hop_chain)).at(oldest)
        return replace(record, epoch=chain.epoch, hop_chain=chain.value.hex())

    def _revoke(self, path: Path, revocation: Revocation, now_ms: int) -> None:
        if revocation.neighbourhood not in self._served:
            raise EnrolmentError(f"{path}: neighbourhood {revocation.neighbourhood} is not served here")
        title = bytes.fromhex(revocation.system_title)
        with self._ledger.transaction():
            note(self._ledger, title, now_ms // 1000, REVOKED)
            # Nothing of it is opened any more. Its standing stays: its windows are sealed in their time.
            for column in ("chain", "hello_key", "time_key"):
                self._ledger.execute(
                    f"UPDATE meters SET {column} = ? WHERE title = ?",  # noqa: S608 - three names
                    (secrets.token_bytes(keychain.KEY_BYTES), title),
                )
        self._changes += 1
        self._forget()
        log.warning(
            "meter revoked", meter=revocation.system_title, enrolled=enrolled.get(self._ledger, title) is not None
        )

    def _forget(self) -> None:
        """Let overwritten keys live on neither in memory nor in the write-ahead log."""
        self._ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._decryption.forget()
