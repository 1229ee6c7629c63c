"""SIGKILL of the real daemon, at random times and at numbered points, while a street sends to it over TCP.

Points: a random moment, start-up included; before the n-th thing that SQLite asks of the disk; when the n-th
acknowledgement has reached a meter; when the n-th upload has reached the utility, before or after it was taken, and
always before it is answered. The daemon is started again at once and the homes send what was not acknowledged.
Time is conducted, so that months pass; the rest is machine time, and a run is not the same twice.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from protocol import documents, reports, rosters, wire

from ..conductor import HOST, Conductor
from ..deployment import toml
from .memory import memory
from .street import (
    DELAY_DAYS,
    DEPLOYMENT,
    GRACE_S,
    HOMES,
    INTERVAL_S,
    NAME,
    START,
    WINDOW_S,
    Home,
    K,
    Sealed,
    Utility,
    as_json,
    differences,
    town,
)
from .tally import Tally

ROOT = Path(__file__).resolve().parents[2]
AGAIN_S = 0.3  # without an answer, what waits is sent again
RETRY_S = 0.01
STUCK_S = 120  # a life that stands still this long is broken: machine time, for a report instead of a silence
LONGEST_S = 0.8  # of a random moment behind the start
MOST_OPERATIONS = 150
MOST_ACKS = 8
MOST_UPLOADS = 3


DEATHS = ("moment", "operation", "operation", "ack", "upload", "taken upload")


class Death(NamedTuple):
    """How a daemon is to end. ``at``: seconds, or which operation, acknowledgement or upload."""

    kind: str
    at: float

    @classmethod
    def chosen(cls, chance: Random, kinds: Sequence[str]) -> "Death":
        """Choose one of the kinds."""
        kind = chance.choice(kinds)
        most = {"operation": MOST_OPERATIONS, "ack": MOST_ACKS}.get(kind, MOST_UPLOADS)
        return cls(kind, chance.random() * LONGEST_S if kind == "moment" else chance.randint(1, most))


class Courier:
    """Carries frames over one TCP connection until each has its verdict."""

    def __init__(self, port: int, homes: list[Home], tally: Tally) -> None:
        self.waiting: dict[tuple[bytes, tuple[bytes, int]], Sealed] = {}
        self.acknowledged = 0  # since the count was set to 0
        self.on_ack = lambda: None
        self._port = port
        self._homes = {home.title: home for home in homes}
        self._stored: set[tuple[bytes, tuple[bytes, int]]] = set()
        self._tally = tally
        self._writer: asyncio.StreamWriter | None = None
        self._idle = asyncio.Event()

    def send(self, frames: list[Sealed]) -> None:
        """Send frames, and again until each is answered."""
        for each in frames:
            self.waiting[each.title, each.name] = each
        self._idle.clear()
        self._send_waiting()

    def replay(self, sealed: Sealed) -> None:
        """Send a frame once more, whether or not anybody waits for its answer."""
        if self._writer is not None:
            self._writer.write(wire.encode_link(sealed.frame))

    async def all_answered(self) -> None:
        """Wait until every frame has its verdict."""
        if self.waiting:
            await self._idle.wait()

    async def run(self) -> None:
        """Connect, again and again."""
        while True:
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_connection(HOST, self._port)
                try:
                    self._send_waiting()
                    await self._listen(reader)
                finally:
                    self._writer.close()
                    self._writer = None
            await asyncio.sleep(RETRY_S)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        deframer = wire.Deframer()
        while True:
            try:
                async with asyncio.timeout(AGAIN_S):
                    data = await reader.read(4096)
            except TimeoutError:
                self._send_waiting()
                continue
            if not data:
                return
            deframer.feed(data)
            for frame in deframer:
                self._hear(frame)

    def _send_waiting(self) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.writelines(wire.encode_link(each.frame) for each in self.waiting.values())

    def _hear(self, frame: bytes) -> None:
        title = wire.parse_header(frame).system_title
        for name, verdict in self._homes[title].answered(frame).items():
            if verdict == wire.STORED and (title, name) in self._stored:
                self._tally.twice += 1
                self._tally.words.append("a frame was stored twice")
            elif verdict == wire.STORED:
                self._stored.add((title, name))
            elif verdict != wire.DUPLICATE:
                self._tally.breaks(f"an honest frame's verdict was {wire.VERDICTS[verdict]}")
            if self.waiting.pop((title, name), None) is not None:
                self._tally.acknowledged += 1
                self.acknowledged += 1
                self.on_ack()
        if not self.waiting:
            self._idle.set()


class Door:
    """The utility's HTTP door, on loopback."""

    def __init__(self, utility: Utility) -> None:
        self.uploads = 0  # since the count was set to 0
        self.on_upload = lambda _: None
        self._utility = utility

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one upload."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            batch: reports.Batch = documents.parse(await reader.readexactly(length), reports.Batch)
            self.uploads += 1
            self.on_upload("upload")
            verdicts = self._utility.take(batch.reports)
            self.on_upload("taken upload")
            body = msgspec.json.encode(reports.BatchAnswer(verdicts))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the daemon was killed in the middle: it comes again
        finally:
            writer.close()


