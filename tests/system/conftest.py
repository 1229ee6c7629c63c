"""Real processes and a real browser. What is missing is an error here, never a skipped test."""

import sys
from pathlib import Path

import pytest

# What the MDMS's, the concentrator's and the boards' tests are made of serves here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mdms"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "hil"))

from browser import Browser
from mdms_bench import Bench
from served import Served


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            if "browser" in item.fixturenames:
                item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def bench():
    return Bench()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def served(bench, tmp_path):
    served = Served(bench, tmp_path)
    yield served
    served.stop()


@pytest.fixture
def say(capsys):
    """Print a figure that was measured, past pytest's capture."""

    def say(text):
        with capsys.disabled():
            print(f"\n  {text}", end="")

    return say
