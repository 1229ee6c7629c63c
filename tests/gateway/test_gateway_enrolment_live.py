"""Meters and rosters that come while the concentrator runs: taken in whole, in force in time, nothing else stopped."""

import msgspec
import pytest
from gateway_bench import CCM, DAY, GRACE, HOUR, INTERVAL, NAME, START, Meter, decrypt, public_key
from roll_bench import Pole
from structlog.testing import capture_logs

from gateway.holdings import enrolled, loads
from protocol import documents, keychain, wire
from protocol.reports import parse_bitmap

TODAY = keychain.epoch_of(START)


@pytest.fixture
def pole(folder):
    made = Pole(folder, [Meter(i) for i in range(4)])
    yield made
    made.stop()


def contribute(pole, meters, start):
    frames = [meter.reading(start, 8**i) for i, meter in enumerate(meters)]
    return [pole.judge(meter, [frame], start + INTERVAL) for meter, frame in zip(meters, frames, strict=True)]


# --- Meters -----------------------------------------------------------------------------------------------------


def test_a_meter_enrolled_at_run_time_is_taken_in_and_its_record_erased(pole):
    new = Meter(9, since=START + DAY)
    assert pole.judge(new, [new.reading(new.since, 5)], new.since + INTERVAL) == [None]
    pole.put_roster(2, START + DAY, [*pole.meters, new])
    path = pole.put_record(new)
    assert pole.look() == []
    assert not path.exists()
    assert pole.judge(new, [new.reading(new.since + INTERVAL, 5)], new.since + 2 * INTERVAL) == ["stored"]
    assert wire.open_downlink(CCM, new.time_key, *pole.take([new.hello()], START + DAY))[0].type == wire.TIME


def test_a_meter_enrolled_at_run_time_is_there_after_a_restart(pole):
    new = Meter(9, since=START + DAY)
    pole.put_roster(2, START + DAY, [*pole.meters, new])
    pole.put_record(new)
    pole.look()
    pole.restart()
    assert pole.judge(new, [new.reading(new.since, 5)], new.since + INTERVAL) == ["stored"]


def test_a_record_waits_for_the_roster_that_names_it_and_is_refused_by_name_once(pole):
    new = Meter(9)
    pole.put_record(new)
    with capture_logs() as logs:
        assert ["roster does not name this meter" in text for text in pole.look()] == [True]
        assert pole.look() == []
    assert [entry["file"] for entry in logs if entry["log_level"] == "error"] == [f"{new.title.hex()}.json"]
    pole.put_roster(2, START + DAY, [*pole.meters, new])
    assert pole.look() == []
    assert enrolled.get(pole.ledger, new.title) is not None


def test_a_half_written_record_is_not_read_and_not_complained_about(pole):
    new = Meter(9)
    pole.put_roster(2, START + DAY, [*pole.meters, new])
    pole.look()
    whole = msgspec.json.encode(new.record())
    for size in range(0, len(whole), 40):
        pole.put("new.json", whole[:size])
        assert pole.roll.look(START * 1000) == []
    pole.put(".new.json", b"")
    pole.put("new.json.tmp", b"{")
    path = pole.put("new.json", whole)
    assert pole.roll.look(START * 1000) == []
    assert path.exists()
    assert pole.roll.look(START * 1000) == []
    assert not path.exists()
    assert enrolled.get(pole.ledger, new.title) is not None


def test_a_bad_file_is_refused_by_name_and_everything_else_goes_on(pole):
    new = Meter(9)
    secret = new.chain.value.hex()
    for name, data in (("a.json", b"\xff"), ("b.json", b"{}"), ("c.json", f'{{"hop_chain": "{secret}"}}'.encode())):
        pole.put(name, data)
    pole.put("z.json", b"[", "rosters")
    pole.put_roster(2, START + DAY, [*pole.meters, new])
    pole.put_record(new)
    with capture_logs() as logs:
        refused = pole.look()
    assert sorted(entry["file"] for entry in logs if entry["log_level"] == "error") == [
        "a.json",
        "b.json",
        "c.json",
        "z.json",
    ]
    assert len(refused) == 4
    assert secret not in str(logs) + str(refused)
    assert enrolled.get(pole.ledger, new.title) is not None
    assert contribute(pole, pole.meters, START) == [["stored"]] * 4


def test_a_bad_file_does_not_keep_a_concentrator_from_starting_again(pole):
    pole.put("a.json", b"\xff")
    pole.put("z.json", b"[", "rosters")
    pole.restart()
    assert ["a.json" in text for text in pole.begun] == [True]
    assert contribute(pole, pole.meters, START) == [["stored"]] * 4


