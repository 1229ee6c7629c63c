"""What is wrong with what is measured, told from a block: a fault is a quality bit and an EVENT, not a number.

Every check needs a block and the calibration only. A clamp that was taken off its conductor looks like no load: only
an input that is open, or quieter than it was when it was calibrated, can be known as unplugged, where the bias is fed
through the clamp. With a burden on the board it is not: there the jack's own contact tells (measuring.py).
"""

from firmware.meter.calibration import UNIT_UV
from firmware.meter.sampler import REST
from protocol import wire

UNPLUGGED = "unplugged"
STUCK = "stuck"
SATURATED = "saturated"
NO_VOLTAGE = "no-voltage"
REVERSED = "reversed"

_BIAS_UV = 200000  # further from the calibrated bias, the input is not at it
_RAILS = 3  # so many counts at a rail in a block are no outliers


def find(block, electrical, values):
    """Return what is wrong with a block, one of the texts above, or None.

    ``electrical``: what metrology made of it; ``values``: of the Calibration.
    """
    current, voltage = block.current, block.voltage
    if current.high == 0 or _off_bias(current, values) or _too_quiet(block, values):
        return UNPLUGGED
    for channel in (current, voltage) if voltage else (current,):
        if channel.rails >= _RAILS:
            return SATURATED
        if channel.low == channel.high:
            return STUCK
    if voltage is None:
        return None
    if electrical.microvolts < values["nominal_mv"] * 200:  # a fifth
        return NO_VOLTAGE
    if electrical.milliwatts < 0 and not values["export"]:
        return REVERSED
    return None


def _off_bias(channel, values):
    expected = values["bias_uv"]
    mean = (channel.bias * REST + channel.rest256) * UNIT_UV // REST
    return expected > 0 and abs(mean - expected) > _BIAS_UV


def _too_quiet(block, values):
    """Say whether the input varies, but less than half as much as with the clamp plugged in and nothing flowing."""
    channel, turns = block.current, block.turns
    if channel.low == channel.high:
        return False
    variance = channel.square * turns - channel.total * channel.total
    return variance * (2 * UNIT_UV) ** 2 < (values["noise_uv"] * turns) ** 2


class Spells:
    """A fault is told when two blocks in a row have it, and over when ``CALM`` blocks in a row have none.

    One block alone is often half of this and half of that: what it says is not worth an EVENT.
    """

    CALM = 25  # about 5 s

    def __init__(self):
        self.current = None
        self.count = 0  # since the boot
        self._calm = 0
        self._before = None

    def see(self, fault):
        """Take what ``find`` said of the next block; returns what to tell: a fault, wire.FAULT_OVER, or None."""
        before, self._before = self._before, fault
        if fault is None:
            self._calm += 1
            if self.current and self._calm == self.CALM:
                self.current = None
                return wire.FAULT_OVER
            return None
        self._calm = 0
        if fault == self.current or fault != before:
            return None
        self.current = fault
        self.count += 1
        return fault
