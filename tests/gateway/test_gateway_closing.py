"""What time closes: loads once after the grace, windows in order and once, on any zone's wall clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from gateway_bench import DAY, GRACE, HOUR, INTERVAL, NAME, START, WINDOW, Meter, decrypt

from protocol.documents import from_base64url
from protocol.reports import BILLING_WINDOW, INTERVAL_LOAD, parse_bitmap

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def street(make):
    """Five meters and k = 3."""
    return make([Meter(i) for i in range(5)])


def contribute(street, start, places):
    street.take([street.meters[i].reading(start, 8**i) for i in places], start + INTERVAL)


# --- Loads ------------------------------------------------------------------------------------------------------


def test_a_load_is_closed_when_the_grace_has_passed_and_not_before(street):
    contribute(street, START, range(5))
    street.close(START + INTERVAL + GRACE - 1)
    assert street.loads() == {}
    street.close(START + INTERVAL + GRACE)
    load = street.loads()[START]
    assert (load.neighbourhood, load.roster_version, load.interval_s) == (NAME, 1, INTERVAL)
    assert parse_bitmap(load.contributors, 5) == set(range(5))
    assert decrypt(load.ciphertext)[0] == 0o11111


def test_a_closed_load_is_never_closed_again(street):
    contribute(street, START, range(4))
    street.close(START + INTERVAL + GRACE)
    first = street.loads()[START]
    contribute(street, START, [4])
    for now in (START + INTERVAL + GRACE, START + HOUR, START + DAY):
        street.restart()
        street.close(now)
        street.close(now)
    loads = street.reports(INTERVAL_LOAD)
    assert [load.interval_start for load in loads] == [START + i * INTERVAL for i in range(len(loads))]
    assert street.loads()[START] == first
    assert street.ledger.execute("SELECT count(*) FROM loads").fetchone() == (0,)


def test_a_clock_that_goes_back_opens_nothing_again(street):
    contribute(street, START, range(4))
    street.close(START + HOUR)
    before = [street.reports(INTERVAL_LOAD), street.reports(BILLING_WINDOW)]
    street.close(START - DAY)
    street.close(START + HOUR)
    assert [street.reports(INTERVAL_LOAD), street.reports(BILLING_WINDOW)] == before


def test_below_k_contributors_there_is_no_ciphertext(street):
    for place, count in enumerate((0, 1, 2, 3)):
        contribute(street, START + place * INTERVAL, range(count))
    street.close(START + 4 * INTERVAL + GRACE)
    loads = street.loads()
    for place, count in enumerate((0, 1, 2, 3)):
        load = loads[START + place * INTERVAL]
        assert len(parse_bitmap(load.contributors, 5)) == count
        assert (load.ciphertext is not None) == (count >= 3)


def test_one_meter_that_sends_much_counts_once_towards_k(street):
    meter = street.meters[0]
    frame = meter.reading(START, 1)
    others = [meter.detail(frame[10] << 8 | frame[11]) for _ in range(5)]
    street.take([frame, *others, frame], START + INTERVAL)
    street.take([frame], START + INTERVAL)
    street.close(START + INTERVAL + GRACE)
    load = street.loads()[START]
    assert (load.ciphertext, parse_bitmap(load.contributors, 5)) == (None, {0})


def test_a_long_outage_is_caught_up_in_order(street):
    contribute(street, START, range(5))
    street.close(START + HOUR)
    street.close(START + 5 * DAY)
    starts = [load.interval_start for load in street.reports(INTERVAL_LOAD)]
    assert starts == [START + i * INTERVAL for i in range(5 * 96 - 1)]


def test_a_concentrator_that_is_put_up_late_says_nothing_about_the_time_before_it_could_hear(make):
    gateway = make([Meter(0)])
    gateway.close(START + 100 * DAY)
    assert min(gateway.loads()) == START + 93 * DAY


def test_a_tick_without_anything_due_writes_nothing(street):
    contribute(street, START, range(5))
    street.close(START + INTERVAL + GRACE)
    changes = street.ledger.execute("SELECT total_changes()").fetchone()
    for second in range(1, 5):
        street.close(START + INTERVAL + GRACE + second)
    assert street.ledger.execute("SELECT total_changes()").fetchone() == changes


# --- Billing windows --------------------------------------------------------------------------------------------


def test_a_complete_window_is_sealed_at_its_end(gateway, meter):
    gateway.take(meter.readings(11), START + WINDOW)
    last = meter.reading(START + WINDOW - INTERVAL, 1)
    gateway.take([last], START + WINDOW - 200)  # its meter's clock runs ahead
    gateway.close(START + WINDOW - 1)
    assert gateway.windows(meter) == []
    gateway.close(START + WINDOW)
    (window,) = gateway.windows(meter)
    assert (window.window_start, window.window_end, window.present, window.expected) == (START, START + WINDOW, 12, 12)
    assert decrypt(window.energy)[0] == 0o11111111111 + 1


def test_an_incomplete_window_waits_for_the_accepted_delay(gateway, meter):
    gateway.take(meter.readings(10), START + WINDOW)
    gateway.close(START + WINDOW + 7 * DAY - 1)
    assert gateway.windows(meter) == []
    gateway.close(START + WINDOW + 7 * DAY)
    (window,) = gateway.windows(meter)
    assert (window.present, window.expected) == (10, 12)


def test_windows_are_sealed_in_order_and_empty_ones_are_signed_empty(gateway, meter):
    gateway.take(meter.readings(1), START + HOUR)
    second = [meter.reading(START + 2 * WINDOW + i * INTERVAL, 1) for i in range(12)]
    gateway.take(second, START + 3 * WINDOW)
    gateway.close(START + 3 * WINDOW)
    assert gateway.windows(meter) == []  # a complete one waits for those before it
    gateway.close(START + 2 * WINDOW + 7 * DAY)
    found = gateway.windows(meter)
    assert [(w.window_start - START) // WINDOW for w in found] == [0, 1, 2]
    assert [w.energy is None for w in found] == [False, True, False]


def test_a_sealed_window_never_changes(gateway, meter):
    gateway.take(meter.readings(11), START + WINDOW)
    gateway.close(START + WINDOW + 7 * DAY)
    before = gateway.windows(meter)
    late = meter.reading(START + WINDOW - INTERVAL, 1, epoch=meter.epoch + 1)
    assert gateway.judge(meter, [late], START + WINDOW + 7 * DAY) == ["stored"]
    gateway.restart()
    gateway.close(START + 9 * DAY)
    assert [w for w in gateway.windows(meter) if w.window_start == START] == before


def test_the_quality_of_every_reading_is_in_its_window(gateway, meter):
    frames = [meter.reading(START + i * INTERVAL, 1, quality=1 << i if i < 5 else 0) for i in range(12)]
    gateway.take(frames, START + WINDOW)
    gateway.close(START + WINDOW)
    assert gateway.windows(meter)[0].quality == 0x1F


def test_what_leaves_cannot_be_matched_with_what_stayed(gateway, meter):
    gateway.take(meter.readings(11), START + WINDOW)
    gateway.take([meter.reading(START + WINDOW - INTERVAL, 1)], START + WINDOW)
    gateway.close(START + WINDOW)
    (window,) = gateway.windows(meter)
    (kept,) = gateway.ledger.execute("SELECT base_register FROM meters").fetchone()
    assert from_base64url(window.closing_register, "register") != kept
    assert decrypt(window.closing_register)[0] == meter.imported


def hours(start, end):
    return (end - start) / HOUR


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # Clocks go forward at 2: the stretch of two hours is joined to the next.
        ((2026, 3, 29), [5, 3, 3, 3, 3, 3, 3]),
        # Clocks go back at 3: a window of four hours.
        ((2026, 10, 25), [4, 3, 3, 3, 3, 3, 3, 3]),
        ((2026, 6, 1), [3] * 8),
    ],
)
def test_windows_follow_the_wall_clock_through_daylight_saving(make, day, expected):
    midnight = int(datetime(*day, tzinfo=BERLIN).astimezone(UTC).timestamp())
    nights = int(sum(expected) * HOUR)
    meter = Meter(since=midnight, interval_s=HOUR)
    gateway = make([meter], zone="Europe/Berlin", interval_s=HOUR, valid_from=midnight)
    for i in range(nights // HOUR):
        gateway.take([meter.reading(midnight + i * HOUR, i + 1)], midnight + (i + 1) * HOUR)
        gateway.close(midnight + (i + 1) * HOUR)
    found = gateway.windows(meter)
    assert [hours(w.window_start, w.window_end) for w in found] == expected
    assert all(w.present == w.expected == hours(w.window_start, w.window_end) for w in found)
    assert found[0].window_start == midnight
    assert found[-1].window_end == midnight + nights
    place = 0
    for window in found:
        assert decrypt(window.energy)[0] == sum(range(place + 1, place + 1 + window.expected))
        place += window.expected
    assert gateway.billed(meter)[0] == meter.imported - meter.first_import


def test_a_meter_that_is_enrolled_within_a_window_owns_that_window(make):
    meter = Meter(since=START + HOUR)
    gateway = make([meter])
    gateway.take([meter.reading(START + HOUR, 5)], START + 2 * HOUR)
    gateway.close(START + WINDOW + 7 * DAY)
    (window,) = gateway.windows(meter)
    assert (window.window_start, window.register_from, decrypt(window.energy)[0]) == (START, START + HOUR, 5)
