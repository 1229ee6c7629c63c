"""What a stored bill costs, and which tariff says so: the tariff that the key holder opened it by."""

from fractions import Fraction

from protocol.tariffs import Band, Tariff, TariffBook, local_days

from .billing.money import MICRO, UNIT, Cost, NotPriced, cost, decimal, price
from .keyholder.messages import RELEASED
from .records.bills import Bill
from .rosters import RosterBook

# Decisions that end a period without energy: its standing charge is due all the same.
WITHOUT_ENERGY = ("no_energy", "period_too_short")


class Pricing:
    """The prices of a deployment's bills. Without a tariff, or with another one's bands, a bill has no amount."""

    def __init__(self, tariffs: TariffBook, book: RosterBook) -> None:
        self._tariffs = tariffs
        self._book = book

    def tariff(self, bill: Bill) -> Tariff | None:
        """Return the tariff of a bill: the one that it was opened by, else the one in force at its period's start."""
        if bill.tariff is not None:
            return self._tariffs.get(bill.tariff)
        tenancy = self._book.tenancy(bill.pseudonym)
        return self.in_force(tenancy.neighbourhood, bill.period_start) if tenancy else None

    def in_force(self, neighbourhood: str, at: int) -> Tariff | None:
        """Return the tariff of a neighbourhood at a time, or None."""
        found = self._tariffs.in_force(neighbourhood, self._book.versions(neighbourhood)[0].zone, at)
        return found.tariff if found else None

    def versions(self, neighbourhood: str) -> list[Tariff]:
        """Return the tariffs of a neighbourhood, past and to come, in the order of their beginnings."""
        return self._tariffs.of(neighbourhood, self._book.versions(neighbourhood)[0].zone)

    def cost(self, bill: Bill) -> Cost | None:
        """Return what a bill costs, or None where it has no price."""
        tariff = self.tariff(bill)
        if (
            tariff is None
            or self._book.tenancy(bill.pseudonym) is None
            or bill.status not in (RELEASED, *WITHOUT_ENERGY)
        ):
            return None
        try:
            return cost(tariff, bill.sums if bill.status == RELEASED else (), self.days(bill, tariff))
        except NotPriced:
            return None

    def days(self, bill: Bill, tariff: Tariff) -> int:
        """Return how many of the tariff's local days of a bill's period its tenancy lasts; 0 without a tenancy."""
        tenancy = self._book.tenancy(bill.pseudonym)
        if tenancy is None:
            return 0
        end = bill.period_end if tenancy.until is None else min(bill.period_end, tenancy.until)
        return local_days(max(bill.period_start, tenancy.first_window), end, tariff.tz())

    def amount(self, bill: Bill) -> str | None:
        """Return what a bill comes to, as it stands on it, or None."""
        found = self.cost(bill)
        return found.amount() if found else None


def described(tariff: Tariff) -> str:
    """Return a tariff in a line of text."""
    said = [_band(band, tariff) for band in tariff.bands]
    if tariff.standing_micro:
        said.append(f"standing charge {price(tariff.standing_micro, tariff.currency)} a {tariff.standing_per}")
    if tariff.tax_ppm:
        said.append(f"tax {percent(tariff.tax_ppm)} %, export credit untaxed")
    return f"{tariff.name} version {tariff.version}: " + "; ".join(said)


def _band(band: Band, tariff: Tariff) -> str:
    said = f"{band.name} {price(band.import_micro_per_kwh, tariff.currency)} per imported kWh"
    if band.export_micro_per_kwh:
        said += f", {price(band.export_micro_per_kwh, tariff.currency)} credited per exported kWh"
    return said


def percent(ppm: int) -> str:
    """Return parts per million as a percentage, exactly: "19", "7.5"."""
    return decimal(ppm, MICRO - 2).rstrip("0").rstrip(".")


def exact(amount: Fraction, currency: str) -> str:
    """Return an amount rounded to millionths, for showing what makes a total up."""
    return f"{currency} {decimal(round(amount * UNIT), MICRO)}"
