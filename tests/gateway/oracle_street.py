"""One simulated day of the real daemon, with a tap on everything that leaves it. What was measured is known here.

Readings come on time, late, twice and never; one interval has fewer than k contributors and one exactly k; rows,
events and questions for the time go with them; the daemon is killed in the middle and started again; some answers of
the utility are lost. Then days pass until the last window is sealed.
"""

import asyncio
import contextlib
import os
import random
import socket
import sys
import urllib.request
from collections import defaultdict
from pathlib import Path

import msgspec
from canaries import ENERGY, LEAST_BITS, REGISTER, Canaries
from gateway_bench import CCM, DAY, GRACE, INTERVAL, START, Deployment, Meter, name_of

from protocol import documents, keychain, reports, wire
from scripts.conductor import HOST, Conductor

ROOT = Path(__file__).resolve().parents[2]
METERS = 12
K = 10
DETAIL_S = 300
DELAY_DAYS = 2
LATE_BY = 4  # intervals
PATIENCE_S = 120
LOST, LATE, TWICE = "lost", "late", "twice"
DAY_INTERVALS = DAY // INTERVAL


class Home(Meter):
    """A meter whose registers have eight bytes from the first on, and whose rows only its customer opens."""

    def __init__(self, index, chance):
        super().__init__(index)
        self.imported = self.first_import = REGISTER + chance.getrandbits(38)
        self.exported = self.first_export = REGISTER + chance.getrandbits(38)
        self.customer = keychain.Chain(self.epoch, keychain.first_chain(chance.randbytes(32)))
        self.registers = {START: (self.imported, self.exported)}  # by the end of the interval: what was acknowledged
        self.sent = {}  # (salt, counter) -> its verdict, None before it
        self.streams = []  # of each connection, what it brought

    def hear(self, frame):
        """Note the verdicts of an ACK; a frame that was sent twice has two."""
        header = wire.parse_header(frame)
        if header.type != wire.ACK:
            return
        body = wire.open_downlink(CCM, self.key(header.epoch, keychain.DOWN), frame)[1]
        for item in wire.parse_ack(body):
            for counter in range(item.first, item.first + item.count):
                if (item.salt, counter) in self.sent:  # what it names besides is for the oracle
                    self.sent[item.salt, counter] = item.verdict

    def row(self, end, energies):
        """Return (DETAIL frame, the row that the customer must get)."""
        epoch = keychain.epoch_of(end)
        header = wire.Header(wire.DETAIL, self.title, epoch, self.salt, self.counter)
        detail = wire.Detail(end, DETAIL_S, *energies, self.imported, self.exported, 2300, 100, 990, 0)
        blob = wire.seal_detail(CCM, self.customer.at(epoch).key(keychain.DETAIL), header, wire.pack_detail(detail))
        return self.seal(wire.DETAIL, blob, epoch), wire.pack_header(header) + blob


