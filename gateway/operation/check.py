"""What the daemon would do with a configuration, said without starting anything and without changing a file.

Everything that is wrong is found in one go, as far as it can be: each thing in a line of its own.
"""

import os
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from Crypto.PublicKey.ECC import EccKey

from paillier import PaillierError
from protocol import windows
from protocol.documents import DocumentError, import_public_key, key_id
from protocol.rosters import Roster

from .. import enrolment
from ..config import Config, ConfigError, load
from ..encryption import PROTECTS, Settings, SettingsError
from ..enrolment import EnrolmentError, EnrolmentRecord
from ..identity import exposure, read_identity
from ..neighbourhood import Neighbourhood, build
from ..schema import SCHEMA_VERSION
from .looking import holder, open_read_only
from .roster_dates import Filed, say, say_keys

NUMBER_BYTES = 56  # of an entry beside its own digits: Python's object, and its place in the row
LIMB_BITS = 64


@dataclass
class Findings:
    """What would be done, and what keeps the daemon from it; lines for a person."""

    plan: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(path: Path, now: int) -> Findings:
    """Look at a configuration and at all it names, at ``now`` (UTC seconds); raises nothing that a file can cause."""
    found = Findings()
    try:
        config = load(path)
    except ConfigError as error:
        found.problems.append(str(error))
        return found
    places = _neighbourhoods(config, now, found)
    running = holder(config.ledger)
    known = _ledger(config, running, places, found)
    _enrolment(config, places, known, found)
    _listening(config, running, found)
    found.plan.append(
        f"uploads to {config.mdms_url}; a load of fewer than {config.min_contributors} meters without a sum"
    )
    if config.unsafe_small_key or config.unsafe_simulated_clock:
        found.plan.append("UNSAFE: this configuration is for tests and simulations")
    return found


