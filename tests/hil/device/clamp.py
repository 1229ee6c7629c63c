"""A sensor of apparent energy for tests: the ADC's first channel, as a clamp of 20 A a volt at 230 V."""

from array import array

_VOLTS_A_COUNT = 3.3 / 4096
_AMPERES_A_VOLT = 20
_VOLTS = 230


class Clamp:
    def __init__(self, converter):
        self._converter = converter
        self._buffer = array("H", (0 for _ in range(converter.rate_hz // 10)))
        self._begin()

    def _begin(self):
        self._turns = self._sum = self._squares = 0

    def pump(self):
        turns = self._converter.sample(self._buffer)
        for place in range(turns):
            count = self._buffer[place] - 2048
            self._sum += count
            self._squares += count * count
        self._turns += turns

    def take(self, start_s, end_s):
        if not self._turns:
            return None
        mean = self._sum / self._turns
        counts = max(0, self._squares / self._turns - mean * mean) ** 0.5
        watts = counts * _VOLTS_A_COUNT * _AMPERES_A_VOLT * _VOLTS
        self._begin()
        return int(watts * (end_s - start_s) / 3.6), 0
