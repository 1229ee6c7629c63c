"""A run: days without the MDMS, then its return, with the street going on all the while."""

from __future__ import annotations

import asyncio
import random
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.operation.looking import open_read_only
from paillier import PublicKey
from protocol import wire

from ..bench_gateway import street
from ..bench_gateway.daemon import Daemon
from ..bench_gateway.mdms import StandIn
from ..bench_gateway.street import DEPLOYMENT, HOST, START, WINDOW_S
from ..conductor import Conductor
from .street import GRACE_S, Meter
from .taken import Taken

LINES = 8  # connections that the meters share, as behind a router in the field
IN_FLIGHT = 512  # frames of a line without a verdict
SLICE_S = 300  # of simulated time, while the backlog grows
LOOK_S = 0.2  # machine time between two looks at the outbox while it drains
STILL_S = 20  # machine time without a report, behind which what is missing is missing
PATIENCE_S = 180  # machine time without a verdict, or without a report taken
HOUR_S = 3600


class DrainFailed(Exception):
    """The run cannot go on; the message says what stood still."""


@dataclass(frozen=True)
class Plan:
    """``hours`` without the MDMS; ``pace``: seconds that pass for the street in one of the machine's, behind that."""

    meters: int
    hours: float
    interval_s: int
    detail_s: int
    pace: float
    seed: int
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def back(self) -> int:
        """When the MDMS is back, UTC seconds."""
        return START + self.back_s

    @property
    def back_s(self) -> int:
        """How long it is away: whole intervals, and the grace behind the last."""
        return int(self.hours * HOUR_S) // self.interval_s * self.interval_s + GRACE_S


@dataclass
class Drained:
    """What came of it. Times are the machine's, in seconds."""

    frames: int = 0
    build_s: float = 0.0
    reports: int = 0  # that waited when the MDMS came back
    waiting_mb: float = 0.0
    ledger_mb: float = 0.0
    first_s: float = 0.0  # from its return to the first report
    drain_s: float = 0.0  # from the first report to the last of those
    drained_mb: float = 0.0
    drained: int = 0  # reports that were taken in that time, new ones among them
    cpu_s: float = 0.0  # the daemon's, meanwhile
    idle_rss_mb: float = 0.0
    built_rss_mb: float = 0.0
    peak_rss_mb: float = 0.0
    again: int = 0
    off: list[str] = field(default_factory=list)


