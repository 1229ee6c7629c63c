"""`make replay`: checks the file, runs the street, writes what came out."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mdms.records.bills import decided_bills
from mdms.store import Store
from paillier import PaillierError

from ..balance import Balance
from ..conductor import Conductor
from ..deployment import DeploymentError
from ..readings import BadReadings, read
from ..street import Ports, Street, append_energies, free_port, set_up
from ..street_balance import take_balance
from ..supervisor import ProcessFailed, Supervisor
from . import outputs
from .conduct import Conduct, bills_due
from .plan import PERIODS, BadOptions, Plan, energies_of, layout_of, make_plan
from .publication import publish_and_check

Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--readings", "path", type=click.Path(path_type=Path), required=True, help="CSV: meter,neighbourhood,"
              "interval_start,energy_wh; Unix seconds UTC; Wh with up to three decimals.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder that is new or empty.")
@click.option("--interval-s", default=900, show_default=True, help="Length of an interval; divides three hours.")
@click.option("--key-bits", default=3072, show_default=True, help="Length of each neighbourhood's Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
@click.option("--min-contributors", default=10, show_default=True, help="Loads of fewer meters are refused.")
@click.option("--period", type=click.Choice(PERIODS), default="month", show_default=True, help="Billing period.")
@click.option(
    "--rating-w", type=int, help="Most power that a meter may report; above it a reading is quarantined. Default: none."
)
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone of windows and periods.")
def main(
    path: Path,
    out: Path,
    interval_s: int,
    key_bits: int,
    unsafe_small_key: bool,
    min_contributors: int,
    period: str,
    rating_w: int | None,
    zone: str,
) -> None:
    """Send real energies through real meters, concentrator, MDMS and key holder, and write what came out.

    Writes loads.csv, bills.csv, customer/METER.csv, releases/, published/ and ledger.json to OUT. Processes may be
    killed while it runs (their pids are in OUT/run/*.pid): each is started again and nothing in the sums changes. Exit
    0 only if measured = billed + queued + quarantined, to the milliwatt-hour, and every release is proved; 2 for bad
    input, 1 for anything else.
    """
    console = Console(stderr=True, soft_wrap=True)
    try:
        if interval_s <= 0:
            raise BadOptions("--interval-s must be positive")
        readings = read(path, interval_s)
        plan = make_plan(
            readings,
            zone_name=zone,
            period=period,
            key_bits=key_bits,
            unsafe_small_key=unsafe_small_key,
            min_contributors=min_contributors,
            rating_w=rating_w,
        )
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadOptions(f"{out} is not empty: choose a new folder, nothing is overwritten")
        if "?" in str(out.absolute()):
            raise BadOptions(f"{out}: a '?' in the folder's name cannot stand in a database's address")
    except BadReadings as error:
        for line in error.complaints:
            click.echo(f"replay: {line}", err=True)
        sys.exit(2)
    except BadOptions as error:
        click.echo(f"replay: {error}", err=True)
        sys.exit(2)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", highlight=False)
    try:
        result = asyncio.run(run(plan, out, console))
    except (ProcessFailed, PaillierError, DeploymentError) as error:
        click.echo(f"replay: {error}; the logs are in {out / 'run'}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(f"replay: stopped; what the processes kept is in {out / 'run'}", err=True)
        sys.exit(1)
    say(console, result)
    sys.exit(0 if result.balances() else 1)


def say(console: Console, result: Balance) -> None:
    """Print the ledger in a line, and whether it balances."""
    console.print(
        f"measured {result.measured_mwh} mWh = billed {result.billed_mwh} + queued {result.queued_mwh}"
        f" + quarantined {result.quarantined_mwh}: {'balances' if result.balances() else 'DOES NOT BALANCE'}",
        highlight=False,
    )


async def run(plan: Plan, out: Path, console: Console) -> Balance:
    """Run the whole replay; every process that it started has ended when this returns or raises."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    work = (out / "run").absolute()
    work.mkdir(parents=True, mode=0o700)
    conductor = Conductor()
    port = await conductor.listen()

    def said(line: str) -> None:
        console.print(line, highlight=False)

    world = Path(tempfile.mkdtemp(prefix="hushmeter-"))
    supervisor = Supervisor(work, ROOT, said)
    try:
        ports = Ports(free_port(), free_port())
        street = await asyncio.to_thread(set_up, work, world, layout_of(plan), ports, port, said)
        append_energies(street, energies_of(plan, street))
        for process in street.processes:
            process.stands_in = partial(conductor.connected, process.name)
            supervisor.start(process)
        stores = await unless_failed(_conduct(conductor, plan, street, console), supervisor.watch())
        await conductor.close()
        await supervisor.stop()
        result = await asyncio.to_thread(write_outputs, street, plan, out, stores, console)
    finally:
        await supervisor.stop()
        shutil.rmtree(world)
    return result


async def unless_failed(work: Coroutine[Any, Any, Result], watch: Coroutine[Any, Any, None]) -> Result:
    """Return what the work returns, or raise what the watch raises."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch)
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        return working.result()
    finally:
        working.cancel()
        watching.cancel()


async def _conduct(conductor: Conductor, plan: Plan, street: Street, console: Console) -> dict[str, list[int]]:
    """Conduct the run under a progress bar; returns what the meters still hold."""
    due = bills_due(plan)
    pseudonyms = {home.meter: home.pseudonym for home in street.homes}
    wanted = {(pseudonyms[meter], period.start) for meter, period in due}
    store = Store(street.database_url)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("readings"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("replay", total=len(plan.readings.energies))

            def progressed(done: int, now: int) -> None:
                progress.update(bar, completed=done)

            conduct = Conduct(conductor, plan, progressed)
            await conduct.run(lambda: wanted <= {(bill.pseudonym, bill.period_start) for bill in decided_bills(store)})
    finally:
        store.close()
    answer = await conductor.stores()
    found: dict[str, list[int]] = answer["stores"]
    return found


def write_outputs(street: Street, plan: Plan, out: Path, stores: dict[str, list[int]], console: Console) -> Balance:
    """Write every output file; returns the ledger."""
    store = Store(street.database_url)
    try:
        loads = outputs.write_loads(out / "loads.csv", plan, store)
        bills = outputs.write_bills(out / "bills.csv", street, store)
        for home in street.homes:
            outputs.write_customer(out / "customer", street, home, store)
        outputs.write_releases(out / "releases", street)
        result = take_balance(street, store, stores).imported
        outputs.write_balance(out / "ledger.json", result)
        with console.status("publishing what was released, and checking it with public keys alone"):
            checked = publish_and_check(out / "published", street, plan, store)
    finally:
        store.close()
    console.print(f"{loads} loads and {bills} bills released; written to {out}", highlight=False)
    console.print(
        f"{checked.loads} loads and {checked.bills} bills in {checked.days} published days follow from their signed"
        " ciphertexts: proofs checked with public keys alone",
        highlight=False,
    )
    return result


if __name__ == "__main__":
    main()
