"""Windows and periods over twenty years of wall clocks, against a walk along the clock where it is changed."""

import random
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import windows
from protocol.windows import (
    WINDOW_S,
    Misaligned,
    Span,
    check_alignment,
    expected_intervals,
    period_of,
    window_of,
)
from scripts.make_vectors.windows import walked_windows

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Nuuk",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
)
ODD_ZONES = (
    "America/St_Johns",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Antarctica/Troll",
)
START = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2031, 1, 1, tzinfo=UTC).timestamp())
DAY = 86_400


@cache
def years(name):
    return windows.windows(START, END, ZoneInfo(name))


@cache
def changes(name):
    """Return the UTC days on which a zone's clock is changed."""
    zone = ZoneInfo(name)
    offsets = [(day, datetime.fromtimestamp(day, zone).utcoffset()) for day in range(START, END, DAY)]
    return [a[0] for a, b in pairwise(offsets) if a[1] != b[1]]


@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_the_windows_of_twenty_years_partition_the_time(name):
    found = years(name)
    assert all(a.end == b.start for a, b in pairwise(found))
    assert found[0].start < START + 2 * WINDOW_S
    assert found[-1].start < END <= found[-1].end


@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_no_window_is_shorter_than_3_hours_nor_longer_than_6(name):
    lengths = {span.end - span.start for span in years(name)}
    assert min(lengths) == WINDOW_S
    assert max(lengths) < 2 * WINDOW_S


@pytest.mark.parametrize("name", ("Europe/Berlin", "America/New_York"))
def test_only_the_two_nights_of_a_year_have_another_length(name):
    other = [span for span in years(name) if span.end - span.start != WINDOW_S]
    assert len(other) == 2 * 21
    assert sorted({span.end - span.start for span in other}) == [4 * 3600, 5 * 3600]


@pytest.mark.parametrize("name", ("UTC", "Asia/Kathmandu"))
def test_where_the_clock_is_never_changed_every_window_has_3_hours(name):
    assert {span.end - span.start for span in years(name)} == {WINDOW_S}


@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_a_window_starts_at_a_multiple_of_3_hours_on_the_wall_clock_or_where_the_clock_was_put_forward(name):
    zone = ZoneInfo(name)
    for span in years(name):
        at = datetime.fromtimestamp(span.start, zone)
        before = datetime.fromtimestamp(span.start - 60, zone)
        is_on_the_clock = at.hour % 3 == 0 and at.minute == 0
        assert is_on_the_clock or at.utcoffset() > before.utcoffset(), at


@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_around_every_change_of_the_clock_the_windows_are_those_of_a_walk_along_it(name):
    for day in changes(name):
        start, end = day - DAY, day + 2 * DAY
        assert windows.windows(start, end, ZoneInfo(name)) == walked_windows(ZoneInfo(name), start, end)


@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_window_of_agrees_with_windows(name):
    zone = ZoneInfo(name)
    rng = random.Random(name)
    odd = [span for span in years(name) if span.end - span.start != WINDOW_S]
    near = [span for day in changes(name)[-6:] for span in windows.windows(day - DAY, day + DAY, zone)]
    for span in odd + near + rng.sample(years(name), 100):
        for at in (span.start, rng.randrange(span.start, span.end), span.end - 1):
            assert window_of(at, zone) == span


@given(st.sampled_from(ZONES + ODD_ZONES), st.lists(st.integers(START, END), min_size=3, max_size=3).map(sorted))
@settings(max_examples=20, deadline=None)
def test_a_stretch_cut_in_two_has_the_same_windows(name, cuts):
    zone = ZoneInfo(name)
    a, b, c = cuts[0], min(cuts[1], cuts[0] + 40 * DAY), min(cuts[2], cuts[0] + 60 * DAY)
    b = min(b, c)
    assert windows.windows(a, b, zone) + windows.windows(b, c, zone) == windows.windows(a, c, zone)


@given(st.sampled_from(ZONES + ODD_ZONES), st.integers(0, (1 << 32) - 1))
@settings(max_examples=300, deadline=None)
def test_every_second_of_32_bits_lies_in_one_window(name, at):
    zone = ZoneInfo(name)
    span = window_of(at, zone)
    assert span.start <= at < span.end
    assert span.end - span.start >= WINDOW_S
    assert windows.windows(span.start, span.start + 1, zone) == [span]
    assert windows.windows(span.start + 1, span.end, zone) == []


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), (WINDOW_S, 0)])
def test_an_empty_stretch_has_no_window(start, end):
    assert windows.windows(start, end, UTC) == []


