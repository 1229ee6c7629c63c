"""Twenty-four hours against the meter: losses, power cuts, clock jumps; at the end the sum is the registers."""

import journey_checks as checks
import pytest
from journey_storm import CUTS, JUMPS, Storm, registers_differ

import firmware.main
from firmware.meter.link import Link
from firmware.meter.saving import Saving
from firmware.meter.store import Store


def test_a_day_of_losses_power_cuts_and_clock_jumps_is_billed_as_the_registers_say(make_world):
    world = make_world(1, Storm)
    world.run_day()
    assert registers_differ(world) == []
    assert checks.l4(world) + checks.l6(world) == []
    counts = world.ledger.counts()
    assert not counts.get("conflict")
    assert not counts.get("quarantined")
    # The day was a bad one ...
    assert world.homes[0].cuts == CUTS
    assert len(world.jumps) == JUMPS
    assert counts["duplicate"] > 1000
    assert counts["late for its load"] > 100
    # ... and cost energy where the power failed, and nowhere else.
    assert world.homes[0].missing_mwh > 0
    assert [home.missing_mwh for home in world.homes[1:]] == [0] * 11


HOURS = 4


def test_the_storm_notices_energy_that_enters_the_registers_and_no_interval(make_world, monkeypatch):
    monkeypatch.setattr(Saving, "_unbroken", lambda *_: False)
    world = make_world(2, Storm, hours=HOURS)
    world.cuts_at = set(sorted(world.cuts_at)[::9])  # else there is a gap in the readings before every one of them
    world.run_day()
    assert any("in the registers" in line for line in registers_differ(world))


def test_the_storm_notices_energy_that_is_never_saved(make_world, monkeypatch):
    monkeypatch.setattr(Saving, "look", lambda *_: False)
    world = make_world(2, Storm, hours=HOURS)
    world.run_day()
    assert any("a power cut has cost" in line for line in registers_differ(world))


def test_the_storm_notices_energy_that_is_counted_again_behind_a_power_cut(make_world, monkeypatch):
    class Twice(Store):
        def commit(self, account, registers, frames, wait=False, counted=True):
            super().commit(account, registers, frames, wait, False)

    monkeypatch.setattr(firmware.main, "Store", Twice)
    world = make_world(2, Storm, hours=HOURS)
    with pytest.raises(AssertionError, match="doubled"):
        world.run_day()


def test_the_storm_notices_frames_that_are_forgotten_at_send(make_world, monkeypatch):
    to_send = Link.to_send

    def forgetful(self, monotonic_ms, machine_ms):
        out = to_send(self, monotonic_ms, machine_ms)
        self._store.free(list(self._sent))
        return out

    monkeypatch.setattr(Link, "to_send", forgetful)
    world = make_world(2, Storm, hours=HOURS)
    world.run_day()
    delivered = world.ledger.execute("SELECT count(*) FROM readings").fetchone()[0]
    assert delivered < 0.9 * 12 * HOURS * 4
