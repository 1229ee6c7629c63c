"""EVENTs: what the meter reports about itself, sealed and stored like its readings until it has a verdict.

Rule 1: counts are cumulative, so that an EVENT that is lost hides nothing.
Rule 2: an EVENT never costs a reading: it is stored only where there is room, and one about lost frames or a fault
only while no other EVENT waits. What is lost meanwhile is in the next count.
Rule 3: a meter that has no line seals them at its start, at a time that is not known: the next start forgets them.
"""

from protocol import wire

_MOST_NOTICED = 8


class Events:
    """Finds out what is to be reported. ``version`` is told once a boot."""

    def __init__(self, ccm, keys, counter, store, version):
        self._ccm = ccm
        self._keys = keys
        self._counter = counter
        self._store = store
        self._version = version
        self._noticed = []  # (code, text, count) that wait for the time and for room
        self._counts = {}

    def notice(self, code, text):
        """Something with a text is to be reported, its time that of the next ``report``. Counted since the boot."""
        self._counts[code] = count = self._counts.get(code, 0) + (text != wire.FAULT_OVER)
        self._noticed.append((code, text, count))
        if len(self._noticed) > _MOST_NOTICED:
            self._noticed.pop(0)  # the counts of the later ones tell that there was more

    def report(self, utc_s, most=1):
        """Store what is to be reported at the time ``utc_s``; perhaps nothing. Fewer than ``most`` others may wait."""
        store = self._store
        if self._version and store.room():
            store.report(utc_s, self._seal(wire.Event(wire.FIRMWARE_VERSION, utc_s, 0, self._version)))
            self._version = ""
        while self._noticed and store.room() >= 2 and store.waits(wire.EVENT) < most:
            code, text, count = self._noticed.pop(0)
            store.report(utc_s, self._seal(wire.Event(code, utc_s, count, text)))
        if store.overflowed == store.told_overflowed and store.aged == store.told_aged:
            return
        if store.room() >= 2 and not store.waits(wire.EVENT):
            if store.overflowed != store.told_overflowed:
                event = wire.Event(wire.STORE_OVERFLOW, utc_s, store.overflowed, "")
                store.report(utc_s, self._seal(event), overflowed=store.overflowed)
            if store.aged != store.told_aged:
                event = wire.Event(wire.DROPPED_BY_AGE, utc_s, store.aged, "")
                store.report(utc_s, self._seal(event), aged=store.aged)

    def _seal(self, event):
        keys = self._keys
        salt, number = self._counter.salt, self._counter.take()
        header = wire.Header(wire.EVENT, keys.enrolment.system_title, keys.epoch, salt, number)
        return wire.seal_uplink(self._ccm, keys.up(), header, wire.pack_event(event))
