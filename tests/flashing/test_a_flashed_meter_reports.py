"""From a blank board to a concentrator: flashed, enrolled, configured, it asks for the time and reports."""

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from raw_repl import StandIn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hil"))

from real_concentrator import Concentrator, no_conflict

from protocol import wire
from scripts.flash.port import Port

INTERVAL_S = 10
PATIENCE_S = 90


@pytest.fixture
def concentrator(tmp_path):
    with Concentrator(tmp_path / "deployment", INTERVAL_S) as running:
        yield running


@pytest.fixture
def configuration(concentrator, tmp_path):
    path = tmp_path / "meter.toml"
    path.write_text(
        f'link = "tcp"\nhost = "127.0.0.1"\nport = {concentrator.port}\n'
        f"interval_s = {INTERVAL_S}\ndetail_s = {INTERVAL_S}\n"
    )
    return path


def await_status(port, wanted):
    began = time.monotonic()
    found = None
    while time.monotonic() - began < PATIENCE_S:
        found = port.ask("status", 5)
        if found and wanted(found):
            return found
        time.sleep(0.5)
    raise AssertionError(found)


def events(concentrator):
    with closing(sqlite3.connect(f"file:{concentrator.ledger}?mode=ro", uri=True, timeout=30)) as ledger:
        return ledger.execute("SELECT code, text FROM events").fetchall()


def test_a_blank_board_becomes_a_meter_that_the_concentrator_acknowledges(folder, typed, concentrator, configuration):
    with StandIn(folder) as board:
        code, said = typed(board.path, "--enrolment", concentrator.provisioning, "--configuration", configuration)
        assert code == 0, said
        with Port(board.path) as port:
            found = await_status(port, lambda status: status["link"]["acknowledged_s_ago"] is not None)
            assert found["clock"]["trusted"] and abs(found["clock"]["utc_s"] - time.time()) < 5
            assert found["trouble"] is None
        assert [text for code, text in events(concentrator) if code == wire.FIRMWARE_VERSION]
        assert no_conflict(concentrator.counts())
        # An update: the meter comes back under the same keys, and nothing repeats.
        code, said = typed(board.path)
        assert code == 0, said
        with Port(board.path) as port:
            await_status(port, lambda status: status["link"]["acknowledged_s_ago"] is not None)
        assert no_conflict(concentrator.counts())


def test_a_damaged_configuration_is_told_on_the_console_and_in_an_event(folder, typed, concentrator, configuration):
    with StandIn(folder) as board:
        assert typed(board.path, "--enrolment", concentrator.provisioning, "--configuration", configuration)[0] == 0
        (folder / "meter" / "configuration").write_bytes(b"\x00" * 40)
        with Port(board.path) as port:
            port.interrupt(fresh=True)
            port.reset()
            found = await_status(port, lambda status: status["link"]["acknowledged_s_ago"] is not None)
            assert "damaged" in found["trouble"] and "copy" in found["trouble"]
            await_status(port, lambda status: (wire.DATA_UNUSABLE, "configuration") in events(concentrator))
