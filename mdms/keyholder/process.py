"""Starts the key holder from its configuration, runs it and stops it in order."""

import resource
import sys
import threading
from pathlib import Path

import msgspec
import structlog

from paillier.keys import LEAST_BITS
from protocol.tariffs import TariffBook
from protocol.windows import Span

from ..clock import Clock, make_clock
from ..config import ADVISED_CONTRIBUTORS, KeyholderConfig
from ..errors import CannotStart
from ..periods import Periods
from ..rosters import RosterBook, load_rosters
from ..signals import stop_on_signals
from ..tariffs import check_beginnings, check_past, load_tariffs
from .gate import Gate, Policy
from .holder import KeyHolder
from .keyring import open_keyring, open_log_key, read_passphrase
from .log import EMPTY, entry_time
from .log_file import LogFile
from .server import SocketServer
from .state import State
from .verifying import Verifier, cores, verifying_processes

log = structlog.get_logger()


class PublishedHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was last published of the log, outside of this machine."""

    seq: int
    hash: str


def run(config: KeyholderConfig) -> None:
    """Hold the keys until SIGTERM, SIGINT or a conductor's quit; raises CannotStart."""
    # A crash must not write the keys to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _warn(config)
    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    check_roster_changes(book, config.period)
    passphrase = read_passphrase(config.passphrase_file)
    log_key = open_log_key(config.log_key, config.deployment, passphrase)
    tariffs = load_tariffs(config.tariffs, config.deployment, config.operator_key, book)
    check_beginnings(tariffs, config.period)
    keyring = open_keyring(config.keys, book, passphrase, unsafe_small_key=config.unsafe_small_key)
    state = State(config.database)
    clock = make_clock(config.conductor, "keyholder")
    # None is started before a request holds more than a customer's month.
    workers = verifying_processes(cores())
    try:
        check_published_head(state, config.published_head)
        take_tariffs(state, tariffs, clock.now_ms())
        log_file = LogFile(config.log_file, state)
        policy = Policy(config.min_contributors, config.period, config.unsafe_flags())
        gate = Gate(policy, book, config.deployment, tariffs)
        verifier = Verifier(book, config.deployment, workers)
        holder = KeyHolder(gate, keyring, state, log_file, log_key, config.deployment, clock, verifier)
        server = SocketServer(config.socket, holder.answer)
        stop_on_signals(clock.stop)
        clock.start()
        threading.Thread(target=_follow, args=(clock,), name="clock", daemon=True).start()
        log.info("key holder ready", socket=str(config.socket), log_seq=state.head().seq)
        server.serve(clock.stopped)
    finally:
        workers.shutdown(cancel_futures=True)
        state.close()
    log.info("stopped")


def _warn(config: KeyholderConfig) -> None:
    if config.min_contributors < ADVISED_CONTRIBUTORS:
        # k is a floor and no safety: see docs/threat-model.md.
        print(
            f"warning: min_contributors = {config.min_contributors}; {ADVISED_CONTRIBUTORS} or more are advised",
            file=sys.stderr,
        )
    for flag in config.unsafe_flags():
        print(f"warning: {flag} is set", file=sys.stderr)
    if config.unsafe_small_key:
        print(f"warning: keys below {LEAST_BITS} bits are accepted", file=sys.stderr)


def check_roster_changes(book: RosterBook, periods: Periods) -> None:
    """Refuse rosters that change within a period; raises CannotStart.

    Members that come or go between two intervals of one period would be the difference of two releases.
    """
    for neighbourhood in book.neighbourhoods():
        zone = book.zone(neighbourhood)
        for roster in book.versions(neighbourhood)[1:]:
            at = roster.valid_from
            period: Span | None = periods.holding(at, zone)
            if period is not None and period.start != at:
                raise CannotStart(
                    f"roster {neighbourhood} version {roster.version}: valid_from is not a period's start"
                )


def take_tariffs(state: State, tariffs: TariffBook, now_ms: int | None) -> None:
    """Remember the tariffs that bills are opened by; raises CannotStart for one that changes what has begun."""
    known, last = state.tariffs(), state.last_entry()
    # The log's last time counts as well: a clock that was set back must not let a tariff into the past.
    times = [time for time in (now_ms and now_ms // 1000, last and entry_time(last)) if time]
    check_past(tariffs, known, max(times) if times and (known or last) else None)
    state.keep_tariffs({name: tariff.valid_from for name, tariff in tariffs})


def check_published_head(state: State, path: Path | None) -> None:
    """Refuse to work behind what was published: an old log means an old memory of what is spent."""
    if path is None:
        return
    try:
        head = msgspec.json.decode(path.read_bytes(), type=PublishedHead, strict=True)
    except OSError as error:
        raise CannotStart(f"published head {path}: {error.strerror}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CannotStart(f"published head {path}: not a head") from None
    if (head.seq, head.hash) != EMPTY and state.entry_hash(head.seq) != head.hash:
        raise CannotStart(
            f"the release log does not contain the published entry {head.seq}: "
            "the key holder's database was lost, put back or changed"
        )


def _follow(clock: Clock) -> None:
    """Say that each new time is taken over."""
    while (tick := clock.next_tick()) is not None:
        clock.settled(tick)
