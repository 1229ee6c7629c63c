"""The measured leakage of a neighbourhood's sums: it falls with the number of homes, and does not flatter."""

from datetime import date, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from mdms.privacy import leakage, measure_leakage
from scripts import forecast_check, leakage_check

MONDAY = date(2026, 3, 2)
SLOTS = 24


def street(homes, days=120, seed=3):
    """The sum of homes that each draw an evening peak of their own, more or less of it every day."""
    random = np.random.default_rng(seed)
    at = np.arange(SLOTS)
    total = np.zeros((days, SLOTS))
    for _ in range(homes):
        peak = 18 + 2 * random.standard_normal()
        shape = 0.3 + 2 * np.exp(-((at - peak) ** 2) / 4)
        total += shape * np.exp(0.3 * random.standard_normal((days, 1)) + 0.3 * random.standard_normal((days, SLOTS)))
    return [(MONDAY + timedelta(days=number), total[number]) for number in range(days)]


def test_one_home_is_seen_and_five_hundred_hide_each_other():
    one, ten, many = (measure_leakage(street(homes), homes) for homes in (1, 10, 500))
    assert one.day > 0.9 and one.week == 1.0
    assert one.day > ten.day > 0.5
    assert abs(many.day - 0.5) < 0.08
    assert one.days == 120 - 1 - leakage.LEARNT_DAYS


def test_a_week_gives_more_away_than_a_day():
    found = measure_leakage(street(8), 8)
    assert found.week > found.day


def test_who_only_guesses_is_right_half_of_the_time(monkeypatch):
    random = np.random.default_rng(5)
    monkeypatch.setattr(leakage, "_scores", lambda *_: tuple(random.standard_normal(2)))
    assert abs(measure_leakage(street(8, days=400), 8).day - leakage.GUESSING) < 0.06


def test_an_attacker_who_is_shown_the_day_is_noticed(monkeypatch):
    # The planted bug of the measurement: a test that looks at which day it was given would be right always.
    monkeypatch.setattr(leakage, "_scores", lambda *_: (1.0, -1.0))
    assert measure_leakage(street(500), 500).day == 1.0


def test_a_day_is_attacked_with_what_was_known_before_it():
    days = street(6, days=60)
    whole = leakage.attacked(days, 6)
    assert leakage.attacked(days[:50], 6) == whole[:50]


def test_too_few_days_have_no_figure_and_days_with_gaps_are_not_attacked():
    assert measure_leakage(street(5, days=leakage.LEARNT_DAYS + leakage.LEAST_DAYS), 5) is None
    days = [(day, np.where(np.arange(SLOTS) == 3, np.nan, energies)) for day, energies in street(5)]
    assert measure_leakage(days, 5) is None
    half = [days[i] if i % 2 else each for i, each in enumerate(street(5))]
    assert measure_leakage(half, 5).days < 60
    assert measure_leakage([], 5) is None


def test_a_sum_of_nobody_is_refused():
    with pytest.raises(ValueError, match="one contributor"):
        measure_leakage(street(2), 0)


def test_on_real_homes_fewer_homes_give_more_away(monkeypatch):
    if not forecast_check.data_file().exists():
        pytest.skip("../shared is absent: the Fontana homes lie there")
    monkeypatch.setattr(leakage_check, "PAIRS", 2)
    found = {size: (day, apart) for size, day, _, apart in leakage_check.rows(forecast_check.data_file())}
    assert found[1][0] > found[5][0] > found[17][0] > found[204][0] > 0.45
    assert found[1][1] > 0.8


def test_a_missing_data_set_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HUSHMETER_SHARED", str(tmp_path))
    done = CliRunner().invoke(leakage_check.main)
    assert done.exit_code == 2
    assert "hourly.csv cannot be read" in done.output
