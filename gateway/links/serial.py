"""The serial link: each port a stream of COBS frames that several meters may share; answers go to their port."""

import asyncio
import os
import termios
from collections.abc import Awaitable, Callable, Sequence

import structlog
from serial import Serial

from protocol.wire import Deframer, encode_link

from ..reception import Arrival

log = structlog.get_logger()

READ_BYTES = 4096
MAX_UNSENT = 64 * 1024  # of answers that a port does not take
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # machine time


class SerialPeer:
    """Whom to answer on a port, for as long as it stays open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unsent = bytearray()
        self._open = True

    def send(self, frame: bytes) -> None:
        """Queue an answer. One that the port cannot take is lost: its meter sends again."""
        if self._open and len(self._unsent) <= MAX_UNSENT:
            waiting = bool(self._unsent)
            self._unsent += encode_link(frame)
            if not waiting:
                self._write()

    def close(self) -> None:
        """Let go of the port, before its descriptor is closed."""
        asyncio.get_running_loop().remove_writer(self._descriptor)
        self._open = False

    def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            del self._unsent[: os.write(self._descriptor, self._unsent)]
        except BlockingIOError:
            pass  # the port takes no more just now: the rest goes when it says so
        except OSError:  # the port is gone: whoever reads it finds that out
            self._unsent.clear()
        if self._unsent:
            loop.add_writer(self._descriptor, self._write)
        else:
            loop.remove_writer(self._descriptor)


class SerialLink:
    """Keeps ports open and hands arrivals on. ``deliver`` waits while the concentrator is busy."""

    def __init__(
        self,
        deliver: Callable[[Arrival], Awaitable[None]],
        corrupt: Callable[[int], Awaitable[None]],
        ports: Sequence[str],
        baud: int,
    ) -> None:
        self._deliver = deliver
        self._corrupt = corrupt
        self._ports = ports
        self._baud = baud

    async def run(self) -> None:
        """Serve every port until cancelled; one that is missing or vanishes is tried again."""
        async with asyncio.TaskGroup() as tasks:
            for path in self._ports:
                tasks.create_task(self._keep(path), name=f"serial {path}")
            await asyncio.Event().wait()  # without ports too: a task of the daemon that ends is a failure

    async def _keep(self, path: str) -> None:
        attempt = 0
        while True:
            try:
                with Serial(path, self._baud, timeout=0, exclusive=True) as port:
                    log.info("serial port open", port=path)
                    attempt = 0
                    await self._serve(port.fileno())
                reason = "the port is gone"
            except (OSError, ValueError, termios.error) as error:  # ValueError: a speed that it does not have
                reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            if attempt == 0:
                log.warning("serial port not usable; it is tried again", port=path, reason=reason)
            await asyncio.sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    async def _serve(self, descriptor: int) -> None:
        """Carry frames until the port is gone."""
        os.set_blocking(descriptor, False)
        peer = SerialPeer(descriptor)
        deframer = Deframer()
        counted = 0
        try:
            while data := await _read(descriptor):
                deframer.feed(data)
                if deframer.corrupt > counted:  # a board's boot messages, or line noise
                    await self._corrupt(deframer.corrupt - counted)
                    counted = deframer.corrupt
                for frame in deframer:
                    await self._deliver(Arrival(frame, peer))
                    await asyncio.sleep(0)  # turn by turn, as on TCP
        finally:
            peer.close()


async def _read(descriptor: int) -> bytes:
    """Return what has come, nothing when the port is gone. The port is watched only here: that is the back-pressure."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    while True:
        ready.clear()
        loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(descriptor)
        try:
            return os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            continue
