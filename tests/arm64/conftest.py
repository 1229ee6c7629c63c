"""The userland of a 64-bit Raspberry Pi OS, which `make try-arm64` makes. Without it these tests fail."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "gateway"))


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def python():
    return str(ROOT / "build" / "arm64" / "python")
