"""What makes counts amperes and volts: one piece of JSON in the storage, written by calibrating, never by compiling.

Rule: a calibration is whole or not there. A missing, damaged or unknown one is told (``Calibration.trouble``), the
defaults take its place, and everything that is measured with them is marked as estimated.
"""

import binascii
import json
from array import array
from collections import namedtuple

from firmware.meter.loops import MOST_VALUE

NAME = "calibration.json"
VERSION = 1
UNIT_UV = 100  # of a linearised value
KNOTS = 257  # one per 16 counts

# Integers only, each with (default, least, greatest). The defaults are an SCT-013-030 clamp (30 A at 1 V).
KEYS = {
    "current_ua_per_v": (30000000, 1000, 10000000000),  # microamperes of the conductor for a volt at the pin
    "voltage_uv_per_v": (600000000, 1000000, 100000000000),  # microvolts of the mains for a volt at the pin
    "phase_mdeg": (0, -20000, 20000),  # by how much the current is seen too early against the voltage
    "noise_uv": (0, 0, 100000),  # rms of the current's pin with nothing connected
    "bias_uv": (0, 0, 3300000),  # mean of the current's pin; 0: not known
    "no_load_mw": (25000, 0, 1000000000),  # below this nothing is counted
    "nominal_mv": (230000, 10000, 1000000),  # of the mains: what a clamp alone assumes
    "nominal_hz": (50, 50, 60),
    "export": (0, 0, 1),  # whether energy may flow out; if not, it means that the clamp is reversed
}
# Counts and microvolts of an ESP32's converter at 11 dB; a board of another kind is calibrated.
DEFAULT_ADC = ((0, 142000), (4095, 3154000))
_MOST_POINTS = 65

# values: the numbers of KEYS as a dict; adc: pairs (counts, uV) that rise; trouble: None, or what is wrong with it.
Calibration = namedtuple("Calibration", ("values", "adc", "trouble"))


class Unusable(ValueError):
    """A calibration that does not count; the text says why."""


def defaults(trouble):
    """Return the Calibration that holds where there is none."""
    return Calibration({key: KEYS[key][0] for key in KEYS}, DEFAULT_ADC, trouble)


def load(storage):
    """Return the stored Calibration, or the defaults with what is wrong as ``trouble``."""
    data = storage.read(NAME)
    if data is None:
        return defaults("this meter was never calibrated")
    try:
        return parse(json.loads(data))
    except Unusable as error:
        return defaults(str(error))
    except (ValueError, TypeError):  # not JSON, or not even text
        return defaults("the calibration is not JSON")


def parse(document):
    """Return the Calibration of a document as it is stored; raises Unusable."""
    if not isinstance(document, dict):
        raise Unusable("the calibration is not a JSON object")
    version = document.get("version")
    if version != VERSION:
        raise Unusable("a calibration of an unknown version")
    if document.get("crc") != _crc(document):
        raise Unusable("the calibration is damaged")
    return check(document)


def check(document):
    """Return the Calibration of a document's values whatever its checksum says; raises Unusable."""
    for key in document:
        if key not in KEYS and key not in ("version", "adc", "crc"):
            raise Unusable("unknown key %s" % key)
    values = {}
    for key, (_, least, greatest) in KEYS.items():
        value = document.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
            raise Unusable("%s must be an integer from %d to %d" % (key, least, greatest))
        values[key] = value
    if values["nominal_hz"] not in (50, 60):
        raise Unusable("nominal_hz must be 50 or 60")
    return Calibration(values, _check_adc(document.get("adc")), None)


def _check_adc(points):
    wrong = Unusable("adc must be 2 to %d pairs [counts, microvolts] that rise, from count 0 to 4095" % _MOST_POINTS)
    if not isinstance(points, (list, tuple)) or not 2 <= len(points) <= _MOST_POINTS:
        raise wrong
    last = (-1, -1)
    for point in points:
        if not isinstance(point, (list, tuple)) or len(point) != 2:
            raise wrong
        for part, before in zip(point, last):
            if not isinstance(part, int) or part <= before:
                raise wrong
        last = point
    if points[0][0] != 0 or points[-1][0] != 4095 or points[-1][1] > MOST_VALUE * UNIT_UV:
        raise wrong
    return tuple(tuple(point) for point in points)


def save(storage, document):
    """Check ``document`` (KEYS and adc), store it with version and checksum, return its Calibration.

    Raises Unusable, and then keeps what was stored before.
    """
    whole = {key: document[key] for key in document if key not in ("version", "crc")}
    calibration = check(whole)
    whole["version"] = VERSION
    whole["crc"] = _crc(whole)
    storage.replace(NAME, json.dumps(whole).encode())
    return calibration


def table(adc):
    """Return the 257 linearised values of a converter, in units of 100 uV, for loops.py."""
    values = array("H", (0 for _ in range(KNOTS)))
    place = 0
    for knot in range(KNOTS):
        counts = 16 * knot
        while place < len(adc) - 2 and adc[place + 1][0] <= counts:
            place += 1
        (from_counts, from_uv), (to_counts, to_uv) = adc[place], adc[place + 1]
        # The last knot lies one count behind the last point, on its line.
        uv = from_uv + (to_uv - from_uv) * (counts - from_counts) // (to_counts - from_counts)
        values[knot] = min(uv // UNIT_UV, MOST_VALUE)
    return values


def _crc(document):
    # Over a text of our own: the order of JSON's keys is nobody's promise.
    parts = ["version=%s" % document.get("version"), "adc=%s" % _points(document.get("adc"))]
    parts += ["%s=%s" % (key, document.get(key)) for key in sorted(KEYS)]
    return binascii.crc32(";".join(parts).encode())


def _points(adc):
    if not isinstance(adc, (list, tuple)):
        return adc
    return ",".join(":".join(str(part) for part in p) if isinstance(p, (list, tuple)) else str(p) for p in adc)
