"""The meters' side of a run: a connection for each, frames in, verdicts out, and the clock that goes with them.

Strategy: domain time belongs to the run. Meters may send a round (an interval's readings of all of them) once the
clock has passed its end, and the clock goes on with the slowest meter, so that no reading is from the future and none
is late for its load, however fast or slow the daemon is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol import wire

from ..conductor import Conductor
from .street import HOST, START, Meter

ROLE = "gateway"
SPREAD_ROUNDS = 4  # how far the fastest meter may be ahead of the slowest, besides its burst
PATIENCE_S = 120  # without a single verdict
TICK_S = 1.0  # how often a paced run moves the clock, as the system's clock does


class DriveFailed(Exception):
    """The daemon did not answer as it must; the message says what came instead."""


@dataclass(frozen=True)
class Plan:
    """Who sends what: frames by meter and round, how many of a meter are in flight, seconds at most.

    ``rate``: readings a second, sent whether answers come or not; None: as fast as answers come.
    """

    meters: list[Meter]
    frames: list[list[bytes]]
    interval_s: int
    burst: int
    rate: float | None = None
    seconds: float = 3600.0

    @property
    def rounds(self) -> int:
        """How many readings each meter has."""
        return len(self.frames[0])

    @property
    def grace_s(self) -> int:
        """How long a load stays open: until the slowest meter is in."""
        return (spread(self) + 1) * self.interval_s


@dataclass
class Driven:
    """What came of it: when the first frame left and the last verdict came, and each reading's time to its ACK."""

    began: float = 0.0
    ended: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def readings(self) -> int:
        """How many readings have their verdict."""
        return len(self.latencies_s)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


def spread(plan: Plan) -> int:
    """Return how many rounds may be open at once."""
    return plan.burst * (SPREAD_ROUNDS + 1)


class Line(asyncio.Protocol):
    """One meter's connection."""

    def __init__(self, drive: Drive, number: int) -> None:
        self._drive = drive
        self.number = number
        self.meter = drive.plan.meters[number]
        self._deframer = wire.Deframer()
        self.transport: asyncio.WriteTransport | None = None
        self.sent_at: dict[int, float] = {}
        self.next_round = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what it is written to."""
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take verdicts."""
        self._deframer.feed(data)
        now = time.perf_counter()
        try:
            for frame in self._deframer:
                for _, counter, verdict in self.meter.verdicts(frame):
                    self._drive.take(self, counter, verdict, now)
        except (wire.Malformed, wire.Forged, DriveFailed) as error:
            self._drive.fail(error)
        if self._deframer.corrupt:
            self._drive.fail(DriveFailed("an answer is damaged"))

    def connection_lost(self, exc: Exception | None) -> None:
        """A daemon that hangs up ends the run."""
        self._drive.fail(DriveFailed("the daemon has closed a connection"))

    def send(self, count: int) -> None:
        """Send the next ``count`` rounds' frames at once."""
        assert self.transport is not None, "it is connected"
        frames = self._drive.plan.frames[self.number][self.next_round : self.next_round + count]
        now = time.perf_counter()
        for at in range(self.next_round, self.next_round + len(frames)):
            self.sent_at[at] = now
        self.next_round += len(frames)
        self.transport.write(b"".join(frames))


