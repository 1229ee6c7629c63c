"""Tests of the tests: a bug is planted for each invariant, and its check turns red."""

import sys
from contextlib import contextmanager

import journey_checks as checks
import journey_world
import pytest
from journey_world import K, MortalLedger

from firmware.meter.counter import Counter
from gateway import counting, intake
from gateway.closing import Closing
from gateway.holdings import loads, seen

HOURS = 6


def violated(found):
    """The names of what is violated."""
    return {line[:2] for line in found}


def live(world, hours=HOURS):
    """Pass some hours and check at the end of each."""
    found = []
    world.begin()
    for number in range(hours * 4):
        world.interval(number)
        if number % 4 == 3:
            found += checks.at_any_moment(world)
    return found


def test_without_a_planted_bug_nothing_turns_red(make_world):
    world = make_world(3, hours=HOURS)
    assert live(world) == []
    world.rest()
    assert checks.at_rest(world) == []


def test_l1_notices_a_report_that_is_deleted_before_it_was_accepted(make_world):
    world = make_world(1, hours=HOURS)  # a seed that leaves the MDMS away
    world.mdms_away_until = 1 << 40
    assert live(world) == []
    deleted = world.ledger.execute(
        "DELETE FROM outbox WHERE seq = (SELECT min(seq) FROM outbox WHERE register_to > register_from)"
    )
    assert deleted.rowcount == 1
    assert violated(checks.l1(world)) == {"L1"}


def test_l1_notices_an_open_window_that_is_deleted(make_world):
    world = make_world(hours=HOURS)
    assert live(world) == []
    assert world.ledger.execute("DELETE FROM windows").rowcount > 0
    assert violated(checks.l1(world)) == {"L1"}


def test_l2_notices_a_late_reading_that_is_added_to_a_closed_load(make_world, monkeypatch):
    monkeypatch.setattr(loads, "next_interval", lateness_forgotten(loads.next_interval))
    world = make_world(hours=3)
    live(world, 3)
    world.rest()
    assert "L2" in violated(checks.l2(world))


def lateness_forgotten(next_interval):
    """The ledger's answer to the closing, and none to the reception."""

    def answer(ledger, neighbourhood):
        asked_by = sys._getframe(1).f_code.co_name
        return None if asked_by == "open_from" else next_interval(ledger, neighbourhood)

    return answer


@pytest.fixture
def forgetful(monkeypatch):
    """A ledger without de-duplication: whatever comes twice is counted twice."""

    def add_frame(ledger, title, salt, counter, epoch, tag):
        values = (title, salt, counter.to_bytes(8, "big"), epoch, ledger.start, tag)
        ledger.execute("INSERT OR REPLACE INTO frames VALUES (?,?,?,?,?,?)", values)

    def set_total(ledger, neighbourhood, start, total, *titles):
        ledger.execute("INSERT OR REPLACE INTO loads VALUES (?, ?, ?)", (neighbourhood, start, total))
        for title in titles:
            ledger.execute("INSERT OR REPLACE INTO contributors VALUES (?, ?, ?)", (neighbourhood, start, title))

    monkeypatch.setattr(seen, "frame", lambda *_: None)
    monkeypatch.setattr(seen, "reading", lambda *_: None)
    monkeypatch.setattr(seen, "add_frame", add_frame)
    monkeypatch.setattr(seen, "add_reading", lambda *_: None)
    monkeypatch.setattr(loads, "set_total", set_total)


@pytest.mark.usefixtures("forgetful")
def test_l3_notices_a_concentrator_that_counts_twice(make_world):
    world = make_world(hours=HOURS)
    live(world)
    found = checks.l3(world)
    assert any("not the sum of its contributors" in line for line in found)


def test_l3_notices_a_ccm_that_ignores_the_last_byte_of_the_tag(make_world, monkeypatch):
    class Careless(intake.Ccm):
        def open(self, key, nonce, sealed, aad):
            for last in range(256):
                try:
                    return super().open(key, nonce, sealed[:-1] + bytes((last,)), aad)
                except ValueError:
                    continue
            raise ValueError("the tag does not verify")

    monkeypatch.setattr(intake, "CCM", Careless())
    world = make_world(hours=2)
    live(world, 2)
    assert any("were forged" in line for line in checks.l3(world))


