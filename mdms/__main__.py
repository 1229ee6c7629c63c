"""The MDMS's processes: `python -m mdms serve | worker | keyholder --config FILE`, and what prepares them.

What cannot start says so in one line on stderr: exit code 2 for a configuration, 1 for anything else.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .accounts.commands import COMMANDS
from .commands import config_option, open_store
from .config import MdmsConfig, load_keyholder_config, load_mdms_config
from .errors import CannotStart
from .logs import start_logging

if TYPE_CHECKING:
    from .alarms.delivery import Channel

# Each command imports its own part, so that the web server never loads a private key's code and the key holder
# never loads a web framework.
# ruff: noqa: PLC0415


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Hushmeter's meter data management system: takes signed reports in and lets released sums out."""


@cli.command()
@config_option
def serve(path: Path) -> None:
    """Serve HTTP: accept the concentrators' reports at POST /api/v1/reports.

    Holds no private key. Needs the database and the operator's signed rosters. Stops on SIGTERM.
    """
    config = load_mdms_config(path)
    start_logging("serve")
    # The forecasts' matrices are tiny: BLAS threads would only wait for each other beside the server's own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from .web import serve as run

    run(config)


@cli.command()
@config_option
def worker(path: Path) -> None:
    """Ask the key holder for every load and bill that is due, and store its decisions.

    Takes the same configuration as `serve`. May be killed and started at any time; waits for a key holder that is
    away. Stops on SIGTERM.
    """
    config = load_mdms_config(path)
    start_logging("worker")
    _run_worker(config)


def _run_worker(config: MdmsConfig) -> None:
    from .clock import make_clock
    from .keyholder.client import KeyHolderClient
    from .releases import ReleaseWorker
    from .rosters import load_rosters
    from .signals import stop_on_signals
    from .waiting import open_when_ready

    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    clock = make_clock(config.conductor, "worker")
    stop_on_signals(clock.stop)
    clock.start()
    store = open_when_ready(config.database, clock.stopped)
    if store is None:
        return
    keyholder = KeyHolderClient(config.keyholder_socket)
    try:
        ReleaseWorker(store, book, keyholder, clock.stopped).run(clock)
    finally:
        keyholder.close()
        store.close()


@cli.command()
@click.option("--once", is_flag=True, help="Look and deliver once, and end: for a timer instead of a service.")
@click.option("--test", "testing", is_flag=True, help="Send a test over every channel, say what became of it, and end.")
@config_option
def watch(path: Path, once: bool, testing: bool) -> None:
    """Look at the fleet again and again, and tell a person what is wrong, by mail or webhook.

    Takes the same configuration as `serve`, with a table [alarms]. May be killed and started at any time: what was told
    is in the database. Stops on SIGTERM.
    """
    config = load_mdms_config(path)
    start_logging("watch")
    from .alarms.watch import channels_of

    channels = channels_of(config)
    if testing:
        _test_channels(channels)
        return
    import threading

    from .alarms.watch import Watcher
    from .signals import stop_on_signals
    from .waiting import open_when_ready

    stopped = threading.Event()
    stop_on_signals(stopped.set)
    store = open_when_ready(config.database, stopped)
    if store is None:
        return
    watcher = Watcher(config, store, channels)
    with closing(store):
        if once:
            watcher.look_once()
        else:
            watcher.run(stopped)


def _test_channels(channels: dict[str, Channel]) -> None:
    import time

    from .alarms.watch import send_test

    told = send_test(channels, int(time.time()))
    for name, failure in told.items():
        click.echo(f"mdms: {name}: {failure or 'taken'}", err=True)
    if not told:
        raise CannotStart("alarms: no channel is configured: see [alarms] in mdms/README.md")
    if any(told.values()):
        sys.exit(1)


@cli.command()
@config_option
def migrate(path: Path) -> None:
    """Make the database's tables, or bring older ones forward; `serve` does the same at its start."""
    config = load_mdms_config(path)
    start_logging("migrate")
    from .store import Store

    Store(config.database).close()
    click.echo("mdms: the tables are of this program's version", err=True)


@cli.command()
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The loads of this day on each neighbourhood's clock.")
@click.option(
    "--bills-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The bills of the periods that begin on this day. They are personal: only the folder's owner may read it.",
)
@click.option(
    "--key-proofs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of proofs of the Paillier keys, to go with it.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write, new or empty; it is there whole or not at all.",
)
@config_option
def publish(path: Path, day: datetime | None, bills_of: datetime | None, key_proofs: Path | None, out: Path) -> None:
    """Write released sums with what proves them, for anyone to check with scripts.verify_release.

    What was proved in one batch with one of them comes along.
    """
    if day is None and bills_of is None:
        raise click.UsageError("say --day, --bills-of or both")
    config = load_mdms_config(path)
    start_logging("publish")
    from .publication import publish as write
    from .rosters import load_rosters
    from .store import Store

    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    store = Store(config.database, migrate=False)
    try:
        done = write(
            config,
            store,
            book,
            out,
            day=day.date() if day else None,
            bills_of=bills_of.date() if bills_of else None,
            key_proofs=key_proofs,
        )
    finally:
        store.close()
    click.echo(
        f"mdms: {out}: {done.loads} loads and {done.bills} bills in {done.batches} release batches, {done.reports} "
        f"reports, {done.rosters} rosters, {done.key_proofs} key proofs",
        err=True,
    )
    if done.unproved:
        click.echo(f"mdms: {done.unproved} sums were released without a proof, and are left out", err=True)


