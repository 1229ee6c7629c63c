"""What keeps energy that is in no stored period yet from being lost with the power: a sensor around the meter's own.

Rule 1: at most SAVE_MWH, and at most what SAVE_S of time have brought, is anywhere but in flash. While the time is
unknown, or a period is long, the sensor's ``pending`` energies are stored by themselves (the store's ``spare``).
Rule 2: what a power cut has left there is counted once: in the next period that is measured, marked as estimated.
Where no reading of the series precedes it without a gap, it enters the registers alone, and the period is marked all
the same: a concentrator takes a register as it is behind a gap, and adds intervals up where there is none (decision 4).
The loss is Rule 1's, and what is measured between two looks at it.
"""

from firmware.meter.measured import Measured, of
from firmware.meter.registers import ZERO, Registers
from protocol import wire

SAVE_MWH = 200000  # 200 Wh
SAVE_S = 900


class Saving:
    """A sensor (instrument.py) whose energy survives; ``look`` is to be called often."""

    def __init__(self, sensor, store):
        """``sensor`` may have ``pending()``: the energies (import_mwh, export_mwh) that no ``take`` has given yet."""
        self._sensor = sensor
        self._store = store
        self._pending = getattr(sensor, "pending", None)
        self._left = store.spare  # of earlier boots
        self._saved_ms = None

    def look(self, monotonic_ms):
        """Store what is at risk when it has become too much or too old. Returns whether it did."""
        if self._saved_ms is None:
            self._saved_ms = monotonic_ms
        store = self._store
        pending = Registers(*self._pending()) if self._pending else ZERO
        saved = (store.spare[0] - self._left[0], store.spare[1] - self._left[1])
        at_risk = sum(store.registers) - sum(store.stored) + sum(pending) - sum(saved)
        if at_risk < SAVE_MWH and (at_risk <= 0 or monotonic_ms - self._saved_ms < SAVE_S * 1000):
            if at_risk <= 0:
                self._saved_ms = monotonic_ms
            return False
        store.save(Registers(self._left[0] + pending[0], self._left[1] + pending[1]))
        self._saved_ms = monotonic_ms
        return True

    def take(self, start_s, end_s):
        """Return the Measured of a period. What is kept until it is stored is the caller's (instrument.py)."""
        given = of(self._sensor.take(start_s, end_s))
        extra = (self._left[0] + given.before_import_mwh, self._left[1] + given.before_export_mwh)
        if extra == ZERO:
            return given
        if given.import_mwh is None:
            self._left = Registers(*extra)
            return _changed(given, given.import_mwh, given.export_mwh, given.quality, ZERO)
        quality = given.quality if self._left == ZERO else given.quality | wire.ESTIMATED
        self._left = ZERO
        if not self._unbroken(start_s):
            return _changed(given, given.import_mwh, given.export_mwh, quality, extra)
        import_mwh, export_mwh = given.import_mwh + extra[0], given.export_mwh + extra[1]
        return _changed(given, import_mwh, export_mwh, given.quality | wire.ESTIMATED, ZERO)

    def _unbroken(self, start_s):
        """Say whether the period's interval follows one of which there is a reading, or will be."""
        account = self._store.account
        interval_s = account.interval_s
        begins = start_s - start_s % interval_s
        return account.sealed_until and begins <= -(-account.sealed_until // interval_s) * interval_s


def _changed(given, import_mwh, export_mwh, quality, before):
    volts, amperes, factor = given.decivolts, given.centiamperes, given.power_factor
    return Measured(import_mwh, export_mwh, quality, volts, amperes, factor, before[0], before[1])
