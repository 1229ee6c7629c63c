"""The small deployment of the MDMS's own tests serves here as well."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mdms"))

from home_bench import Home
from mdms_bench import Bench
from pages_bench import BenchPages


@pytest.fixture(scope="session")
def bench():
    return Bench()


@pytest.fixture
def pages(bench, tmp_path):
    pages = BenchPages(bench, tmp_path)
    yield pages
    pages.close()


@pytest.fixture
def home(pages):
    return Home(pages)
