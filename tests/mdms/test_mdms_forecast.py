"""The day-ahead forecast: it learns, sees nothing early, survives gaps, and its measure can turn red."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

from mdms.forecast.accuracy import evaluate
from mdms.forecast.baselines import DAILY, WEEKLY, SeasonalNaive
from mdms.forecast.calendar import days_of, forecast_day, slots_of
from mdms.forecast.day_ahead import DayAhead, Forecast
from scripts import forecast_check

MONDAY = date(2026, 3, 2)
SLOTS = 24
BERLIN = ZoneInfo("Europe/Berlin")


def street(days, slots=SLOTS, noise=0.1, seed=1):
    """Days of a street with an evening peak, busier at weekends, and a slow drift."""
    random = np.random.default_rng(seed)
    at = np.arange(slots) * 24 / slots
    shape = 5 + 10 * np.exp(-((at - 19) ** 2) / 8) + 4 * np.exp(-((at - 7) ** 2) / 3)
    found = []
    for number in range(days):
        day = MONDAY + timedelta(days=number)
        level = (1 + 0.002 * number) * (1.4 if day.isoweekday() >= 6 else 1.0)
        found.append((day, level * shape * np.exp(noise * random.standard_normal(slots))))
    return found


def test_it_beats_what_is_seasonal_and_naive_and_its_interval_holds():
    days = street(150)
    ours = evaluate(DayAhead(SLOTS), days, 60)
    for season in (DAILY, WEEKLY):
        assert ours.mape < 0.85 * evaluate(SeasonalNaive(season), days, 60).mape
    assert 0.85 < ours.covered < 0.95
    assert ours.days == 90


def test_quarters_of_an_hour_are_forecast_as_well():
    days = street(40, slots=96)
    assert evaluate(DayAhead(96), days, 20).mape < evaluate(SeasonalNaive(WEEKLY), days, 20).mape


def test_a_forecast_does_not_change_with_the_day_that_it_is_about():
    # A model that peeks would give two answers here.
    days = street(30)
    told = []
    for factor in (1, 7):
        model = DayAhead(SLOTS)
        for day, energies in days[:-1]:
            model.observe(day, energies)
        last = days[-1][1] * factor
        told.append(model.forecast(days[-1][0]).expected)
        model.observe(days[-1][0], last)
    assert np.array_equal(*told)


class Peeking:
    """The planted bug: a forecaster that is shown the day first."""

    def __init__(self, days):
        self.days = dict(days)

    def observe(self, day, energies):
        pass

    def forecast(self, day):
        return Forecast(self.days[day], None, None)


def test_the_evaluation_asks_before_it_shows():
    days = street(20)
    shown, order = DayAhead(SLOTS), []

    class Noting:
        def observe(self, day, energies):
            order.append(("shown", day))
            shown.observe(day, energies)

        def forecast(self, day):
            order.append(("asked", day))
            return shown.forecast(day)

    evaluate(Noting(), days, 5)
    for day, _ in days[5:]:
        assert order.index(("asked", day)) < order.index(("shown", day))
    assert evaluate(Peeking(days), days, 5).mape == 0  # what no honest forecaster reaches


def test_from_the_second_day_on_there_is_a_forecast_and_from_the_third_week_an_interval():
    model = DayAhead(SLOTS)
    assert model.forecast(MONDAY) is None
    for number, (day, energies) in enumerate(street(20)):
        model.observe(day, energies)
        forecast = model.forecast(day + timedelta(days=1))
        assert np.all(forecast.expected > 0) and np.all(forecast.expected < 100)
        assert (forecast.low is None) == (number < 14)
    assert np.all(forecast.low <= forecast.expected) and np.all(forecast.expected <= forecast.high)


def test_what_is_missing_is_left_out_and_spoils_nothing():
    whole, gappy = DayAhead(SLOTS), DayAhead(SLOTS)
    for number, (day, energies) in enumerate(street(60)):
        whole.observe(day, energies)
        holey = energies.copy()
        holey[number % SLOTS] = np.nan
        if number % 9 == 4:
            holey[:] = np.nan
        gappy.observe(day, holey)
    after = MONDAY + timedelta(days=60)
    expected, found = whole.forecast(after), gappy.forecast(after)
    assert not np.isnan(found.expected).any() and not np.isnan(found.high).any()
    assert np.mean(np.abs(found.expected / expected.expected - 1)) < 0.1


def test_an_empty_street_is_forecast_empty():
    model = DayAhead(SLOTS)
    for number in range(20):
        model.observe(MONDAY + timedelta(days=number), np.zeros(SLOTS))
    assert np.allclose(model.forecast(MONDAY + timedelta(days=20)).expected, 0)


@pytest.mark.parametrize("wrong", [np.zeros(23), np.zeros((24, 1)), -np.ones(24)])
def test_what_is_no_day_is_refused(wrong):
    with pytest.raises(ValueError, match="24 energies"):
        DayAhead(SLOTS).observe(MONDAY, wrong)


def test_days_go_by_the_clock_on_the_wall_through_daylight_saving():
    # Europe/Berlin, 2026: 29 March has 23 hours, 25 October has 25.
    for first, missing, day in ((1774652400, 1, date(2026, 3, 29)), (1792792800, 0, date(2026, 10, 25))):
        starts = [first + number * 3600 for number in range(72)]
        days = dict(days_of([(start, 10) for start in starts], 3600, BERLIN))
        assert np.isnan(days[day]).sum() == missing
        assert np.nanmax(days[day]) == 10  # the hour that comes twice is no double load


def test_a_day_without_any_interval_keeps_its_place_in_the_week():
    days = [day for day, _ in days_of([(0, 1), (3 * 86_400, 1)], 900, ZoneInfo("UTC"))]
    assert days == [date(1970, 1, 1) + timedelta(days=number) for number in range(4)]


def test_the_forecast_of_a_day_goes_by_the_days_before_it_alone():
    intervals = [(at * 3600, 1000 + at % 24) for at in range(24 * 10)]
    day = date(1970, 1, 9)
    whole = forecast_day(intervals, 3600, ZoneInfo("UTC"), day)
    cut = forecast_day([each for each in intervals if each[0] < 8 * 86_400], 3600, ZoneInfo("UTC"), day)
    assert np.array_equal(whole.expected, cut.expected)
    assert forecast_day([], 3600, ZoneInfo("UTC"), day) is None
    assert slots_of(900) == 96


def test_no_day_left_to_evaluate_is_said():
    with pytest.raises(ValueError, match="no day"):
        evaluate(DayAhead(SLOTS), street(3), 5)


def test_on_real_homes_the_aims_are_reached_and_a_worse_model_is_said_to_miss_them(monkeypatch):
    if not forecast_check.data_file().exists():
        pytest.skip("../shared is absent: the Fontana homes lie there")
    done = CliRunner().invoke(forecast_check.main)
    assert done.exit_code == 0, done.output
    monkeypatch.setattr(forecast_check, "DayAhead", lambda slots: SeasonalNaive(WEEKLY))
    done = CliRunner().invoke(forecast_check.main)
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "ours is 0% below it" in done.output


def test_a_missing_data_set_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HUSHMETER_SHARED", str(tmp_path))
    done = CliRunner().invoke(forecast_check.main)
    assert done.exit_code == 2
    assert "hourly.csv cannot be read" in done.output
