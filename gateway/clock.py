"""Domain time: what intervals, grace, epochs and windows are measured by. Time-outs use machine time instead."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol

RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Clock(Protocol):
    """Domain time in milliseconds since 1970-01-01 UTC. ``waits``: somebody waits for ``settled``."""

    waits: bool

    def now_ms(self) -> int:
        """Return the present; it never precedes what it has returned before, once the clock is trusted."""

    def ticks(self) -> AsyncIterator[int]:
        """Yield the present whenever the daemon should look for what it has to close."""

    async def settled(self, now_ms: int) -> None:
        """Say that everything due up to a tick is done."""


class SystemClock:
    """The machine's clock, a tick a second."""

    waits = False

    def __init__(self, period_s: float = 1.0, trusted: Callable[[], bool] = lambda: True) -> None:
        self._period_s = period_s
        self._trusted = trusted
        self._latest = 0

    def now_ms(self) -> int:
        if not self._trusted():
            return time.time_ns() // 1_000_000  # what may be put right yet must not be held on to
        # A clock that is stepped back must not open closed intervals again.
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest

    async def ticks(self) -> AsyncIterator[int]:
        while True:
            yield self.now_ms()
            await asyncio.sleep(self._period_s)

    async def settled(self, now_ms: int) -> None:
        """Nobody waits for the system's clock."""


class ConductedClock:
    """Domain time of a simulation: a conductor on loopback says the present and waits until it is settled.

    JSON lines: ``{"role": "gateway"}`` up; ``{"now_ms": n}`` or ``{"quit": true}`` down; ``{"settled_ms": n}`` up.
    """

    waits = True

    def __init__(self, host: str, port: int, role: str = "gateway") -> None:
        self._address = (host, port)
        self._role = role
        self._now_ms = 0
        self._writer: asyncio.StreamWriter | None = None

    def now_ms(self) -> int:
        return self._now_ms

    async def ticks(self) -> AsyncIterator[int]:
        attempt = 0
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(*self._address)
                await self._say({"role": self._role})
                attempt = 0
                while line := await reader.readline():
                    message = json.loads(line)
                    if message.get("quit"):
                        return
                    self._now_ms = max(self._now_ms, int(message["now_ms"]))
                    yield self._now_ms
            except OSError:
                attempt += 1
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])

    async def settled(self, now_ms: int) -> None:
        await self._say({"settled_ms": now_ms})

    async def _say(self, message: dict[str, object]) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except OSError:
            self._writer = None  # the next line that is read reconnects, and the conductor asks again
