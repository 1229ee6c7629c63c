"""Every file of the firmware compiles for the ESP32, and calls its modules as their stubs say. No ESP32 takes part."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from scripts.firmware_package import ARCHITECTURES, PACKAGE, Uncompilable, build, compile_file

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "basedpyright"
# What only the unix port has stays unchecked: its stubs are no part of the ESP32's.
LEFT_OUT = ("street.py", "board/unix.py", "board/rp2.py")


@pytest.mark.parametrize("march", ARCHITECTURES)
def test_every_file_compiles_for_the_chip(march, tmp_path):
    sources = sorted((ROOT / "firmware").rglob("*.py"))
    assert len(sources) > 20
    for source in sources:
        compile_file(source, source.name, tmp_path / "x.mpy", march)
    made = json.loads(build(tmp_path / "package", march).read_text())["urls"]
    assert len(made) == len(json.loads(PACKAGE.read_text())["urls"])
    for name, _ in made:
        assert (tmp_path / "package" / name).read_bytes()[:2] == b"M\x06", name


def test_a_file_that_does_not_compile_is_named(tmp_path):
    source = tmp_path / "planted.py"
    source.write_text("import micropython\n@micropython.viper\ndef f(x: int):\n    return x + 'a'\n")
    with pytest.raises(Uncompilable, match=r"planted\.py for xtensawin"):
        compile_file(source, "planted.py", tmp_path / "x.mpy", "xtensawin")


def complaints(folder, *files):
    """Return basedpyright's errors about files under ``folder``, against the ESP32's stubs."""
    stubs = Path(sysconfig.get_path("purelib"))  # where pip puts them, under the modules' own names
    assert (stubs / "esp32.pyi").exists(), "micropython-esp32-stubs is not installed: make setup"
    config = folder / "pyrightconfig.json"
    settings = {
        "include": [str(file) for file in files],
        "stubPath": str(stubs),
        "typeshedPath": str(stubs),
        "extraPaths": [str(ROOT), str(folder)],
        "typeCheckingMode": "off",
        "reportAttributeAccessIssue": "error",
        "reportCallIssue": "error",
        "reportArgumentType": "error",
        "reportMissingImports": "error",
        "reportUndefinedVariable": "error",
        "reportIndexIssue": "error",
    }
    config.write_text(json.dumps(settings))
    done = subprocess.run([PROGRAM, "--project", config, "--outputjson"], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(files), done.stdout
    return [
        f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    ]


def test_every_call_of_the_firmware_is_one_that_the_esp32s_stubs_know(tmp_path):
    left_out = {ROOT / "firmware" / name for name in LEFT_OUT}
    files = [file for file in sorted((ROOT / "firmware").rglob("*.py")) if file not in left_out]
    assert complaints(tmp_path, *files) == []


def test_a_planted_call_that_no_esp32_has_is_found(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("import machine\nmachine.ADC(machine.Pin(32)).read_volts()\nmachine.UART(1, baud='fast')\n")
    found = complaints(tmp_path, planted)
    assert len(found) >= 2, found
    assert "read_volts" in found[0]