def test_l4_notices_a_meter_that_does_not_reserve_its_counter(make_world, monkeypatch):
    def reserve(self):
        self._reserved = self._next + 64

    monkeypatch.setattr(Counter, "_reserve", reserve)
    world = make_world(hours=HOURS)
    world.faults = False
    world.begin()
    world.interval(0)
    assert checks.l4(world) == []
    world.homes[0].boot()
    world.interval(1)
    assert violated(checks.l4(world)) == {"L4"}


def test_l4_notices_a_concentrator_that_repeats_its_random_bytes(make_world):
    world = make_world(hours=1, random_bytes=bytes)
    world.faults = False
    live(world, 1)
    assert "L4" in violated(checks.l4(world))


def test_l5_notices_a_k_that_is_counted_on_registered_meters(make_world, monkeypatch):
    load = Closing._load

    def registered(self, name, place, start):
        if len(place.roster.members) >= self._k:
            self._k = 1
        return load(self, name, place, start)

    monkeypatch.setattr(Closing, "_load", registered)
    world = make_world(hours=HOURS)
    for home in world.homes[K - 1 :]:
        home.dark_until = 1 << 40
    assert violated(live(world)) == {"L5"}


def test_l5_notices_a_closed_load_that_is_revised(make_world):
    world = make_world(hours=HOURS)
    assert live(world, 3) == []
    world.ledger.execute("UPDATE neighbourhoods SET next_interval = next_interval - 1800")
    world.tame()
    world.interval(12)
    assert any("reported twice" in line for line in checks.l5(world))


def test_l5_notices_a_window_that_is_opened_again(make_world):
    world = make_world(hours=HOURS)
    assert live(world, 4) == []
    world.tame()
    world.interval(16)
    world.ledger.execute("UPDATE meters SET next_window = next_window - 10800 WHERE next_window > since")
    world.now += 3 * 86_400
    world.close_due()
    world.carry()
    assert any("reported twice" in line for line in checks.l5(world))


class Eager(MortalLedger):
    """The answer leaves before the commit: a transaction is committed when the next one begins."""

    @contextmanager
    def transaction(self):
        if self._db.in_transaction:
            self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")
        yield
        self.cut("behind the answer")

    def close(self):
        with self.transaction():
            pass
        self._db.execute("COMMIT")
        super().close()


def test_l6_notices_an_acknowledgement_before_the_commit(make_world):
    world = make_world(hours=HOURS, ledger=Eager)
    world.begin()
    for number in range(4):
        world.now = journey_world.START + (number + 1) * 900
        world.measure()
        world.exchange()
    assert world.acknowledged
    world.restart_concentrator()
    assert violated(checks.l6(world)) == {"L6"}
    assert violated(checks.l1(world)) == {"L1"}


class Normal(MortalLedger):
    """A ledger that leaves it to the system when its commits reach the disk."""

    def __init__(self, path):
        super().__init__(path)
        self._db.execute("PRAGMA synchronous=NORMAL")


def test_l6_notices_a_ledger_that_does_not_sync_every_commit(make_world):
    world = make_world(hours=1, ledger=Normal)
    assert violated(checks.l6(world)) == {"L6"}


def test_l7_notices_a_reading_that_is_written_or_logged_in_clear(make_world, monkeypatch):
    count = counting.Counting.count

    def telling(self, meter, place, reading):
        counting.log.info("counted", energy=reading.import_mwh)
        with (world.folder / "gateway" / "trace").open("ab") as file:
            file.write(reading.import_mwh.to_bytes(4, "big") + reading.export_mwh.to_bytes(4, "big"))
        return count(self, meter, place, reading)

    monkeypatch.setattr(counting.Counting, "count", telling)
    world = make_world(hours=1)
    live(world, 1)
    assert sorted(checks.l7(world)) == ["L7 a reading lies in clear in trace", "L7 a reading stands in the log"]
