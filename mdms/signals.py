"""SIGTERM and SIGINT as a call in a thread of its own.

A handler would run in the middle of whatever the main thread does, and one that sets an event there can wait for ever
for a lock that the interrupted code holds.
"""

import signal
import threading
from collections.abc import Callable

STOP_SIGNALS = frozenset((signal.SIGTERM, signal.SIGINT))


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` when the process is told to stop. To be called before any other thread is started."""
    # Threads inherit the mask; one that was there before would still be ended by the signal's default.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def wait() -> None:
        signal.sigwait(STOP_SIGNALS)
        stop()

    threading.Thread(target=wait, name="signals", daemon=True).start()
