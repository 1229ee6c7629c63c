"""One meter's work: sensor -> registers -> intervals -> seal -> store, one detail period at a time.

Rule 1: everything that a period leads to (account, registers, DETAIL, READING) is stored in one record, and sent
only from the store. A power cut before it measures the period again, under fresh numbers; after it, never.
Rule 2: where nothing was measured nothing is made up: no READING, no DETAIL, no energy in a register.

A sensor has one method, ``take(start_s, end_s)``: what was measured between two UTC seconds, a Measured or only the
energies (import_mwh, export_mwh), or None when nothing was. One that samples has ``pump()`` as well (measuring.py), and
``pending()``: the energies that no ``take`` has given yet (saving.py).
"""

from firmware.meter import intervals, measured, registers
from firmware.meter.keys import ACCEPTED_DELAY_DAYS
from firmware.meter.saving import Saving
from protocol import keychain, wire

# Every write erases a block of flash: over time there is one in so many seconds, and periods wait for each other. At a
# boot BURST writes may come at once, so that a meter that is being put up is seen to work.
WRITE_S = 180
BURST = 60


class Instrument:
    """Measures as soon as the clock knows the time. ``quality`` are bits that always hold (APPARENT_ONLY)."""

    def __init__(self, sensor, ccm, keys, counter, clock, store, lengths, events, quality=0):
        self._sensor = Saving(sensor, store)
        self._ccm = ccm
        self._keys = keys
        self._counter = counter
        self._clock = clock
        self._store = store
        self._lengths = lengths
        self._events = events
        self._quality = quality
        self._credit_s = BURST * WRITE_S
        self._written_until = 0  # end of the last period that is in flash, as far as this boot knows
        self._taken = None  # (start, end, what the sensor gave) of a period that is not stored yet

    def due(self, monotonic_ms):
        """Say whether a detail period has ended that is not accounted for."""
        utc_ms = self._clock.utc_ms(monotonic_ms)
        if utc_ms is None:
            return False
        account = self._store.account
        if account is None or account.interval_s != self._lengths.at(account.until)[0]:
            return True
        return self._period_end(account.until) * 1000 <= utc_ms

    def tick(self, monotonic_ms):
        """Account for at most one ended period. Returns whether another one is due.

        While the time was never learnt there are no periods; what is measured is kept (saving.py).
        """
        self._sensor.look(monotonic_ms)
        utc_ms = self._clock.utc_ms(monotonic_ms)
        if utc_ms is None:
            return False
        today = keychain.epoch_of(utc_ms // 1000)
        self._keys.advance(today)
        self._store.expire(today - ACCEPTED_DELAY_DAYS)
        if self._store.failed or self._store.unwritten and utc_ms // 1000 - self._written_until >= 2 * WRITE_S:
            self._store.flush()
        if self.due(monotonic_ms):
            self._account(monotonic_ms, -(-utc_ms // 1000))
        if self._store.account is not None:
            self._events.report(utc_ms // 1000)
        return self.due(monotonic_ms)

    def _account(self, monotonic_ms, utc_s):
        account = self._store.account
        if account is None:
            # Stored at once: a restart must not move the beginning.
            begun = intervals.begin(utc_s, self._lengths.at(utc_s)[0])
            self._store.commit(begun, self._store.registers, (), counted=False)
            return
        interval_s = self._lengths.at(account.until)[0]
        if account.interval_s != interval_s:
            # A new interval length: intervals never overlap, and the registers keep a cut one's energy.
            begun = intervals.begin(account.until, interval_s, account.sealed_until)
            self._store.commit(begun, self._store.registers, (), counted=False)
        else:
            self._measure(account, monotonic_ms)

    def _period_end(self, start):
        """Return where the detail period ends that starts here: with its length, or where new lengths begin."""
        end = start + self._lengths.at(start)[1]
        return min(end, self._lengths.change) if start < self._lengths.change else end

    def _measure(self, account, monotonic_ms):
        start = account.until
        # Kept until it is stored: a sensor may be unable to give the same energy twice.
        if self._taken is None or self._taken[0] != start:
            end = self._period_end(start)
            self._taken = (start, end, measured.of(self._sensor.take(start, end)))
        _, end, taken = self._taken
        quality = self._quality | taken.quality
        energies = None if taken.import_mwh is None else (taken.import_mwh, taken.export_mwh)
        if not self._clock.trusted(monotonic_ms):
            quality |= wire.CLOCK_UNSYNCHRONISED
        behind, closed = intervals.add(account, end - start, energies, quality)
        if energies is None and closed is None and not (taken.before_import_mwh or taken.before_export_mwh):
            self._store.skip(behind)
            return
        grown = registers.after(self._store.registers, *(energies or (0, 0)))
        grown = registers.after(grown, taken.before_import_mwh, taken.before_export_mwh)
        frames = []
        if closed:
            frames.append((closed.until - closed.interval_s, self._seal_reading(closed, grown)))
        if energies:
            frames.append((start, self._seal_detail(start, end, taken, grown, quality)))
        wait = self._waits(closed, start, end)
        self._store.commit(behind, grown, frames, wait, energies is not None)

    def _waits(self, closed, start, end):
        """Say whether a period's record waits for others: not where an interval ends, unless intervals are short."""
        self._credit_s = min(self._credit_s + end - start, BURST * WRITE_S)
        if closed and (closed.interval_s >= WRITE_S or self._credit_s >= WRITE_S):
            wait = False
        else:
            wait = end - self._written_until < WRITE_S
        if not wait:
            self._written_until = end
            self._credit_s = max(0, self._credit_s - WRITE_S)
        return wait

    def _header(self, kind):
        keys = self._keys
        return wire.Header(kind, keys.enrolment.system_title, keys.epoch, self._counter.salt, self._counter.take())

    def _seal_reading(self, closed, grown):
        body = wire.pack_reading(
            wire.Reading(
                self._keys.enrolment.series,
                closed.until // closed.interval_s - 1,
                closed.until,
                closed.interval_s,
                closed.import_mwh,
                closed.export_mwh,
                grown.import_mwh,
                grown.export_mwh,
                closed.quality,
            )
        )
        return wire.seal_uplink(self._ccm, self._keys.up(), self._header(wire.READING), body)

    def _seal_detail(self, start, end, taken, grown, quality):
        body = wire.pack_detail(
            wire.Detail(
                end,
                end - start,
                taken.import_mwh,
                taken.export_mwh,
                grown.import_mwh,
                grown.export_mwh,
                taken.decivolts,
                taken.centiamperes,
                taken.power_factor,
                quality,
            )
        )
        header = self._header(wire.DETAIL)
        inner = wire.seal_detail(self._ccm, self._keys.detail(), header, body)
        return wire.seal_uplink(self._ccm, self._keys.up(), header, inner)
