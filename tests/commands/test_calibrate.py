"""`scripts.calibrate`: its arithmetic, what it refuses, and the guide with real firmware at the other end."""

import json
import math

import pytest
from click.testing import CliRunner

from scripts.calibrate import arithmetic, port
from scripts.calibrate.__main__ import calibrate, known_loads, main
from scripts.calibrate.arithmetic import Known, Nonsense, Zero
from scripts.calibrate.port import Meter, PortError, Unix
from scripts.metrology import converter, mains
from scripts.metrology.meter import MICROPYTHON, Bench

RATE, TURN = 2000, 2 * math.pi * 50 / 2000
REST = Zero(2000.0, 1_300_000.0, 400.0)
HELD = {"nominal_mv": 230_000, "nominal_hz": 50, "export": 0, "adc": [[0, 142_000], [4095, 3_154_000]]}


def seen(microvolts, volts_uv=None, lag=0.0, blocks=20, wander=0.0, **changes):
    lines = []
    for n in range(blocks):
        rms = microvolts * (1 + wander * (n % 3 - 1))
        line = {"turns": 400, "lost": 0, "rails": 0, "millihertz": 50_000, "bias_uv": 1_300_000}
        line["current_uv2"] = rms**2 + REST.noise_uv**2
        if volts_uv:
            line["voltage_uv2"] = volts_uv**2
            line["now_uv2"] = volts_uv * rms * math.cos(lag)
            line["before_uv2"] = volts_uv * rms * math.cos(lag + TURN)
        lines.append(line | changes)
    return lines


def test_one_point_gives_gains_phase_and_thresholds():
    point = arithmetic.point(seen(200_000, 400_000, lag=-0.05), REST, RATE, 50)
    values = arithmetic.calibrate(HELD, REST, [(point, Known(6.0, 230.0))], None)
    assert values["current_ua_per_v"] == pytest.approx(30_000_000, rel=1e-4)
    assert values["voltage_uv_per_v"] == pytest.approx(575_000_000, rel=1e-4)
    assert values["phase_mdeg"] == round(1000 * math.degrees(0.05))
    assert (values["noise_uv"], values["bias_uv"]) == (2000, 1_300_000)
    assert values["no_load_mw"] == pytest.approx(1000 * 6 * 0.06 * 230 / 20, rel=0.01)
    assert values["adc"] == HELD["adc"]


def test_a_known_power_factor_is_not_taken_for_a_phase_error():
    point = arithmetic.point(seen(200_000, 400_000, lag=math.acos(0.8)), REST, RATE, 50)
    values = arithmetic.calibrate(HELD, REST, [(point, Known(6.0, 230.0, 0.8))], None)
    assert abs(values["phase_mdeg"]) <= 1


def test_two_points_give_the_gain_of_the_least_relative_squares():
    points = [(arithmetic.point(seen(uv), REST, RATE, 50), Known(a)) for uv, a in ((200_000, 6.0), (50_000, 1.515))]
    gain = arithmetic.calibrate(HELD, REST, points, None)["current_ua_per_v"] / 1e6
    assert 30.0 < gain < 30.3

    def squares(g):
        return (g * 0.2 / 6 - 1) ** 2 + (g * 0.05 / 1.515 - 1) ** 2

    assert squares(gain) < squares(gain * 1.0001) and squares(gain) < squares(gain * 0.9999)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (seen(15_000), "too small"),
        (seen(0), "too small"),
        (seen(200_000, wander=0.02), "not steady"),
        (seen(200_000, 400_000, lag=math.pi), "turn the clamp around"),
        (seen(200_000, rails=1), "end of the converter"),
        (seen(200_000, lost=1), "lost samples"),
        (seen(200_000, blocks=9), "too few blocks"),
    ],
)
def test_what_is_no_load_to_calibrate_by_is_refused(lines, says):
    with pytest.raises(Nonsense, match=says):
        arithmetic.point(lines, REST, RATE, 50)


