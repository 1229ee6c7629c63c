"""What energy costs: money in clear, in integers, rounded once.

Prices are in millionths of a currency unit per kWh, energies in mWh: their product is exact, in 10^-12 of a unit.
"""

from dataclasses import dataclass

MWH_PER_KWH = 1_000_000
MICRO = 6
EXACT_DIGITS = MICRO + 6
# Decimal digits of the smallest unit (ISO 4217) where they are not two.
DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


@dataclass(frozen=True, slots=True)
class FlatTariff:
    """One price for every imported kWh; what is exported is shown and not paid for."""

    micro_per_kwh: int
    currency: str

    @property
    def digits(self) -> int:
        """Decimal digits of the currency's smallest unit."""
        return DIGITS.get(self.currency, 2)

    def charge(self, import_mwh: int) -> int:
        """Return what imported energy costs, in the currency's smallest unit, half to even."""
        if import_mwh < 0:
            raise ValueError("an energy is not negative")
        return divide_half_even(import_mwh * self.micro_per_kwh, 10 ** (EXACT_DIGITS - self.digits))

    def amount(self, import_mwh: int) -> str:
        """Return what imported energy costs as it stands on a bill: "EUR 12.34"."""
        return f"{self.currency} {decimal(self.charge(import_mwh), self.digits)}"

    def price(self) -> str:
        """Return the price of a kWh, exactly: "EUR 0.3125"."""
        whole, _, part = decimal(self.micro_per_kwh, MICRO).partition(".")
        return f"{self.currency} {whole}.{part.rstrip('0').ljust(max(self.digits, 2), '0')}"


def divide_half_even(value: int, by: int) -> int:
    """Return the nearest integer to a quotient, of two as near the even one. For ``value`` of 0 or more."""
    quotient, rest = divmod(value, by)
    return quotient + (2 * rest > by or (2 * rest == by and quotient % 2 == 1))


def decimal(value: int, digits: int) -> str:
    """Return ``value`` x 10^-digits in decimal notation, for a value of 0 or more."""
    whole, part = divmod(value, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)
