"""What systemd is told of the daemon: ready, stopping, alive. A datagram each (sd_notify(3)), and nothing without it.

Alive means that the ledger's thread answers. A daemon whose event loop turns while its ledger hangs takes frames
and acknowledges none: that is the one that has to be started again.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

MICROSECONDS = 1_000_000


class Notifier:
    """Says to ``address`` what it is given; None: there is nobody to tell. ``watchdog_s`` 0: nobody waits for pings."""

    def __init__(self, address: str | None = None, watchdog_s: float = 0) -> None:
        # "@" stands for the NUL byte of Linux's abstract sockets.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_s = watchdog_s if address else 0.0

    def say(self, *lines: str) -> None:
        """Send assignments such as READY=1. Whoever is not there to hear it stops nothing."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto("\n".join(lines).encode(), self._address)


def from_environment(environment: Mapping[str, str] = os.environ, pid: int | None = None) -> Notifier:
    """Return the notifier that systemd asked for: NOTIFY_SOCKET, WATCHDOG_USEC, and WATCHDOG_PID if it is ours."""
    watchdog_s = 0.0
    with contextlib.suppress(ValueError):
        if int(environment.get("WATCHDOG_PID", pid or os.getpid())) == (pid or os.getpid()):
            watchdog_s = max(0, int(environment.get("WATCHDOG_USEC", 0))) / MICROSECONDS
    return Notifier(environment.get("NOTIFY_SOCKET"), watchdog_s)


async def watch(notifier: Notifier, answers: Callable[[], Awaitable[None]]) -> None:
    """Ping at half the watchdog's interval (machine time), each time only after ``answers`` has come back."""
    while notifier.watchdog_s:
        await answers()
        notifier.say("WATCHDOG=1")
        await asyncio.sleep(notifier.watchdog_s / 2)
