"""A meter on the calibrator's bench: what it sees, for the commands of scripts/calibrate. Prints one line of JSON each.

The commands run on a board whose main program was interrupted; nothing here touches registers, keys or frames.
"""

import json
from array import array

from firmware.meter import calibration
from firmware.meter.metrology import REST, UNIT_UV, Metrology, covariance
from firmware.meter.sampler import Sampler

_PAIRS_BIN = 64  # counts: read_uv is another conversion than read, so that only means can be compared


def show(board):
    """Print the calibration that holds, and what the converter is."""
    held = calibration.load(board.storage)
    converter = board.converter
    document = dict(held.values)
    document["adc"] = held.adc
    print(
        json.dumps(
            {
                "calibration": document,
                "trouble": held.trouble,
                "channels": converter.channels,
                "rate_hz": converter.rate_hz,
                "own_microvolts": converter.read_uv(0) is not None,
            }
        )
    )


def observe(board, seconds, adc=None):
    """Print one line per block for some seconds: what the calibration that holds makes of it, and the pins' means.

    ``current_uv2``, ``voltage_uv2``: mean squares at the pins; ``now_uv2``, ``before_uv2``: mean products of voltage
    and current, now and one turn earlier; all without the bias. ``adc``: a converter's table that is to be tried.
    """
    held = calibration.load(board.storage)
    converter = board.converter
    rate_hz = converter.rate_hz
    sampler = Sampler(converter.channels, rate_hz, calibration.table(adc or held.adc))
    metrology = Metrology(held.values, rate_hz)
    buffer = array("H", (0 for _ in range(rate_hz // 10 * converter.channels)))
    left = seconds * rate_hz
    lost = converter.lost
    while left > 0:
        turns = converter.sample(buffer)
        fresh, lost = converter.lost - lost, converter.lost
        left -= turns
        for block in sampler.feed(buffer, turns, fresh):
            print(json.dumps(_observed(block, metrology)))


def _observed(block, metrology):
    electrical, _ = metrology.measure(block)
    current, voltage, turns = block.current, block.voltage, block.turns
    seen = {
        "turns": turns,
        "lost": block.lost,
        "millihertz": block.millihertz,
        "bias_uv": (current.bias * REST + current.rest256) * UNIT_UV // REST,
        "current_uv2": _mean_uv2(current.square, current, current, turns),
        "rails": current.rails + (voltage.rails if voltage else 0),
        "microamperes": electrical.microamperes,
        "milliwatts": electrical.milliwatts,
        "millivoltamperes": electrical.millivoltamperes,
        "microvolts": electrical.microvolts,
    }
    if voltage:
        seen["voltage_uv2"] = _mean_uv2(voltage.square, voltage, voltage, turns)
        seen["now_uv2"] = _mean_uv2(block.product, current, voltage, turns)
        seen["before_uv2"] = _mean_uv2(block.lagged, current, voltage, turns)
    return seen


def _mean_uv2(product, one, other, turns):
    return covariance(product, one, other, turns) * UNIT_UV * UNIT_UV // (REST * REST * turns)


def pairs(board, number):
    """Print what the chip's own calibration says, as [mean count, mean microvolts, how often] per 64 counts."""
    converter = board.converter
    bins = {}
    for _ in range(number):
        for channel in range(converter.channels):
            # One conversion on either side, so that a slope of the signal cancels out.
            early, uv, late = converter.read(channel), converter.read_uv(channel), converter.read(channel)
            place = (early + late) // 2 // _PAIRS_BIN
            count, total, often = bins.get(place, (0, 0, 0))
            bins[place] = (count + early + late, total + uv, often + 1)
    print(json.dumps([[bins[b][0] / 2 / bins[b][2], bins[b][1] // bins[b][2], bins[b][2]] for b in sorted(bins)]))


def write(board, text):
    """Store a calibration (a JSON object of its values) and print it back, or why it was refused."""
    try:
        calibration.save(board.storage, json.loads(text))
    except calibration.Unusable as error:
        print(json.dumps({"refused": str(error)}))
        return
    show(board)
