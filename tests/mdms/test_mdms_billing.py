"""Billing, pure: which bill of a tenancy is due, and periods on the calendar."""

from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from mdms_bench import APRIL, DAY, MARCH

from mdms.billing import StoredWindow, next_due_bill
from mdms.billing.due import next_period
from mdms.periods import Periods, has_ended, parse_periods
from protocol import wire
from protocol.windows import WINDOW_S, Span, windows

DAILY = Periods("day")


class Stored:
    """A tenancy's windows in memory."""

    def __init__(self, windows_):
        self.windows = windows_

    def reported(self, window_start):
        return any(window.start == window_start for window in self.windows)

    def until(self, end):
        return [window for window in self.windows if window.start < end]


def stored(first, last, spent=False, filled=True):
    return [StoredWindow(start, 12 if filled else 0, 12, filled, spent) for start in range(first, last, WINDOW_S)]


def due(windows_, now, last_decided=None, until=None, periods=DAILY):
    return next_due_bill(periods, UTC, MARCH, until, last_decided, Stored(windows_), now)


def test_nothing_is_due_before_a_period_is_over_and_whole():
    day = stored(MARCH, MARCH + DAY)
    assert due(day, MARCH + DAY - 1) is None
    assert due(day[1:], MARCH + DAY) is None
    assert due(day, MARCH + DAY).starts == tuple(range(MARCH, MARCH + DAY, WINDOW_S))


def test_a_due_bill_holds_every_unspent_window_and_no_other():
    held = stored(MARCH, MARCH + DAY, spent=True) + stored(MARCH + DAY, MARCH + 2 * DAY)
    bill = due(held, MARCH + 2 * DAY, last_decided=MARCH)
    assert (bill.period, len(bill.starts)) == (Span(MARCH + DAY, MARCH + 2 * DAY), 8)
    refused = stored(MARCH, MARCH + 2 * DAY)
    assert len(due(refused, MARCH + 2 * DAY, last_decided=MARCH).starts) == 16


def test_empty_and_estimated_windows_are_told_apart():
    held = stored(MARCH, MARCH + DAY)
    held[0] = StoredWindow(held[0].start, 0, 12, False, False)
    held[1] = StoredWindow(held[1].start, 5, 12, True, False)
    bill = due(held, MARCH + DAY)
    assert (bill.windows, bill.estimated) == (7, 1)


def test_a_window_that_was_not_plainly_measured_is_an_estimate_and_other_remarks_are_none():
    for quality, estimated in (
        (wire.APPARENT_ONLY, 1),
        (wire.ESTIMATED, 1),
        (wire.QUALITY_MASK & ~(wire.APPARENT_ONLY | wire.ESTIMATED), 0),
    ):
        held = stored(MARCH, MARCH + DAY)
        held[1] = replace(held[1], quality=quality)
        assert due(held, MARCH + DAY).estimated == estimated


def test_a_tenancy_that_ended_is_billed_to_its_end_and_no_further():
    until = MARCH + DAY + 2 * WINDOW_S
    held = stored(MARCH, MARCH + DAY, spent=True) + stored(MARCH + DAY, until)
    bill = due(held, MARCH + 2 * DAY, last_decided=MARCH, until=until)
    assert len(bill.starts) == 2
    assert next_period(DAILY, UTC, MARCH, until, MARCH + DAY) is None


def test_a_fixed_period_comes_once():
    fixed = Periods("fixed", Span(MARCH, APRIL))
    assert next_period(fixed, UTC, MARCH, None, None) == (MARCH, APRIL)
    assert next_period(fixed, UTC, MARCH - 10 * DAY, None, None) == (MARCH, APRIL)
    assert next_period(fixed, UTC, MARCH + DAY, None, None) == (MARCH, APRIL)
    assert next_period(fixed, UTC, MARCH, None, MARCH) is None
    assert next_period(fixed, UTC, APRIL, None, None) is None


def test_periods_follow_each_other_through_a_year_of_summer_time():
    zone = ZoneInfo("Europe/Berlin")
    for kind, count in (("day", 365), ("month", 12)):
        periods = parse_periods(kind)
        at = 1_767_222_000  # 2026-01-01T00:00 in Berlin
        seen, owned = 0, []
        period = periods.starting(at, zone)
        while period.start < 1_798_758_000:  # 2027
            owned += windows(period.start, period.end, zone)
            seen += 1
            following = periods.after(period, zone)
            assert following.start == period.end
            period = following
        assert seen == count
        assert owned == windows(at, 1_798_758_000, zone), "each window belongs to exactly one period"


def test_a_period_is_over_when_its_last_window_is():
    # Lord Howe's half an hour of summer time; a window that starts in a period may end behind it.
    for name in ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"):
        zone = ZoneInfo(name)
        for at in range(MARCH, MARCH + 250 * DAY, DAY):
            period = Periods("day").holding(at, zone)
            last = windows(period.start, period.end, zone)[-1]
            assert not has_ended(period, zone, max(period.end, last.end) - 1)
            assert has_ended(period, zone, max(period.end, last.end))


def test_what_is_no_period_is_refused():
    for text in ("", "week", "fixed", "fixed:1", "fixed:2:1", "fixed:1:1", "fixed:-1:5", "fixed:1:x", "fixed:²:9"):
        with pytest.raises(ValueError, match="a period is"):
            parse_periods(text)
    assert str(parse_periods("fixed:1:5")) == "fixed:1:5"
