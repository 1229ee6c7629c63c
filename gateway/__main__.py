"""The daemon: reads the configuration, opens the ledger, takes new meters in, starts the tasks, stops them in order."""

import asyncio
import logging
import resource
import signal
import sqlite3
import sys
from pathlib import Path
from typing import NoReturn

import click
import structlog
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey

from paillier import PaillierError
from protocol import windows
from protocol.documents import DocumentError, key_id

from . import closing, enrolment, status
from .clock import Clock, ConductedClock, SystemClock
from .closing import Closing
from .config import Config, ConfigError, load
from .encryption import FOLD, SettingsError
from .enrolment import EnrolmentError, EnrolmentRecord
from .intake import DataDecryption
from .ledger import Ledger, LedgerError
from .neighbourhood import Neighbourhood, build
from .outbox import Outbox
from .reception import Reception
from .service import BATCH_FRAMES, FOLDED_BATCH_FRAMES, Service

log = structlog.get_logger()

CONFIG = click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The daemon's TOML file; docs/how-to/run-a-concentrator.md names every key.",
)


@click.group()
def main() -> None:
    """Hushmeter's data concentrator: opens readings, encrypts them at once, forwards only sums."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@main.command()
@CONFIG
def run(path: Path) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    # A crash must not write keys and readings to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        config = load(path)
        identity = read_identity(config.identity_key)
        neighbourhoods = read_neighbourhoods(config, identity)
        ledger = Ledger(config.ledger)
        try:
            check_lengths(config, neighbourhoods)
            take_meters_in(config, ledger, neighbourhoods)
            asyncio.run(serve(config, identity, neighbourhoods, ledger))
        finally:
            ledger.close()
    except (ConfigError, EnrolmentError, LedgerError) as error:
        stop(str(error))
    except sqlite3.Error as error:
        stop(f"the ledger failed, what was acknowledged is in it: {error}")


@main.command("confirm-clock")
@CONFIG
def confirm_clock(path: Path) -> None:
    """Confirm that the clock is right after a jump, so that old keys are erased again. Stop the daemon first."""
    try:
        config = load(path)
        ledger = Ledger(config.ledger)
    except (ConfigError, LedgerError) as error:
        stop(str(error))
    with ledger.transaction():
        closing.confirm_clock(ledger, SystemClock().now_ms())
    ledger.close()
    click.echo("confirmed: keys are erased again from the next start on")


@main.command("status")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def show_status(path: Path, as_json: bool) -> None:
    """Show what the ledger holds, while the daemon runs or after it. Never an energy or a ciphertext."""
    try:
        config = load(path)
        found = status.read(config.ledger, simulated=config.conductor() is not None)
    except (ConfigError, LedgerError) as error:
        stop(str(error))
    if as_json:
        click.echo(status.as_json(found))
    else:
        status.show(found)


def stop(message: str) -> NoReturn:
    """End with one clear line and a status that is not zero."""
    click.echo(f"gateway: {message}", err=True)
    sys.exit(2)


def read_identity(path: Path) -> EccKey:
    """Return the concentrator's Ed25519 private key from its PEM file; raises ConfigError."""
    try:
        key = ECC.import_key(path.read_text())
    except OSError as error:
        raise ConfigError(f"'identity_key': cannot read {path}: {error.strerror}") from None
    except (ValueError, IndexError, TypeError):
        raise ConfigError(f"'identity_key': {path} holds no private key") from None
    if key.curve != "Ed25519" or not key.has_private():
        raise ConfigError(f"'identity_key': {path} holds no Ed25519 private key")
    return key


def read_neighbourhoods(config: Config, identity: EccKey) -> dict[str, Neighbourhood]:
    """Return what this concentrator serves, by its signed rosters; raises EnrolmentError."""
    rosters = enrolment.read_rosters(config.rosters, config.deployment, config.operator_key, key_id(identity))
    settings = config.encryption()
    served = {}
    for name, roster in rosters.items():
        try:
            served[name] = build(roster, unsafe_small_key=config.unsafe_small_key, settings=settings)
        except (PaillierError, DocumentError, windows.Misaligned) as error:
            raise EnrolmentError(f"a roster cannot be served: {error}") from None
        except SettingsError as error:
            raise ConfigError(f"{error}, that of {name}") from None
        log.info("encryption", neighbourhood=name, **served[name].encryption.described())
    return served


