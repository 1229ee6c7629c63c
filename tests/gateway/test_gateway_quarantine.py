"""Readings that cannot be true: set aside, in no window and no load, and the next ones are still billed exactly."""

import pytest
from gateway_bench import DAY, HOUR, INTERVAL, PRIVATE, START, WINDOW, Meter, decrypt
from structlog.testing import capture_logs

from paillier import from_bytes, to_base64url
from protocol import keychain

RATING_W = 69_000
LIMIT = RATING_W * INTERVAL * 1000 // 3600
TODAY = keychain.epoch_of(START)
END = START + 9 * DAY


def at(place):
    return START + place * INTERVAL


@pytest.fixture
def strict(make, meter):
    """A street of three meters, of which each may take 69 kW."""
    return make([meter, Meter(1), Meter(2)], rating_w=RATING_W)


def aside(gateway):
    """Return {interval start: energies} of what is quarantined."""
    rows = gateway.ledger.execute("SELECT interval_start, energy FROM quarantine").fetchall()
    key = PRIVATE.public
    return {start: decrypt(to_base64url(key, from_bytes(key, energy))) for start, energy in rows}


def test_the_largest_possible_energy_is_stored_and_one_more_is_not(strict, meter):
    frames = [meter.reading(at(0), LIMIT, LIMIT), meter.reading(at(1), LIMIT + 1), meter.reading(at(2), 0, LIMIT + 1)]
    assert strict.judge(meter, frames, START + HOUR) == ["stored", "quarantined", "quarantined"]


