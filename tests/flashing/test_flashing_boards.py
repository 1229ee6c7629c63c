"""`make flash` on a board: what arrives, what is kept, what is refused, and what it leaves behind when it fails."""

import hashlib
import json

import pytest
from raw_repl import OTHER, ROOT, TITLE, StandIn, package_targets, piece, provisioning

from scripts.calibrate.port import Serial
from scripts.firmware_package import build
from scripts.flash import board, install
from scripts.flash.port import Port, PortError


def secrets_of(document):
    return [value for name, value in document.items() if name not in ("system_title", "epoch", "series")]


def snapshot(folder):
    return {path.name: path.read_bytes() for path in (folder / "meter").iterdir()}


def test_a_blank_board_gets_every_file_and_its_main(stand_in, typed, tmp_path):
    code, said = typed(stand_in.path)
    assert code == 0, said
    assert "there is no Hushmeter on it yet" in said
    assert "sealing      right" in said
    assert "It is no meter yet" in said
    for target, path in install.files(build(tmp_path / "package", "x64")).items():
        there = stand_in.folder / "lib" / target
        assert hashlib.sha256(there.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest(), target
    assert {target.removesuffix(".py") for target in package_targets()} == {
        str(path.relative_to(stand_in.folder / "lib").with_suffix("")) for path in stand_in.folder.rglob("*.mpy")
    }
    assert (stand_in.folder / "main.py").read_bytes() == install.STARTER.read_bytes()


def test_an_enrolled_board_starts_as_that_meter_and_the_file_is_erased(stand_in, typed, enrolment, tmp_path):
    file = enrolment()
    configuration = tmp_path / "meter.toml"
    configuration.write_text('link = "none"\ninterval_s = 900\n')
    code, said = typed(stand_in.path, "--enrolment", file, "--configuration", configuration)
    assert code == 0, said
    assert f"meter {TITLE} runs firmware {install.version()}" in said
    assert not file.exists()
    assert piece(stand_in.folder, "keys")
    for secret in secrets_of(provisioning()):
        assert secret not in said


@pytest.fixture
def configuration(tmp_path):
    """A file that says that the meter has no line: without one it would report at every start that none counts."""
    file = tmp_path / "configured.toml"
    file.write_text('link = "none"\n')
    return file


def test_an_update_keeps_registers_keys_counters_and_frames(stand_in, typed, enrolment, configuration):
    assert typed(stand_in.path, "--enrolment", enrolment(), "--configuration", configuration)[0] == 0
    with Port(stand_in.path) as port:
        port.interrupt(fresh=True)
        port.run(LIVED)
    before = snapshot(stand_in.folder)
    kept = {name: data for name, data in before.items() if name not in ("counter", "selftest")}
    assert len(b"".join(kept.values())) > 500
    code, said = typed(stand_in.path)
    assert code == 0, said
    assert f"kept: the keys of {TITLE}, its registers and counters, 3 frames" in said
    after = snapshot(stand_in.folder)
    for name in kept:
        assert after[name] == before[name]
    assert after["counter"] > before["counter"]  # the start behind the update reserved anew: never back


# A meter that has lived: three frames, registers, a counter; sealed by the firmware on the board.
LIVED = """
from firmware import main, start
from firmware.board import boards
from firmware.meter.intervals import Account
from firmware.meter.registers import Registers
from protocol import wire
board = boards.here({"pins": []}, "")
meter = main.build(board, start.Unconnected(), 900, 60)
for number in range(3):
    # A READING: constants have no names on a board.
    header = wire.Header(1, meter.keys.enrolment.system_title, meter.keys.epoch, b"salt", number)
    frame = wire.pack_header(header) + bytes(100)
    account = Account(19700 * 86400 + 900 * number, 900, 0, 0, 0, 0, 0)
    meter.store.commit(account, Registers(1000 * (number + 1), 7), [(19700 * 86400, frame)])
print(len(meter.store))
"""


def test_another_enrolment_is_refused_with_what_it_would_lose_and_nothing_changes(
    stand_in, typed, enrolment, configuration
):
    assert typed(stand_in.path, "--enrolment", enrolment(), "--configuration", configuration)[0] == 0
    before = snapshot(stand_in.folder)["keys"]
    file = enrolment(OTHER)
    code, said = typed(stand_in.path, "--enrolment", file)
    assert code == 2
    assert TITLE in said and "registers" in said and "0 frames" in said and "--replace-enrolment" in said
    assert file.exists()
    assert snapshot(stand_in.folder)["keys"] == before
    with Port(stand_in.path) as port:
        assert port.ask("status", 20)["title"] == TITLE  # it goes on


def test_an_enrolment_is_replaced_when_it_is_said(stand_in, typed, enrolment):
    assert typed(stand_in.path, "--enrolment", enrolment())[0] == 0
    with Port(stand_in.path) as port:
        port.interrupt(fresh=True)
        port.run(LIVED)
    counter = piece(stand_in.folder, "counter")
    code, said = typed(stand_in.path, "--enrolment", enrolment(OTHER), "--replace-enrolment")
    assert code == 0, said
    assert f"meter {OTHER} runs firmware" in said
    assert b"salt" not in b"".join(snapshot(stand_in.folder).values())
    assert piece(stand_in.folder, "counter") >= counter
    assert bytes.fromhex(TITLE) not in piece(stand_in.folder, "keys")


def test_a_cable_that_is_pulled_leaves_a_meter_that_runs_nothing_half_and_loses_nothing(folder, typed, enrolment):
    with StandIn(folder) as whole:
        assert typed(whole.path, "--enrolment", enrolment())[0] == 0
        first = len(whole.codes)
    keys = piece(folder, "keys")
    with StandIn(folder, pulled_after=first // 2) as pulled:
        code, said = typed(pulled.path)
    assert code == 2
    assert "Run the same command again" in said
    assert not (folder / "main.py").exists()
    assert piece(folder, "keys") == keys
    with StandIn(folder) as again:
        code, said = typed(again.path)
        assert code == 0, said
        assert f"meter {TITLE} runs firmware" in said


def test_a_torn_file_neither_stops_the_next_attempt_nor_lets_another_enrolment_in(stand_in, typed, enrolment):
    assert typed(stand_in.path, "--enrolment", enrolment())[0] == 0
    keys = piece(stand_in.folder, "keys")
    torn = stand_in.folder / "lib" / "firmware" / "console.mpy"
    for length in (0, 3, 500):
        (stand_in.folder / "main.py").unlink(missing_ok=True)  # as it is while files are copied
        torn.write_bytes(torn.read_bytes()[:length])  # importing this may never end
        code, said = typed(stand_in.path, "--enrolment", enrolment(OTHER))
        assert code == 2
        assert "was not finished" in said and "keys of another enrolment" in said
        assert piece(stand_in.folder, "keys") == keys
    code, said = typed(stand_in.path)
    assert code == 0, said
    assert f"meter {TITLE} runs firmware" in said


def test_a_file_that_arrives_damaged_is_found(stand_in, monkeypatch):
    wrong = install.files()
    wrong["firmware/status.py"] = ROOT / "firmware" / "console.py"
    monkeypatch.setattr(install, "files", lambda package: wrong)
    with Port(stand_in.path) as port:
        port.interrupt(fresh=True)
        with pytest.raises(PortError, match=r"1 files arrived damaged, the first is firmware/status\.py"):
            install.install(port, None, lambda _: None)


def test_source_that_was_there_before_does_not_shadow_what_is_compiled(stand_in, typed):
    with Port(stand_in.path) as port:
        port.interrupt(fresh=True)
        install.install(port, None, lambda _: None)
        stale = stand_in.folder / "lib" / "firmware" / "status.py"
        stale.write_text("an older firmware")
        port.interrupt(fresh=True)
        install.install(port, "x64", lambda _: None)
    assert not stale.exists()
    assert stale.with_suffix(".mpy").exists()


def test_another_copy_that_the_board_would_take_first_is_named(stand_in):
    (stand_in.folder / "firmware").mkdir()
    (stand_in.folder / "firmware" / "__init__.py").write_text("")
    with Port(stand_in.path) as port:
        port.interrupt(fresh=True)
        with pytest.raises(PortError, match=r"another copy of the firmware first, firmware/__init__\.py"):
            install.install(port, None, lambda _: None)


def test_another_programs_main_is_kept(stand_in, typed):
    (stand_in.folder / "main.py").write_text("print('blink')\n")
    code, said = typed(stand_in.path)
    assert code == 0, said
    assert (stand_in.folder / "main.before.py").read_text() == "print('blink')\n"


def test_a_configuration_with_an_unknown_key_is_refused_and_the_old_one_kept(stand_in, typed, tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('link = "serial"\nuart = "line"\n')
    assert typed(stand_in.path, "--configuration", good)[0] == 0
    kept = piece(stand_in.folder, "configuration")
    bad.write_text('link = "serial"\nhots = "10.0.0.2"\n')
    code, said = typed(stand_in.path, "--configuration", bad)
    assert code == 2
    assert "hots" in said
    assert piece(stand_in.folder, "configuration") == kept


def test_a_wifi_password_is_asked_for_once_stored_apart_and_never_printed(stand_in, tmp_path):
    from click.testing import CliRunner

    from scripts.flash.__main__ import main

    file = tmp_path / "meter.toml"
    file.write_text('link = "tcp"\nhost = "10.0.0.2"\nwifi_name = "home"\n')
    arguments = ["--port", stand_in.path, "--configuration", str(file)]
    result = CliRunner().invoke(main, arguments, input="hunter2hunter2\n")
    assert result.exit_code == 0, result.output
    assert "hunter2" not in result.output
    assert piece(stand_in.folder, "wifi") == b"hunter2hunter2"
    assert b"hunter2" not in piece(stand_in.folder, "configuration")
    again = CliRunner().invoke(main, arguments)  # nothing is typed
    assert again.exit_code == 0, again.output
    assert piece(stand_in.folder, "wifi") == b"hunter2hunter2"


# --- Boards that are none -----------------------------------------------------------------------------------------


def test_a_port_that_is_not_there_is_named_with_those_that_are(typed):
    code, said = typed("/dev/ttyUSB77")
    assert code == 2
    assert "/dev/ttyUSB77 is not there" in said


def test_a_port_without_micropython_says_how_to_put_it_there(typed):
    import os
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        code, said = typed(os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)
    assert code == 2
    assert "esptool --port" in said and "write-flash 0x1000" in said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"name": "micropython", "version": [1, 22, 2], "platform": "esp32"}, "needs MicroPython 1.23 or later"),
        ({"name": "circuitpython", "version": [9, 0, 0], "platform": "rp2"}, "needs MicroPython"),
        ({"name": "micropython", "version": [1, 25, 0], "platform": "pyboard"}, "no board file for pyboard"),
    ],
)
def test_an_interpreter_that_is_too_old_or_another_is_refused(found, said):
    class Told:
        def told(self, code):
            return {"machine": "a board", "mpy": 0, **found}

    with pytest.raises(PortError, match=said):
        board.probe(Told())


