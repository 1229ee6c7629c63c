"""The conductor of a simulation: it owns domain time and passes it to the processes, one at a time, over loopback.

Time goes on only when a process has said that everything due is settled: so no run is ever late, however slow or busy
the machine is, and killing a process only makes the run wait. JSON lines: up ``{"role": r}``, ``{"settled_ms": n}``,
``{"stores": {...}}``; down ``{"now_ms": n}``, ``{"query": "stores"}``, ``{"quit": true}``.
"""

import asyncio
import json
from typing import Any

HOST = "127.0.0.1"
MAX_LINE = 64 << 20  # the street's answer names every reading that waits


class Conductor:
    """Serves domain time to roles: "gateway", "street", "keyholder", "worker"."""

    def __init__(self) -> None:
        self._now: dict[str, int] = {}
        self._settled: dict[str, int] = {}
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Start serving on loopback; returns the port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=MAX_LINE)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def connected(self, role: str) -> bool:
        """Say whether a process of this role is listening now."""
        return role in self._writers

    async def advance(self, role: str, now_ms: int) -> None:
        """Give a role the time and wait until it has settled; survives its death and return."""
        self._now[role] = now_ms
        self._settled.pop(role, None)
        self._say(role, {"now_ms": now_ms})
        async with self._changed:
            await self._changed.wait_for(lambda: self._settled.get(role, -1) >= now_ms)

    async def stores(self) -> dict[str, Any]:
        """Return the street's ``stores`` and ``dropped``: what waits in the meters, by title."""
        while True:
            self._say("street", {"query": "stores"})
            try:
                return await asyncio.wait_for(self._answers.get(), 10)
            except TimeoutError:
                continue  # the street was away: ask again

    async def close(self) -> None:
        """Tell every process to end, and stop serving."""
        for role in list(self._writers):
            self._say(role, {"quit": True})
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        role = ""
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if "role" in message:
                    role = str(message["role"])
                    self._writers[role] = writer
                    if role in self._now:
                        self._say(role, {"now_ms": self._now[role]})
                elif "settled_ms" in message and self._writers.get(role) is writer:
                    async with self._changed:
                        self._settled[role] = int(message["settled_ms"])
                        self._changed.notify_all()
                elif "stores" in message:
                    self._answers.put_nowait(message)
        except (OSError, ValueError):
            return  # a process died in the middle of a line: it comes again
        finally:
            if self._writers.get(role) is writer:
                del self._writers[role]
            writer.close()

    def _say(self, role: str, message: dict[str, Any]) -> None:
        writer = self._writers.get(role)
        if writer is not None and not writer.is_closing():
            writer.write(json.dumps(message).encode() + b"\n")
