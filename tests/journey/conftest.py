"""Worlds for the journeys. CPython runs the firmware's files with a stand-in for MicroPython's cryptolib."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from structlog.testing import capture_logs

sys.path.append(str(Path(__file__).parent.parent / "firmware" / "shim"))

MEMORY = "/dev/shm"


@pytest.fixture
def folder(tmp_path):
    """A folder in memory where there is one: a simulated day syncs thousands of commits, and no power is cut here."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="hushmeter-") as name:
        yield Path(name)


@pytest.fixture
def make_world(folder, monkeypatch):
    """Make worlds that are closed behind the test; everything that is logged meanwhile is in ``world.logs``."""
    from journey_world import World  # needs the stand-in

    made = []
    with capture_logs() as logs:

        def make(seed=0, world=World, **settings):
            made.append(world(folder / f"world {len(made)}", seed, monkeypatch, logs, **settings))
            return made[-1]

        yield make
        for world in made:
            world.close()