def test_impossible_values_and_times_are_quarantined_with_a_reason_and_without_values(strict, meter):
    now = START + HOUR
    cases = [
        (meter.reading(at(0), LIMIT + 1), "rating"),
        (meter.reading(at(1), 0, LIMIT + 1), "rating"),
        (meter.reading(at(2), 7, import_register=6), "register below"),
        (meter.reading(at(3), 0, 7, export_register=6), "register below"),
        (meter.reading(at(8), 7, epoch=TODAY), "future"),
        (meter.reading(at(-1), 7, epoch=TODAY), "before the meter's enrolment"),
        (meter.reading(at(1), 7, series=2), "series"),
        (meter.reading(at(1), 7, interval_number=at(1) // 300, interval_end=at(1) + 300, interval_s=300), "length"),
    ]
    for frame, reason in cases:
        with capture_logs() as logs:
            assert strict.judge(meter, [frame], now) == ["quarantined"], reason
        (alarm,) = [entry for entry in logs if entry["log_level"] == "error"]
        assert set(alarm) == {"event", "log_level", "meter", "reason"}
        assert reason in alarm["reason"]
        assert not any(digit in alarm["reason"] for digit in "0123456789")


def test_an_interval_that_ends_within_two_clocks_drift_is_stored(strict, meter):
    assert strict.judge(meter, [meter.reading(START, 5)], START + INTERVAL - 300) == ["stored"]
    late = meter.reading(at(1), 5)
    assert strict.judge(meter, [late], at(2) - 301) == ["quarantined"]


def test_a_quarantined_reading_is_in_no_load(strict):
    street = strict.meters
    frames = [meter.reading(START, 8**i) for i, meter in enumerate(street[:2])] + [street[2].reading(START, LIMIT + 1)]
    strict.take(frames, at(1))
    strict.close(at(1) + 300)
    load = strict.loads()[START]
    assert load.ciphertext is None  # two of k = 3 contributed
    assert strict.ledger.execute("SELECT count(*) FROM contributors").fetchone() == (0,)


def test_the_next_readings_are_billed_exactly(strict, meter):
    frames = [*meter.readings(3), meter.reading(at(3), LIMIT + 1), *meter.readings(4, at(4), first=3)]
    strict.take(frames, START + 2 * HOUR)
    strict.close(END)
    assert strict.billed(meter)[0] == 0o1111111
    assert aside(strict) == {at(3): (LIMIT + 1, 0)}


def test_a_reading_that_is_quarantined_after_later_ones_were_counted_is_taken_out_again(strict, meter):
    frames = [*meter.readings(2), meter.reading(at(2), LIMIT + 9), *meter.readings(3, at(3), first=2)]
    frames += meter.readings(2, START + WINDOW, first=5)
    bad = frames.pop(2)
    strict.take(frames[:-1], START + WINDOW + HOUR)
    strict.take([bad], START + WINDOW + HOUR)
    strict.take(frames[-1:], START + WINDOW + HOUR)
    strict.close(END)
    assert [decrypt(window.energy)[0] for window in strict.windows(meter) if window.energy] == [0o11111, 0o1100000]


def test_several_quarantined_readings_around_gaps_and_restarts_leave_the_rest_exact(strict, meter):
    batches = [
        meter.readings(1, at(0), first=0),
        [meter.reading(at(1), LIMIT + 1)],
        meter.readings(1, at(3), first=1),  # a gap before it: its register is encrypted afresh
        [meter.reading(at(4), LIMIT + 2), meter.reading(at(5), LIMIT + 3)],
        meter.readings(2, at(6), first=2),
        [meter.reading(START + WINDOW, LIMIT + 4)],
        meter.readings(1, START + WINDOW + INTERVAL, first=4),
    ]
    for batch in batches:
        strict.take(batch, START + 2 * WINDOW)
        strict.restart()
    strict.close(END)
    assert strict.billed(meter)[0] == 0o11111


def test_what_a_clock_that_ran_ahead_has_sealed_is_out_of_the_bill_when_time_has_caught_up(strict, meter):
    strict.take(meter.readings(1), at(1))
    ahead = [meter.reading(at(40), 77, epoch=TODAY), meter.reading(at(41), 78, epoch=TODAY)]
    assert strict.judge(meter, ahead, at(2)) == ["quarantined"] * 2
    strict.take(meter.readings(2, at(42), first=1), at(50))
    strict.close(END)
    assert strict.billed(meter)[0] == 0o111


def test_a_reading_of_another_register_series_is_not_taken_out_of_these_registers(strict, meter):
    strict.take(meter.readings(1), at(1))
    other = Meter(0, series=2)
    other.counter = 50
    foreign = other.reading(at(1), 500)
    assert strict.judge(meter, [foreign], at(2)) == ["quarantined"]
    # A gap, so that the register is encrypted afresh, and one that goes on from there.
    strict.take(meter.readings(2, at(3), first=1), at(5))
    strict.close(END)
    assert strict.billed(meter)[0] == 0o111


def test_a_reading_that_is_quarantined_after_its_energy_was_billed_is_not_taken_out_of_the_next_bill(make, meter):
    gateway = make([meter], rating_w=RATING_W)
    bad = meter.reading(at(0), LIMIT + 5)
    gateway.take([meter.reading(at(1), 1)], at(2))
    gateway.close(START + WINDOW + 7 * DAY)  # the window is sealed with the register behind both
    gateway.take([bad], START + 6 * DAY + 23 * HOUR)
    gateway.take([meter.reading(START + 7 * DAY, 8)], START + 7 * DAY + HOUR)
    gateway.close(START + 16 * DAY)
    assert [decrypt(w.energy)[0] for w in gateway.windows(meter) if w.energy] == [LIMIT + 5 + 1, 8]


def test_a_quarantined_reading_that_comes_again_when_it_is_no_longer_remembered_stops_nothing(strict, meter):
    future = START + 60 * DAY
    strict.take(meter.readings(1), at(1))
    for day in range(10):
        strict.close(START + day * DAY + HOUR)
    first = meter.reading(future, 5, epoch=TODAY + 9)
    assert strict.judge(meter, [first], START + 9 * DAY + HOUR) == ["quarantined"]
    strict.ledger.execute("DELETE FROM readings")
    again = meter.reading(future, 5, epoch=TODAY + 9)
    good = meter.reading(START + 9 * DAY, 8)
    assert strict.judge(meter, [again, good], START + 9 * DAY + HOUR) == ["quarantined", "stored"]


def test_a_reading_is_remembered_as_long_as_its_load_and_its_window_are_open(make):
    """Sealed under the oldest epoch that is accepted, its frame is forgotten first."""
    meter = Meter(since=START - 8 * DAY)
    gateway = make([meter, Meter(1)], valid_from=START - 8 * DAY)
    for day in range(8, 0, -1):
        gateway.close(START - day * DAY + HOUR)
    start = START - INTERVAL
    old = meter.reading(start, 5, epoch=TODAY - 1 - 7)
    assert gateway.judge(meter, [old], START - 60) == ["stored"]
    gateway.close(START)
    assert gateway.ledger.execute("SELECT count(*) FROM frames").fetchone() == (0,)
    meter.imported -= 5
    assert gateway.judge(meter, [meter.reading(start, 5)], START + 10) == ["duplicate"]
    assert gateway.ledger.execute("SELECT present FROM windows").fetchall() == [(1,)]
    for day in range(9):
        gateway.close(START + day * DAY + HOUR)
    assert gateway.ledger.execute("SELECT count(*) FROM readings").fetchone() == (0,)