@pytest.mark.parametrize(
    ("mpy", "march"), [(0x2B06, "xtensawin"), (0x1306, "armv6m"), (0x1305, None), (0x0006, None), (0x3006, None)]
)
def test_code_is_compiled_for_the_boards_processor_or_is_source(mpy, march):
    class Told:
        def told(self, code):
            return {"machine": "a board", "mpy": mpy, "name": "micropython", "version": [1, 25, 0], "platform": "rp2"}

    assert board.probe(Told()).march == march


def test_nothing_that_a_tool_sends_shows_in_a_failure(stand_in):
    with Port(stand_in.path) as port:
        port.interrupt(fresh=True)
        with pytest.raises(PortError) as caught:
            port.run("secret = 'f00dface'\nraise ValueError('wrong')")
    assert "f00dface" not in repr(caught.value)
    assert caught.value.__cause__ is None


# --- The package --------------------------------------------------------------------------------------------------


def test_the_package_is_json_with_each_file_once():
    targets = package_targets()
    assert len(targets) == len(set(targets)) == len(json.loads(install.PACKAGE.read_text())["urls"])


# --- Others at the same port --------------------------------------------------------------------------------------


def test_the_calibrator_finds_the_board_that_was_flashed(stand_in, typed):
    assert typed(stand_in.path)[0] == 0
    serial = Serial(stand_in.path)
    try:
        assert serial.run("print(board.storage.read('keys'))").strip() == "None"
    finally:
        serial.close()
