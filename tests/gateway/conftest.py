"""A concentrator on a fresh ledger for each test; keys are made once."""

import os
import tempfile
from pathlib import Path

import pytest
from gateway_bench import Concentrator, Meter
from uploads_bench import Mdms

MEMORY = "/dev/shm"


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """A folder in memory where there is one: these tests count what a disk would be told, not how long it takes."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("gateways")
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="hushmeter-") as name:
        yield Path(name)


@pytest.fixture
def folder(memory):
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def make(folder):
    """Make concentrators that are closed behind the test."""
    made = []

    def make_one(meters=(), name="gateway", **settings):
        (folder / name).mkdir(exist_ok=True)
        made.append(Concentrator(folder / name, meters, **settings))
        return made[-1]

    yield make_one
    for concentrator in made:
        concentrator.stop()


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def gateway(make, meter):
    """A concentrator of one meter."""
    return make([meter])


@pytest.fixture
def serve():
    """Make MDMSs of a script, which are closed behind the test."""
    made = []

    def make(*script):
        made.append(Mdms(*script))
        return made[-1]

    yield make
    for mdms in made:
        mdms.close()
