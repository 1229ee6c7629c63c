"""The simulated homes: believable, seeded, and exact to the milliwatt-hour."""

import pytest

from scripts.homes import DAY_S, energies, furnish, net_powers

NAMES = [f"linden-{number:02d}" for number in range(1, 22)]
DAY = 20_528


def test_a_seed_gives_the_same_street_again():
    for name in NAMES[:3]:
        assert energies(furnish(name, 1), DAY, 300, 1) == energies(furnish(name, 1), DAY, 300, 1)
    assert furnish("linden-01", 1) != furnish("linden-01", 2)
    assert net_powers(furnish("linden-01", 1), DAY, 1) != net_powers(furnish("linden-01", 1), DAY + 1, 1)


@pytest.mark.parametrize("length_s", [60, 300, 900, 3600])
def test_a_days_energy_does_not_depend_on_how_it_is_cut(length_s):
    home = furnish("linden-03", 1)
    periods = energies(home, DAY, length_s, 1)
    assert [start for start, _, _ in periods] == list(range(DAY * DAY_S, (DAY + 1) * DAY_S, length_s))
    whole = energies(home, DAY, DAY_S, 1)[0]
    assert (sum(p[1] for p in periods), sum(p[2] for p in periods)) == whole[1:]
    watt_minutes = net_powers(home, DAY, 1)
    assert whole[1] == sum(power for power in watt_minutes if power > 0) * 1000 // 60


def test_homes_use_what_homes_use_and_some_give_back():
    days = [energies(furnish(name, 1), DAY, DAY_S, 1)[0] for name in NAMES]
    assert all(1_500_000 < taken < 90_000_000 for _, taken, _ in days)
    assert 0 < sum(given > 0 for _, _, given in days) < len(NAMES)


def test_a_period_that_does_not_fit_a_day_is_refused():
    with pytest.raises(ValueError, match="divides a day"):
        energies(furnish("x", 1), DAY, 7 * 60, 1)
