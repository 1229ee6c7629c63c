"""The daemon: reads the configuration, opens the ledger, takes new meters in, starts the tasks, stops them in order."""

import asyncio
import logging
import resource
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import NoReturn
from wsgiref.simple_server import WSGIServer

import click
import structlog
from Crypto.PublicKey.ECC import EccKey

from protocol.documents import key_id

from . import bounds, closing, damage
from .bounds import Bounds
from .carriers import allow_files, read_broker
from .clock import Clock, ConductedClock, SystemClock
from .closing import Closing
from .config import Config, ConfigError, load
from .encryption import FOLD
from .enrolment import EnrolmentError
from .identity import read_identity
from .intake import DataDecryption
from .ledger import Ledger, LedgerError
from .neighbourhood import Neighbourhood
from .operation import backup, check, doctor, notify, quarantine, restore, status
from .operation.backup import BackupError
from .operation.metrics import Metrics
from .operation.quarantine import QuarantineError
from .operation.restore import RestoreError
from .outbox import Outbox
from .reception import Reception
from .roll import Roll, check_served, read_neighbourhoods
from .rotation import settle
from .service import BATCH_FRAMES, FOLDED_BATCH_FRAMES, Service
from .trusted_clock import SYSTEM, trust_of

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
@click.option(
    "--start-empty",
    is_flag=True,
    help="Begin with an empty ledger after a lost one: what was not reported is never billed, every meter enrols anew.",
)
def run(path: Path, start_empty: bool) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    # A crash must not write keys and readings to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        config = load(path)
        allow_files(config)
        identity = read_identity(config.identity_key)
        neighbourhoods = read_neighbourhoods(config, key_id(identity))
        ledger = damage.open_ledger(config.ledger, start_empty=start_empty, now=time.time())
        try:
            check_lengths(config, neighbourhoods)
            asyncio.run(serve(config, identity, neighbourhoods, ledger))
        finally:
            ledger.close()
    except (ConfigError, EnrolmentError, LedgerError) as error:
        stop(str(error))
    except sqlite3.Error as error:
        stop(damage.explain(error, config.ledger))


@main.command("check")
@CONFIG
def check_configuration(path: Path) -> None:
    """Say what the daemon would do with a configuration. Starts nothing and changes no file."""
    found = check.check(path, int(time.time()))
    for line in found.plan:
        click.echo(line)
    for problem in found.problems:
        click.echo(f"gateway: {problem}", err=True)
    if found.problems:
        sys.exit(2)


@main.command("doctor")
@CONFIG
def examine(path: Path) -> None:
    """Look at a living installation, and say what to do. Status 1 where something fails."""
    try:
        config = load(path)
    except ConfigError as error:
        stop(str(error))
    failed = False
    for finding in doctor.examine(config):
        click.echo(str(finding))
        failed |= finding.level == doctor.FAIL
    if failed:
        sys.exit(1)


@main.command("confirm-clock")
@CONFIG
def confirm_clock(path: Path) -> None:
    """Confirm that the clock is right after a jump, so that old keys are erased again. Stop the daemon first."""
    try:
        config = load(path)
        ledger = damage.open_ledger(config.ledger, start_empty=False, now=time.time())
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
        click.echo(bounds.in_words(found.outbox.waiting_bytes, config.outbox_max_mb, found.outbox.bytes_a_day))


@main.command("quarantine")
@click.argument("action", type=click.Choice(["list", *quarantine.WORDS]), metavar="ACTION")
@click.argument("readings", nargs=-1, metavar="READING")
@CONFIG
@click.option("--all", "every", is_flag=True, help="Every reading that is listed.")
def decide_quarantine(action: str, readings: tuple[str, ...], path: Path, every: bool) -> None:
    """List, release or discard readings that were set aside. Stop the daemon first, but for the list."""
    try:
        config = load(path)
        if action == "list":
            for line in quarantine.lines(status.read(config.ledger, simulated=config.conductor() is not None)):
                click.echo(line)
            return
        if bool(readings) == every:
            stop("say which readings, as the list names them, or --all")
        neighbourhoods = read_neighbourhoods(config, key_id(read_identity(config.identity_key)))
        ledger = damage.open_ledger(config.ledger, start_empty=False, now=time.time())
        try:
            settle(ledger, neighbourhoods)
            names = quarantine.waiting(ledger) if every else [quarantine.parse_name(text) for text in readings]
            quarantine.decide(ledger, neighbourhoods, names, quarantine.WORDS[action])
        finally:
            ledger.close()
    except (ConfigError, EnrolmentError, LedgerError, QuarantineError) as error:
        stop(str(error))
    click.echo(f"{quarantine.WORDS[action]}: {len(names)} readings")


