"""Simulated days of a street under faults: a seed, a day, every invariant at every quiet moment."""

import journey_checks as checks
import pytest

from firmware.meter.measured import energies
from mdms.records.bills import decided_bills
from mdms.records.loads import decided_loads
from protocol import wire

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_of_twelve_meters_under_faults_violates_nothing_and_is_billed_whole(make_world, seed):
    world = make_world(seed)

    def check(world):
        assert checks.at_any_moment(world) == []

    world.run(check)
    assert checks.at_rest(world) == []
    counts = world.ledger.counts()
    # The day was a bad one ...
    assert world.kills > 2
    assert world.forged > 10
    assert counts["duplicate"] > 50
    assert counts["late for its load"] > 10
    assert counts["quarantined"] > 0
    # ... and yet everything is billed, to the milliwatt-hour.
    assert len(world.measured) == 12 * 96
    bills = {bill.pseudonym: bill for bill in decided_bills(world.store) if bill.status == "released"}
    for home in world.homes:
        bill = bills[home.pseudonym]
        mine = checks.within(world, home.title.hex(), 0, world.now)
        assert (bill.import_mwh, bill.export_mwh) == mine


def test_a_quiet_day_has_every_load_and_no_late_reading(make_world):
    world = make_world(7, hours=6)
    world.faults = False
    world.run()
    assert checks.at_rest(world) == []
    loads = [
        load
        for load in decided_loads(world.store)
        if load.interval_start < world.homes[0].epoch * 86_400 + 86_400 + 21_600
    ]
    aside = checks.quarantined(world)
    assert len(loads) == 24
    for load in loads:
        there = [pair for (name, start), pair in world.measured.items()
                 if start == load.interval_start and (name, start) not in aside]  # fmt: skip
        assert (load.status, load.contributors) == ("released", len(there))
        assert (load.import_mwh, load.export_mwh) == checks.add(there)
    assert set(world.ledger.counts()) <= {"stored", "quarantined"}


def test_what_a_clamp_alone_measures_is_an_estimate_on_its_bill_and_on_no_other(make_world):
    world = make_world(11, hours=3)
    world.faults = False

    def clamp_alone(take):
        def apparent(start_s, end_s):
            pair = take(start_s, end_s)
            return pair and energies(*pair)._replace(quality=wire.APPARENT_ONLY)

        return apparent

    for home in world.homes[::2]:
        home.take = clamp_alone(home.take)
    world.run()
    bills = {bill.pseudonym: bill for bill in decided_bills(world.store) if bill.windows}
    titles = [title for title, _ in world.measured]
    complete = {home.pseudonym for home in world.homes if titles.count(home.title.hex()) == 12}
    estimates = {name for name, bill in bills.items() if bill.estimated}
    alone = {home.pseudonym for home in world.homes[::2]}
    assert alone <= estimates and alone & complete
    assert complete - alone - estimates  # the others have a missing interval here and there
