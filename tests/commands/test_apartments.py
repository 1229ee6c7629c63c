"""The apartments data set as readings: nothing drifts, nothing is rounded twice."""

from decimal import Decimal

import pytest

from scripts.apartments import BadData, data_file, energies
from scripts.replay_check import table


@pytest.fixture
def data():
    if not data_file().exists():
        pytest.skip(f"the data set is not at {data_file()}: set HUSHMETER_SHARED to where shared/ lies")
    return data_file()


def test_every_apartment_has_every_interval_of_the_week(data):
    rows = list(energies(data, 900))
    assert len(rows) == 10 * 7 * 96
    assert len({(name, start) for name, start, _ in rows}) == len(rows)


def test_the_sum_is_the_data_sets_own_rounded_once(data):
    sums = {}
    for name, _, energy in energies(data, 900):
        sums[name] = sums.get(name, 0) + energy
    for name, total in sums.items():
        exact = sum(Decimal(row[name]) for row in table(data)) * 1_000_000 / 60
        assert 0 <= exact - total < 1


def test_a_kilowatt_for_a_minute_carries_its_remainder(tmp_path):
    path = tmp_path / "readings.csv"
    minutes = [f"2016-01-01T00:{minute:02d},1.000000" for minute in range(3)]
    path.write_text("minute_start,apartment_1\n" + "\n".join(minutes) + "\n")
    assert [energy for _, _, energy in energies(path, 60)] == [16666, 16667, 16667]


def test_another_file_is_refused_with_a_reason(tmp_path):
    path = tmp_path / "readings.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadData, match="is not the apartments-2016 data set"):
        list(energies(path, 900))
    with pytest.raises(BadData, match="cannot read"):
        list(energies(tmp_path / "none", 900))
