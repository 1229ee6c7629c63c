"""Where domain time comes from: the machine, or the conductor of a simulation.

Intervals, the 48 hours of a load and the ends of periods are domain time. Time-outs and back-off are machine time
and never come from here.

A conductor speaks JSON lines over TCP on loopback. The client says {"role": NAME}; the conductor sends
{"now_ms": N}, never decreasing, possibly repeated after a reconnection; the client answers {"settled_ms": N} when
everything that was due up to N is done. {"quit": true} stops the client in order.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from typing import Protocol

import structlog

from .config import Address
from .errors import CannotStart

LONGEST_LINE = 4096
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

log = structlog.get_logger()


class Clock(Protocol):
    """Domain time, and the moments at which to look for what is due. ``stopped`` is set when there are no more."""

    @property
    def stopped(self) -> threading.Event: ...

    def start(self) -> None:
        """Begin to follow the time."""

    def now_ms(self) -> int | None:
        """Return UTC milliseconds since 1970-01-01; None as long as the time is not known."""

    def next_tick(self) -> int | None:
        """Wait for the next moment and return it in milliseconds; None means: stop."""

    def settled(self, tick_ms: int) -> None:
        """Say that everything due up to a tick is done."""

    def stop(self) -> None:
        """End the waiting, now and in future. May be called from any thread."""


class SystemClock:
    """The machine's clock; ticks every ``every_s`` seconds."""

    def __init__(self, every_s: float = 2.0) -> None:
        self.stopped = threading.Event()
        self._every_s = every_s
        self._first = True

    def start(self) -> None:
        pass

    def now_ms(self) -> int | None:
        return time.time_ns() // 1_000_000

    def next_tick(self) -> int | None:
        if not self._first and self.stopped.wait(self._every_s):
            return None
        self._first = False
        return None if self.stopped.is_set() else self.now_ms()

    def settled(self, tick_ms: int) -> None:
        pass

    def stop(self) -> None:
        self.stopped.set()


class ConductedClock:
    """A conductor's clock. Once started it connects, and connects again, in a thread of its own until stopped."""

    def __init__(self, conductor: Address, role: str) -> None:
        self._conductor = conductor
        self._role = role
        self._ticks: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._now_ms: int | None = None
        self._peer: socket.socket | None = None
        self.stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._listen, name="conducted clock", daemon=True).start()

    def now_ms(self) -> int | None:
        return self._now_ms

    def next_tick(self) -> int | None:
        return None if self.stopped.is_set() else self._ticks.get()

    def settled(self, tick_ms: int) -> None:
        peer = self._peer
        if peer is not None:
            # A conductor that went away repeats its time when it is back, and is answered then.
            with contextlib.suppress(OSError):
                peer.sendall(b'{"settled_ms": %d}\n' % tick_ms)

    def stop(self) -> None:
        self.stopped.set()
        self._ticks.put(None)

    def _listen(self) -> None:
        pause = FIRST_PAUSE_S
        while not self.stopped.is_set():
            try:
                with socket.create_connection((self._conductor.host, self._conductor.port), timeout=10) as peer:
                    peer.settimeout(None)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    peer.sendall(json.dumps({"role": self._role}).encode() + b"\n")
                    self._peer = peer
                    pause = FIRST_PAUSE_S
                    self._follow(peer)
            except (OSError, ValueError, RecursionError) as error:
                log.warning("conductor away", reason=type(error).__name__)
            finally:
                self._peer = None
            self.stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _follow(self, peer: socket.socket) -> None:
        with peer.makefile("rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                said = json.loads(line)
                if not isinstance(said, dict):
                    raise ValueError("not a conductor's line")
                if said.get("quit") is True:
                    self.stop()
                    return
                now_ms = said.get("now_ms")
                if type(now_ms) is not int or now_ms < 0:
                    raise ValueError("not a conductor's line")
                # Time never runs back, whatever is said: what has closed stays closed.
                self._now_ms = now_ms if self._now_ms is None else max(now_ms, self._now_ms)
                self._ticks.put(now_ms)


def make_clock(conductor: Address | None, role: str) -> Clock:
    """Return the clock that a configuration asks for."""
    return SystemClock() if conductor is None else ConductedClock(conductor, role)


def first_time(conductor: Address | None, role: str) -> int:
    """Return the time in UTC seconds at which a command begins: the machine's, or the first that a conductor says.

    Raises CannotStart if the conductor ends instead.
    """
    clock = make_clock(conductor, role)
    clock.start()
    tick_ms = clock.next_tick()
    clock.stop()
    if tick_ms is None:
        raise CannotStart("the conductor ended the simulation")
    return tick_ms // 1000
