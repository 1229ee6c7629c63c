"""The watcher: looks at the fleet now and then, and sees to it that a person hears of what is wrong."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy.exc import SQLAlchemyError

from ..config import MdmsConfig
from ..errors import CannotStart
from ..fleet.questions import COUNTED_S, WATCH, CountedWindows, look, present
from ..fleet.rules import findings
from ..operation.chores import note_done
from ..rosters import RosterBook, load_rosters
from ..store import Store
from .delivery import CannotSend, Channel, deliver
from .ledger import RAISED, Letter, take
from .mail import Mail
from .webhook import Webhook

log = structlog.get_logger()


def channels_of(config: MdmsConfig) -> dict[str, Channel]:
    """Return the configured channels by name; raises CannotStart where a secret cannot be read."""
    found: dict[str, Channel] = {}
    if config.alarms.mail is not None:
        found["mail"] = Mail(config.alarms.mail, config.deployment, config.origin)
    if config.alarms.webhook is not None:
        found["webhook"] = Webhook(config.alarms.webhook, config.deployment)
    return found


class Watcher:
    """One process's watch. ``now`` is machine time in UTC seconds."""

    def __init__(
        self, config: MdmsConfig, store: Store, channels: Mapping[str, Channel], now: Callable[[], int] | None = None
    ) -> None:
        self._config = config
        self._store = store
        self._channels = channels
        self._now = now or (lambda: int(time.time()))
        self._book: RosterBook | None = None
        self._windows = CountedWindows(COUNTED_S)
        self._rosters: object = None
        self._usable = True

    def run(self, stopped: threading.Event) -> None:
        """Look until told to stop."""
        while not stopped.is_set():
            self.look_once()
            stopped.wait(self._config.alarms.every_seconds)

    def look_once(self) -> None:
        """Look, raise, remind, clear and deliver, once. A database that is away is tried again the next time."""
        try:
            self._read_rosters()
            now = self._now()
            if self._book is not None:
                fleet = look(self._config, self._store, self._book, self._config.alarms, self._time(), self._windows)
                fleet = dataclasses.replace(fleet, rosters_usable=self._usable)
                found = findings(fleet, self._config.alarms)
                for kind, name in take(self._store, found, self._config.alarms, tuple(self._channels), now):
                    log.warning("alarm", kind=kind, alarm=name)
            sent, failed = deliver(self._store, self._channels, self._now)
            note_done(self._store, WATCH, now, f"{sent} messages sent, {failed} attempts failed")
        except SQLAlchemyError as error:
            log.error("watch waits", reason=f"database: {type(error).__name__}")

    def _time(self) -> int:
        return self._now() if self._config.conductor is None else present(self._config, self._store)

    def _read_rosters(self) -> None:
        """Take over what stands in the folder of rosters; a set that cannot be used leaves the one before in force."""
        try:
            state = sorted((it.name, it.stat().st_mtime_ns, it.stat().st_size) for it in self._config.rosters.iterdir())
        except OSError as error:
            state = [(str(error.strerror), 0, 0)]
        if state == self._rosters:
            return
        self._rosters = state
        self._windows = CountedWindows(COUNTED_S)
        try:
            self._book = load_rosters(self._config.rosters, self._config.deployment, self._config.operator_key)
            self._usable = True
        except CannotStart as error:
            if self._book is None:
                raise
            self._usable = False
            log.error("rosters cannot be used", reason=str(error))


def send_test(channels: Mapping[str, Channel], now: int) -> dict[str, str]:
    """Send a test over every channel; returns by its name what became of it, empty where it was taken."""
    told = {}
    for name, channel in channels.items():
        said = "This is a test: messages of the MDMS's alarms arrive here."
        try:
            channel.send(Letter(0, name, RAISED, "test", said, now, 0, None, None, None))
            told[name] = ""
        except CannotSend as error:
            told[name] = str(error)
    return told
