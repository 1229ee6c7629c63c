"""Tariffs: bands are a partition of the week's windows, versions follow each other, the operator signed them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.documents import DocumentError, canonical_json, generate_signing_key, sign
from protocol.tariffs import (
    Band,
    Tariff,
    TariffBook,
    Times,
    check_tariff,
    local_days,
    open_tariff,
    sign_tariff,
    tariff_id,
)
from protocol.windows import windows

KEY = generate_signing_key()
DAY = Band("day", [Times("workdays", 6, 21)], 400_000, 80_000)
NIGHT = Band("night", [Times("all", 0, 6), Times("all", 21, 24), Times("weekend", 6, 21)], 200_000, 60_000)
GOOD = Tariff("house", 1, 0, "Europe/Vienna", "EUR", [], [DAY, NIGHT], 250_000, "day", 200_000)
YEAR = 1_767_225_600  # 2026


def changed(**changes):
    return msgspec.structs.replace(GOOD, **changes)


def book(*tariffs):
    return TariffBook({tariff_id(sign_tariff(KEY, "town", one), "town"): one for one in tariffs})


def test_a_tariff_is_opened_as_it_was_signed():
    assert open_tariff(sign_tariff(KEY, "town", GOOD), "town", KEY) == GOOD


def test_what_the_operator_did_not_sign_is_refused():
    document = sign_tariff(KEY, "town", GOOD)
    for deployment, key in (("elsewhere", KEY), ("town", generate_signing_key())):
        with pytest.raises(DocumentError, match="signature"):
            open_tariff(document, deployment, key)
    with pytest.raises(DocumentError, match="not a tariff"):
        open_tariff(sign(KEY, "roster", "town", canonical_json(GOOD)), "town", KEY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bands": [DAY]}, "weekday 1 at 0 o'clock stands in no band"),
        ({"bands": [DAY, NIGHT, Band("peak", [Times("sunday", 9, 12)], 1, 1)]}, "weekday 7 at 9 o'clock stands in two"),
        ({"bands": [Band("all", [Times("all", 0, 24), Times("sunday", 0, 3)], 1, 1)]}, "twice in one"),
        ({"bands": [Band("all", [Times("all", 21, 6)], 1, 1)]}, "split it at midnight"),
        ({"bands": [DAY, msgspec.structs.replace(NIGHT, name="day")]}, "one name"),
        ({"bands": [Band("all", [Times("all", 0, 22)], 1, 1)]}, "multiple"),
        ({"bands": [Band("Tag", [Times("all", 0, 24)], 1, 1)]}, "name"),
        ({"bands": [Band("a+b", [Times("all", 0, 24)], 1, 1)]}, "name"),
        ({"bands": [Band("all", [Times("monday", 0, 24)], 1, 1)]}, "days"),
        ({"bands": [Band("all", [Times("all", 0, 24)], -1, 1)]}, "import_micro"),
        ({"bands": []}, "length"),
        ({"zone": "localtime"}, "time zone"),
        ({"currency": "euro"}, "currency"),
        ({"tax_ppm": 1_000_001}, "tax_ppm"),
        ({"standing_per": "week"}, "standing_per"),
        ({"neighbourhoods": ["north", "north"]}, "twice"),
    ],
)
def test_a_tariff_that_is_none_is_refused(changes, reason):
    with pytest.raises(DocumentError, match=reason):
        open_tariff(sign_tariff(KEY, "town", changed(**changes)), "town", KEY)


@given(st.integers(YEAR, YEAR + 366 * 86_400), st.sampled_from(["Europe/Vienna", "UTC", "America/Santiago"]))
def test_every_window_has_the_band_of_its_start_on_the_wall_clock(at, zone):
    tariff = changed(zone=zone)
    for window in windows(at, at + 2 * 86_400, ZoneInfo(zone)):
        wall = datetime.fromtimestamp(window.start, UTC).astimezone(ZoneInfo(zone))
        is_day = wall.weekday() < 5 and 6 <= wall.hour < 21
        assert tariff.bands[tariff.band_at(window.start)].name == ("day" if is_day else "night")


def test_the_tariff_in_force_is_the_newest_of_its_name_and_the_neighbourhoods_own_before_the_default():
    own = changed(name="own", neighbourhoods=["north"], valid_from=100)
    later = changed(version=2, valid_from=200)
    tariffs = book(GOOD, own, later)
    found = [tariffs.in_force(name, "Europe/Vienna", at).tariff for name, at in
             (("north", 99), ("north", 100), ("south", 199), ("south", 200))]  # fmt: skip
    assert found == [GOOD, own, GOOD, later]
    assert tariffs.in_force("south", "UTC", 200) is None
    assert book(later).in_force("south", "Europe/Vienna", 199) is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"tax_ppm": 0}, "call themselves house version 1"),
        ({"version": 2}, "no later"),
        ({"version": 2, "valid_from": 1, "zone": "UTC"}, "another time zone"),
        ({"name": "second"}, "both for default of Europe/Vienna"),
    ],
)
def test_two_tariffs_that_contradict_each_other_are_refused(other, reason):
    with pytest.raises(DocumentError, match=reason):
        book(GOOD, changed(**other))
    with pytest.raises(DocumentError, match="both for north"):
        book(changed(neighbourhoods=["north"]), changed(name="b", neighbourhoods=["south", "north"], valid_from=9))


def test_days_are_those_of_the_wall_clock():
    vienna = ZoneInfo("Europe/Vienna")
    march = int(datetime(2026, 3, 1, tzinfo=vienna).timestamp())
    april = int(datetime(2026, 4, 1, tzinfo=vienna).timestamp())
    assert (april - march) % 86_400 == 82_800
    assert local_days(march, april, vienna) == 31
    assert local_days(march + 12 * 3600, march + 13 * 3600, vienna) == 1
    assert local_days(march, march, vienna) == 0


def test_a_tariff_is_checked_before_it_is_signed():
    check_tariff(GOOD)
    with pytest.raises(DocumentError):
        check_tariff(changed(bands=[NIGHT]))