@cli.command("bundle-hash")
@click.option("--list", "each", is_flag=True, help="Print the hash of every script instead, as sha256sum does.")
def bundle_hash(each: bool) -> None:
    """Print the SHA-256 of the scripts that browsers get, to be published elsewhere than on the server."""
    from .portal.bundle import read_bundle

    bundle = read_bundle()
    click.echo(bundle.listing() if each else bundle.hash, nl=not each)


@cli.command("bill-run")
@click.option(
    "--period",
    "start",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="The day on which the period begins, such as 2026-03-01. Default: the latest period that is over.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the bills: new, or that of this run. Default: bills-DAY.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes that check and write. Default: one for each core.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Have a Dask cluster do that instead: tls://HOST:PORT, its certificates by Dask's own configuration.",
)
@click.option("--unsafe-plain-scheduler", is_flag=True, help="Allow tcp:// beyond this machine: bills go in clear.")
@config_option
def bill_run(
    path: Path,
    start: datetime | None,
    out: Path | None,
    workers: int | None,
    scheduler: str | None,
    unsafe_plain_scheduler: bool,
) -> None:
    """Bill a period: have everything that is due opened, check each proof, and write a PDF for each bill.

    \b
    1. Asks the key holder for every bill that is due up to the period's end, as the worker does.
    2. Checks the proof of every sum against the meters' stored reports, and writes bill-PSEUDONYM-DAY.pdf
       for each bill and bills.csv for all, readable by you alone.
    3. Says what was released, what was refused and why, and what is left.

    It may be killed anywhere: the same command goes on where it was. The worker may run meanwhile; nothing is opened
    twice.

    \b
    Status: 0 every bill is decided, 3 some are left or need a person, 2 it was asked for what cannot be,
    1 anything else that stopped it.
    """
    config = load_mdms_config(path)
    start_logging("bill-run")
    from rich.console import Console

    from .bill_run.progress import progress_on
    from .bill_run.run import Options
    from .bill_run.run import bill_run as run
    from .bill_run.summary import exit_status, summary
    from .clock import first_time

    day = start.date() if start else None
    options = Options(day, out, workers or len(os.sched_getaffinity(0)), scheduler, unsafe_plain_scheduler)
    progress = progress_on(Console(stderr=True), lambda line: click.echo(line, err=True))
    try:
        outcome = run(config, options, progress, first_time(config.conductor, "bill-run"))
    except KeyboardInterrupt:
        raise CannotStart("stopped; what was decided and written stays: run the same command again") from None
    finally:
        progress.end()
    for line in summary(outcome):
        click.echo(line)
    sys.exit(exit_status(outcome))


@cli.command()
@click.option("--keep-days", type=int, help="How many days to keep; otherwise detail_days of the configuration.")
@config_option
def prune(path: Path, keep_days: int | None) -> None:
    """Delete customers' sealed rows older than the deployment or their customer keeps. Reports, sums and bills stay.

    Run it daily. It may run beside everything else, be killed anywhere and be run again.
    """
    import time

    from .config import LEAST_DETAIL_DAYS
    from .operation.chores import note_done
    from .operation.prune import first_kept
    from .operation.prune import prune as delete
    from .retention import first_kept_by_choice
    from .rosters import load_rosters

    config = load_mdms_config(path)
    days = config.detail_days if keep_days is None else keep_days
    if days < LEAST_DETAIL_DAYS:
        raise click.UsageError(f"--keep-days must be {LEAST_DETAIL_DAYS} or more")
    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    with open_store(config) as store:
        now = time.time()
        deleted = delete(store, book, first_kept(now, days), own=first_kept_by_choice(store, now))
        done = f"{deleted} rows older than {days} days, or than their customers keep them, deleted"
        note_done(store, "prune", int(time.time()), done)
    click.echo(f"mdms: {done}", err=True)


@cli.command("check")
@click.option(
    "--config",
    "path",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="mdms.toml.",
)
def check_configuration(path: Path) -> None:
    """Say what `serve` and `worker` would do with a configuration. Starts nothing and changes no file."""
    from .operation.check import check

    found = check(path)
    for line in found.plan:
        click.echo(line)
    for problem in found.problems:
        click.echo(f"mdms: {problem}", err=True)
    if found.problems:
        sys.exit(2)


@cli.command("doctor")
@config_option
def examine(path: Path) -> None:
    """Look at a living installation, and say what to do. Status 1 where something fails."""
    from .operation import doctor

    config = load_mdms_config(path)
    failed = False
    for finding in doctor.examine(config):
        click.echo(str(finding))
        failed |= finding.level == doctor.FAIL
    if failed:
        sys.exit(1)


@cli.command()
@config_option
def keyholder(path: Path) -> None:
    """Hold the private keys and open what the release gate permits, on a Unix socket.

    Run it as another user than the web server, better on another machine. Writes the release log. Stops on SIGTERM.
    """
    config = load_keyholder_config(path)
    start_logging("keyholder")
    from .keyholder.process import run

    run(config)


for _command in COMMANDS:
    cli.add_command(_command)

if __name__ == "__main__":
    cli(prog_name="mdms")
