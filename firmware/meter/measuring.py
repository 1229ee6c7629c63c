"""The sensor of a board with a converter: counts -> blocks -> energy, and what was wrong on the way.

``pump`` is to be called at least every 50 ms, ``take`` when a period has ended. The energy up to a block's end is
given to the period that ended last; what follows is in the next one, so that nothing is lost between them.
Rule 1: a block with a fault adds to no register; the rest of its period counts, marked as estimated.
Rule 2: where periods are due that ended long ago (the time was not known), the energy is spread evenly over the time
in which it was measured, and marked as estimated; what was measured before the first of them enters the registers.
"""

from array import array

from firmware.meter import calibration, faults
from firmware.meter.measured import Measured
from firmware.meter.metrology import Metrology
from firmware.meter.sampler import Sampler, isqrt
from protocol import wire

_SLACK_MS = 1000  # a period is asked for when it has ended, plus a block and the meter's own slowness
_BRIDGED_PER_MILLE = 20  # more than this and the period is estimated
_BOUNCES = 2  # so many looks in a row find the jack's contact closed before it is believed


class Measuring:
    """A sensor (instrument.py). ``converter``: see README.md; ``utc_ms()``: the time, or None.

    ``say(text)`` gets a line for the console; ``notice(code, text)`` what is to become an EVENT.
    """

    def __init__(self, converter, held, utc_ms, notice, say):
        """``held``: the Calibration that holds."""
        self._converter = converter
        self._values = held.values
        self._utc_ms = utc_ms
        self._notice = notice
        self._say = say
        self._estimated = held.trouble is not None
        self._voltage = converter.channels == 2
        self._rate_hz = converter.rate_hz
        self._buffer = array("H", (0 for _ in range(converter.rate_hz // 10 * converter.channels)))
        self._lost = converter.lost
        self._plugged = getattr(converter, "plugged", None)
        self._closed = 0  # looks in a row that found no plug
        self._sampler = Sampler(converter.channels, converter.rate_hz, calibration.table(held.adc))
        self._metrology = Metrology(held.values, converter.rate_hz)
        self._spells = faults.Spells()
        self._kept = (0, 0)  # whole mWh that were taken out of metrology and belong to a later period
        self._until = None  # end of the period that was given last
        self.last = None  # the Electrical of the last block
        self._begin()
        if held.trouble:
            say("calibration: %s; the defaults count, marked as estimated" % held.trouble)
            notice(wire.DATA_UNUSABLE, "calibration")

    @property
    def fault(self):
        """What is wrong now, one of the texts of faults.py, or None."""
        return self._spells.current

    @property
    def plugged(self):
        """Whether the jack's contact says that the clamp is plugged in, or None where none is wired."""
        return self._closed < _BOUNCES if self._plugged else None

    def pump(self):
        """Take the samples that the converter has."""
        if self._plugged:
            self._closed = 0 if self._plugged() else self._closed + 1
        turns = self._converter.sample(self._buffer)
        lost = self._converter.lost - self._lost
        self._lost += lost
        for block in self._sampler.feed(self._buffer, turns, lost):
            self._see(block)

    def pending(self):
        """Return the energies (import_mwh, export_mwh) that no ``take`` has given yet. See saving.py."""
        fresh = self._metrology.pending(self._voltage)
        return self._kept[0] + fresh[0], self._kept[1] + fresh[1]

    def take(self, start_s, end_s):
        """Return the Measured of a period between two UTC seconds, or None where nothing was. See instrument.py."""
        turns = self._turns + self._faulty
        if not turns:
            return None
        span_ms = turns * 1000 // self._rate_hz
        now_ms = self._utc_ms()
        after_ms = max(0, now_ms - end_s * 1000)
        before_ms = max(0, span_ms - (now_ms - start_s * 1000))
        if after_ms >= span_ms:
            return None
        if self._until == start_s:
            # Nothing lies between two periods: what is too much of a period came by the clock or the meter's slowness.
            if before_ms + after_ms <= _SLACK_MS:
                before_ms = after_ms = 0
            elif before_ms <= (end_s - start_s) * 1000:
                before_ms = 0
        elif after_ms <= _SLACK_MS:
            after_ms = 0
        self._until = end_s
        return self._share(span_ms, before_ms, after_ms)

    def _share(self, span_ms, before_ms, after_ms):
        fresh = self._metrology.energies(self._voltage)
        whole = self._kept[0] + fresh[0], self._kept[1] + fresh[1]
        before = tuple(energy * before_ms // span_ms for energy in whole)
        after = tuple(energy * after_ms // span_ms for energy in whole)
        inside = tuple(whole[n] - before[n] - after[n] for n in (0, 1))
        quality = 0 if self._voltage else wire.APPARENT_ONLY
        if self._faulty or self._estimated or after_ms or 1000 * self._bridged > _BRIDGED_PER_MILLE * self._turns:
            quality |= wire.ESTIMATED
        if self._turns:
            measured = Measured(*inside, quality, *self._means(), *before)  # pyright: ignore[reportCallIssue]
        else:
            nothing = wire.NOT_MEASURED, wire.NOT_MEASURED, wire.FACTOR_NOT_MEASURED
            measured = Measured(None, None, quality, *nothing, *before)
        self._kept = after
        self._begin(after_ms, span_ms)
        return measured

    def _begin(self, kept_ms=0, span_ms=1):
        """Begin the next period, with the sums' part of the time that is left to it."""
        if not kept_ms:
            self._turns = self._faulty = self._bridged = 0
            self._volts = self._amperes = self._power = self._apparent = 0
            return
        self._turns = self._turns * kept_ms // span_ms
        self._faulty = self._faulty * kept_ms // span_ms
        self._bridged = self._bridged * kept_ms // span_ms
        self._volts = self._volts * kept_ms // span_ms
        self._amperes = self._amperes * kept_ms // span_ms
        self._power = self._power * kept_ms // span_ms
        self._apparent = self._apparent * kept_ms // span_ms

    def _see(self, block):
        electrical, work = self._metrology.measure(block)
        fault = faults.UNPLUGGED if self.plugged is False else faults.find(block, electrical, self._values)
        news = self._spells.see(fault)
        if news:
            self._say("measuring: %s" % ("as it should be again" if news == wire.FAULT_OVER else news))
            self._notice(wire.MEASURING_FAULT, news)
        self.last = electrical
        if fault:
            self._faulty += block.turns
            return
        turns = block.turns
        # A long gap is not made up for: nobody knows what happened in it.
        lost = block.lost if block.lost <= self._rate_hz else 0
        self._metrology.add(work, turns, lost)
        self._turns += turns + lost
        self._bridged += lost
        self._volts += ((electrical.microvolts or 0) // 1000) ** 2 * (turns + lost)
        self._amperes += (electrical.microamperes // 1000) ** 2 * (turns + lost)
        self._power += (electrical.milliwatts or 0) * (turns + lost)
        self._apparent += electrical.millivoltamperes * (turns + lost)

    def _means(self):
        """Return (decivolts, centiamperes, power factor) of the period, as a DETAIL says them."""
        amperes = min(isqrt(self._amperes // self._turns) // 10, wire.NOT_MEASURED - 1)
        if not self._voltage:
            return wire.NOT_MEASURED, amperes, wire.FACTOR_NOT_MEASURED
        volts = min(isqrt(self._volts // self._turns) // 100, wire.NOT_MEASURED - 1)
        factor = 1000 * self._power // self._apparent if self._apparent else wire.FACTOR_NOT_MEASURED
        return volts, amperes, factor
