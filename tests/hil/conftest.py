"""`make hil`: boards are there, or the tests fail and say what to type. Only the official vectors may be missing."""

import os
from pathlib import Path

import pytest

from scripts.hil.building import boards
from scripts.hil.needs import check_machine

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items):
    for item in items:
        # What needs no board runs with all the others.
        if Path(__file__).parent in item.path.parents and item.path.name.startswith("test_hil_"):
            item.add_marker(pytest.mark.hil)


@pytest.fixture(scope="session")
def hil():
    """The emulated boards' firmwares; raises needs.Missing."""
    check_machine(ROOT)
    return boards(ROOT / "build" / "hil")


@pytest.fixture(scope="session")
def vectors():
    """The folder of the official vectors."""
    folder = Path(os.environ.get("HUSHMETER_SHARED", ROOT.parent / "shared")) / "vectors"
    if not folder.is_dir():
        pytest.skip(f"the official vectors are not in {folder}: set HUSHMETER_SHARED to the folder above it")
    return folder.resolve()


@pytest.fixture
def say(capsys):
    """Print a figure that was measured, past pytest's capture."""

    def say(text):
        with capsys.disabled():
            print(f"\n  {text}", end="")

    return say
