"""The daemon's tasks and their threads: one for the ledger and its ciphertexts, one for uploads, one for live rows."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from .bounds import Bounds
from .clock import Clock
from .closing import Closing
from .ledger import Ledger
from .links.mqtt import Broker, MqttLink
from .links.serial import SerialLink
from .links.tcp import AUTHENTIC_WITHIN_S, TcpLink
from .live import LiveRelay
from .operation.metrics import Metrics, stopwatch
from .outbox import Outbox
from .reception import Arrival, Reception, Reply
from .uploader import Uploader

log = structlog.get_logger()

QUEUE_FRAMES = 4096  # arrivals that wait for the ledger, a megabyte; beyond it the links stop reading
BATCH_FRAMES = 64  # of one commit
FOLDED_BATCH_FRAMES = QUEUE_FRAMES  # in fold mode, where a commit costs randomisers and a frame none
IDLE_S = 0.1  # how often an idle concentrator looks whether a pool wants randomisers
TALLY_S = 1.0  # how often the number of corrupt pieces is written down
FULL_S = 1.0  # how often a concentrator that is full looks whether it may take frames again


class Service:
    """Runs the parts until it is cancelled or the clock ends."""

    def __init__(
        self,
        clock: Clock,
        ledger: Ledger,
        outbox: Outbox,
        reception: Reception,
        closing: Closing,
        *,
        mdms_url: str,
        commit_delay_ms: int,
        batch_frames: int = BATCH_FRAMES,
        max_connections: int,
        serial: Sequence[str] = (),
        baud: int = 115200,
        broker: Broker | None = None,
        authentic_within_s: float = AUTHENTIC_WITHIN_S,
        metrics: Metrics | None = None,
        look: Callable[[int], object] = int,
        bounds: Bounds | None = None,
    ) -> None:
        """``look`` is called in the ledger's thread at every tick, before anything is closed."""
        self._bounds = bounds
        self._look = look
        self._metrics = metrics or Metrics()
        self._clock = clock
        self._ledger = ledger
        self._reception = reception
        self._closing = closing
        self._commit_delay_s = commit_delay_ms / 1000
        self._batch_frames = batch_frames
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue(QUEUE_FRAMES)
        self._ledger_thread = ThreadPoolExecutor(1, "ledger")
        self._background = ThreadPoolExecutor(1, "upload")
        self._live_thread = ThreadPoolExecutor(1, "live")  # of its own: a great upload must not make fresh rows old
        self._corrupt = 0  # pieces that no frame could be made of, and that are not in the ledger's counts yet
        self._link = TcpLink(self._arrivals.put, self._count_corrupt, max_connections, authentic_within_s)
        self._serial = SerialLink(self._arrivals.put, self._count_corrupt, serial, baud)
        self._mqtt = MqttLink(self._arrivals.put, self._count_corrupt, broker)
        self._uploader = Uploader(
            mdms_url, outbox, self._in_transaction, self._in_ledger, self._in_background, self._metrics.uploaded
        )
        self._live = LiveRelay(mdms_url, outbox, self._in_ledger, self._in_live, self._metrics.relayed)

    async def run(self, host: str, port: int, ready: Callable[[int], None]) -> None:
        """Listen and work until the clock's ticks end. Raises OSError where the address is taken."""
        server = await self._link.listen(host, port)
        ready(server.sockets[0].getsockname()[1])
        work = {
            "receive": self._receive,
            "upload": self._uploader.run,
            "live": self._live.run,
            "serial": self._serial.run,
            "mqtt": self._mqtt.run,
            "tally": self._tally,
        }
        if self._reception.prepares:
            work["prepare"] = self._prepare
        workers = [asyncio.create_task(task(), name=name) for name, task in work.items()]
        ticking = asyncio.create_task(self._tick(), name="tick")
        try:
            done, _ = await asyncio.wait([*workers, ticking], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a worker that ended has failed: the daemon stops rather than half work
        finally:
            server.close()
            self._link.close()
            for task in (*workers, ticking):
                task.cancel()
            await asyncio.gather(*workers, ticking, return_exceptions=True)
            await self._keep_tally()
            self._ledger_thread.shutdown()
            self._background.shutdown(cancel_futures=True)
            self._live_thread.shutdown(cancel_futures=True)

    def connections(self) -> int:
        """Return how many meters are connected over TCP."""
        return self._link.connections

    async def answers(self) -> None:
        """Come back as soon as the ledger's thread does: it is alive."""
        await self._in_ledger(int)

    async def _receive(self) -> None:
        """Commit what has arrived, in groups, then answer."""
        while True:
            batch = [await self._arrivals.get()]
            if self._arrivals.qsize() < self._batch_frames - 1 and self._commit_delay_s:
                await asyncio.sleep(self._commit_delay_s)
            while len(batch) < self._batch_frames and not self._arrivals.empty():
                batch.append(self._arrivals.get_nowait())
            passed, counted = stopwatch(), self._reception.readings
            # While the outbox is full, what has arrived waits unopened, the queue fills, and the links stop reading.
            while (replies := await self._in_ledger(self._take, batch, self._clock.now_ms())) is None:
                await asyncio.sleep(FULL_S)
            self._metrics.committed(len(batch), self._reception.readings - counted, passed())
            for reply in replies:
                reply.peer.send(reply.frame)

    def _take(self, batch: Sequence[Arrival], now_ms: int) -> list[Reply] | None:
        """Take a batch and return its answers; None where there is no room for what it would cause."""
        if self._bounds is not None and self._bounds.holds_frames():
            return None
        return self._reception.take(batch, now_ms)

    async def _prepare(self) -> None:
        """Make randomisers ahead (pool mode) while nothing arrives: one at a time, so that a burst waits for one."""
        while True:
            if not (self._arrivals.empty() and await self._in_ledger(self._reception.prepare)):
                await asyncio.sleep(IDLE_S)

    async def _tick(self) -> None:
        async for now_ms in self._clock.ticks():
            await self._in_ledger(self._look, now_ms)
            await self._in_ledger(self._close, now_ms)
            while await self._in_ledger(self._close_segments, now_ms):
                pass  # a step at a time: frames get their turn between two
            self._uploader.wake()
            if self._clock.waits:
                await self._uploader.drained()
                await self._clock.settled(now_ms)

    def _close(self, now_ms: int) -> None:
        if self._bounds is not None and self._bounds.below_floor():
            return  # what is due stays due: it is closed when there is room again
        self._closing.close(now_ms)

    def _close_segments(self, now_ms: int) -> bool:
        if self._bounds is not None and self._bounds.below_floor():
            return False
        return self._closing.close_segments(now_ms)

    async def _count_corrupt(self, number: int) -> None:
        self._corrupt += number  # in memory: a flood of noise must not cost the meters' commits a place each

    async def _tally(self) -> None:
        while True:
            await asyncio.sleep(TALLY_S)
            await self._keep_tally()

    async def _keep_tally(self) -> None:
        number, self._corrupt = self._corrupt, 0
        if not number:
            return
        try:
            await self._in_ledger(self._reception.count_corrupt, number)
        except sqlite3.Error:
            self._corrupt += number  # a number for the operator is not worth stopping for

    async def _in_ledger(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._ledger_thread, call, *arguments)

    async def _in_background(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._background, call, *arguments)

    async def _in_live(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._live_thread, call, *arguments)

    async def _in_transaction(self, call: Callable[..., Any], *arguments: Any) -> None:
        def change() -> None:
            with self._ledger.transaction():
                call(*arguments)

        await self._in_ledger(change)