def table_bytes(key_bits: int, settings: Settings) -> int:
    """Return about how much memory the table of one key takes."""
    width = settings.table_window_bits
    if not width:
        return 0
    exponent = settings.exponent_bits or (key_bits + 1) // 2
    digits, rest = divmod(exponent, width)
    entries = (digits << width) + (1 << rest if rest else 0)
    return entries * ((2 * key_bits + LIMB_BITS) // 8 + NUMBER_BYTES)


def _neighbourhoods(config: Config, now: int, found: Findings) -> dict[str, Neighbourhood]:
    places: dict[str, Neighbourhood] = {}
    try:
        identity = key_id(read_identity(config.identity_key))
        open_to = exposure(config.identity_key)
    except ConfigError as error:
        found.problems.append(str(error))
        return places
    operator = import_public_key(config.operator_key)
    found.plan.append(f"is concentrator {identity} of {config.deployment}")
    found.plan.append(f"operator's fingerprint {key_id(operator)}: compare it with the ceremony's, on paper")
    if open_to:
        found.plan.append(f"WARNING: {config.identity_key} can be read or replaced by {open_to}: chmod 600")
    for roster in _rosters(config, operator, identity, now, found):
        place = _built(config, roster, found)
        if place is not None:
            places[roster.neighbourhood] = place
    sizes = [table_bytes(place.eras[0].public_key.bits, config.encryption()) for place in places.values()]
    if not places:
        found.problems.append(f"no roster in {config.rosters} that can be served names this concentrator's key")
    found.plan.append(f"takes about {sum(sizes) / 1e6:.1f} MB for tables, all neighbourhoods together")
    found.plan.append(f"accumulator {config.accumulator}: {PROTECTS[config.accumulator]}")
    return places


def _rosters(config: Config, operator: EccKey, identity: str, now: int, found: Findings) -> list[Roster]:
    """Return the newest roster of each neighbourhood that names this concentrator."""
    newest: dict[str, Roster] = {}
    filed: list[Filed] = []
    if not config.rosters.is_dir():
        found.problems.append(f"'rosters': there is no folder {config.rosters}")
    for path in enrolment.incoming(config.rosters):
        try:
            roster = enrolment.read_roster(path, config.deployment, operator)
        except EnrolmentError as error:
            found.problems.append(str(error))
            continue
        filed.append(Filed(path.name, roster, key_id(roster.concentrator_key()) == identity))
        if not filed[-1].own:
            continue  # another concentrator's neighbourhood
        known = newest.get(roster.neighbourhood)
        if known is None or roster.version > known.version:
            newest[roster.neighbourhood] = roster
    if config.conductor() is None:  # what the present is in a simulation, only its conductor knows
        found.plan += say(filed, now) + say_keys(filed, now)
    return [newest[name] for name in sorted(newest)]


def _built(config: Config, roster: Roster, found: Findings) -> Neighbourhood | None:
    name, settings = roster.neighbourhood, config.encryption()
    try:
        # Without its table, which takes seconds and is only computed.
        place = build(roster, unsafe_small_key=config.unsafe_small_key, settings=replace(settings, table_window_bits=0))
    except (PaillierError, DocumentError, windows.Misaligned) as error:
        found.problems.append(f"the roster of {name} cannot be served: {error}")
        return None
    except SettingsError as error:
        found.problems.append(f"{error}, that of {name}")
        return None
    if config.detail_s and roster.interval_s % config.detail_s:
        found.problems.append(f"'detail_s' must divide the interval of {name}, {roster.interval_s} s")
    bits = place.eras[0].public_key.bits
    found.plan.append(
        f"serves {name}: {len(roster.members)} meters on roster version {roster.version}, intervals of"
        f" {roster.interval_s} s, a key of {bits} bits, a table of about {table_bytes(bits, settings) / 1e6:.1f} MB"
    )
    if len(roster.members) < config.min_contributors:
        found.plan.append(
            f"WARNING: {name} has fewer than {config.min_contributors} meters: no load of it will carry a sum"
        )
    return place


def _ledger(
    config: Config, running: int | None, places: dict[str, Neighbourhood], found: Findings
) -> dict[str, tuple[str, int]]:
    """Look at the ledger; returns {meter's title: (its pseudonym, since when)}."""
    path = config.ledger
    if running is not None:
        found.plan.append(f"WARNING: the ledger is in use by process {running}: a second daemon would not start")
    if not path.exists():
        folder = next(each for each in path.absolute().parents if each.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            found.problems.append(f"'ledger': {path} cannot be made: {folder} is not a folder that can be written")
        else:
            found.plan.append(f"makes a ledger at {path}")
        return {}
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        found.problems.append(f"'ledger': {path} or its folder cannot be read and written by this user")
        return {}
    try:
        with closing(open_read_only(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                found.problems.append(f"{path} is of version {version}, this concentrator keeps {SCHEMA_VERSION}")
                return {}
            rows = db.execute("SELECT title, pseudonym, since, neighbourhood FROM meters").fetchall() if version else []
    except sqlite3.DatabaseError as error:
        found.problems.append(f"the ledger {path} cannot be read: {error}; keep the file, and see doctor")
        return {}
    step = f", and brings it from version {version} to {SCHEMA_VERSION}" if version < SCHEMA_VERSION else ""
    found.plan.append(f"opens the ledger {path} with {len(rows)} meters{step}")
    # Without any roster that is said already.
    for neighbourhood in sorted({row[3] for row in rows} - set(places)) if places else []:
        found.problems.append(f"no roster for {neighbourhood}, of which the ledger holds meters")
    return {title.hex(): (pseudonym, since) for title, pseudonym, since, _ in rows}


def _enrolment(
    config: Config, places: dict[str, Neighbourhood], known: dict[str, tuple[str, int]], found: Findings
) -> None:
    if not config.enrolment.is_dir():
        found.plan.append(f"takes no meter in: there is no folder {config.enrolment}")
        return
    if not places:
        return  # said already, and nothing can be judged
    operator = import_public_key(config.operator_key)
    records = revocations = 0
    for path in enrolment.incoming(config.enrolment):
        try:
            if enrolment.read_revocation(path, config.deployment, operator) is not None:
                revocations += 1
                continue
            problem = _enrolment_problem(enrolment.read_record(path), places, known)
        except EnrolmentError as error:
            found.problems.append(str(error))
            continue
        if problem is None:
            records += 1
        else:
            found.problems.append(f"{path}: {problem}")
    found.plan.append(
        f"takes {records} enrolment records and {revocations} revocations into the ledger, and erases them"
    )


def _enrolment_problem(
    record: EnrolmentRecord, places: dict[str, Neighbourhood], known: dict[str, tuple[str, int]]
) -> str | None:
    place = places.get(record.neighbourhood)
    if place is None:
        return f"neighbourhood {record.neighbourhood} is not served here"
    if place.roster.index(record.pseudonym) is None:
        return "the roster does not name this meter"
    if known.get(record.system_title, (record.pseudonym, record.since)) != (record.pseudonym, record.since):
        return f"meter {record.system_title} is enrolled already, as another tenancy"
    return None


def _listening(config: Config, running: int | None, found: Findings) -> None:
    addresses = {"listen": config.address()}
    if metrics := config.metrics_address():
        addresses["metrics_listen"] = metrics
    for name, (host, port) in addresses.items():
        whom = "meters" if name == "listen" else "Prometheus"
        found.plan.append(f"listens on {host}, port {port or 'any'}, for {whom}")
        # What runs has the port: that is in order.
        problem = _port_problem(host, port) if running is None else None
        if problem:
            found.problems.append(f"'{name}': cannot listen on {host}:{port}: {problem}")
    if config.mqtt_url:
        host, port, secure = config.broker()
        found.plan.append(f"talks to the broker {host}, port {port}, {'with' if secure else 'without'} TLS")
        for name, path in (("mqtt_ca", config.mqtt_ca), ("mqtt_password_file", config.mqtt_password_file)):
            if path is not None and not os.access(path, os.R_OK):
                found.problems.append(f"'{name}': {path} cannot be read")
    for line in config.serial:
        if os.access(line, os.R_OK | os.W_OK):
            found.plan.append(f"serves the serial port {line}")
        else:
            found.plan.append(f"WARNING: the serial port {line} cannot be opened now: the daemon tries it again")


def _port_problem(host: str, port: int) -> str | None:
    """Bind and let go: nothing listens, so nobody can connect meanwhile."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        return f"{error.strerror}; stop what uses it or choose another"
    return None
