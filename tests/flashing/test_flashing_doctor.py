"""`make doctor`: a meter that runs answers and goes on; one that does not is stopped, looked at and started again."""

import json

import pytest
from click.testing import CliRunner
from raw_repl import TITLE, StandIn, piece, provisioning

from scripts import doctor
from scripts.flash import say


@pytest.fixture
def meter(folder, typed, enrolment):
    with StandIn(folder) as stand_in:
        code, said = typed(stand_in.path, "--enrolment", enrolment())
        assert code == 0, said
        yield stand_in


def examined(device, *options):
    result = CliRunner().invoke(doctor.main, ["--port", device, *options], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_a_meter_that_runs_answers_and_is_not_stopped(meter):
    resets, codes = meter.resets, len(meter.codes)
    code, said, _ = examined(meter.path)
    assert code == 0
    assert TITLE in said and "not known" in said
    assert "2 frames waiting" in said  # its version, and that it was never configured
    code, text, _ = examined(meter.path, "--json")
    found = json.loads(text)
    assert found["running"] and found["status"]["title"] == TITLE
    assert (meter.resets, len(meter.codes)) == (resets, codes)


def test_registers_are_printed_only_when_they_are_asked_for(meter):
    assert "kWh" not in examined(meter.path)[1]
    assert "registers" not in json.loads(examined(meter.path, "--json")[1])
    assert "import       0.000 kWh (0 mWh)" in examined(meter.path, "--registers")[1]


def test_a_meter_that_does_not_answer_is_stopped_looked_at_and_started_again(meter, monkeypatch):
    monkeypatch.setattr(doctor, "_ANSWERS_S", 0.5)
    (meter.folder / "main.py").write_text("import firmware.start\nwhile True:\n    pass  # it hangs\n")
    with doctor.Port(meter.path) as port:
        port.interrupt(fresh=True)
        port.reset()
    resets = meter.resets
    code, said, told = examined(meter.path, "--no-interrupt")
    assert (code, said, meter.resets) == (2, "", resets)
    assert "does not answer" in told
    code, said, _ = examined(meter.path)
    assert code == 0
    assert "it was stopped, looked at, and started again" in said
    assert f"it is meter {TITLE}" in said and "sealing      right" in said
    assert meter.resets == resets + 1


def test_damaged_keys_are_named(meter, monkeypatch):
    monkeypatch.setattr(doctor, "_ANSWERS_S", 0.5)
    keys = piece(meter.folder, "keys")
    (meter.folder / "meter" / "keys").write_bytes(keys[:-1] + bytes((keys[-1] ^ 1,)))
    with doctor.Port(meter.path) as port:
        port.interrupt(fresh=True)
        port.reset()
    code, said, _ = examined(meter.path)
    assert code == 0
    assert "none that reports: it counts energy and sends nothing" in said


def test_no_key_is_printed(meter):
    said = "".join(examined(meter.path, "--json")[1:]) + "".join(examined(meter.path)[1:])
    for name, value in provisioning().items():
        assert name in ("system_title", "epoch", "series") or value not in said


def test_what_a_person_reads_of_each_state():
    status = {
        "version": "0.1.0",
        "system": {"micropython": "1.29.0", "machine": "ESP32", "free_bytes": 90000},
        "title": TITLE,
        "uptime_s": 90,
        "clock": {"utc_s": 1800000000, "trusted": False},
        "link": {"kind": "tcp", "acknowledged_s_ago": 12, "counts": {"stored": 3, "corrupt": 1}, "signal_dbm": -80},
        "store": {"waiting": 2, "room": 1398, "overflowed": 5, "aged": 6, "begun": True},
        "sensor": {"measures": True, "fault": "the clamp is unplugged"},
        "trouble": "the configuration is damaged; its copy counts",
    }
    said = dict(say.status_lines(status))
    assert said["clock"] == "2027-01-15 08:00:00 UTC, not refreshed for a day: readings are marked so"
    assert said["link"] == "tcp, last acknowledgement 12 s ago"
    assert said["signal"].startswith("-80 dBm, weak")
    assert said["counters"] == "corrupt: 1, stored: 3"
    assert said["lost"].startswith("5 to a full store, 6 to age")
    assert said["sensor"] == "the clamp is unplugged"
    assert said["trouble"] == status["trouble"]


@pytest.mark.parametrize(
    ("sensor", "said"),
    [
        ({"measures": True, "fault": None, "plugged": True}, "no fault"),
        ({"measures": True, "fault": "unplugged", "plugged": False}, "unplugged"),
        (
            {"measures": True, "fault": None, "plugged": None},
            "no fault; no contact at its jack: unplugged, it would read no load",
        ),
        ({"measures": True, "fault": None}, "no fault; no contact at its jack: unplugged, it would read no load"),
        ({"measures": False, "fault": None, "plugged": None}, "no pins are configured"),
    ],
)
def test_what_a_person_reads_of_the_clamp(sensor, said):
    assert say._sensor(sensor) == said
