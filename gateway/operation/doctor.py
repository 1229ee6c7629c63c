"""Looks at a living installation: the disk, the clock, the ledger, the way to the MDMS. No reading and no key.

Each finding says what is, and what to do next where that is not as it should be.
"""

import http.client
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from protocol import windows
from protocol.documents import import_public_key, key_id

from ..bounds import MB
from ..config import Config, ConfigError
from ..damage import ASIDE
from ..enrolment import EnrolmentError, incoming, read_roster
from ..identity import exposure, is_readable, read_identity
from ..ledger import LedgerError
from ..trusted_clock import kernel_says_synchronised
from . import advice, status
from .looking import holder, open_read_only
from .roster_dates import Filed, say_keys

OK = "ok"
WARN = "warn"
FAIL = "fail"

DAY_S = 86_400
LITTLE_BYTES = 500_000_000
OLD_REPORT_S = 3600
HALF = 50
WORN = 80  # per cent of the life that a card's maker promises
SECTOR_BYTES = 512  # of the block layer's statistics, whatever the disk has
TIMEOUT_S = 10
COMMAND_S = 5
SYS = Path("/sys")


class Finding(NamedTuple):
    """One line: how it is, what was looked at, and what was seen."""

    level: str
    what: str
    said: str

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.what}: {self.said}"


def examine(config: Config) -> Iterator[Finding]:
    """Yield every finding, the slow ones last. ``now`` is the system's, or a simulation's newest report."""
    yield daemon(config)
    yield identity(config.identity_key)
    yield keys(config)
    yield from key_changes(config, int(time.time()))
    yield disk_space(config.ledger, config.disk_floor_mb * MB)
    yield disk_wear(config.ledger)
    yield clock(run, kernel_says_synchronised)
    yield integrity(config.ledger)
    yield from kept(config, time.time())
    yield reach(config.mdms_url)


def daemon(config: Config) -> Finding:
    """Say whether a daemon has the ledger."""
    pid = holder(config.ledger)
    if pid is None:
        return Finding(WARN, "daemon", "none has the ledger: start it, or ask as a user who may see it")
    return Finding(OK, "daemon", f"runs as process {pid}")


def identity(path: Path) -> Finding:
    """Say who may read the concentrator's private key."""
    try:
        open_to = exposure(path)
    except FileNotFoundError:
        return Finding(FAIL, "identity key", f"{path} is not there: put it back, or hold the ceremony again")
    except OSError as error:
        return Finding(WARN, "identity key", f"{path} cannot be looked at by this user: {error.strerror}")
    if open_to:
        return Finding(FAIL, "identity key", f"{path} can be read or replaced by {open_to}: chmod 600 {path}")
    who = "its owner alone" if is_readable(path) else "its owner alone, which is not this user"
    return Finding(OK, "identity key", f"{path} can be read by {who}")


def keys(config: Config) -> Finding:
    """Say which keys this machine goes by, for a person to compare with the ceremony's paper."""
    operator = f"operator's fingerprint {key_id(import_public_key(config.operator_key))}"
    try:
        return Finding(OK, "keys", f"this is concentrator {key_id(read_identity(config.identity_key))}; {operator}")
    except ConfigError:
        return Finding(OK, "keys", f"{operator}; this concentrator's own is not readable now")


def key_changes(config: Config, now: int) -> Iterator[Finding]:
    """Say when the Paillier key of a neighbourhood changes, or has changed, by the rosters that are there."""
    try:
        identity = key_id(read_identity(config.identity_key))
    except ConfigError:
        return
    operator = import_public_key(config.operator_key)
    filed = []
    for path in incoming(config.rosters):
        with suppress(EnrolmentError):  # check names it
            roster = read_roster(path, config.deployment, operator)
            filed.append(Filed(path.name, roster, key_id(roster.concentrator_key()) == identity))
    for line in say_keys(filed, now):
        yield Finding(OK, "paillier key", line)


def disk_space(ledger: Path, floor_bytes: int) -> Finding:
    """Say how much room the ledger's disk has; below the floor frames stay with their meters."""
    try:
        free = shutil.disk_usage(ledger.parent).free
    except OSError as error:
        return Finding(FAIL, "disk space", f"{ledger.parent} cannot be looked at: {error.strerror}")
    said = f"{free / 1e9:.1f} GB free"
    if free < floor_bytes:
        return Finding(FAIL, "disk space", f"{said}: make room now; no frame is taken, the meters keep them for a week")
    if free < max(LITTLE_BYTES, 2 * floor_bytes):
        return Finding(WARN, "disk space", f"{said}: make room")
    return Finding(OK, "disk space", said)


def disk_wear(ledger: Path, sys: Path = SYS) -> Finding:
    """Say how much has been written since the machine started, and how worn the card says it is."""
    try:
        device = ledger.parent.stat().st_dev
        block = (sys / "dev" / "block" / f"{device >> 8 & 0xFFF}:{device & 0xFF}").resolve(strict=True)
        written = int((block / "stat").read_text().split()[6]) * SECTOR_BYTES
    except (OSError, ValueError, IndexError):
        return Finding(OK, "disk wear", "unknown: this disk does not say what was written to it")
    said = f"{written / 1e9:.1f} GB written since the machine started"
    worn = _worn(block)
    if worn is None:
        return Finding(OK, "disk wear", f"{said}; it does not say how worn it is")
    if worn >= WORN:
        return Finding(WARN, "disk wear", f"{said}; {worn} % of its life is used: replace it while it works")
    return Finding(OK, "disk wear", f"{said}; {worn} % of its life is used, at most")


