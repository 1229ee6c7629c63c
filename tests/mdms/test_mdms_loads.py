"""What is said of a neighbourhood's released loads as a whole: figures, flags, regions, balances."""

from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest

from mdms.loads import Interval
from mdms.loads.balance import balances
from mdms.loads.regions import region_load
from mdms.loads.summary import completeness, day_sums, load_duration
from mdms.loads.vee import EMPTY, INCOMPLETE, MISSING, REPEATED, SPIKE, WITHHELD, flags
from mdms.supplier.days import span_of

HOUR = 3600
DAY = 86_400


def interval(place, import_mwh=1000, export_mwh=0, contributors=12, expected=12, length=HOUR):
    return Interval(place * length, (place + 1) * length, import_mwh, export_mwh, contributors, expected)


def test_a_power_is_the_mean_of_its_interval():
    assert interval(0, 3_000_000).power_w() == pytest.approx(3000)  # 3 kWh in an hour
    assert interval(0, 750_000, length=900).power_w() == pytest.approx(3000)
    assert interval(0, None).power_w() is None


def test_a_load_duration_curve_falls_from_the_peak_to_the_base():
    curve = load_duration([interval(place, 1_000_000 * (place % 10)) for place in range(200)])
    powers = [power for _, power in curve]
    assert (curve[0][0], curve[-1][0]) == (0.0, 1.0)
    assert (powers[0], powers[-1]) == pytest.approx((9000, 0))
    assert powers == sorted(powers, reverse=True)
    assert sum(power >= 5000 for power in powers) == 51  # half of the time half of the range or more
    assert load_duration([interval(0, None)]) == []


def test_a_longer_interval_counts_for_longer():
    curve = dict(load_duration([interval(0, 4_000_000), Interval(DAY, DAY + 900, 250, 0, 12, 12)], points=5))
    assert [round(power) for power in curve.values()] == [4000, 4000, 4000, 4000, 1]


def test_days_have_their_sums_peaks_and_completeness():
    intervals = [interval(place, 1000 + place, 10) for place in range(48)]
    intervals[3] = interval(3, 9000, contributors=6)
    intervals[5] = interval(5, None, None, contributors=2)
    first, second = day_sums(intervals, UTC)
    assert (first.day, first.intervals, first.peak_at) == (date(1970, 1, 1), 23, 3 * HOUR)
    assert first.import_mwh == sum(1000 + place for place in range(24) if place not in (3, 5)) + 9000
    assert (first.contributions, first.contributions_expected) == (22 * 12 + 6 + 2, 24 * 12)
    assert (second.intervals, second.peak_at) == (24, 47 * HOUR)
    assert completeness(intervals).share == (46 * 12 + 8) / (48 * 12)
    assert completeness([]).share is None
    assert day_sums([interval(0, None)], UTC) == []


def kinds(intervals, start, end):
    return {(flag.start // HOUR, flag.kind) for flag in flags(intervals, HOUR, start, end)}


def test_every_flag_is_raised_by_what_it_is_for_and_by_nothing_else():
    usual = [interval(place, 1000 + place % 24) for place in range(10 * 24)]
    assert kinds(usual, 9 * DAY, 10 * DAY) == set()
    broken = dict(enumerate(usual))
    at = 9 * 24
    del broken[at + 1]
    broken[at + 3] = interval(at + 3, None, None, contributors=4)
    broken[at + 5] = interval(at + 5, 1005, contributors=11)
    broken[at + 7] = interval(at + 7, 90_000)
    broken[at + 10] = interval(at + 10, broken[at + 9].import_mwh)
    broken[at + 12] = interval(at + 12, 0)
    assert kinds(list(broken.values()), 9 * DAY, 10 * DAY) == {
        (at + 1, MISSING),
        (at + 3, WITHHELD),
        (at + 3, INCOMPLETE),
        (at + 5, INCOMPLETE),
        (at + 7, SPIKE),
        (at + 10, REPEATED),
        (at + 12, EMPTY),
    }


def test_a_spike_needs_a_week_to_be_judged_by():
    few = [interval(place) for place in range(5 * 24)] + [interval(5 * 24, 90_000)]
    assert (5 * 24, SPIKE) not in kinds(few, 5 * DAY, 6 * DAY)


def test_a_region_is_the_sum_of_what_was_released_and_never_a_part_of_it():
    north = [interval(0, 5, 1), interval(1, 7, 2), interval(2, 9, 3)]
    south = [interval(0, 40, 8), interval(1, None, None, contributors=3)]
    found = region_load({"north": north, "south": south})
    assert [(each.import_mwh, each.export_mwh) for each in found] == [(45, 9), (None, None), (None, None)]
    assert [(each.contributors, each.expected) for each in found] == [(24, 24), (15, 24), (12, 12)]


def balanced(intervals, feeder=30_000, zone=UTC, day=date(1970, 1, 1)):
    return balances({day: feeder}, intervals, {day: span_of(day, zone)}, zone)[0]


def test_a_whole_day_is_balanced_against_its_feeder():
    found = balanced([interval(place, 1100, 100) for place in range(24)])
    assert (found.metered_mwh, found.loss_mwh, found.why) == (24_000, 6_000, None)
    assert found.loss_share == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("place", "spoiled", "why"),
    [
        (7, None, "every interval"),
        (7, interval(7, None, None, contributors=3), "every interval"),
        (7, interval(7, contributors=11), "every meter"),
    ],
)
def test_a_day_that_would_show_the_missing_home_is_not_balanced(place, spoiled, why):
    # With one home missing in one interval, feeder minus load is that home's reading and the losses.
    intervals = [interval(each) for each in range(24) if each != place] + ([spoiled] if spoiled else [])
    found = balanced(intervals)
    assert found.loss_mwh is None and found.loss_share is None
    assert why in found.why


def test_a_day_of_23_hours_is_whole_with_23_hours():
    berlin, day = ZoneInfo("Europe/Berlin"), date(2026, 3, 29)
    first = span_of(day, berlin).start // HOUR
    assert balanced([interval(first + each) for each in range(23)], zone=berlin, day=day).metered_mwh == 23_000
    assert balanced([interval(first + each) for each in range(22)], zone=berlin, day=day).metered_mwh is None
