"""`make metrology` at a small size: the limits hold, and planted bugs break them."""

import cmath
import math
import shutil

import pytest

from scripts.metrology import mains, trial
from scripts.metrology.__main__ import limit, worst
from scripts.metrology.converter import Chip
from scripts.metrology.meter import ROOT, Bench, calibrated
from scripts.metrology.plot import svg
from scripts.metrology.trial import Result

CREST = mains.LOADS[3]
LAGGING = mains.LOADS[1]


@pytest.fixture(scope="module", params=[2, 1], ids=["clamp and voltage", "clamp alone"])
def bench(request, tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("meter"), request.param, 2000, 50)
    return made, calibrated(made)


def broken(results):
    return [result for result in results if abs(result.error) > limit(result.percent)]


def test_the_errors_are_within_their_limits_over_the_range(bench):
    results = trial.measured(bench[0], 10, (CREST, LAGGING), (1, 5, 100))
    assert len(results) == 6 and broken(results) == []


def test_nothing_connected_counts_nothing_and_is_no_fault(bench):
    assert trial.nothing_connected(bench[0]) == (0, [])


def test_an_hour_is_conserved(bench):
    hour = trial.hour(*bench)
    assert hour.periods == 360 and abs(hour.unconserved) < 0.1
    assert hour.counted == pytest.approx(hour.truth, rel=0.01)


def test_without_phase_compensation_a_lagging_load_is_wrong(tmp_path):
    bench = Bench(tmp_path, 2, 2000, 50)
    calibrated(bench, phase=False)
    assert broken(trial.measured(bench, 4, (LAGGING,), (20,)))


NO_BIAS = [
    ("int(self._table[128]) if bias256 is None else bias256 // REST", "int(self._table[128])"),
    ("rest = slow - bias * REST", "rest = 0"),
]
PARTS_OF_A_CYCLE = [
    ("return self._rate_hz * 22 // 100 if self._crossed else self._rate_hz // 5", "return self._rate_hz * 13 // 1000")
]
NOISE_STAYS = [("max(0, mean - self._noise)", "mean")]
EVERY_OTHER_BLOCK = [
    ("self._metrology.add(work, turns, lost)", "self._metrology.add(work * (self._turns % 800 < 400), turns, lost)")
]
A_STRAIGHT_LINE = [("    place = 0\n", "    place, adc = 0, (adc[0], adc[-1])\n")]


@pytest.mark.parametrize(
    ("file", "bugs", "bow"),
    [
        ("sampler.py", NO_BIAS, 12),
        ("sampler.py", PARTS_OF_A_CYCLE, 12),
        ("metrology.py", NOISE_STAYS, 12),
        ("measuring.py", EVERY_OTHER_BLOCK, 12),
        ("calibration.py", A_STRAIGHT_LINE, 36),
    ],
    ids=["bias", "parts of a cycle", "noise", "gaps", "straight line"],
)
def test_a_planted_bug_breaks_a_limit(tmp_path, file, bugs, bow):
    for room in ("firmware", "protocol"):
        shutil.copytree(ROOT / room, tmp_path / room)
    planted = tmp_path / "firmware" / "meter" / file
    for right, wrong in bugs:
        assert right in planted.read_text()
        planted.write_text(planted.read_text().replace(right, wrong))
    bench = Bench(tmp_path / "meter", 1, 2000, 50, chip=Chip(1, bow=bow))
    bench.folder.mkdir()
    calibrated(bench)
    cases = (bench, 10, (CREST,), (1, 5, 100))
    assert broken(trial.measured(*cases)) == []
    assert broken(trial.measured(*cases, tmp_path / "firmware"))


def test_the_emulated_converter_is_as_bent_as_it_says():
    chip = Chip(1)
    places = range(150, 2450, 10)
    bend = [chip.counts(mv) - (mv * chip.reference - 142) / 3012 * 4095 for mv in places]
    assert 10 < max(bend) < 13 and -13 < min(bend) < -10
    assert chip.counts(0) == 0 and chip.counts(3000) < (3000 * chip.reference - 142) / 3012 * 4095 - 100


def test_the_loads_are_what_they_are_called():
    assert mains.crest_factor(CREST.shape) == pytest.approx(3, abs=0.05)
    volts = mains.scaled(mains.VOLTAGE, 1)
    assert mains.power(volts, mains.scaled(LAGGING.shape, 1)) == pytest.approx(0.5, abs=0.001)
    seen = mains.through_clamp({1: 1 + 0j, 3: 1 + 0j}, 3)

    assert math.degrees(cmath.phase(seen[1])) == pytest.approx(3)
    assert math.degrees(cmath.phase(seen[3])) == pytest.approx(1, abs=0.01)


def test_the_worst_error_is_of_the_right_part_of_the_range():
    results = [Result("a", "b", percent, error, 0) for percent, error in ((1, -1.9), (2, 1), (5, -0.4), (100, 0.3))]
    assert (worst(results, 5), worst(results, 1, 5)) == (0.4, 1.9)
    assert (limit(1), limit(2), limit(5), limit(100)) == (2, 2, 1, 1)
    assert svg(results, "caption").count("<polyline") == 0
