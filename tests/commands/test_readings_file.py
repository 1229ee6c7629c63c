"""The whole file is checked first; a bad row is named by its line and the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.energy import format_wh, parse_wh
from scripts.readings import BadReadings, read

GOOD = ("m1", "north", 900, "1.5")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("m1", "north", 900, "2"), "line 3: meter m1 has interval 900 already, on line 2"),
        (("m2", "north", 900, "1.2345"), "line 3: energy_wh '1.2345' has more than three decimals"),
        (("m2", "north", 900, "-1"), "line 3: energy_wh '-1' is negative"),
        (("m2", "north", 900, "1e3"), "line 3: energy_wh '1e3' is not a number"),
        (("m2", "north", 900, "1."), "line 3: energy_wh '1.' is not a number"),
        (("m2", "north", 900, ""), "line 3: energy_wh '' is not a number"),
        (("m2", "north", 900, "4294967.296"), "line 3: energy_wh is more than a meter can report"),
        (("m2", "north", 901, "1"), "line 3: interval_start 901 is misaligned"),
        (("m2", "north", "-900", "1"), "line 3: interval_start '-900' is not a time"),
        (("m2", "north", "1.0", "1"), "line 3: interval_start '1.0' is not a time"),
        (("m2", "north", 4294966500, "1"), "is not a time"),
        (("m1", "south", 1800, "1"), "line 3: meter m1 is in two neighbourhoods, north and south"),
        (("m 2", "north", 900, "1"), "line 3: meter 'm 2' is not 1 to 64"),
        (("", "north", 900, "1"), "line 3: meter '' is not 1 to 64"),
        (("m2", "n" * 65, 900, "1"), "line 3: neighbourhood"),
        (("m2", "nörd", 900, "1"), "line 3: neighbourhood"),
        (("m2", "north", 900), "line 3: a row has 4 columns"),
        (("m2", "north", 900, "1", "2"), "line 3: a row has 4 columns"),
    ],
)
def test_a_bad_row_is_named_by_line_and_reason(readings_file, row, reason):
    with pytest.raises(BadReadings) as caught:
        read(readings_file([GOOD, row]), 900)
    assert len(caught.value.complaints) == 1
    assert reason in caught.value.complaints[0]


def test_every_bad_row_is_named(readings_file):
    with pytest.raises(BadReadings) as caught:
        read(readings_file([GOOD, ("m2", "n", 1, "1"), GOOD, ("m3", "n", 900, "x")]), 900)
    assert [line.split(":")[0] for line in caught.value.complaints] == ["line 3", "line 4", "line 5"]


def test_a_long_list_of_complaints_is_cut_and_says_so(readings_file):
    with pytest.raises(BadReadings) as caught:
        read(readings_file([("m", "n", 1, "1")] * 100), 900)
    assert caught.value.complaints[-1] == "... and 80 more lines"


@pytest.mark.parametrize("text", ["", "meter,neighbourhood,interval_start\n", "a,b,c,d\nm,n,900,1\n"])
def test_wrong_columns_are_refused(tmp_path, text):
    path = tmp_path / "file.csv"
    path.write_text(text)
    with pytest.raises(BadReadings, match="line 1: the columns must be"):
        read(path, 900)


def test_a_file_without_readings_is_refused(readings_file):
    with pytest.raises(BadReadings, match="holds no reading"):
        read(readings_file([]), 900)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"meter,neighbourhood,interval_start,energy_wh\n\x00,n,900,1\n"])
def test_a_file_that_is_no_text_is_refused(tmp_path, data):
    path = tmp_path / "file.csv"
    path.write_bytes(data)
    with pytest.raises(BadReadings):
        read(path, 900)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadReadings, match="cannot be read"):
        read(tmp_path / "none.csv", 900)


def test_rows_may_come_in_any_order_and_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("﻿energy_wh,meter,interval_start,neighbourhood\r\n0.001,b,1800,n\r\n2,a,900,n\r\n")
    readings = read(path, 900)
    assert readings.energies == {("b", 1800): 1, ("a", 900): 2000}
    assert (readings.first(), readings.last()) == (900, 1800)
    assert readings.neighbourhoods() == {"n": ["a", "b"]}


@given(st.integers(0, 10**15))
def test_energies_are_written_and_read_without_loss(energy):
    assert parse_wh(format_wh(energy)) == energy


def test_decimals_are_milliwatt_hours():
    assert [parse_wh(text) for text in ("0.1", "0.12", "0.123", "7")] == [100, 120, 123, 7000]
    assert format_wh(7) == "0.007"