class Street:
    """See the module. ``plant`` names a bug of oracle_plants.py."""

    def __init__(self, folder, intervals=DAY_INTERVALS, seed=1, plant=""):
        self.folder = Path(folder)
        self.chance = random.Random(seed)
        self.intervals = intervals
        self.plant = plant
        self.homes = [Home(index, self.chance) for index in range(METERS)]
        self.canaries = Canaries()
        for home in self.homes:
            self.canaries.add(self._energies(), home.registers[START])
        self.plan = self._plan()
        self.loads = defaultdict(dict)  # interval start -> {pseudonym: energies} of what came in time
        self.rows = set()
        self.uploads = []  # (head, body) of every request
        self.times_ms = set()
        self.hits = []  # (where, value): canaries that were found
        self.kills = 0
        self.looks = 0
        self._held = defaultdict(list)
        self._lines = {}
        self._process = None
        self._taken = set()
        self._conductor = Conductor()
        self._port, self._metrics_port = free_port(), free_port()

    def _plan(self):
        """Say what becomes of a meter's reading, by (meter, interval); what is not said comes once and in time."""
        plan = {}
        for at in range(self.intervals):
            for index in range(METERS):
                drawn = self.chance.random()
                plan[index, at] = TWICE if drawn < 0.05 else LOST if drawn < 0.06 else LATE if drawn < 0.07 else ""
            if at in (6, 7):
                plan.update({(index, at): "" for index in range(METERS)})
        plan[3, 5] = LOST
        plan.update({(index, 6): LATE for index in range(K - 1, METERS)})  # one fewer than k
        plan.update({(index, 7): LATE for index in range(K, METERS)})  # exactly k
        return plan

    @property
    def log(self):
        return self.folder / "gateway.log"

    @property
    def ledger(self):
        return self.folder / "deployment" / "ledger.sqlite3"

    # --- The day ------------------------------------------------------------------------------------------------

    async def run(self):
        """Pass the day and the days until everything is sealed."""
        self.folder.mkdir(exist_ok=True)
        utility = await asyncio.start_server(self._serve, HOST, 0)
        deployment = Deployment(self.folder / "deployment", self.homes)
        deployment.write(
            listen=f"{HOST}:{self._port}",
            mdms_url=f"http://{HOST}:{utility.sockets[0].getsockname()[1]}",
            clock=f"conducted:{HOST}:{await self._conductor.listen()}",
            unsafe_simulated_clock=True,
            accepted_delay_days=DELAY_DAYS,
            detail_s=DETAIL_S,
            table_window_bits=4,
            metrics_listen=f"{HOST}:{self._metrics_port}",
        )
        try:
            await self._start()
            for at in range(self.intervals):
                async with asyncio.timeout(PATIENCE_S):
                    await self._interval(at)
            await self._rest()
            await self._conductor.close()
            assert await asyncio.wait_for(self._process.wait(), PATIENCE_S) == 0, self.log.read_text()[-2000:]
            await self._hear_the_rest()
            self._look_at_files()
        finally:
            await self._stop()
            utility.close()
        return self

    async def _interval(self, at):
        start = START + at * INTERVAL
        end = start + INTERVAL
        await self._to(end + 10)
        if at == 0:
            await self._exchange({home: [home.hello()] for home in self.homes}, answered=False)
        frames = defaultdict(list)
        for index, home in enumerate(self.homes):
            fate = self.plan[index, at]
            frame = self._measure(home, start)
            if fate == LATE:
                self._held[at + LATE_BY].append((home, frame))
            elif fate != LOST:
                frames[home] += [frame] * (2 if fate == TWICE else 1)
                self.loads[start][home.pseudonym] = self.energies
            frames[home] += [self._row(home, end - behind) for behind in range(0, INTERVAL, DETAIL_S)]
        for home, frame in self._held.pop(at, []):
            frames[home].append(frame)
        frames[self.homes[2]].append(self._event(self.homes[2], end))
        if at == 9:
            frames[self.homes[7]].append(self._impossible(self.homes[7], end + DAY))
        for sent in frames.values():
            self.chance.shuffle(sent)
        await self._exchange(frames, kill=at == self.intervals // 2)
        await self._to(end + GRACE)
        if at % 16 == 8 or at == self.intervals // 2:
            await self._look()

    async def _rest(self):
        """Let what is late come, and the days pass in which windows are still open."""
        end = START + self.intervals * INTERVAL
        await self._exchange({home: [frame] for held in self._held.values() for home, frame in held})
        for day in range(1, DELAY_DAYS + 3):
            await self._to(end + day * DAY)
        await self._look()

    def _energies(self):
        return ENERGY + self.chance.getrandbits(LEAST_BITS), ENERGY + self.chance.getrandbits(LEAST_BITS)

    def _measure(self, home, start):
        """Measure an interval; ``energies`` is what it holds."""
        self.energies = self._energies()
        frame = home.reading(start, *self.energies)
        self.canaries.add(self.energies, (home.imported, home.exported))
        home.registers[start + INTERVAL] = home.imported, home.exported
        return frame

    def _row(self, home, end):
        energies = self._energies()
        self.canaries.add(energies, (home.imported, home.exported))
        frame, row = home.row(end, energies)
        self.rows.add(row)
        return frame

    def _event(self, home, end):
        return home.seal(wire.EVENT, wire.pack_event(wire.Event(wire.TAMPER, end, 1, "")), keychain.epoch_of(end))

    def _impossible(self, home, start):
        """A reading of the future, which is set aside; the registers of the others do not know it."""
        energies = self._energies()
        before = home.imported, home.exported
        frame = home.reading(start, *energies, epoch=keychain.epoch_of(START))
        self.canaries.add(energies, (home.imported, home.exported))
        home.imported, home.exported = before
        return frame

    async def _to(self, now):
        self.times_ms.add(now * 1000)
        ended = asyncio.create_task(self._process.wait())
        passing = asyncio.create_task(self._conductor.advance("gateway", now * 1000))
        await asyncio.wait({ended, passing}, return_when=asyncio.FIRST_COMPLETED)
        passing.cancel()
        assert not ended.done(), self.log.read_text()[-2000:]
        ended.cancel()

    # --- The line -----------------------------------------------------------------------------------------------

    async def _exchange(self, frames, *, kill=False, answered=True):
        """Send each home's frames until each has its verdict; ``kill``: the daemon dies behind the first verdict."""
        for home, sent in frames.items():
            home.sent.update({name_of(frame): None for frame in sent if home.sent.get(name_of(frame)) is None})
        while True:
            await self._connect()
            waiting = {
                home: [frame for frame in sent if home.sent[name_of(frame)] is None] for home, sent in frames.items()
            }
            if not any(waiting.values()):
                return
            for home, sent in waiting.items():
                self._lines[home][1].write(b"".join(map(wire.encode_link, sent)))
            listening = [self._listen(home, sent, kill, answered) for home, sent in waiting.items() if sent]
            await asyncio.gather(*listening)
            if not answered:
                return
            if kill:
                kill = False
                await self._restart()

    async def _listen(self, home, sent, kill, answered):
        """Read answers until every frame has one; when the daemon is to die, until anything came."""
        reader, _ = self._lines[home]
        deframer = wire.Deframer()
        while any(home.sent[name_of(frame)] is None for frame in sent):
            data = await reader.read(4096)
            assert data, "the daemon has hung up"
            home.streams[-1] += data
            deframer.feed(data)
            for frame in deframer:
                home.hear(frame)
            if kill or not answered:
                return

    async def _connect(self):
        for home in self.homes:
            if home not in self._lines:
                self._lines[home] = await asyncio.open_connection(HOST, self._port)
                home.streams.append(bytearray())

    async def _start(self):
        command = ["-m", "gateway"] if not self.plant else [str(Path(__file__).parent / "oracle_plants.py"), self.plant]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                "run",
                "--config",
                str(self.folder / "deployment" / "gateway.toml"),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    await self._connect()
                    return
                assert self._process.returncode is None, self.log.read_text()[-2000:]
                await asyncio.sleep(0.02)

    async def _hear_the_rest(self):
        """Read what has left for the meters and that nobody has waited for, until the end of each connection."""
        for home, (reader, _) in self._lines.items():
            with contextlib.suppress(OSError):
                home.streams[-1] += await reader.read()

    async def _restart(self):
        self._process.kill()
        await self._process.wait()
        await self._hear_the_rest()
        await self._stop()
        self.kills += 1
        self._look_at_files()
        await self._start()

    async def _stop(self):
        for _, writer in self._lines.values():
            writer.close()
        self._lines = {}
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    # --- The utility --------------------------------------------------------------------------------------------

    async def _serve(self, reader, writer):
        """Note every request as it came; lose an answer now and then."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-len")]
                body = await reader.readexactly(length)
                self.uploads.append((head, body))
                if self.chance.random() < 0.1:
                    return
                verdicts = []
                for document in msgspec.json.decode(body, type=reports.Batch).reports:
                    name = documents.document_id(document.type, "bench", document.content_bytes())
                    verdicts.append(reports.ItemVerdict(name, "duplicate" if name in self._taken else "stored"))
                    self._taken.add(name)
                answer = msgspec.json.encode(reports.BatchAnswer(verdicts))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    # --- Looking ------------------------------------------------------------------------------------------------

    async def _look(self):
        """Look for canaries in files, metrics and what the kernel tells everybody of the process."""
        process = Path("/proc") / str(self._process.pid)
        for name in ("cmdline", "environ", "status"):
            self._note(name, self.canaries.in_bytes((process / name).read_bytes()))
        url = f"http://{HOST}:{self._metrics_port}/metrics"
        self._note("metrics", self.canaries.in_bytes(await asyncio.to_thread(fetch, url)))
        self._look_at_files()

    def _look_at_files(self):
        self.looks += 1
        for path in self.folder.rglob("*"):
            if path.is_file():
                self._note(path.name, self.canaries.in_bytes(path.read_bytes()))
        self._note("the ledger's cells", self.canaries.in_database(self.ledger))

    def _note(self, where, found):
        self.hits += [(where, value) for value in found]


def fetch(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return answer.read()


def free_port():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]
