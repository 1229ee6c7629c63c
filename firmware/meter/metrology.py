"""Blocks become volts, amperes, watts and milliwatt-hours: pure integer arithmetic, the same on every board.

Strategy: a block's sums are exact, its covariances about the slow bias therefore too; they are scaled by the
calibration's integers and added up as fractions of a milliwatt-hour whose remainder is carried, so that nothing
drifts and no float of 24 bits rounds anything away.
With a voltage channel: real power, corrected for the phase error of the clamp, its sign the direction.
Clamp alone: rms current, less the converter's noise, times the nominal voltage: apparent power, an estimate.

Phase correction: with the mean product P0 of voltage and current and P1 of voltage and the current one turn earlier,
the interpolation (sin(t - e) P0 + sin(e) P1) / sin(t), t the angle of one turn, is exact for the fundamental: its
current is turned by e and not attenuated, which a straight line between two samples would do.
"""

import math
from collections import namedtuple

from firmware.meter.calibration import UNIT_UV
from firmware.meter.sampler import REST, isqrt

_ONE = 1 << 20  # of a weight of the interpolation
_SQUARE = REST * REST
_ROOT = 1 << 8  # parts of a unit in which a root is taken

# What one block was: mains microvolts or None, microamperes, milliwatts (signed; clamp alone: apparent, so None),
# milli-voltamperes, mHz (0: not known). Below the no-load threshold current and powers are 0.
Electrical = namedtuple("Electrical", ("microvolts", "microamperes", "milliwatts", "millivoltamperes", "millihertz"))


class Metrology:
    """Scales blocks and adds up their energy. ``values``: of a Calibration; ``rate_hz``: of each channel."""

    def __init__(self, values, rate_hz):
        self._values = values
        self._rate_hz = rate_hz
        self._noise = _units_squared(values["noise_uv"])
        # An energy is added up as current units x voltage units x both gains, each unit REST or _ONE parts.
        self._real = _ONE * _SQUARE * (1000000 // UNIT_UV) ** 2 * 10**9 * 3600 * rate_hz
        self._apparent = 10**9 * 3600 * rate_hz
        self._imported = self._exported = 0
        self._weights = (0, 0, 0)

    def measure(self, block):
        """Return (Electrical, work): the work is the block's energy for ``add``, in parts of an mWh."""
        values = self._values
        amperes = self._microamperes(block)
        if block.voltage is None:
            apparent = amperes * values["nominal_mv"] // 10**6
            if apparent < values["no_load_mw"]:
                return Electrical(None, 0, None, 0, block.millihertz), 0
            work = amperes * values["nominal_mv"] * 1000 * block.turns
            return Electrical(None, amperes, None, apparent, block.millihertz), work
        volts = self._microvolts(block.voltage, block.turns)
        work = self._product(block) * values["current_ua_per_v"] * values["voltage_uv_per_v"]
        power = work * 3600 * self._rate_hz // (self._real * block.turns)
        if abs(power) < values["no_load_mw"]:
            return Electrical(volts, 0, 0, 0, block.millihertz), 0
        apparent = max(abs(power), amperes * volts // 10**9)
        return Electrical(volts, amperes, power, apparent, block.millihertz), work

    def add(self, work, turns, lost):
        """Add the work of a block of ``turns`` to import or, where it is negative, to export.

        ``lost``: how many turns are missing before it, in which the power is taken to have been the same.
        """
        work += work * lost // turns
        if work > 0:
            self._imported += work
        else:
            self._exported -= work

    def energies(self, voltage):
        """Take the whole milliwatt-hours out: (import_mwh, export_mwh). What is left waits for its next part.

        ``voltage``: whether there is a voltage channel; it never changes.
        """
        parts = self._real if voltage else self._apparent
        import_mwh, export_mwh = self._imported // parts, self._exported // parts
        self._imported -= import_mwh * parts
        self._exported -= export_mwh * parts
        return import_mwh, export_mwh

    def _microamperes(self, block):
        mean = max(0, covariance(block.current.square, block.current, block.current, block.turns) // block.turns)
        root = isqrt(max(0, mean - self._noise) * _ROOT * _ROOT)
        return root * self._values["current_ua_per_v"] * UNIT_UV // (_ROOT * REST * 1000000)

    def _microvolts(self, channel, turns):
        root = isqrt(covariance(channel.square, channel, channel, turns) // turns * _ROOT * _ROOT)
        return root * self._values["voltage_uv_per_v"] * UNIT_UV // (_ROOT * REST * 1000000)

    def _product(self, block):
        """Return the sum of products, the current turned by the phase error, in 1/(_ONE * _SQUARE) units."""
        now = covariance(block.product, block.current, block.voltage, block.turns)
        before = covariance(block.lagged, block.current, block.voltage, block.turns)
        millihertz = block.millihertz or self._values["nominal_hz"] * 1000
        if self._weights[0] != millihertz:
            now_part, before_part = interpolation(self._values["phase_mdeg"], millihertz, self._rate_hz)
            self._weights = (millihertz, now_part, before_part)
        return self._weights[1] * now + self._weights[2] * before


def interpolation(phase_mdeg, millihertz, rate_hz):
    """Return the weights, in parts of 2**20, of the products now and of those one turn earlier."""
    turn = 2 * math.pi * millihertz / 1000 / rate_hz
    error = math.radians(phase_mdeg / 1000)
    return round(_ONE * math.sin(turn - error) / math.sin(turn)), round(_ONE * math.sin(error) / math.sin(turn))


def covariance(product, one, other, turns):
    """Return the sum of (value - slow bias) of one channel times that of another, in 1/_SQUARE units.

    ``product`` is the sum about the channels' whole biases.
    """
    turned = _SQUARE * product - REST * (one.rest256 * other.total + other.rest256 * one.total)
    return turned + turns * one.rest256 * other.rest256


def _units_squared(microvolts):
    return (microvolts * REST) ** 2 // UNIT_UV**2
