"""`make demo`: sets a town up, runs it, shows where to look, and balances its ledger at each midnight."""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.status import Status

from mdms.store import Store
from paillier import PaillierError

from ..conductor import Conductor
from ..deployment import DeploymentError, write_private
from ..replay.__main__ import unless_failed
from ..street import HOST, Home, Ports, Street, append_energies, free_port, set_up
from ..street_balance import take_balance
from ..supervisor import ProcessFailed, Supervisor
from . import say, town
from .chaos import Chaos, Wire
from .conduct import Conduct

ROOT = Path(__file__).resolve().parents[2]
STARTED = "HUSHMETER_DEMO_STARTED"  # set by `make demo`: when it was typed, before the environment was made
FOREVER = 10_000


class CannotRun(Exception):
    """The demonstration cannot start; the message says why and what to do."""


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True, help="Its folder.")
@click.option("--days", type=click.IntRange(1), help="How many days to run; without it, until Ctrl-C.")
@click.option("--exit", "ends", is_flag=True, help="End after the last day; status 0 only if every ledger balances.")
@click.option("--day-takes", default=120.0, show_default=True, help="Seconds that a day should take; 0: no pauses.")
@click.option("--chaos", is_flag=True, help="Kill processes and cut links while it runs.")
@click.option("--seed", default=1, show_default=True, help="The homes' loads, and what chaos does.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8600, show_default=True, help="The pages' port on this machine."
)
@click.option("--key-bits", default=3072, show_default=True, help="Length of each Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
def main(
    out: Path,
    days: int | None,
    ends: bool,
    day_takes: float,
    chaos: bool,
    seed: int,
    port: int,
    key_bits: int,
    unsafe_small_key: bool,
) -> None:
    """Run a simulated street of 24 homes with real firmware, daemons and pages, on an accelerated clock.

    Ctrl-C stops every process that it started. Exit 1 if a ledger does not balance, 2 if it cannot start.
    """
    console = Console(stderr=True, soft_wrap=True)
    if ends and days is None:
        click.echo("demo: --exit needs --days: after how many days?", err=True)
        sys.exit(2)
    demo = Demo(console, out, days or FOREVER, ends, day_takes, seed, port, chaos)
    try:
        with ExitStack() as stack:
            stack.enter_context(exclusive(out))
            check_port(port)
            sound = asyncio.run(demo.run(key_bits, unsafe_small_key))
    except CannotRun as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(2)
    except (ProcessFailed, PaillierError, DeploymentError) as error:
        click.echo(f"demo: {error}; the logs are in {out}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("demo: stopped, every process has ended", err=True)
        sys.exit(0 if demo.sound else 1)
    sys.exit(0 if sound else 1)


class exclusive:
    """Hold a demonstration's folder; raises CannotRun where another one runs in it. What an ended one left goes."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._mark = out / ".hushmeter-demo"

    def __enter__(self) -> None:
        if self._out.exists() and any(self._out.iterdir()) and not self._mark.exists():
            raise CannotRun(f"{self._out} holds something else: choose another folder with --out")
        self._out.mkdir(parents=True, exist_ok=True)
        self._lock = self._mark.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"another demonstration runs in {self._out}: stop it, or choose another with --out"
            ) from None
        for path in self._out.iterdir():
            if path != self._mark:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def check_port(port: int) -> None:
    """Raise CannotRun where a port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise CannotRun(f"port {port} needs root: choose one from 1024 on with --port") from None
        except OSError:
            raise CannotRun(f"port {port} is taken: stop what uses it, or choose another with --port") from None


class Demo:
    """One run of the town. ``sound`` is False as soon as a ledger does not balance."""

    def __init__(
        self,
        console: Console,
        out: Path,
        days: int,
        ends: bool,
        day_takes: float,
        seed: int,
        port: int,
        chaos: bool,
    ) -> None:
        self._console = console
        self._run = out.absolute() / "run"
        self._days = days
        self._ends = ends
        self._day_takes = day_takes
        self._seed = seed
        self._port = port
        self._wires = [Wire(), Wire()] if chaos else []
        self._chaos = Chaos(self._run, self._wires, seed) if chaos else None
        self._began = float(os.environ.get(STARTED, time.time()))
        self.sound = True

    async def run(self, key_bits: int, unsafe_small_key: bool) -> bool:
        """Run the days; returns whether every ledger balanced. Every process has ended when this returns or raises."""
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        self._run.mkdir(mode=0o700)
        # The simulated world (sensors' energies, meters' flash) is no part of the system, so not in its folder.
        world = Path(tempfile.mkdtemp(prefix="hushmeter-"))
        supervisor = Supervisor(self._run, ROOT, self._said)
        conductor = Conductor()
        try:
            street = await self._set_up(world, conductor, key_bits, unsafe_small_key)
            passwords = await asyncio.to_thread(add_users, street)
            home = street.homes[2]
            self._show_doors(street, home, passwords)
            for process in street.processes:
                process.stands_in = partial(conductor.connected, process.name)
                supervisor.start(process)
            await unless_failed(self._live(conductor, street, home), supervisor.watch())
            await conductor.close()
        finally:
            await supervisor.stop()
            for wire in self._wires:
                wire.close()
            shutil.rmtree(world)
        return self.sound

    def _said(self, line: str) -> None:
        self._console.print(line, highlight=False)

    async def _set_up(self, world: Path, conductor: Conductor, key_bits: int, unsafe_small_key: bool) -> Street:
        ports = Ports(free_port(), self._port)
        if self._wires:
            to_gateway, to_web = self._wires
            ports = Ports(ports.gateway, ports.web, await to_gateway.listen(), await to_web.listen())
            to_gateway.lead_to(ports.gateway)
            to_web.lead_to(ports.web)
        pages: dict[str, object] = {"session_key": "session.key"}
        layout = town.layout(key_bits, unsafe_small_key, pages)
        port = await conductor.listen()
        street = await asyncio.to_thread(set_up, self._run, world, layout, ports, port, self._said)
        write_private(street.folder.mdms / "session.key", secrets.token_hex(32).encode())
        return street

    def _show_doors(self, street: Street, home: Home, passwords: dict[str, str]) -> None:
        key = self._run.parent / "customer" / f"{home.meter}.pem"
        write_private(key, home.customer.export_key(format="PEM").encode())
        say.doors(self._console, f"http://localhost:{self._port}", passwords, home.pseudonym, str(key))

    async def _live(self, conductor: Conductor, street: Street, home: Home) -> None:
        store = Store(street.database_url)
        first = say.FirstPoint(self._console, self._began)
        conduct = Conduct(conductor, self._day_takes)
        harm = asyncio.create_task(self._chaos.run()) if self._chaos else None
        try:
            with self._console.status("starting") as status:
                for number in range(1, self._days + 1):
                    await self._day(number, conductor, conduct, street, store, first, home, status)
                if not self._ends:
                    status.update("the days are over; the pages stay until Ctrl-C")
                    await asyncio.Event().wait()
        finally:
            if harm is not None:
                harm.cancel()
                with suppress(asyncio.CancelledError):
                    await harm
            store.close()

    async def _day(
        self,
        number: int,
        conductor: Conductor,
        conduct: Conduct,
        street: Street,
        store: Store,
        first: say.FirstPoint,
        home: Home,
        status: Status,
    ) -> None:
        day = town.FIRST_DAY + number - 1
        append_energies(street, town.day_of(street, day, self._seed))
        begins = day * town.DAY_S
        if number == 1:
            await conduct.boot(begins)
        for now in range(begins + town.DETAIL_S, begins + town.DAY_S + 1, town.DETAIL_S):
            await conduct.step(now)
            first.look(store, home.pseudonym)
            loads = await asyncio.to_thread(say.newest_loads, store)
            status.update(say.progress(number, now, loads, say.troubles(self._chaos, self._wires)))
        ledger = take_balance(street, store, (await conductor.stores())["stores"])
        say.midnight(self._console, number, street, store, ledger)
        self.sound &= ledger.balances()


def add_users(street: Street) -> dict[str, str]:
    """Make a supplier, an operator and an auditor with passwords of their own; returns those."""
    passwords = {}
    for role in ("supplier", "operator", "auditor"):
        passwords[role] = secrets.token_urlsafe(9)
        path = street.folder.mdms / f"{role}.password"
        write_private(path, passwords[role].encode())
        command = [sys.executable, "-m", "mdms", "add-user", "--role", role, "--password-file", str(path), role]
        config = str(street.folder.mdms / "mdms.toml")
        done = subprocess.run([*command, "--config", config], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        path.unlink()
        if done.returncode:
            raise CannotRun(f"the {role}'s account cannot be made: {done.stderr.strip()}")
    return passwords


if __name__ == "__main__":
    main()
