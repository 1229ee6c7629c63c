"""The daemon's tasks and their threads: one for the ledger and its ciphertexts, one for uploads."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from .clock import Clock
from .closing import Closing
from .ledger import Ledger
from .links.serial import SerialLink
from .links.tcp import TcpLink
from .outbox import Outbox
from .reception import Arrival, Reception
from .uploader import Uploader

log = structlog.get_logger()

QUEUE_FRAMES = 1024  # arrivals that wait for the ledger; beyond it the links stop reading
BATCH_FRAMES = 64  # of one commit
FOLDED_BATCH_FRAMES = QUEUE_FRAMES  # in fold mode, where a commit costs randomisers and a frame none
IDLE_S = 0.1  # how often an idle concentrator looks whether a pool wants randomisers
LIVE_S = 0.5  # how long a sealed row may wait before it is sent on


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
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._reception = reception
        self._closing = closing
        self._commit_delay_s = commit_delay_ms / 1000
        self._batch_frames = batch_frames
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue(QUEUE_FRAMES)
        self._ledger_thread = ThreadPoolExecutor(1, "ledger")
        self._background = ThreadPoolExecutor(1, "upload")
        self._link = TcpLink(self._arrivals.put, self._count_corrupt, max_connections)
        self._serial = SerialLink(self._arrivals.put, self._count_corrupt, serial, baud)
        self._uploader = Uploader(mdms_url, outbox, self._in_transaction, self._in_ledger, self._in_background)

    async def run(self, host: str, port: int, ready: Callable[[int], None]) -> None:
        """Listen and work until the clock's ticks end. Raises OSError where the address is taken."""
        server = await self._link.listen(host, port)
        ready(server.sockets[0].getsockname()[1])
        work = {
            "receive": self._receive,
            "upload": self._uploader.run,
            "live": self._live,
            "serial": self._serial.run,
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
            self._ledger_thread.shutdown()
            self._background.shutdown(cancel_futures=True)

    async def _receive(self) -> None:
        """Commit what has arrived, in groups, then answer."""
        while True:
            batch = [await self._arrivals.get()]
            if self._arrivals.qsize() < self._batch_frames - 1 and self._commit_delay_s:
                await asyncio.sleep(self._commit_delay_s)
            while len(batch) < self._batch_frames and not self._arrivals.empty():
                batch.append(self._arrivals.get_nowait())
            replies = await self._in_ledger(self._reception.take, batch, self._clock.now_ms())
            for reply in replies:
                reply.peer.send(reply.frame)

    async def _prepare(self) -> None:
        """Make randomisers ahead (pool mode) while nothing arrives: one at a time, so that a burst waits for one."""
        while True:
            if not (self._arrivals.empty() and await self._in_ledger(self._reception.prepare)):
                await asyncio.sleep(IDLE_S)

    async def _tick(self) -> None:
        async for now_ms in self._clock.ticks():
            await self._in_ledger(self._closing.close, now_ms)
            self._uploader.wake()
            if self._clock.waits:
                await self._uploader.drained()
                await self._clock.settled(now_ms)

    async def _live(self) -> None:
        """Send the customers' rows on while they are fresh."""
        while True:
            await asyncio.sleep(LIVE_S)
            if await self._in_ledger(self._closing.close_segments, self._clock.now_ms()):
                self._uploader.wake()

    async def _count_corrupt(self, number: int) -> None:
        await self._in_ledger(self._reception.count_corrupt, number)

    async def _in_ledger(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._ledger_thread, call, *arguments)

    async def _in_background(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._background, call, *arguments)

    async def _in_transaction(self, call: Callable[..., Any], *arguments: Any) -> None:
        def change() -> None:
            with self._ledger.transaction():
                call(*arguments)

        await self._in_ledger(change)
