"""How the worker meets a database whose tables are not there yet: it waits, for `serve` makes them."""

import threading

import structlog

from .migrations import SchemaBehind
from .store import Store

PAUSE_S = 0.5

log = structlog.get_logger()


def open_when_ready(url: str, stopped: threading.Event) -> Store | None:
    """Return the store once its tables are of this program's version; None when told to stop before.

    Says once what it waits for. Raises CannotStart for anything that waiting does not mend.
    """
    said = False
    while not stopped.is_set():
        try:
            return Store(url, migrate=False)
        except SchemaBehind as behind:
            if not said:
                log.warning("worker waits", reason=str(behind))
            said = True
        stopped.wait(PAUSE_S)
    return None
