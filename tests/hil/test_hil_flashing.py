"""`make flash` and `make doctor` on a whole emulated RP2040: its USB console, its LittleFS, its reset."""

import json

import pytest
from click.testing import CliRunner

from scripts import doctor
from scripts.flash import __main__ as flashing
from scripts.hil.rp2040 import Rp2040, flash_image

pytestmark = pytest.mark.timeout(1800)

TITLE = "48534d0102030405"
SETTINGS = 'link = "serial"\nuart = 0\npins = [26]\nrate_hz = 1000\ninterval_s = 10\ndetail_s = 10\nwatchdog_ms = 0\n'
ADC = {"0": {"volts": 1.65, "sines": [[0.5, 50, 0]], "noise": 0.002}}


@pytest.fixture
def chip(hil, tmp_path):
    """A new chip with MicroPython on it."""
    file = tmp_path / "flash.bin"
    file.write_bytes(flash_image(hil.rp2040.read_bytes()))
    return file


def typed(command, board, *options):
    result = CliRunner().invoke(command, ["--port", board.console.path, *map(str, options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout if command is doctor.main else result.output


def enrolment(folder):
    names = ("hop_chain", "customer_chain", "hello_key", "time_key", "salt_secret")
    keys = {name: f"{number + 1:02x}" * 32 for number, name in enumerate(names)}
    file = folder / "meter.json"
    file.write_text(json.dumps({"system_title": TITLE, "epoch": 19700, "series": 1, **keys}))
    return file


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """An emulated chip is slower than one of copper."""
    monkeypatch.setattr(flashing, "_STARTS_S", 240.0)
    monkeypatch.setattr(doctor, "_ANSWERS_S", 120.0)


def test_a_new_chip_is_flashed_enrolled_updated_and_examined(chip, tmp_path, say):
    settings = tmp_path / "meter.toml"
    settings.write_text(SETTINGS)
    with Rp2040(chip, ADC) as board:
        said = typed(flashing.main, board, "--configuration", settings, "--enrolment", enrolment(tmp_path))
        assert "sealing      right" in said
        assert "clamp        raw counts" in said and "does not move" not in said
        assert f"meter {TITLE} runs firmware" in said
        free = next(line for line in said.splitlines() if "bytes free" in line)
        say(f"RP2040, after make flash: {free.split(maxsplit=1)[1]}")
        status = json.loads(typed(doctor.main, board, "--json"))["status"]
        assert status["title"] == TITLE and status["clock"]["utc_s"] is None
        assert status["sensor"]["measures"]
        say(f"RP2040, a flashed meter that runs: {status['system']['free_bytes']} bytes free")
        said = typed(flashing.main, board)
        assert f"kept: the keys of {TITLE}" in said
