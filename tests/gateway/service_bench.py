"""A whole service in this process, on a port of its own, while a test talks with it."""

import asyncio
import contextlib

from gateway_bench import name_of

from gateway.service import Service
from protocol import wire

PATIENCE_S = 60
NOW = 1_772_400_000
NOBODY = "http://127.0.0.1:9"  # no MDMS


class Still:
    """A clock that stands still and never ticks."""

    waits = False

    def __init__(self, now_s=NOW):
        self._now_s = now_s

    def now_ms(self):
        return self._now_s * 1000

    async def ticks(self):
        await asyncio.Event().wait()
        yield 0

    async def settled(self, now_ms):
        pass


class Ticking(Still):
    """A clock that stands still and ticks as a daemon's does."""

    async def ticks(self):
        while True:
            yield self.now_ms()
            await asyncio.sleep(0.05)


async def started(gateway, clock, closing=None, **settings):
    """Return (the task of a running service, its TCP port). ``settings`` are the service's own."""
    service = Service(
        clock,
        gateway.ledger,
        gateway.outbox,
        gateway.reception,
        closing or gateway.closing,
        **{"mdms_url": NOBODY, "commit_delay_ms": 1, "max_connections": 64, **settings},
    )
    port = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(service.run("127.0.0.1", 0, port.set_result))
    return running, await port


async def served(gateway, talk, clock=None, **settings):
    """Run a service, and ``talk(port)`` with it. Returns what that returned; raises what the service ended of."""
    running, port = await started(gateway, clock or Still(), **settings)
    talking = asyncio.create_task(talk(port))
    await asyncio.wait([running, talking], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if not talking.done():
        talking.cancel()
        raise AssertionError("it takes too long")
    return await talking


class Line:
    """A meter's connection."""

    def __init__(self, meter, reader, writer):
        self.meter, self.reader, self.writer = meter, reader, writer
        self.deframer = wire.Deframer()
        self.answers = []

    @classmethod
    async def open(cls, meter, port):
        return cls(meter, *await asyncio.open_connection("127.0.0.1", port))

    async def send(self, *frames, piece=None):
        data = b"".join(wire.encode_link(frame) for frame in frames)
        for at in range(0, len(data), piece or len(data)):
            self.writer.write(data[at : at + (piece or len(data))])
            await self.writer.drain()

    async def verdicts(self, frames):
        """Send frames and return their verdicts when each has one."""
        await self.send(*frames)
        while True:
            found = self.meter.verdicts(self.answers)
            if {name_of(frame) for frame in frames} <= set(found):
                return [found[name_of(frame)] for frame in frames]
            assert await self.hear()

    async def hear(self):
        data = await asyncio.wait_for(self.reader.read(4096), PATIENCE_S)
        self.deframer.feed(data)
        self.answers += list(self.deframer)
        return data

    def close(self):
        self.writer.close()
