"""The daemon's wiring: its parts are built from the configuration, run until a signal, and stopped in order."""

import asyncio
import signal
from wsgiref.simple_server import WSGIServer

import structlog
from Crypto.PublicKey.ECC import EccKey

from protocol.documents import key_id

from .bounds import Bounds
from .carriers import read_broker
from .clock import Clock, ConductedClock, SystemClock
from .closing import Closing
from .config import Config, ConfigError
from .encryption import FOLD
from .intake import DataDecryption
from .ledger import Ledger
from .neighbourhood import Neighbourhood
from .operation import notify
from .operation.metrics import Metrics
from .outbox import Outbox
from .reception import Reception
from .roll import Roll, check_served
from .service import BATCH_FRAMES, FOLDED_BATCH_FRAMES, Service
from .trusted_clock import SYSTEM, ClockTrust, trust_of

log = structlog.get_logger()

Neighbourhoods = dict[str, Neighbourhood]


def check_lengths(config: Config, neighbourhoods: Neighbourhoods) -> None:
    """Raise ConfigError where the detail length that meters are to be told does not fit a neighbourhood's interval."""
    for name, place in neighbourhoods.items():
        if config.detail_s and place.roster.interval_s % config.detail_s:
            raise ConfigError(f"'detail_s' must divide the interval of {name}, {place.roster.interval_s} s")


async def serve(config: Config, identity: EccKey, neighbourhoods: Neighbourhoods, ledger: Ledger) -> None:
    """Build the parts, run them, and stop them in order at a signal.

    Raises ConfigError where the configuration or an address cannot be used, EnrolmentError where the rosters do not fit
    what the ledger holds.
    """
    metrics = Metrics()
    service = _build(config, identity, neighbourhoods, ledger, metrics)
    scraped = _answer_scrapes(config, metrics)
    try:
        await _run(config, service, neighbourhoods)
    finally:
        if scraped is not None:
            scraped.shutdown()


# --- The parts --------------------------------------------------------------------------------------------------


def _build(
    config: Config, identity: EccKey, neighbourhoods: Neighbourhoods, ledger: Ledger, metrics: Metrics
) -> Service:
    """Return the service with all of its parts, when what lay in the operator's folders is taken in."""
    clock, trust = _clock(config)
    decryption = DataDecryption(config.accepted_delay_days)
    outbox = Outbox(ledger, identity, config.deployment, metrics.closed)
    roll = Roll(config, key_id(identity), ledger, outbox, decryption, neighbourhoods)
    roll.begin(clock.now_ms())
    check_served(ledger, neighbourhoods)

    def look(now_ms: int) -> None:
        trust.note(ledger)
        roll.look(now_ms)

    bounds = Bounds(ledger, config.ledger, outbox_max_mb=config.outbox_max_mb, disk_floor_mb=config.disk_floor_mb)
    bounds.announce(clock.now_ms() // 1000)
    reception = Reception(ledger, outbox, neighbourhoods, decryption, detail_s=config.detail_s, trusted=trust.given)
    closing = Closing(
        ledger,
        outbox,
        neighbourhoods,
        decryption,
        min_contributors=config.min_contributors,
        grace_s=config.grace_s,
        accepted_delay_days=config.accepted_delay_days,
        trusted=trust.given,
    )
    service = Service(
        clock,
        ledger,
        outbox,
        reception,
        closing,
        mdms_url=config.mdms_url,
        commit_delay_ms=config.commit_delay_ms,
        batch_frames=FOLDED_BATCH_FRAMES if config.accumulator == FOLD else BATCH_FRAMES,
        max_connections=config.max_connections,
        authentic_within_s=config.authentic_within_s,
        serial=config.serial,
        baud=config.baud,
        broker=read_broker(config),
        metrics=metrics,
        look=look,
        bounds=bounds,
    )
    metrics.observe(config.ledger, neighbourhoods, service.connections, clock.now_ms)
    return service


def _clock(config: Config) -> tuple[Clock, ClockTrust]:
    """Return domain time and whether it may be believed: a conductor's always is."""
    conductor = config.conductor()
    if conductor is not None:
        return ConductedClock(*conductor), trust_of(SYSTEM)
    trust = trust_of(config.clock_trust)
    return SystemClock(trusted=trust.given), trust


def _answer_scrapes(config: Config, metrics: Metrics) -> WSGIServer | None:
    """Answer Prometheus where the configuration says so; raises ConfigError where the address is taken."""
    address = config.metrics_address()
    if address is None:
        return None
    try:
        server = metrics.listen(*address)
    except OSError as error:
        raise ConfigError(
            f"'metrics_listen': cannot listen on {config.metrics_listen}: {error.strerror}; stop what uses it or"
            " choose another port"
        ) from None
    log.info("metrics", host=address[0], port=server.server_port)
    return server


# --- Start, work, stop ------------------------------------------------------------------------------------------


async def _run(config: Config, service: Service, neighbourhoods: Neighbourhoods) -> None:
    """Run the service until SIGTERM, SIGINT or the end of a conductor's time, and tell systemd how it goes."""
    notifier = notify.from_environment()
    host, port = config.address()

    def ready(bound: int) -> None:
        log.info("listening", host=host, port=bound)
        notifier.say("READY=1", f"STATUS=listening on {host}, port {bound}, for {', '.join(neighbourhoods)}")

    running = asyncio.create_task(service.run(host, port, ready))
    watching = asyncio.create_task(notify.watch(notifier, service.answers))
    _cancel_at_signals(running, notifier)
    try:
        await running
    except asyncio.CancelledError:
        log.info("stopping at a signal")
    except OSError as error:
        raise ConfigError(
            f"'listen': cannot listen on {config.listen}: {error.strerror}; stop what uses it or choose another port"
        ) from None
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _cancel_at_signals(running: asyncio.Task[None], notifier: notify.Notifier) -> None:
    def stop_in_order() -> None:
        notifier.say("STOPPING=1", "STATUS=stopping in order")
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_in_order)
