"""Numbers and times as people read them."""

from datetime import UTC, datetime, tzinfo

from .billing.money import decimal, divide_half_even

MWH_PER_KWH = 1_000_000


def kwh(mwh: int | None) -> str:
    """Return an energy in kWh to the watt-hour, or a dash where there is none."""
    return "–" if mwh is None else decimal(divide_half_even(mwh, 1000), 3)


def moment(at: int, zone: tzinfo = UTC) -> str:
    """Return a time to the minute on a zone's wall clock, with its offset."""
    there = datetime.fromtimestamp(at, zone)
    return f"{there:%Y-%m-%d %H:%M} {there.tzname()}"


def day(at: int, zone: tzinfo = UTC) -> str:
    """Return the date on a zone's wall clock."""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d}"


def period(start: int, end: int, zone: tzinfo = UTC) -> str:
    """Return a billing period as its first and last day."""
    first, last = day(start, zone), day(end - 1, zone)
    return first if first == last else f"{first} to {last}"
