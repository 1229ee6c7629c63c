"""The bench is made once: its keys are only ever read."""

import pytest
import structlog
from mdms_bench import Bench, BenchWeb
from pages_bench import BenchPages


@pytest.fixture(scope="session")
def bench():
    return Bench()


@pytest.fixture
def north(bench):
    return bench.north


@pytest.fixture
def south(bench):
    return bench.south


@pytest.fixture
def holder(bench, tmp_path):
    """A key holder with the default policy on the second day of March."""
    holder = bench.holder(tmp_path)
    yield holder
    holder.close()


@pytest.fixture
def web(bench, tmp_path):
    """The web application over a fresh database, asked in documents."""
    web = BenchWeb(bench, tmp_path)
    yield web
    web.store.close()


@pytest.fixture
def pages(bench, tmp_path):
    """The web application with pages, users sue and aud, and two customers."""
    pages = BenchPages(bench, tmp_path)
    yield pages
    pages.close()


@pytest.fixture
def make_pages(bench, tmp_path):
    """A function that makes the same with more in the configuration."""
    made = []

    def make(**more):
        made.append(BenchPages(bench, tmp_path, **more))
        return made[-1]

    yield make
    for pages in made:
        pages.close()


@pytest.fixture(autouse=True)
def plain_logs():
    """A command that ran in this process has configured structlog for itself; nothing of it stays."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