class Life:
    """One street's life through a number of kills."""

    def __init__(self, folder: Path, seed: str, kills: int, tally: Tally, plant: str, deaths: Sequence[str]) -> None:
        self._folder = folder
        self._chance = Random(seed)  # noqa: S311 - a seed makes a run again, but for its moments
        self._kills = kills
        self._tally = tally
        self._plant = plant
        self._deaths = deaths
        self._homes = [Home(index) for index in range(HOMES)]
        self._utility = Utility()
        self._conductor = Conductor()
        self._door = Door(self._utility)
        self._port = _free_port()
        self._courier = Courier(self._port, self._homes, tally)
        self._process: asyncio.subprocess.Process | None = None
        self._ending = False

    async def run(self) -> None:
        """Live until all kills are done and the last window is reported, then compare."""
        door = await asyncio.start_server(self._door.serve, HOST, 0)
        self._write(await self._conductor.listen(), door.sockets[0].getsockname()[1])
        tasks = [asyncio.create_task(each) for each in (self._courier.run(), self._keep(), self._live())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            await self._conductor.close()
            door.close()
        if b"Traceback" in self._log().read_bytes():
            self._tally.breaks("the daemon's log holds a traceback")

    async def _live(self) -> None:
        """Measure, send, let time pass, interval by interval; then end in order and compare."""
        start = START
        while not (self._tally.kills >= self._kills and (start - START) % WINDOW_S == 0):
            end = start + INTERVAL_S
            async with asyncio.timeout(STUCK_S):
                await self._conductor.advance("gateway", (end + 10) * 1000)
                frames = [home.measure(start, self._chance) for home in self._homes]
                self._chance.shuffle(frames)
                self._courier.send(frames)
                await self._courier.all_answered()
                if self._chance.random() < 0.3:
                    self._courier.replay(frames[0])
                await self._conductor.advance("gateway", (end + GRACE_S) * 1000)
            start = end
        self._ending = True
        await self._conductor.close()  # the daemon ends in order
        assert self._process is not None, "time has passed, so there is a daemon"
        status = await asyncio.wait_for(self._process.wait(), STUCK_S)
        if status != 0:
            self._tally.breaks(f"the daemon ended with status {status}: {self._last_line()}")
        found = differences(self._utility, self._homes, start)
        self._tally.mwh_off += found.mwh_off
        self._tally.twice += found.twice
        self._tally.lost += found.missing
        self._tally.words += found.words[:3]

    async def _keep(self) -> None:
        """Start the daemon, kill it, start it again."""
        while True:
            death = Death.chosen(self._chance, self._deaths) if self._tally.kills < self._kills else Death("none", 0)
            self._courier.acknowledged = self._door.uploads = 0
            self._courier.on_ack = lambda death=death: self._die(  # type: ignore[misc]
                death.kind == "ack" and self._courier.acknowledged >= death.at
            )
            self._door.on_upload = lambda kind, death=death: self._die(  # type: ignore[misc]
                kind == death.kind and self._door.uploads >= death.at
            )
            with self._log().open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command(death), cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
                )
            if death.kind == "moment":
                await asyncio.sleep(death.at)
                self._die(True)
            status = await self._process.wait()
            if self._ending:
                await asyncio.Event().wait()
            if status == -signal.SIGKILL:
                self._tally.kills += 1
            else:
                raise RuntimeError(f"the daemon ended with status {status}: {self._last_line()}")

    def _command(self, death: Death) -> list[str]:
        config = str(self._folder / "gateway.toml")
        if death.kind == "operation" or self._plant:
            operation = int(death.at) if death.kind == "operation" else 0
            return [sys.executable, "-m", "scripts.torture.doomed", config, str(operation), self._plant]
        return [sys.executable, "-m", "gateway", "run", "--config", config]

    def _die(self, now: bool) -> None:
        if now and self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _log(self) -> Path:
        return self._folder / "gateway.log"

    def _last_line(self) -> str:
        lines = self._log().read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _write(self, conductor: int, door: int) -> None:
        for name in ("rosters", "enrolment"):
            (self._folder / name).mkdir()
        (self._folder / "identity.pem").write_text(town().identity.export_key(format="PEM"))
        roster = rosters.sign_roster(town().operator, DEPLOYMENT, town().roster)
        (self._folder / "rosters" / f"{NAME}.json").write_bytes(msgspec.json.encode(roster))
        for home in self._homes:
            (self._folder / "enrolment" / f"{home.title.hex()}.json").write_bytes(as_json(home.record()))
        values: dict[str, object] = {
            "deployment": DEPLOYMENT,
            "operator_key": documents.to_base64url(documents.public_key_bytes(town().operator)),
            "identity_key": "identity.pem",
            "rosters": "rosters",
            "enrolment": "enrolment",
            "ledger": "ledger.sqlite3",
            "listen": f"{HOST}:{self._port}",
            "mdms_url": f"http://{HOST}:{door}",
            "min_contributors": K,
            "grace_s": GRACE_S,
            "accepted_delay_days": DELAY_DAYS,
            "commit_delay_ms": 2,
            "table_window_bits": 4,
            "clock": f"conducted:{HOST}:{conductor}",
            "unsafe_simulated_clock": True,
            "unsafe_small_key": True,
        }
        (self._folder / "gateway.toml").write_bytes(toml(values))


def kill(seed: str, kills: int, plant: str = "", deaths: Sequence[str] = DEATHS) -> Tally:
    """Live one street's life through ``kills`` kills, of the kinds in ``deaths``."""
    tally = Tally()
    with tempfile.TemporaryDirectory(dir=memory(), prefix="hushmeter-") as name:
        try:
            asyncio.run(Life(Path(name), seed, kills, tally, plant, deaths).run())
        except TimeoutError:
            tally.breaks("the street stood still: a frame or a report was never taken")
        except RuntimeError as error:
            tally.breaks(str(error))
    if tally.off:
        tally.words = [f"kills {seed}: {word}" for word in tally.words or ["acknowledged lost"]]
    return tally


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port
