"""A meter that cannot report, because something that is stored is unusable: it counts energy and sends nothing false.

Without keys or without its invocation counter it sends nothing at all: a number under its key might come twice. With a
damaged store it says so in an EVENT, and sends no reading: its registers might go back. Energy is counted in segments
of their own (``kept``), and what was damaged stays as it was, until the meter is enrolled anew.
"""

from firmware.meter.saving import Saving
from protocol import keychain


class Counting:
    """In the place of an Instrument. ``clock``, ``keys`` and ``events`` are None where nothing can be reported."""

    def __init__(self, sensor, store, clock=None, keys=None, events=None):
        self._saving = Saving(sensor, store)
        self._clock = clock
        self._keys = keys
        self._events = events

    def due(self, monotonic_ms):
        """Nothing is ever due: there are no periods."""
        return False

    def tick(self, monotonic_ms):
        """Keep what was measured; report what is wrong once the time is known. Returns False."""
        self._saving.look(monotonic_ms)
        utc_ms = self._clock.utc_ms(monotonic_ms) if self._clock else None
        if utc_ms is not None:
            self._keys.advance(keychain.epoch_of(utc_ms // 1000))
            self._events.report(utc_ms // 1000)
        return False


class Silent:
    """In the place of a Link and of the Events: sends nothing, takes nothing, has nobody to tell."""

    counts = {}
    acknowledged_ms = None

    def __init__(self, trouble):
        """``trouble``: what is wrong, for the console."""
        self.trouble = trouble

    def notice(self, code, text):
        """What is to be reported has been said on the console."""

    def report(self, utc_s, most):
        """Nothing can be."""

    def connected(self):
        """Nothing begins anew."""

    def idle(self, monotonic_ms):
        """Nothing waits."""
        return True

    def to_send(self, monotonic_ms, machine_ms):
        """Return nothing."""
        return b""

    def wait_ms(self, monotonic_ms, machine_ms):
        """Nothing will be due."""
        return None

    def receive(self, data, monotonic_ms, machine_ms):
        """Whatever comes is nobody's."""