# --- Periods ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ("day", "month"))
@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_every_window_belongs_to_the_one_period_that_it_starts_in(name, kind):
    zone = ZoneInfo(name)
    odd = [span for span in years(name) if span.end - span.start != WINDOW_S]
    for span in odd + years(name)[:: len(years(name)) // 50]:
        period = period_of(kind, span.start, zone)
        assert period.start <= span.start < period.end
        assert span in windows.windows(period.start, period.end, zone)


@pytest.mark.parametrize("name", ZONES + ODD_ZONES)
def test_the_months_of_twenty_years_follow_each_other_and_own_every_window_once(name):
    zone = ZoneInfo(name)
    period = period_of("month", years(name)[300].start, zone)
    owned, months = [], 0
    while period.end <= END:
        owned += windows.windows(period.start, period.end, zone)
        following = period_of("month", windows.windows(period.end, period.end + DAY, zone)[0].start, zone)
        assert following.start == period.end
        period, months = following, months + 1
    assert months > 20 * 12
    assert owned == [span for span in years(name) if owned[0].start <= span.start <= owned[-1].start]


@pytest.mark.parametrize("name", ZONES)
def test_a_month_starts_and_ends_at_midnight_of_a_first(name):
    zone = ZoneInfo(name)
    for span in years(name)[::200]:
        period = period_of("month", span.start, zone)
        for edge in period:
            local = datetime.fromtimestamp(edge, zone)
            assert (local.day, local.hour, local.minute) == (1, 0, 0)


def test_a_window_over_midnight_belongs_to_the_evenings_day():
    zone = ZoneInfo("America/Nuuk")
    evening = int(datetime(2021, 3, 27, 21, tzinfo=zone).timestamp())
    span = window_of(evening, zone)
    period = period_of("day", evening, zone)
    assert span.end == int(datetime(2021, 3, 28, 3, tzinfo=zone).timestamp())
    assert span.start < period.end < span.end
    assert span in windows.windows(period.start, period.end, zone)
    assert windows.windows(period.end, period.end + 4 * 3600, zone)[0].start == span.end


def test_days_have_23_24_and_25_hours():
    zone = ZoneInfo("Europe/Berlin")
    days = {period_of("day", span.start, zone) for span in years("Europe/Berlin")[: 8 * 365]}
    assert {day.end - day.start for day in days} == {23 * 3600, 24 * 3600, 25 * 3600}


@pytest.mark.parametrize("kind", ["", "week", "Day", "months"])
def test_a_period_of_an_unknown_kind_is_refused(kind):
    with pytest.raises(ValueError, match="no such kind of period"):
        period_of(kind, START, UTC)


# --- Intervals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ZONES)
def test_a_quarter_of_an_hour_aligns_in_every_zone(name):
    check_alignment(Span(START, END), 900, ZoneInfo(name))
    assert all(span.start % 900 == 0 == span.end % 900 for span in years(name))


@pytest.mark.parametrize(
    ("name", "interval_s"),
    [
        ("Asia/Kathmandu", 3600),
        ("Asia/Kathmandu", 1800),
        ("Asia/Kathmandu", 10_800),
        ("Australia/Lord_Howe", 3600),
        ("America/St_Johns", 3600),
        ("Europe/Berlin", 5400),
        ("Europe/Berlin", 10_800),
    ],
)
def test_a_zone_whose_windows_start_inside_an_interval_is_refused(name, interval_s):
    with pytest.raises(Misaligned, match="inside an interval"):
        check_alignment(Span(START, END), interval_s, ZoneInfo(name))


@pytest.mark.parametrize("interval_s", [0, -900, 7, 700, 7200, 10_801, 21_600, 86_400])
def test_an_interval_that_does_not_divide_3_hours_is_refused(interval_s):
    with pytest.raises(Misaligned, match="does not divide"):
        check_alignment(Span(START, START + DAY), interval_s, UTC)


def test_a_change_of_offset_in_later_years_is_seen():
    zone = ZoneInfo("Asia/Pyongyang")  # UTC+09:00 until August 2015, then UTC+08:30 until May 2018
    check_alignment(Span(START, START + 5 * 365 * DAY), 3600, zone)
    with pytest.raises(Misaligned):
        check_alignment(Span(START, START + 6 * 365 * DAY), 3600, zone)


@pytest.mark.parametrize("name", ZONES)
def test_a_window_expects_every_interval_that_starts_in_it(name):
    for span in years(name)[:: len(years(name)) // 50]:
        assert expected_intervals(span, 900) == sum(at % 900 == 0 for at in range(span.start, span.end, 60))


# --- The tests of the tests ---------------------------------------------------------------------------------------


def test_windows_that_are_not_joined_would_be_seen(monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_S", 1)
    years.cache_clear()
    with pytest.raises(AssertionError):
        test_no_window_is_shorter_than_3_hours_nor_longer_than_6("Europe/Berlin")
    years.cache_clear()


def test_windows_cut_by_utc_would_be_seen(monkeypatch):
    monkeypatch.setattr(
        windows,
        "_utc",
        lambda day, hour, zone: int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()),
    )
    with pytest.raises(AssertionError):
        test_around_every_change_of_the_clock_the_windows_are_those_of_a_walk_along_it("Europe/Berlin")
