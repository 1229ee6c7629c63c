"""A count of milliseconds that does not wrap, on every board."""

import time


class Ticks:
    """The machine's milliseconds, never wrapping: called at least once in a period of ``time.ticks_ms``."""

    def __init__(self):
        self._last = time.ticks_ms()
        self._total = 0

    def __call__(self):
        now = time.ticks_ms()
        self._total += time.ticks_diff(now, self._last)
        self._last = now
        return self._total
