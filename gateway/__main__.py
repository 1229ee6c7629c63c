"""The commands: run the daemon, and what is done beside it or while it is stopped."""

import asyncio
import logging
import resource
import sqlite3
import sys
import time
from pathlib import Path
from typing import NoReturn

import click
import structlog

from protocol.documents import key_id

from . import bounds, closing, damage
from .carriers import allow_files
from .clock import SystemClock
from .config import ConfigError, load
from .enrolment import EnrolmentError
from .identity import read_identity
from .ledger import LedgerError
from .operation import backup, check, doctor, quarantine, restore, status
from .operation.backup import BackupError
from .operation.quarantine import QuarantineError
from .operation.restore import RestoreError
from .roll import read_neighbourhoods
from .rotation import settle
from .serving import check_lengths, serve

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


if __name__ == "__main__":
    main()