def check_lengths(config: Config, neighbourhoods: dict[str, Neighbourhood]) -> None:
    """Raise ConfigError where the detail length that meters are to be told does not fit a neighbourhood's interval."""
    for name, place in neighbourhoods.items():
        if config.detail_s and place.roster.interval_s % config.detail_s:
            raise ConfigError(f"'detail_s' must divide the interval of {name}, {place.roster.interval_s} s")


def take_meters_in(config: Config, ledger: Ledger, neighbourhoods: dict[str, Neighbourhood]) -> None:
    """Move every enrolment record into the ledger, then erase it; raises EnrolmentError or LedgerError."""
    for path in sorted(config.enrolment.glob("*.json")):
        record = enrolment.read_record(path)
        place = neighbourhoods.get(record.neighbourhood)
        if place is None:
            raise EnrolmentError(f"{path}: neighbourhood {record.neighbourhood} is not served here")
        if place.roster.index(record.pseudonym) is None:
            raise EnrolmentError(f"{path}: the roster does not name this meter")
        if ledger.meter(bytes.fromhex(record.system_title)) is None:
            with ledger.transaction():
                ledger.add_meter(record, *first_standing(record, place))
            log.info("meter enrolled", meter=record.system_title, neighbourhood=record.neighbourhood)
        elif not ledger.holds(record):
            raise EnrolmentError(f"{path}: meter {record.system_title} is enrolled already, as another tenancy")
        enrolment.erase_record(path)
    served = set(neighbourhoods)
    for title in ledger.titles():
        meter = ledger.meter(title)
        if meter is not None and meter.neighbourhood not in served:
            raise EnrolmentError(f"no roster for {meter.neighbourhood}, of which the ledger holds meter {title.hex()}")


def first_standing(record: EnrolmentRecord, place: Neighbourhood) -> tuple[int, bytes]:
    """Return (start of the first window, the encrypted register) with which a meter's billing begins."""
    encryption = place.encryption
    base = encryption.encrypt_slots(record.first_import_mwh, record.first_export_mwh)
    window = windows.window_of(record.since, place.zone)
    return window.start, base.to_bytes(encryption.public_key.ciphertext_bytes, "big")


async def serve(config: Config, identity: EccKey, neighbourhoods: dict[str, Neighbourhood], ledger: Ledger) -> None:
    """Build the parts, run them, and stop them in order at a signal."""
    conductor = config.conductor()
    clock: Clock = SystemClock() if conductor is None else ConductedClock(*conductor)
    decryption = DataDecryption(config.accepted_delay_days)
    outbox = Outbox(ledger, identity, config.deployment)
    service = Service(
        clock,
        ledger,
        outbox,
        Reception(ledger, outbox, neighbourhoods, decryption, detail_s=config.detail_s),
        Closing(
            ledger,
            outbox,
            neighbourhoods,
            decryption,
            min_contributors=config.min_contributors,
            grace_s=config.grace_s,
            accepted_delay_days=config.accepted_delay_days,
        ),
        mdms_url=config.mdms_url,
        commit_delay_ms=config.commit_delay_ms,
        batch_frames=FOLDED_BATCH_FRAMES if config.accumulator == FOLD else BATCH_FRAMES,
        max_connections=config.max_connections,
        serial=config.serial,
        baud=config.baud,
    )
    host, port = config.address()
    running = asyncio.create_task(service.run(host, port, lambda bound: log.info("listening", host=host, port=bound)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        log.info("stopping at a signal")
    except OSError as error:
        raise ConfigError(
            f"'listen': cannot listen on {config.listen}: {error.strerror}; stop what uses it or choose another port"
        ) from None


if __name__ == "__main__":
    main()