class Drive:
    """One run against a daemon that listens."""

    def __init__(self, plan: Plan, conductor: Conductor, advanced: Callable[[int], None]) -> None:
        """``advanced`` is told how many readings more have their verdict."""
        self.plan = plan
        self.driven = Driven()
        self._conductor = conductor
        self._advanced = advanced
        self._lines: list[Line] = []
        self._waiting: list[Line] = []
        self._limit = 0  # rounds that may be sent
        self._slowest = 0  # the first round that is not whole
        self._missing = [len(plan.meters)] * plan.rounds
        self._in_flight = 0
        self._closed = False
        self._moved = asyncio.Event()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int) -> Driven:
        """Connect every meter, send, and return when everything that was sent has its verdict. Raises DriveFailed."""
        loop = asyncio.get_running_loop()
        for number in range(len(self.plan.meters)):
            _, line = await loop.create_connection(lambda number=number: Line(self, number), HOST, port)  # type: ignore[misc]
            self._lines.append(line)
        await self._to_limit(self._wanted())
        sending = self._pace if self.plan.rate else self._flood
        self.driven.began = time.perf_counter()
        tasks = [asyncio.create_task(task()) for task in (sending, self._keep_time, self._watch)]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            await self._done
        finally:
            self._closed = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for line in self._lines:
                if line.transport is not None:
                    line.transport.close()
        return self.driven

    # --- Answers ------------------------------------------------------------------------------------------------

    def take(self, line: Line, counter: int, verdict: int, now: float) -> None:
        """Take one verdict. Raises DriveFailed for any but "stored"."""
        sent = line.sent_at.pop(counter, None)
        if sent is None or verdict != wire.STORED:
            raise DriveFailed(f"a reading was answered by '{wire.VERDICTS[verdict]}', or twice")
        self.driven.latencies_s.append(now - sent)
        self.driven.ended = now
        self._in_flight -= 1
        self._missing[counter] -= 1
        while self._slowest < self.plan.rounds and not self._missing[self._slowest]:
            self._slowest += 1
            self._moved.set()
        self._advanced(1)
        if not self.plan.rate and not line.sent_at:
            self._send(line)
        if not self._in_flight and self._over():
            self._finish(None)

    def fail(self, error: Exception) -> None:
        """End the run with an error, unless it has ended."""
        if not self._closed:
            self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(DriveFailed(str(error)))

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.fail(error)

    # --- Sending ------------------------------------------------------------------------------------------------

    def _over(self) -> bool:
        late = time.perf_counter() - self.driven.began >= self.plan.seconds
        return late or all(line.next_round == self.plan.rounds for line in self._lines)

    def _send(self, line: Line) -> None:
        count = min(self.plan.burst, self.plan.rounds - line.next_round)
        if not count or time.perf_counter() - self.driven.began >= self.plan.seconds:
            return
        if line.next_round + count > self._limit:
            self._waiting.append(line)
            return
        self._in_flight += count
        line.send(count)

    async def _flood(self) -> None:
        """Send each meter's first burst; the next follows its verdicts."""
        for line in self._lines:
            self._send(line)

    async def _pace(self) -> None:
        """Send at the rate, one meter after the other."""
        assert self.plan.rate is not None
        for number in range(self.plan.rounds * len(self._lines)):
            due = self.driven.began + number / self.plan.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            line = self._lines[number % len(self._lines)]
            while line.next_round >= self._limit:
                await asyncio.sleep(0.001)
            if due - self.driven.began >= self.plan.seconds:
                break
            self._in_flight += 1
            line.send(1)
        while self._in_flight:
            await asyncio.sleep(0.01)
        self._finish(None)

    async def _keep_time(self) -> None:
        """Let the clock follow the slowest meter; a paced run looks as often as the system's clock ticks."""
        while True:
            if self.plan.rate:
                await asyncio.sleep(TICK_S)
            else:
                await self._moved.wait()
            self._moved.clear()
            await self._to_limit(self._wanted())

    def _wanted(self) -> int:
        return min(self.plan.rounds, self._slowest + spread(self.plan))

    async def _to_limit(self, limit: int) -> None:
        await self._conductor.advance(ROLE, (START + limit * self.plan.interval_s) * 1000)
        self._limit = limit
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._send(line)

    async def _watch(self) -> None:
        """Raise DriveFailed where no verdict comes any more."""
        while True:
            before = self.driven.readings
            await asyncio.sleep(PATIENCE_S)
            if self.driven.readings == before:
                raise DriveFailed(f"no verdict for {PATIENCE_S} s, {self._in_flight} readings in flight")
