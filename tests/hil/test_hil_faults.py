"""The jack's contact at a real pin, and a configuration that is lost, on a whole emulated RP2040."""

import json
import time

import pytest
from test_hil_flashing import ADC, SETTINGS, TITLE, chip, enrolment, patience, typed

from scripts import doctor
from scripts.flash import __main__ as flashing
from scripts.flash.port import Port
from scripts.hil.rp2040 import Rp2040

__all__ = ["chip", "patience"]
pytestmark = pytest.mark.timeout(1800)
SWITCH = "22"
SPOIL = """
from firmware.board import boards
for name in ("configuration", "configuration.copy"):
    boards.storage().replace(name, b"00000000 spoilt")
"""


def sensor(board, wanted, patience_s=120):
    """Return what the meter says of its sensor as soon as it is what is wanted."""
    until = time.monotonic() + patience_s
    while True:
        found = json.loads(typed(doctor.main, board, "--json"))["status"]["sensor"]
        if found == wanted or time.monotonic() > until:
            return found
        time.sleep(4)  # an answer to what was asked before may come first


def test_a_plug_that_is_pulled_is_told_and_a_lost_configuration_costs_the_line_only(chip, tmp_path):
    settings = tmp_path / "meter.toml"
    settings.write_text(SETTINGS + f"clamp_switch = {SWITCH}\n")
    sound = {"measures": True, "fault": None, "plugged": True}
    pulled = {"measures": True, "fault": "unplugged", "plugged": False}
    with Rp2040(chip, ADC) as board:
        board.drive({SWITCH: True})
        typed(flashing.main, board, "--configuration", settings, "--enrolment", enrolment(tmp_path))
        assert sensor(board, sound) == sound
        board.drive({SWITCH: False})
        assert sensor(board, pulled) == pulled
        board.drive({SWITCH: True})
        assert sensor(board, sound) == sound
        with Port(board.console.path) as port:
            port.interrupt(fresh=True)
            port.run(SPOIL)
            port.reset()
        status = json.loads(typed(doctor.main, board, "--json"))["status"]
        assert status["title"] == TITLE
        assert status["sensor"] == {"measures": True, "fault": None, "plugged": None}
        assert status["link"]["kind"] == "none"
        assert "damaged; it counts at its board's usual pins" in status["trouble"]
        assert status["store"]["waiting"] == 3  # its version, the calibration that it never had, and this