def test_what_flows_with_nothing_connected_is_refused():
    with pytest.raises(Nonsense, match="nothing connected"):
        arithmetic.zero(seen(25_000))


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([(200_000, 6.0), (50_000, 1.6)], "contradict"),
        ([(200_000, 0.01)], "no load to calibrate by"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(points, says):
    made = [(arithmetic.point(seen(uv), REST, RATE, 50), Known(a)) for uv, a in points]
    with pytest.raises(Nonsense, match=says):
        arithmetic.calibrate(HELD, REST, made, None)


def test_a_load_on_another_phase_is_refused():
    point = arithmetic.point(seen(200_000, 400_000, lag=math.radians(60)), REST, RATE, 50)
    with pytest.raises(Nonsense, match="same phase"):
        arithmetic.calibrate(HELD, REST, [(point, Known(6.0, 230.0))], None)


def test_the_table_follows_a_bent_characteristic_and_goes_on_straight():
    chip = converter.Chip(3, noise=0)
    pairs = [(chip.counts(mv), 1000.0 * mv, 100) for mv in range(700, 1900, 50)]
    points = dict(map(tuple, arithmetic.table(pairs)))
    assert [min(points), max(points)] == [0, 4095]
    for count, uv in points.items():
        if 900 < count < 2400:
            assert chip.counts(uv / 1000) == pytest.approx(count, abs=0.5)
    assert arithmetic.table(pairs[:5]) is None
    assert arithmetic.table([(count, uv, 3) for count, uv, _ in pairs]) is None


def test_the_options_belong_together():
    with pytest.raises(Nonsense):
        known_loads([1, 2, 3], [], 1)
    with pytest.raises(Nonsense):
        known_loads([1, 2], [230], 1)
    assert known_loads([4], [230], 0.9) == [Known(4, 230, 0.9)]


# --- With the firmware ------------------------------------------------------------------------------------------


class Bystander:
    """A port to real firmware whose person does what the guide asks for."""

    def __init__(self, folder, channels):
        self.bench = Bench(folder, channels, RATE, 50)
        self.port = Unix(MICROPYTHON, folder, channels, RATE)
        heater = mains.scaled(mains.VOLTAGE, 4.3)
        self.records = {"on": self.bench.record("on", heater, 10, 1), "off": self.bench.record("off", {}, 10, 2)}
        self.port.waveform = self.records["on"]
        self.asked = []
        self.said = []

    def does(self, text):
        self.asked.append(text)
        self.port.waveform = self.records["on" if "Switch on" in text else "off"]

    def guide(self, *known, **changes):
        return calibrate(Meter(self.port), known, changes, self.said.append, self.does)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_guide_calibrates_real_firmware(tmp_path, channels):
    person = Bystander(tmp_path, channels)
    written = person.guide(Known(4.3, 230.0 if channels == 2 else None))
    stored = json.loads((tmp_path / "calibration.json").read_text())
    assert stored["current_ua_per_v"] == written["current_ua_per_v"]
    assert len(person.asked) == 3
    assert any("never calibrated" in line for line in person.said)
    after = person.said[-1]
    assert after.startswith("after, at 4.3 A: ")
    figures = [float(word) for word in after.replace(",", "").split() if word.replace(".", "").isdigit()]
    assert figures[-2] == pytest.approx(4.3, rel=0.005)
    assert figures[-1] == pytest.approx(989, rel=0.005)
    at_rest = next(line for line in person.said if line.startswith("after, nothing"))
    assert at_rest.endswith(("0.000 A, 0.0 VA", "0.000 A, 0.0 W"))


def test_a_refused_calibration_leaves_the_one_before(tmp_path):
    person = Bystander(tmp_path, 1)
    person.guide(Known(4.3))
    before = (tmp_path / "calibration.json").read_bytes()
    with pytest.raises(PortError, match="nominal_hz"):
        person.guide(Known(4.3), nominal_hz=55)
    person.records["on"] = person.records["off"]
    with pytest.raises(Nonsense, match="too small"):
        person.guide(Known(4.3))
    assert (tmp_path / "calibration.json").read_bytes() == before


def test_a_meter_with_a_voltage_channel_needs_the_volts(tmp_path):
    with pytest.raises(Nonsense, match="--volts"):
        Bystander(tmp_path, 2).guide(Known(4.3))


class Babbling:
    """A port at which something else answers."""

    def __init__(self, said):
        self.said = said

    def run(self, _code):
        return self.said

    def close(self):
        pass


@pytest.mark.parametrize(("said", "says"), [("", "answered nothing"), (">>> what?\n", "something else than JSON")])
def test_something_that_is_no_meter_is_said(said, says):
    with pytest.raises(PortError, match=says):
        Meter(Babbling(said)).show()


def test_a_firmware_that_fails_is_said_with_its_last_line(tmp_path):
    meter = Unix(MICROPYTHON, tmp_path, 1, RATE)
    meter.waveform = tmp_path / "none"
    with pytest.raises(PortError, match="OSError"):
        Meter(meter).show()


def test_a_port_that_is_not_there_is_one_line_and_status_1(tmp_path):
    pytest.importorskip("mpremote")
    done = CliRunner().invoke(main, ["--port", str(tmp_path / "tty"), "--amperes", "4"])
    assert done.exit_code == 1 and "no MicroPython answers there" in done.output
    assert port.ROOT.is_dir()
