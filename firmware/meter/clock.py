"""The meter's clock: UTC is the board's monotonic milliseconds plus an offset learnt from an authenticated TIME.

Rule 1: a TIME counts only within two seconds (machine time) of the HELLO whose challenge it repeats, so that an old
answer cannot be replayed and a delayed one is off by no more than that.
Rule 2: a TIME never precedes the end of the last sealed period: a clock that is set back cannot make the meter
account for the same time twice.
Two times are arguments: ``monotonic_ms`` (domain time: the board's count since an arbitrary start) and
``machine_ms`` (for time-outs). They differ where a simulated street lets a month pass in a minute.
"""

from protocol import keychain, wire

ANSWER_MS = 2000
REFRESH_MS = 6 * 3600 * 1000
TRUSTED_MS = 24 * 3600 * 1000  # four refreshes missed: the readings say that the clock is unsynchronised
_LIMIT_MS = 0xFFFFFFFF * 1000  # interval ends are u32 on the wire


class Clock:
    """Unknown until the first accepted TIME."""

    def __init__(self):
        self._offset_ms = None
        self._learnt_ms = None
        self._asked = None
        self._booted = False

    def utc_ms(self, monotonic_ms):
        """Return UTC in ms since 1970, or None while it is unknown."""
        return None if self._offset_ms is None else monotonic_ms + self._offset_ms

    def today(self, monotonic_ms):
        """Return the epoch of the current UTC day, or None while the time is unknown."""
        utc_ms = self.utc_ms(monotonic_ms)
        return None if utc_ms is None else keychain.epoch_of(utc_ms // 1000)

    def trusted(self, monotonic_ms):
        """Say whether the time was refreshed recently enough to be called synchronised."""
        return self._learnt_ms is not None and monotonic_ms - self._learnt_ms < TRUSTED_MS

    def reason_to_ask(self, monotonic_ms):
        """Return the reason of the HELLO that is due, or None while none is."""
        if self._offset_ms is None:
            return wire.TIME_UNKNOWN if self._booted else wire.BOOT
        if monotonic_ms - self._learnt_ms >= REFRESH_MS:
            return wire.PERIODIC
        return None

    def ask(self, challenge, machine_ms):
        """A HELLO with this challenge leaves now; an earlier one is void."""
        self._booted = True
        self._asked = (challenge, machine_ms)

    def answer(self, utc_ms, challenge, monotonic_ms, machine_ms, sealed_until):
        """Take an authenticated TIME; returns whether it counted. ``sealed_until`` is in UTC seconds."""
        if self._asked is None:
            return False
        asked, asked_ms = self._asked
        if challenge != asked or not 0 <= machine_ms - asked_ms <= ANSWER_MS:
            return False
        if not sealed_until * 1000 <= utc_ms < _LIMIT_MS:
            return False
        self._asked = None
        self._offset_ms = utc_ms - monotonic_ms
        self._learnt_ms = monotonic_ms
        return True
