"""Money: exact throughout, rounded once, half to even."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tariff_bench import day_and_night, flat

from mdms.billing.money import BillSum, NotPriced, cost, decimal, divide_half_even, price
from mdms.formats import kwh, moment, period
from mdms.pricing import described

MWH = st.integers(0, 1 << 62)


def all_of(import_mwh, export_mwh=0):
    return (BillSum(0, (("all", 248),), 248, 248, import_mwh, export_mwh),)


@given(MWH, st.integers(0, (1 << 40) - 1), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_a_charge_is_the_exact_product_rounded_once(mwh, micro, currency):
    found = cost(flat(micro, currency=currency), all_of(mwh), 31)
    assert found.total == round(Fraction(mwh * micro, 10**12) * 10**found.digits)  # Fraction rounds half to even


@given(MWH, MWH, MWH, MWH, st.integers(0, 1 << 30), st.integers(0, 1_000_000), st.integers(1, 31))
def test_everything_is_added_before_the_one_rounding(day_in, day_out, night_in, night_out, standing, tax, days):
    tariff = day_and_night(standing_micro=standing, tax_ppm=tax)
    sums = (
        BillSum(0, (("day", 155),), 155, 155, day_in, day_out),
        BillSum(1, (("night", 93),), 93, 93, night_in, night_out),
    )
    taxed = Fraction(day_in * 400_000 + night_in * 200_000, 10**12) + Fraction(standing * days, 10**6)
    credit = Fraction(day_out * 80_000 + night_out * 60_000, 10**12)
    assert cost(tariff, sums, days).total == round((taxed * (1 + Fraction(tax, 10**6)) - credit) * 100)


def test_merged_bands_are_priced_by_their_share_of_the_windows():
    merged = (BillSum(0, (("day", 150), ("night", 50)), 200, 200, 1_000_000, 1_000_000),)
    [line] = cost(day_and_night(), merged, 31).lines
    assert (line.import_price, line.export_price) == (350_000, 75_000)
    assert (line.bands, line.cost, line.credit) == (("day", "night"), Fraction(35, 100), Fraction(75, 1000))


def test_sums_of_one_group_under_two_keys_have_one_price():
    parts = (
        BillSum(0, (("day", 30), ("night", 0)), 30, 30, 2_000_000, 0),
        BillSum(0, (("day", 30), ("night", 60)), 90, 90, 1_000_000, 0),
    )
    assert {line.import_price for line in cost(day_and_night(), parts, 31).lines} == {300_000}
    assert cost(day_and_night(), parts, 31).total == 90


def test_more_export_than_import_is_owed_to_the_customer():
    tariff = day_and_night(tax_ppm=200_000)
    sums = (BillSum(0, (("day", 155),), 155, 155, 1_000_000, 100_000_000),)
    found = cost(tariff, sums, 31)
    assert (found.total, found.amount()) == (48 - 800, "EUR -7.52")


def test_a_standing_charge_is_per_day_or_per_period():
    for per, total in (("day", 31 * 25), ("period", 25)):
        assert cost(flat(standing_micro=250_000, standing_per=per), (), 31).total == total


def test_a_sum_of_other_bands_has_no_price():
    for bands in ((), (("peak", 155),)):
        with pytest.raises(NotPriced):
            cost(day_and_night(), (BillSum(0, bands, 1, 1, 1, 0),), 31)
    # Opened before there were bands: a tariff with one band is what was meant.
    assert cost(flat(), (BillSum(0, (), 248, 248, 1_000_000, 0),), 31).amount() == "EUR 0.31"


@pytest.mark.parametrize(
    ("value", "by", "result"),
    [
        (5, 10, 0),
        (15, 10, 2),
        (25, 10, 2),
        (26, 10, 3),
        (4, 10, 0),
        (0, 3, 0),
        (-5, 10, 0),
        (-15, 10, -2),
        (-6, 10, -1),
    ],
)
def test_half_goes_to_the_even_neighbour(value, by, result):
    assert divide_half_even(value, by) == result


def test_amounts_and_prices_are_written_out():
    assert cost(flat(), all_of(123_456_789), 31).amount() == "EUR 38.58"
    assert cost(flat(31_000_000, currency="JPY"), all_of(1_500_000), 31).amount() == "JPY 46"
    assert cost(flat(0), all_of(5), 31).amount() == "EUR 0.00"
    assert price(300_000, "EUR") == "EUR 0.30"
    assert price(312_567, "EUR") == "EUR 0.312567"
    assert price(31_000_000, "JPY") == "JPY 31.00"
    assert (decimal(5, 3), decimal(-5, 3), decimal(-12, 0)) == ("0.005", "-0.005", "-12")


def test_a_tariff_is_described_in_a_line():
    tariff = day_and_night(standing_micro=250_000, tax_ppm=195_000)
    assert described(tariff) == (
        "house version 1: day EUR 0.40 per imported kWh, EUR 0.08 credited per exported kWh; night EUR 0.20 per "
        "imported kWh, EUR 0.06 credited per exported kWh; standing charge EUR 0.25 a day; tax 19.5 %, "
        "export credit untaxed"
    )


def test_the_sum_is_rounded_and_not_its_parts():
    assert cost(flat(100_000), all_of(49_000), 31).total == 0
    assert cost(flat(100_000), all_of(49_000) * 10, 31).total == 5


def test_a_negative_energy_is_refused():
    with pytest.raises(ValueError, match="negative"):
        cost(flat(), all_of(-1), 31)


def test_energies_and_times_are_written_as_people_read_them():
    assert kwh(None) == "–"
    assert kwh(123_456_789) == "123.457"
    assert kwh(500) == "0.000"
    assert moment(0) == "1970-01-01 00:00 UTC"
    assert period(0, 86_400) == "1970-01-01"
    assert period(0, 2 * 86_400) == "1970-01-01 to 1970-01-02"
