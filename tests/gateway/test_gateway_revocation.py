"""A meter that is revoked, leaves, or is cloned: refused or alarmed about, while every other meter goes on."""

import pytest
from gateway_bench import DAY, GRACE, HOUR, INTERVAL, START, WINDOW, Meter, decrypt
from roll_bench import Pole
from structlog.testing import capture_logs

from gateway.holdings import enrolled
from protocol import documents, wire
from protocol.reports import parse_bitmap


@pytest.fixture
def pole(folder):
    made = Pole(folder, [Meter(i) for i in range(5)])
    yield made
    made.stop()


# --- Revoked by the operator's signature ------------------------------------------------------------------------


def test_the_frames_of_a_revoked_meter_are_refused_under_a_count_of_their_own(pole):
    stolen, other = pole.meters[:2]
    before = stolen.reading(START, 5)
    assert pole.judge(stolen, [before], START + INTERVAL) == ["stored"]
    path = pole.put_revocation(stolen)
    assert pole.look() == []
    assert not path.exists()
    frames = [before, stolen.reading(START + INTERVAL, 5), stolen.detail(stolen.epoch), stolen.hello()]
    with capture_logs() as logs:
        assert pole.take(frames, START + HOUR) == []
    assert pole.ledger.counts()["revoked meter"] == 4
    assert [(entry["kind"], entry["number"]) for entry in logs] == [("revoked meter", 4)]
    assert pole.judge(other, [other.reading(START, 5)], START + HOUR) == ["stored"]
    pole.restart()
    assert pole.take(frames, START + HOUR) == []


def test_the_windows_of_a_revoked_meter_are_sealed_with_what_it_had_sent(pole):
    stolen = pole.meters[0]
    pole.take(stolen.readings(5), START + 5 * INTERVAL)
    pole.put_revocation(stolen)
    pole.look(START + 5 * INTERVAL)
    for day in range(9):
        pole.tick(START + day * DAY + HOUR)
    windows = pole.windows(stolen)
    assert [window.window_start for window in windows[:3]] == [START, START + WINDOW, START + 2 * WINDOW]
    assert (windows[0].present, decrypt(windows[0].energy)[0]) == (5, 0o11111)
    assert [window.energy for window in windows[1:]] == [None] * (len(windows) - 1)


def test_the_keys_of_a_revoked_meter_are_gone_from_every_file(pole):
    stolen, other = pole.meters[:2]
    pole.take([stolen.reading(START, 5), other.reading(START, 5)], START + INTERVAL)
    pole.put_revocation(stolen)
    pole.look()
    files = pole.all_files()
    for meter, there in ((stolen, False), (other, True)):
        assert [secret in files for secret in (meter.chain.value, meter.hello_key, meter.time_key)] == [there] * 3
    assert not any(title == stolen.title for title, _, _ in pole.decryption._keys)


def test_a_title_that_was_revoked_is_not_enrolled_again(pole):
    late = Meter(9)
    pole.put_revocation(late)  # it comes before the record that it is about
    pole.look()
    pole.put_roster(2, START + DAY, [*pole.meters, late])
    pole.put_record(late)
    assert ["was revoked or replaced here" in text for text in pole.look()] == [True]
    assert enrolled.get(pole.ledger, late.title) is None


def test_a_revocation_that_the_operator_did_not_sign_is_refused_by_name(pole):
    meter = pole.meters[0]
    wrong = (
        {"key": documents.generate_signing_key()},
        {"deployment": "elsewhere"},
        {"neighbourhood": "south"},
    )
    for changes in wrong:
        path = pole.put_revocation(meter, **changes)
        assert [path.name in text for text in pole.look()] == [True]
        path.unlink()
    roster = pole.deployment.folder / "rosters" / "north.json"
    path = pole.put("roster.json", roster.read_bytes())
    assert ["not a revocation" in text for text in pole.look()] == [True]
    assert pole.judge(meter, [meter.reading(START, 5)], START + INTERVAL) == ["stored"]


# --- Left by the roster -----------------------------------------------------------------------------------------