class Line:
    """A connection that several meters share. ``send`` returns when every frame has its verdict."""

    def __init__(self, meters: list[Meter], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.meters = meters
        self._of = {meter.title: meter for meter in meters}
        self._reader, self.writer = reader, writer
        self._deframer = wire.Deframer()

    async def send(self, until: int, plan: Plan) -> int:
        """Send what is due before a time; returns how many frames that was. Raises DrainFailed."""
        frames = [frame for meter in self.meters for frame in meter.due(until, plan.interval_s, plan.detail_s)]
        for at in range(0, len(frames), IN_FLIGHT):
            part = frames[at : at + IN_FLIGHT]
            self.writer.write(b"".join(part))
            waiting = len(part)
            while waiting:
                waiting -= await self._answers()
        return len(frames)

    async def _answers(self) -> int:
        try:
            async with asyncio.timeout(PATIENCE_S):
                data = await self._reader.read(1 << 16)
        except TimeoutError:
            raise DrainFailed(f"no verdict for {PATIENCE_S} s: is the outbox full? say --outbox-max-mb") from None
        if not data:
            raise DrainFailed("the daemon has closed a connection")
        self._deframer.feed(data)
        found = 0
        for frame in self._deframer:
            verdicts = self._of[wire.parse_header(frame).system_title].verdicts(frame)
            found += len(verdicts)
            if any(verdict != wire.STORED for _, _, verdict in verdicts):
                raise DrainFailed("a frame was answered by another verdict than 'stored'")
        return found


class Run:
    """One daemon, one street, one MDMS that comes and goes."""

    def __init__(
        self, plan: Plan, key: PublicKey, folder: Path, core: int | None, passed: Callable[[int], None]
    ) -> None:
        chance = random.Random(plan.seed)  # noqa: S311 - moments of a measurement
        self._plan = plan
        self._passed = passed
        self._core = core
        self._folder = folder
        self._key = key
        self._meters = [Meter(number, chance.random()) for number in range(plan.meters)]
        self._taken = Taken(self._meters)
        self._conductor = Conductor()
        self._lines: list[Line] = []
        self._ledger = folder / "ledger.sqlite3"
        self._now = plan.back
        self.result = Drained()

    async def run(self) -> Drained:
        """Do all of it. Raises DrainFailed or DaemonFailed."""
        with _refused() as (port, let_go):
            settings = {
                "clock": f"conducted:{HOST}:{await self._conductor.listen()}",
                "grace_s": GRACE_S,
                "min_contributors": 2,
                "unsafe_small_key": self._key.bits < 2048,
                **self._plan.settings,
            }
            made = street.set_up(self._folder, self._key, self._meters, self._plan.interval_s, settings, port)
            daemon = Daemon(made.config, self._core, module="scripts.drain.impatient")
            try:
                listening = await daemon.start()
                self.result.idle_rss_mb = daemon.usage().rss_mb
                await self._connect(listening)
                await self._build(daemon)
                let_go()
                with closing(StandIn(DEPLOYMENT, port, self._taken.take)):
                    await self._drain(daemon)
                    await self._finish()
                self.result.peak_rss_mb = daemon.usage().peak_rss_mb
            finally:
                await self._conductor.close()
                await daemon.stop()
                for line in self._lines:
                    line.writer.close()
        return self.result

    async def _connect(self, port: int) -> None:
        for at in range(min(LINES, len(self._meters))):
            self._lines.append(Line(self._meters[at::LINES], *await asyncio.open_connection(HOST, port)))

    async def _pass(self, now: int, until: int) -> None:
        """Let the time be ``now``, and send what is due before ``until``."""
        await self._conductor.advance("gateway", now * 1000)
        self.result.frames += sum(await asyncio.gather(*(line.send(until, self._plan) for line in self._lines)))

    async def _build(self, daemon: Daemon) -> None:
        """Pass the hours without the MDMS, as fast as the daemon takes frames."""
        began = time.monotonic()
        for now in range(START, self._plan.back, SLICE_S):
            await self._pass(now, min(now + SLICE_S, self._plan.back))
            self._passed(SLICE_S)
        await self._conductor.advance("gateway", self._plan.back * 1000)
        self.result.build_s = time.monotonic() - began
        self.result.built_rss_mb = daemon.usage().rss_mb
        self.result.reports, size = self._ask(
            "SELECT count(*), coalesce(sum(length(document)), 0) FROM outbox WHERE verdict IS NULL"
        )
        self.result.waiting_mb = size / 1e6
        self.result.ledger_mb = sum(path.stat().st_size for path in self._folder.glob("ledger.sqlite3*")) / 1e6

    async def _drain(self, daemon: Daemon) -> None:
        """Wait until the last of the reports that waited has left, while the street goes on at the pace."""
        (last,) = self._ask("SELECT coalesce(max(seq), 0) FROM outbox")
        back = began = time.monotonic()
        cpu_s, moved, known = daemon.usage().cpu_s, time.monotonic(), 0
        while self._ask("SELECT EXISTS (SELECT 1 FROM outbox WHERE verdict IS NULL AND seq <= ?)", last)[0]:
            if self._taken.reports > known:
                if not known:
                    began = time.monotonic()
                known, moved = self._taken.reports, time.monotonic()
            if time.monotonic() - moved > PATIENCE_S:
                raise DrainFailed(f"no report was taken for {PATIENCE_S} s")
            await self._go_on(back)
        self.result.first_s = began - back
        self.result.drain_s = time.monotonic() - began
        self.result.cpu_s = daemon.usage().cpu_s - cpu_s
        self.result.drained, self.result.drained_mb = self._taken.reports, self._taken.bytes / 1e6

    async def _go_on(self, back: float) -> None:
        """Let the street's time be as far as the pace says, and send what is due by then."""
        now = self._plan.back + int((time.monotonic() - back) * self._plan.pace)
        looked = time.monotonic()
        await self._pass(now, now)
        await asyncio.sleep(max(0.0, looked + LOOK_S - time.monotonic()))
        self._now = now

    async def _finish(self) -> None:
        """Close everything that the street has sent, let it leave, and compare."""
        until = START + -(-(self._now - START) // WINDOW_S) * WINDOW_S
        for now in range(self._now, until + GRACE_S + 1, SLICE_S):
            await self._pass(now, min(now + SLICE_S, until + GRACE_S))
        await self._conductor.advance("gateway", (until + WINDOW_S) * 1000)
        moved, known = time.monotonic(), -1
        while (off := self._off(until)) and time.monotonic() - moved < STILL_S:
            if self._taken.reports != known:
                moved, known = time.monotonic(), self._taken.reports
            await asyncio.sleep(LOOK_S)
        self.result.again = self._taken.again
        self.result.off = off

    def _off(self, until: int) -> list[str]:
        waiting, refused = self._ask(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE verdict IS NULL),"
            " EXISTS (SELECT 1 FROM outbox WHERE verdict IN ('conflict', 'refused'))"
        )
        if waiting or refused:
            return ["reports are still waiting" if waiting else "reports were refused"]
        return self._taken.off(self._meters, until, self._plan.interval_s)

    def _ask(self, sql: str, *values: Any) -> Any:
        try:
            with closing(open_read_only(self._ledger)) as db:
                return db.execute(sql, values).fetchone()
        except sqlite3.OperationalError as error:
            raise DrainFailed(f"the ledger cannot be looked at: {error}") from None


@contextmanager
def _refused() -> Any:
    """Hold a port on which connections are refused; yields it and what lets go of it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        yield held.getsockname()[1], held.close


async def drain(plan: Plan, key: PublicKey, core: int | None, passed: Callable[[int], None]) -> Drained:
    """Run once, in a folder that is gone behind it. Raises DrainFailed or DaemonFailed."""
    with tempfile.TemporaryDirectory(prefix="hushmeter-drain-") as name:
        return await Run(plan, key, Path(name) / "gateway", core, passed).run()
