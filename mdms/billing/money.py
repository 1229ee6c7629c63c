"""What energy costs: money in clear, exact up to one rounding at the end.

Prices are integers in millionths of a currency unit per kWh, energies in mWh. A sum of several bands is priced pro
rata: each band's price counts by its share of the sum's windows. So a price may be a fraction, and everything is
computed in fractions of integers; the total alone is rounded, to the currency's smallest unit, half to even.

    total = (imported energy + standing charge) x (1 + tax) - exported energy

What is credited for export bears no tax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from protocol.tariffs import Tariff

MWH_PER_KWH = 1_000_000
MICRO = 6
UNIT = 10**MICRO
# Decimal digits of the smallest unit (ISO 4217) where they are not two.
DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


class NotPriced(ValueError):
    """A sum and a tariff that do not belong together: it names other bands, or none where the tariff has several."""


@dataclass(frozen=True, slots=True)
class BillSum:
    """One opened sum of a bill: of ``bands``, each with the number of its windows; energies in mWh.

    Sums of one ``group`` are of the same bands, under different Paillier keys. ``batch`` is the id of the release
    batch that proves it; None for a total whose parts may not be told, and for what is older than proofs.
    """

    group: int
    bands: tuple[tuple[str, int], ...]
    windows: int
    filled: int
    import_mwh: int
    export_mwh: int
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One sum's price, in millionths per kWh, and what it costs and earns, in currency units."""

    bands: tuple[str, ...]
    import_mwh: int
    export_mwh: int
    import_price: Fraction
    export_price: Fraction

    @property
    def cost(self) -> Fraction:
        """What the imported energy costs before tax."""
        return self.import_price * Fraction(self.import_mwh, MWH_PER_KWH * UNIT)

    @property
    def credit(self) -> Fraction:
        """What the exported energy earns."""
        return self.export_price * Fraction(self.export_mwh, MWH_PER_KWH * UNIT)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a bill comes to; everything but the ``total`` is exact. A total below zero is owed to the customer."""

    currency: str
    lines: tuple[Line, ...]
    standing: Fraction
    tax_ppm: int

    @property
    def digits(self) -> int:
        """Decimal digits of the currency's smallest unit."""
        return DIGITS.get(self.currency, 2)

    @property
    def tax(self) -> Fraction:
        """The tax on imported energy and the standing charge."""
        return (sum((line.cost for line in self.lines), Fraction()) + self.standing) * Fraction(self.tax_ppm, UNIT)

    @property
    def total(self) -> int:
        """What is to be paid, in the currency's smallest unit: the one rounding, half to even."""
        before = sum((line.cost - line.credit for line in self.lines), Fraction()) + self.standing
        exact = (before + self.tax) * Fraction(10**self.digits)
        return divide_half_even(exact.numerator, exact.denominator)

    def amount(self) -> str:
        """Return the total as it stands on a bill: "EUR 12.34"."""
        return f"{self.currency} {decimal(self.total, self.digits)}"


def cost(tariff: Tariff, sums: Sequence[BillSum], days: int) -> Cost:
    """Return what the sums of one bill of ``days`` local days cost. Raises NotPriced, ValueError below 0 mWh."""
    standing = Fraction(tariff.standing_micro * (days if tariff.standing_per == "day" else 1), UNIT)
    lines = tuple(_line(tariff, one, _windows_of_group(sums, one.group)) for one in sums)
    return Cost(tariff.currency, lines, standing, tariff.tax_ppm)


def _windows_of_group(sums: Sequence[BillSum], group: int) -> dict[str, int]:
    # All sums of a group have one price, whichever key which of its windows were under.
    windows: dict[str, int] = {}
    for one in sums:
        for name, count in one.bands if one.group == group else ():
            windows[name] = windows.get(name, 0) + count
    return windows


def _line(tariff: Tariff, one: BillSum, windows: dict[str, int]) -> Line:
    if min(one.import_mwh, one.export_mwh) < 0:
        raise ValueError("an energy is not negative")
    prices = {band.name: band for band in tariff.bands}
    if not windows and len(tariff.bands) == 1:
        windows = {tariff.bands[0].name: 1}  # opened before there were bands
    if not windows or not windows.keys() <= prices.keys():
        raise NotPriced("the sum is not of the tariff's bands")
    every = sum(windows.values())
    return Line(
        tuple(name for name, _ in one.bands),
        one.import_mwh,
        one.export_mwh,
        Fraction(sum(count * prices[name].import_micro_per_kwh for name, count in windows.items()), every),
        Fraction(sum(count * prices[name].export_micro_per_kwh for name, count in windows.items()), every),
    )


def price(micro: int, currency: str) -> str:
    """Return an amount in millionths, exactly: "EUR 0.3125"."""
    whole, _, part = decimal(micro, MICRO).partition(".")
    return f"{currency} {whole}.{part.rstrip('0').ljust(max(DIGITS.get(currency, 2), 2), '0')}"


def divide_half_even(value: int, by: int) -> int:
    """Return the nearest integer to a quotient, of two as near the even one. ``by`` is 1 or more."""
    quotient, rest = divmod(value, by)
    return quotient + (2 * rest > by or (2 * rest == by and quotient % 2 == 1))


def decimal(value: int, digits: int) -> str:
    """Return ``value`` x 10^-digits in decimal notation."""
    sign = "-" if value < 0 else ""
    whole, part = divmod(abs(value), 10**digits)
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"