def test_a_record_of_another_tenancy_street_or_an_enrolled_title_is_refused_and_kept(pole):
    first, second = pole.meters[:2]
    before = enrolled.titles(pole.ledger)
    for meter, changes in (
        (first, {"pseudonym": second.pseudonym}),
        (Meter(8), {"pseudonym": second.pseudonym}),
        (Meter(8), {"neighbourhood": "south"}),
    ):
        path = pole.put_record(meter, **changes)
        assert len(pole.look()) == 1
        assert path.exists()
        assert enrolled.titles(pole.ledger) == before
        path.unlink()


def test_the_files_of_a_concentrator_open_no_old_frame_after_a_run_time_enrolment(pole):
    """Neither a meter's that was enrolled long before it was taken in, nor one's that is new today."""
    for day in range(20):
        pole.tick(START + day * DAY + HOUR)
    old, new = Meter(8, since=START), Meter(9, since=START + 20 * DAY)
    pole.put_roster(2, START + 20 * DAY, [*pole.meters, old, new])
    for meter in (old, new):
        pole.put_record(meter)
    pole.look(START + 19 * DAY + 2 * HOUR)
    for day in range(19, 40):
        pole.tick(START + day * DAY + 3 * HOUR)
        files = pole.all_files()
        for meter in (*pole.meters, old, new):
            for epoch in range(meter.epoch, TODAY + day - 7):
                chain = meter.chain.at(epoch)
                for secret in (chain.value, chain.key(keychain.UP), chain.key(keychain.DOWN)):
                    assert secret not in files, (day, epoch)
                    assert secret.hex().encode() not in files, (day, epoch)
        # The test of the test: what still has to be opened is found by the same search.
        assert pole.meters[0].chain.at(TODAY + day - 7).value in files
    assert pole.judge(old, [old.reading(START + 39 * DAY, 5)], START + 39 * DAY + HOUR) == ["stored"]


# --- Rosters ----------------------------------------------------------------------------------------------------


def test_a_roster_comes_into_force_at_its_valid_from_and_not_before(pole):
    new = Meter(9, since=START + DAY)
    pole.put_roster(2, START + DAY, [*pole.meters, new])
    pole.put_record(new)
    pole.look()
    everybody = [*pole.meters, new]
    change = START + DAY
    assert contribute(pole, everybody, change - INTERVAL) == [["stored"]] * 4 + [["quarantined"]]
    assert contribute(pole, everybody, change) == [["stored"]] * 5
    pole.close(START)
    loads.set_next_interval(pole.ledger, NAME, change - 2 * INTERVAL)
    pole.close(change + INTERVAL + GRACE)
    closed = pole.loads()
    before, after = closed[change - INTERVAL], closed[change]
    assert (before.roster_version, after.roster_version) == (1, 2)
    assert parse_bitmap(before.contributors, 4) == {0, 1, 2, 3}
    assert parse_bitmap(after.contributors, 5) == {0, 1, 2, 3, 4}
    assert decrypt(before.ciphertext)[0] == 0o1111
    assert decrypt(after.ciphertext)[0] == 0o11111


def test_a_restart_serves_the_roster_in_force_and_not_the_newest(pole):
    pole.put_roster(2, START + DAY, [*pole.meters, Meter(9)])
    for _ in range(2):
        contribute(pole, pole.meters, START)
        pole.restart()
        assert (pole.place.in_force(START).version, pole.place.in_force(START + DAY).version) == (1, 2)
    pole.close(START + INTERVAL + GRACE)
    assert pole.loads()[START].roster_version == 1


def test_a_roster_that_replaces_another_from_the_same_moment_on_counts_alone(pole):
    pole.put_roster(2, START + DAY, pole.meters)
    pole.put_roster(3, START + DAY, [*pole.meters, Meter(9)])
    pole.look()
    assert [roster.version for roster in (pole.place.roster, *pole.place.later)] == [1, 3]


def test_a_roster_that_nobody_should_believe_changes_nothing(pole):
    path = pole.put_roster(2, START + DAY, pole.meters, key=documents.generate_signing_key())
    assert ["signature" in text for text in pole.look()] == [True]
    path.unlink()
    for changes in ({"zone": "Europe/Berlin"}, {"interval_s": 1800}, {"paillier_key": "A" * 43}):
        pole.put_roster(2, START + DAY, pole.meters, **changes)
        assert len(pole.look()) == 1
    pole.put_roster(1, START, pole.meters[:1])
    assert ["another roster calls itself" in text for text in pole.look()] == [True]
    pole.put_roster(
        5, START, pole.meters, name="theirs.json", concentrator=public_key(documents.generate_signing_key())
    )
    assert pole.look() == []
    assert (pole.place.roster.version, pole.place.later) == (1, ())


def test_a_new_neighbourhood_is_served_from_its_roster_on(pole):
    new = Meter(9)
    pole.put_roster(1, START, [new], name="south.json", neighbourhood="south")
    pole.put_record(new, neighbourhood="south")
    assert pole.look() == []
    assert sorted(pole.served) == ["north", "south"]
    assert pole.judge(new, [new.reading(START, 5)], START + INTERVAL) == ["stored"]
