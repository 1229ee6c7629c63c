"""A board whose flash is a folder, an enrolment, and what a person types."""

import json
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from mpremote import transport_serial

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from raw_repl import StandIn  # noqa: E402 - the path has to be set first

from scripts.firmware_package import build  # noqa: E402
from scripts.flash import install, port  # noqa: E402
from scripts.flash.__main__ import main as flash  # noqa: E402

TITLE = "48534d0102030405"
OTHER = "48534d0a0b0c0d0e"


def provisioning(title=TITLE, epoch=19700):
    """Return what an enrolment gives a meter; its keys are no secret of anybody's."""
    keys = ("hop_chain", "customer_chain", "hello_key", "time_key", "salt_secret")
    of = {name: bytes((number + 1,)).hex() * 32 for number, name in enumerate(keys)}
    return {"system_title": title, "epoch": epoch, "series": 1, **of}


@pytest.fixture(autouse=True)
def a_quick_line(monkeypatch):
    """mpremote looks at the line every 10 ms, as a UART is worth; a pty is quicker."""
    quick = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=lambda s: time.sleep(min(s, 0.001)))
    monkeypatch.setattr(transport_serial, "time", quick)
    monkeypatch.setattr(port, "_BOOT_S", 0.05)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The firmware, compiled once for all these tests."""
    return build(tmp_path_factory.mktemp("compiled") / "package", "x64").parent


@pytest.fixture(autouse=True)
def one_build(monkeypatch, compiled):
    monkeypatch.setattr(install, "build", lambda out, march: shutil.copytree(compiled, out) / "package.json")


@pytest.fixture
def folder(tmp_path):
    """A blank board's flash. The unix port's own board file is there, which no chip receives."""
    own = tmp_path / "flash" / "lib" / "firmware" / "board"
    own.mkdir(parents=True)
    shutil.copy(ROOT / "firmware" / "board" / "unix.py", own)
    return tmp_path / "flash"


@pytest.fixture
def stand_in(folder):
    with StandIn(folder) as board:
        yield board


@pytest.fixture
def enrolment(tmp_path):
    """Return a function that writes a meter's file."""

    def write(title=TITLE):
        path = tmp_path / f"{title}.json"
        path.write_text(json.dumps(provisioning(title)))
        return path

    return write


@pytest.fixture
def typed():
    """Return a function that runs `python -m scripts.flash` and returns (exit code, all that was printed)."""

    def run(device, *options):
        result = CliRunner().invoke(flash, ["--port", device, *map(str, options)], catch_exceptions=False)
        return result.exit_code, result.output

    return run