def _worn(block: Path) -> int | None:
    """Return the percentage of life used that an eMMC reports (JESD84-B51, DEVICE_LIFE_TIME_EST); SD cards do not."""
    for folder in (block, block.parent):
        try:
            words = (folder / "device" / "life_time").read_text().split()
            worst = max(int(word, 16) for word in words)
        except (OSError, ValueError):
            continue
        if worst:
            return 10 * worst
    return None


Run = Callable[[Sequence[str]], str | None]


def run(command: Sequence[str]) -> str | None:
    """Return what a command says, None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def clock(ask: Run, kernel: Callable[[], bool]) -> Finding:
    """Say whether the clock is synchronised: loads close and keys are erased by it."""
    not_yet = "not synchronised: look at the network and the time server; keys are erased and loads closed by it"
    tracking = ask(("chronyc", "-n", "tracking"))
    if tracking is not None and "Leap status" in tracking:
        if "Not synchronised" in tracking:
            return Finding(WARN, "clock", not_yet)
        return Finding(OK, "clock", "synchronised, says chrony")
    said = (ask(("timedatectl", "show", "--property=NTPSynchronized", "--value")) or "").strip()
    if said == "yes":
        return Finding(OK, "clock", "synchronised, says timedatectl")
    if said == "no":
        return Finding(WARN, "clock", not_yet)
    if kernel():
        return Finding(OK, "clock", "synchronised, says the kernel")
    return Finding(WARN, "clock", "unknown: neither chronyc nor timedatectl answers; see to it that it is right")


def integrity(ledger: Path) -> Finding:
    """Say whether SQLite finds the ledger whole."""
    if not ledger.is_file():
        return Finding(WARN, "ledger", f"there is none at {ledger}: the daemon makes it at its first start")
    keep = "stop the daemon, keep the file, and read docs/how-to/run-a-concentrator.md"
    try:
        with closing(open_read_only(ledger)) as db:
            said = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
    except sqlite3.DatabaseError as error:
        return Finding(FAIL, "ledger", f"{ledger} cannot be read: {error}; {keep}")
    if said != ["ok"]:
        return Finding(FAIL, "ledger", f"{ledger} is damaged: {keep}")
    aside = sorted(path.name for path in ledger.parent.glob(f"{ledger.name}{ASIDE}*"))
    if aside:
        return Finding(WARN, "ledger", f"whole, and {', '.join(aside)} lies beside it: keep that until all is billed")
    return Finding(OK, "ledger", f"whole, {ledger.stat().st_size / 1e6:.1f} MB")


def kept(config: Config, now: float) -> Iterator[Finding]:
    """Say what waits in the ledger and for how long; ``now`` in UTC seconds."""
    simulated = config.conductor() is not None
    try:
        found = status.read(config.ledger, simulated=simulated)
        with closing(open_read_only(config.ledger)) as db:
            oldest = db.execute("SELECT min(next_window) FROM meters").fetchone()[0]
            if simulated:
                now = db.execute("SELECT max(created) FROM outbox").fetchone()[0] or 0
    except LedgerError as error:
        yield Finding(WARN, "what is kept", str(error))
        return
    except sqlite3.DatabaseError as error:
        yield Finding(FAIL, "what is kept", f"cannot be read: {error}")
        return
    delay_s = config.accepted_delay_days * DAY_S
    yield _outbox(found.outbox, delay_s, config.outbox_max_mb * MB)
    yield _windows(oldest, now, delay_s)
    quarantined = len(found.quarantined)
    said = f"{quarantined} readings are held back from bills: see status for their reasons" if quarantined else "empty"
    yield Finding(WARN if quarantined else OK, "quarantine", said)
    alarms = [alarm for alarm in found.alarms if alarm.what != "quarantined readings"]
    for alarm in alarms:
        yield Finding(WARN, "alarm", f"{alarm.what} ({alarm.number}): see status, and the log around that time")
    if not alarms:
        yield Finding(OK, "alarms", "none")


def _outbox(outbox: status.OutboxStatus, delay_s: int, most_bytes: int) -> Finding:
    age = outbox.oldest_age_s
    if age is None:
        return Finding(OK, "outbox", "empty")
    full = 100 * outbox.waiting_bytes // most_bytes
    said = f"{outbox.waiting} reports wait, the oldest for {age / 3600:.1f} h; {full} % full"
    if full >= 100:
        return Finding(FAIL, "outbox", f"{said}, and no frame is taken: see the line about the MDMS below")
    if age > delay_s:
        return Finding(FAIL, "outbox", f"{said}: the MDMS has been away too long; see the line about it below")
    if age > OLD_REPORT_S or full >= HALF:
        return Finding(WARN, "outbox", f"{said}: see the line about the MDMS below")
    return Finding(OK, "outbox", said)


def _windows(oldest: int | None, now: float, delay_s: int) -> Finding:
    if oldest is None:
        return Finding(OK, "windows", "no meter is enrolled")
    age = max(0.0, now - oldest)
    said = f"the oldest unsealed one began {age / 3600:.1f} h ago"
    if age > delay_s + 2 * windows.WINDOW_S:
        return Finding(FAIL, "windows", f"{said}, and should be sealed: is the daemon running, is the clock right?")
    return Finding(OK, "windows", said)


def reach(url: str) -> Finding:
    """Say whether the MDMS answers; TLS is verified as an upload verifies it. Nothing is sent but a question."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path.rstrip("/") + "/healthz")
        code = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Finding(FAIL, "MDMS", f"{url} cannot be reached: {advice.unreachable(error)}")
    finally:
        connection.close()
    if code != 200:
        return Finding(FAIL, "MDMS", f"{url} answered {code}: {advice.answered(code)}")
    return Finding(OK, "MDMS", f"{url} answers")
