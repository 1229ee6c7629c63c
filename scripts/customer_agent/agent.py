"""When the agent asks, publishes and waits. Time is an argument (seconds of a clock that never jumps).

Rule: nothing is published before everything that the server has was looked at, or an old row would be shown as the
newest. What is the newest is remembered by the number behind which it was asked for, so that a restart, and each new
session, looks at it again: a server that was restored and counts lower is noticed, and read from its beginning.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog
from structlog.typing import FilteringBoundLogger

from . import home_assistant
from .arrival import read_arrival, write_arrival
from .home_assistant import Home, Message
from .newest import newest
from .opening import Opener, Reading
from .portal import Portal, PortalError, Refused, Rows, SignedOut, Unreachable

LONGEST_S = 300
REFUSED_S = 900

Log = FilteringBoundLogger


class Publisher(Protocol):
    """What the agent needs of a broker (broker.Broker)."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""

    def connect(self, now: float) -> str | None:
        """Connect where that is due: "" done, what is wrong, or None where nothing was tried."""

    def due(self, now: float) -> float:
        """Return in how many seconds connecting is worth a try."""

    def was_asked(self) -> bool:
        """Say whether everything is to be told again."""

    def publish(self, message: Message) -> None:
        """Publish, or drop where nobody is there."""


class Follower:
    """Follows one account's rows: signs in, fetches, opens, knows the newest reading."""

    def __init__(self, portal: Portal, opener_of: Callable[..., Opener], arrival_file: Path | None, log: Log) -> None:
        self._portal = portal
        self._opener_of = opener_of
        self._file = arrival_file
        self._log = log
        self._opener: Opener | None = None
        self._anchor = read_arrival(arrival_file)
        self._behind = self._anchor
        self._first = True
        self._server_time: tuple[int, float] | None = None
        self._caught_up = False
        self._newest: Reading | None = None
        self.opened = self.failed = 0

    @property
    def newest(self) -> Reading | None:
        """The newest reading, or None before everything was looked at."""
        return self._newest if self._caught_up else None

    def server_time(self, now: float) -> float | None:
        """Return the server's clock, UTC seconds: this machine's own may be hours off. None: not told."""
        if self._server_time is None:
            return None
        told, when = self._server_time
        return told + now - when

    def step(self, now: float) -> bool:
        """Ask once. Returns whether there is more at once; raises PortalError."""
        if self._opener is None:
            self._opener = self._opener_of(self._portal.sign_in())
            self._behind, self._first = self._anchor, True
            self._log.info("signed in", behind=self._behind)
        try:
            rows = self._portal.rows(self._behind)
        except SignedOut:
            self._opener = None
            raise
        if self._first and not rows.rows and self._behind > 0:
            self._log.warning("the server knows less than it did: everything is read again", behind=self._behind)
            self._anchor = self._behind = 0
            self._first = False
            return True
        self._first = False
        self._take(rows, self._opener, now)
        return rows.more

    def _take(self, rows: Rows, opener: Opener, now: float) -> None:
        readings, failed = opener.open(rows.rows)
        self.opened += len(readings)
        if failed:
            self.failed += failed
            self._log.warning("rows do not open with this key and are left out", now=failed, since_start=self.failed)
        found = newest(readings, self._newest)
        if rows.at is not None:
            self._server_time = rows.at, now
        if found is not self._newest:
            self._newest = found
            self._keep(self._behind)
        self._behind = rows.next
        self._caught_up = self._caught_up or not rows.more

    def _keep(self, anchor: int) -> None:
        self._anchor = anchor
        try:
            write_arrival(self._file, anchor)
        except OSError as error:
            self._log.warning("the arrival number cannot be kept", reason=error.strerror)


class Agent:
    """Carries the newest reading from a Follower to a broker. ``step`` is called again and again, by one thread."""

    def __init__(self, follower: Follower, broker: Publisher, home: Home, poll_s: int, log: Log | None = None) -> None:
        self._follower = follower
        self._broker = broker
        self._home = home
        self._poll_s = poll_s
        self._log: Log = log or structlog.get_logger()
        self._pause = float(poll_s)
        self._ask_at = 0.0
        self._was_in = self._ever_in = False
        self._trouble = self._broker_trouble = ""
        self._told: Reading | None = None
        self._announced: tuple[bytes, frozenset[str]] | None = None

    def step(self, now: float) -> float:
        """Do what is due; returns in how many seconds something is due again. Raises Refused at the first sign-in."""
        self._keep_connected(now)
        if now >= self._ask_at:
            self._ask(now)
        self._publish(now)
        waits = [self._ask_at - now] if self._broker.connected else [self._ask_at - now, self._broker.due(now)]
        return max(0.0, min(waits))

    def _keep_connected(self, now: float) -> None:
        wrong = self._broker.connect(now)
        if wrong and wrong != self._broker_trouble:
            self._log.warning("broker not usable", reason=wrong)
        if wrong == "":
            self._log.info("broker connected")
            self._told = self._announced = None
        if wrong is not None:
            self._broker_trouble = wrong
        if self._broker.was_asked():
            self._told = self._announced = None

    def _ask(self, now: float) -> None:
        try:
            more = self._follower.step(now)
        except SignedOut:
            # The next step signs in, once: a session that does not hold is trouble like any other.
            more, wrong = False, "" if self._was_in else "the session does not hold"
            self._was_in = False
            self._wait(now, wrong, 0)
            return
        except Refused as error:
            if not self._ever_in:
                raise
            self._wait(now, str(error), REFUSED_S)
            return
        except PortalError as error:
            self._wait(now, str(error), error.after_s if isinstance(error, Unreachable) else 0)
            return
        if self._trouble:
            self._log.info("server is back")
        self._was_in = self._ever_in = True
        self._trouble, self._pause = "", float(self._poll_s)
        self._ask_at = now if more else now + self._poll_s

    def _wait(self, now: float, wrong: str, least_s: int) -> None:
        if wrong:
            if wrong != self._trouble:
                self._log.warning("server not usable", reason=wrong)
            self._trouble = wrong
            self._ask_at = now + max(self._pause, least_s)
            self._pause = min(2 * self._pause, max(LONGEST_S, self._poll_s))

    def _publish(self, now: float) -> None:
        reading = self._follower.newest
        if reading is None or reading is self._told or not self._broker.connected:
            return
        members = home_assistant.members(reading)
        if self._announced is not None and self._announced[0] == reading.title:
            members |= self._announced[1]
        if self._announced != (reading.title, members):
            for message in home_assistant.announcements(self._home, reading.title, members):
                self._broker.publish(message)
            self._announced = reading.title, members
        here = self._follower.server_time(now)
        fresh = here is None or here - reading.detail.end <= self._home.stale_s
        self._broker.publish(home_assistant.state(self._home, reading, fresh=fresh))
        self._told = reading