@main.command("backup")
@CONFIG
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option(
    "--seal-for",
    "recovery",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The recovery key's public half (X25519, PEM): the identity and the meters' keys are sealed to it.",
)
def make_backup(path: Path, out: Path, recovery: Path | None) -> None:
    """Write what may leave this machine: who the meters are, and sealed, their keys. The daemon may run."""
    try:
        config = load(path)
        identity = read_identity(config.identity_key)
        made = backup.make(
            config.ledger,
            read_neighbourhoods(config, key_id(identity)),
            deployment=config.deployment,
            configuration=path.read_text(),
            identity=config.identity_key.read_text(),
            recovery=None if recovery is None else backup.read_recovery_key(recovery, private=False),
            now=int(time.time()),
        )
        backup.write(out, made)
    except (ConfigError, EnrolmentError, LedgerError, BackupError) as error:
        stop(str(error))
    keys = "its keys sealed" if made.sealed else "without keys: say --seal-for to have them in it, sealed"
    click.echo(f"{out}: {len(made.meters)} meters, {keys}")


@main.command("restore")
@CONFIG
@click.option("--backup", "kept", type=click.Path(dir_okay=False, path_type=Path), help="The newest backup.")
@click.option(
    "--recovery-key",
    "recovery",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The recovery key's private half (X25519, PEM), which opens the backup's keys.",
)
def restore_ledger(path: Path, kept: Path | None, recovery: Path | None) -> None:
    """Put a lost ledger back: asks the MDMS where billing stood. Only one concentrator may have this identity."""
    try:
        config = load(path)
        found = None if kept is None else backup.read(kept, config.deployment)
        secrets = None
        if found is not None and recovery is not None:
            secrets = backup.unseal(backup.read_recovery_key(recovery, private=True), found)
            restore.put_identity_back(config.identity_key, secrets)
        done = restore.restore(config, found, secrets, restore.ask_mdms(config.mdms_url), int(time.time()))
    except (ConfigError, EnrolmentError, LedgerError, BackupError, RestoreError) as error:
        stop(str(error))
    for title, why in done.left_out:
        click.echo(f"left out: meter {title}: {why}", err=True)
    click.echo(f"restored: {len(done.meters)} meters, {len(done.left_out)} left out; start the daemon")


def stop(message: str) -> NoReturn:
    """End with one clear line and a status that is not zero."""
    click.echo(f"gateway: {message}", err=True)
    sys.exit(2)


def check_lengths(config: Config, neighbourhoods: dict[str, Neighbourhood]) -> None:
    """Raise ConfigError where the detail length that meters are to be told does not fit a neighbourhood's interval."""
    for name, place in neighbourhoods.items():
        if config.detail_s and place.roster.interval_s % config.detail_s:
            raise ConfigError(f"'detail_s' must divide the interval of {name}, {place.roster.interval_s} s")


async def serve(config: Config, identity: EccKey, neighbourhoods: dict[str, Neighbourhood], ledger: Ledger) -> None:
    """Build the parts, run them, and stop them in order at a signal."""
    conductor = config.conductor()
    trust_given = trust_of(config.clock_trust if conductor is None else SYSTEM)
    clock: Clock = SystemClock(trusted=trust_given.given) if conductor is None else ConductedClock(*conductor)
    decryption = DataDecryption(config.accepted_delay_days)
    metrics = Metrics()
    notifier = notify.from_environment()
    outbox = Outbox(ledger, identity, config.deployment, metrics.closed)
    roll = Roll(config, key_id(identity), ledger, outbox, decryption, neighbourhoods)
    roll.begin(clock.now_ms())
    check_served(ledger, neighbourhoods)

    def look(now_ms: int) -> None:
        trust_given.note(ledger)
        roll.look(now_ms)

    bounds = Bounds(ledger, config.ledger, outbox_max_mb=config.outbox_max_mb, disk_floor_mb=config.disk_floor_mb)
    bounds.announce(clock.now_ms() // 1000)
    service = Service(
        clock,
        ledger,
        outbox,
        Reception(ledger, outbox, neighbourhoods, decryption, detail_s=config.detail_s, trusted=trust_given.given),
        Closing(
            ledger,
            outbox,
            neighbourhoods,
            decryption,
            min_contributors=config.min_contributors,
            grace_s=config.grace_s,
            accepted_delay_days=config.accepted_delay_days,
            trusted=trust_given.given,
        ),
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
    scraped = answer_scrapes(config, metrics)
    host, port = config.address()

    def ready(bound: int) -> None:
        log.info("listening", host=host, port=bound)
        notifier.say("READY=1", f"STATUS=listening on {host}, port {bound}, for {', '.join(neighbourhoods)}")

    running = asyncio.create_task(service.run(host, port, ready))
    watching = asyncio.create_task(notify.watch(notifier, service.answers))

    def stop_in_order() -> None:
        notifier.say("STOPPING=1", "STATUS=stopping in order")
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_in_order)
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
        if scraped is not None:
            scraped.shutdown()


def answer_scrapes(config: Config, metrics: Metrics) -> WSGIServer | None:
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


if __name__ == "__main__":
    main()