def test_a_meter_that_the_next_roster_does_not_name_is_billed_to_its_end_and_no_further(pole):
    leaving, *staying = pole.meters
    end = START + DAY
    pole.put_roster(2, end, staying)
    pole.look()
    last = leaving.reading(end - INTERVAL, 0o7)
    after = leaving.reading(end, 0o70)
    assert pole.judge(leaving, [last], end) == ["stored"]
    assert pole.judge(leaving, [after], end + INTERVAL) == ["quarantined"]
    beyond = leaving.reading(end + DAY, 0o700)
    assert pole.judge(leaving, [beyond], end + DAY + HOUR) == [None]
    assert pole.ledger.counts()["revoked meter"] == 1
    for day in range(12):
        pole.tick(START + day * DAY + HOUR)
    windows = pole.windows(leaving)
    assert [window.window_start for window in windows] == [START + i * WINDOW for i in range(8)]
    assert pole.billed(leaving) == (0o7, 0)


def test_a_load_counts_the_members_of_its_own_roster_only(pole):
    staying = pole.meters[1:]
    end = START + DAY
    pole.put_roster(2, end, staying)
    pole.look()
    pole.close(end - HOUR)
    for start in (end - INTERVAL, end):
        for i, meter in enumerate(pole.meters):
            pole.take([meter.reading(start, 8**i)], start + INTERVAL)
    pole.close(end + INTERVAL + GRACE)
    loads = pole.loads()
    assert decrypt(loads[end - INTERVAL].ciphertext)[0] == 0o11111
    assert decrypt(loads[end].ciphertext)[0] == 0o11110
    assert parse_bitmap(loads[end].contributors, 4) == {0, 1, 2, 3}


def test_a_roster_that_comes_after_its_meter_was_counted_takes_the_sum_out_of_the_load(pole):
    """The sum cannot be told without that meter any more: the count goes out, and nothing to open."""
    pole.close(START)
    for i, meter in enumerate(pole.meters):
        pole.take([meter.reading(START, 8**i)], START + INTERVAL)
    pole.put_roster(2, START, pole.meters[1:])
    pole.look()
    with capture_logs() as logs:
        pole.close(START + INTERVAL + GRACE)
    load = pole.loads()[START]
    assert (load.roster_version, load.ciphertext, parse_bitmap(load.contributors, 4)) == (2, None, {0, 1, 2, 3})
    assert ["no sum is sent" in entry["event"] for entry in logs if entry["log_level"] == "error"] == [True]


# --- Cloned -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "fold"])
def test_a_clone_raises_an_alarm_and_stops_nothing_else(folder, mode):
    """A clone has its meter's keys and its counter, and tells other stories, between the frames of a busy street."""
    pole = Pole(folder, [Meter(i) for i in range(5)], accumulator=mode)
    cloned, *others = pole.meters
    clone = Meter(0)
    verdicts = {"cloned": [], "clone": [], "others": []}
    with capture_logs() as logs:
        for at in range(12):
            start = START + at * INTERVAL
            # Now the same nonce, now the same interval only.
            salt = b"clon" if at % 2 else clone.salt
            own = cloned.reading(start, 4**at)
            false = clone.seal(wire.READING, clone.body(start, 5), clone.epoch, salt, cloned.counter - 1)
            theirs = [meter.reading(start, 4**at) for meter in others]
            found = {}
            # One batch from each line, as the clone stands elsewhere.
            for frames in ([theirs[0], own, theirs[1]], [theirs[2], false, theirs[3]]):
                answers = pole.take(frames, start + INTERVAL)
                for meter in pole.meters:
                    for verdict in meter.verdicts(answers).values():
                        found[meter.title, verdict] = found.get((meter.title, verdict), 0) + 1
            verdicts["others"] += [found.get((meter.title, "stored")) for meter in others]
            verdicts["cloned"].append(found.get((cloned.title, "stored")))
            verdicts["clone"].append(found.get((cloned.title, "conflict")))
        pole.tick(START + WINDOW)
    assert verdicts == {"others": [1] * 48, "cloned": [1] * 12, "clone": [1] * 12}
    assert {entry["meter"] for entry in logs if "clone" in entry["event"]} == {cloned.title.hex()}
    assert pole.ledger.counts()["conflict"] == 12
    assert [pole.billed(meter)[0] for meter in pole.meters] == [(4**12 - 1) // 3] * 5
    pole.stop()


def test_a_revoked_clone_takes_its_meter_with_it_and_nobody_else(pole):
    cloned, other = pole.meters[:2]
    clone = Meter(0)
    pole.take([cloned.reading(START, 5), clone.reading(START, 6)], START + INTERVAL)
    pole.put_revocation(cloned)
    pole.look()
    assert pole.take([clone.reading(START + INTERVAL, 6)], START + HOUR) == []
    assert pole.judge(other, [other.reading(START, 5)], START + HOUR) == ["stored"]
