"""Money: integers throughout, rounded once, half to even."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdms.billing.money import FlatTariff, decimal, divide_half_even
from mdms.formats import kwh, moment, period


@given(st.integers(0, 1 << 63), st.integers(0, 1 << 40), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_a_charge_is_the_exact_product_rounded_once(mwh, price, currency):
    tariff = FlatTariff(price, currency)
    exact = Fraction(mwh * price, 10**12) * 10**tariff.digits
    assert tariff.charge(mwh) == round(exact)  # Fraction rounds half to even


@pytest.mark.parametrize(
    ("value", "by", "result"), [(5, 10, 0), (15, 10, 2), (25, 10, 2), (26, 10, 3), (4, 10, 0), (0, 3, 0)]
)
def test_half_goes_to_the_even_neighbour(value, by, result):
    assert divide_half_even(value, by) == result


def test_amounts_and_prices_are_written_out():
    assert FlatTariff(312_500, "EUR").amount(123_456_789) == "EUR 38.58"
    assert FlatTariff(300_000, "EUR").price() == "EUR 0.30"
    assert FlatTariff(312_567, "EUR").price() == "EUR 0.312567"
    assert FlatTariff(31_000_000, "JPY").amount(1_500_000) == "JPY 46"
    assert FlatTariff(31_000_000, "JPY").price() == "JPY 31.00"
    assert FlatTariff(0, "EUR").amount(5) == "EUR 0.00"
    assert decimal(5, 3) == "0.005"


def test_the_sum_is_rounded_and_not_its_parts():
    tariff = FlatTariff(100_000, "EUR")
    assert tariff.charge(49_000) == 0
    assert tariff.charge(10 * 49_000) == 5


def test_a_negative_energy_is_refused():
    with pytest.raises(ValueError, match="negative"):
        FlatTariff(1, "EUR").charge(-1)


def test_energies_and_times_are_written_as_people_read_them():
    assert kwh(None) == "–"
    assert kwh(123_456_789) == "123.457"
    assert kwh(500) == "0.000"
    assert moment(0) == "1970-01-01 00:00 UTC"
    assert period(0, 86_400) == "1970-01-01"
    assert period(0, 2 * 86_400) == "1970-01-01 to 1970-01-02"
