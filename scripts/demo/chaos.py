"""What goes wrong on purpose: processes are killed and links are cut, by a seed, while the town runs."""

import asyncio
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
PIECE = 4096
VICTIMS = ("gateway", "gateway", "mdms", "worker", "keyholder", "street")
PAUSE_S = (2.0, 7.0)
CUT_S = (0.2, 1.5)


class Wire:
    """A link that can be cut: passes bytes on between whoever connects and a loopback port."""

    def __init__(self) -> None:
        self.cuts = 0
        self._target = 0
        self._whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Start listening on loopback; returns the port. ``lead_to`` says where to."""
        self._server = await asyncio.start_server(self._pass_on, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def lead_to(self, port: int) -> None:
        """Connect the other end."""
        self._target = port

    async def cut(self, seconds: float) -> None:
        """Break every connection in the middle of whatever it carries, and take none for a while."""
        self.cuts += 1
        self._whole = False
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(seconds)
        self._whole = True

    def close(self) -> None:
        """Stop."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class Chaos:
    """Kills processes by the pids in ``folder`` and cuts wires, for as long as it runs."""

    def __init__(self, folder: Path, wires: list[Wire], seed: int) -> None:
        self._folder = folder
        self._wires = wires
        self._random = random.Random(f"{seed}/chaos")  # noqa: S311 - a simulation, not a secret
        self.kills = 0

    async def run(self) -> None:
        """Do harm until cancelled."""
        while True:
            await asyncio.sleep(self._random.uniform(*PAUSE_S))
            if self._random.random() < 0.5:
                self._kill(self._random.choice(VICTIMS))
            else:
                await self._random.choice(self._wires).cut(self._random.uniform(*CUT_S))

    def _kill(self, name: str) -> None:
        # Between a death and the next start the file is the old one's: only what is ours and alive is killed.
        with suppress(OSError, ValueError):
            os.kill(int((self._folder / f"{name}.pid").read_text()), signal.SIGKILL)
            self.kills += 1
