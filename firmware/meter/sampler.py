"""Raw counts become blocks: exact sums over whole mains cycles, one block behind the other without a gap.

Strategy: about a fifth of a second of samples is a block. It ends where the voltage, or without one the current,
crosses zero upwards: the energy of a block needs no whole cycles, because the next one begins with the next sample,
but its rms values and its mean do. Where nothing crosses, a block is 0.2 s: whole cycles of 50 Hz and of 60 Hz.
Rule 1: every sample is in exactly one block.
Rule 2: a bias is followed slowly, block by block, and never within one: the sums stay exact integers. A bias that
steps is followed at once, and a block is then freed of its own mean.
"""

from array import array
from collections import namedtuple

from firmware.meter.loops import MOST_TURNS, STATE

# total and square: sums of (value - bias) and of its square; the slow bias is ``bias`` and ``rest256`` 256ths of a
# unit. rails: how many counts were at a rail; low, high: the least and the greatest count.
Channel = namedtuple("Channel", ("total", "square", "bias", "rest256", "rails", "low", "high"))
# turns: how many samples of each channel; lost: how many turns were lost before it; voltage: a Channel or None;
# product, lagged: sums of voltage times current, now and one turn earlier; millihertz: 0 where not known.
Block = namedtuple("Block", ("turns", "lost", "current", "voltage", "product", "lagged", "millihertz"))

REST = 256  # parts of a unit in which the slow bias is kept
_SLOW = 16  # the bias moves by a sixteenth of the way in each block: about 3 s
_STEP = 250  # units: a mean that is further away than this has stepped (25 mV)
_LEAST_HYSTERESIS = 40  # units (4 mV): above the noise of a converter


class Sampler:
    """Takes raw counts, gives blocks. ``table`` is calibration.table's; ``rate_hz`` is of each channel."""

    def __init__(self, channels, rate_hz, table):
        if channels not in (1, 2) or not 1000 <= rate_hz <= 4000:
            raise ValueError("a converter has 1 or 2 channels and 1000 to 4000 samples a second of each")
        self._loop = _loop(channels)
        self._channels = channels
        self._rate_hz = rate_hz
        self._table = table
        self._state = array("i", (0 for _ in range(STATE)))
        self._bias256 = [None, None]  # not known before the first block
        self._hysteresis = _LEAST_HYSTERESIS
        self._crossed = False  # whether the block before saw cycles: only then is it worth waiting for a crossing
        self._begun = None  # how far behind its crossing the block began, in 1/256 turns; None: not at a crossing
        self._begin(0)
        state = self._state
        state[6], state[7] = state[2], state[1]  # before the first sample there was nothing but the bias

    def feed(self, samples, turns, lost=0):
        """Take ``turns`` turns of counts; returns the Blocks that they complete, in order.

        ``samples``: array("H"), the channels in turn. ``lost``: how many turns were lost before these.
        """
        blocks = []
        if lost:
            self._lost += lost
            self._begun = None  # what lies before the gap says nothing about the phase behind it
        view = memoryview(samples)
        at = 0
        while at < turns:
            part = min(turns - at, MOST_TURNS, self._most() - self._turns)
            at += self._sum(view[at * self._channels : (at + part) * self._channels], part)
            ended = bool(self._state[27])
            if ended or self._turns >= self._most():
                blocks.append(self._close(ended))
        return blocks

    def _most(self):
        return self._rate_hz * 22 // 100 if self._crossed else self._rate_hz // 5

    def _sum(self, samples, turns):
        state = self._state
        state[0] = turns
        least = self._rate_hz * 19 // 100
        state[5] = max(0, least - self._turns)
        self._loop(samples, self._table, state)  # pyright: ignore[reportCallIssue]
        self._turns += state[9]
        sums = self._sums
        for place in range(10, 22):
            sums[place - 10] += state[place]
        return state[9]

    def _begin(self, lost):
        state = self._state
        for channel in (0, 1):
            bias256 = self._bias256[channel]
            # Any bias gives exact sums; half of the range is where to look for the first crossings.
            state[1 + channel] = int(self._table[128]) if bias256 is None else bias256 // REST
        state[3] = self._hysteresis
        state[22] = state[24] = 4095
        state[23] = state[25] = state[26] = state[27] = 0
        self._sums = [0] * 12
        self._turns = 0
        self._lost = lost

    def _close(self, ended):
        state, sums, turns = self._state, self._sums, self._turns
        biases = state[1], state[2]
        current = self._channel(0, turns, biases[0], sums[0], _whole(sums, 1), sums[10])
        voltage = None
        if self._channels == 2:
            voltage = self._channel(1, turns, biases[1], sums[3], _whole(sums, 4), sums[11])
        timed = voltage or current
        millihertz = self._frequency(ended, timed.bias)
        self._crossed = 8 <= state[26] <= 16
        variance = max(0, timed.square * turns - timed.total * timed.total) // (turns * turns)
        self._hysteresis = max(_LEAST_HYSTERESIS, isqrt(variance) // 2)
        block = Block(turns, self._lost, current, voltage, _whole(sums, 6), _whole(sums, 8), millihertz)
        self._begin(0)
        return block

    def _channel(self, number, turns, bias, total, square, rails):
        mean256 = bias * REST + total * REST // turns
        slow = self._bias256[number]
        if slow is None or abs(mean256 - slow) > _STEP * REST:
            slow = mean256
        rest = slow - bias * REST
        self._bias256[number] = slow + (mean256 - slow) // _SLOW
        low, high = self._state[22 + 2 * number], self._state[23 + 2 * number]
        return Channel(total, square, bias, rest, rails, low, high)

    def _frequency(self, ended, bias):
        """Return the frequency of the block's cycles in mHz, or 0 where it does not begin and end with a crossing."""
        behind = None
        if ended:
            above = self._state[28] - bias - self._hysteresis
            rise = self._state[28] - self._state[6]
            behind = 256 * above // rise if rise > 0 else 0
        begun, self._begun = self._begun, behind
        if begun is None or behind is None:
            return 0
        span = 256 * self._turns + begun - behind
        millihertz = 256000 * self._rate_hz * self._state[26] // span
        return millihertz if 44000 <= millihertz <= 66000 else 0


def _loop(channels):
    """Return the loop over so many channels: in machine code where there is any, and only the one that is needed."""
    try:
        if channels == 2:
            from firmware.meter.loops_viper_two import two as loop  # noqa: PLC0415
        else:
            from firmware.meter.loops_viper import one as loop  # noqa: PLC0415
    except (ImportError, AttributeError, SyntaxError):  # CPython, or a port without machine code
        from firmware.meter import loops  # noqa: PLC0415

        return loops.two if channels == 2 else loops.one
    return loop


def _whole(sums, place):
    return sums[place] + (sums[place + 1] << 16)


def isqrt(square):
    """Return the integer part of a square root (Newton's method); MicroPython has no math.isqrt."""
    if square < 2:
        return square
    bits = 0
    while square >> bits:
        bits += 2
    root = 1 << (bits // 2)
    while True:
        better = (root + square // root) // 2
        if better >= root:
            return root
        root = better
