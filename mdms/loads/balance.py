"""What a feeder delivers beside what its meters drew: technical losses, and theft where it shows.

Whole days only. Interval by interval, feeder minus load would be the one home whose reading did not come: a day is
balanced where every interval of it was released with every meter in it, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from protocol.windows import Span

from .interval import Interval


@dataclass(frozen=True, slots=True)
class DayBalance:
    """One day: mWh that the feeder delivered and that the meters drew net. ``why``: not balanced, and the reason."""

    day: date
    feeder_mwh: int
    metered_mwh: int | None
    why: str | None = None

    @property
    def loss_mwh(self) -> int | None:
        """What is between the two; None where the day is not balanced."""
        return None if self.metered_mwh is None else self.feeder_mwh - self.metered_mwh

    @property
    def loss_share(self) -> float | None:
        """The same as a share of what the feeder delivered."""
        return self.loss_mwh / self.feeder_mwh if self.loss_mwh is not None and self.feeder_mwh > 0 else None


def balances(
    feeder: Mapping[date, int], intervals: Sequence[Interval], spans: Mapping[date, Span], zone: tzinfo
) -> list[DayBalance]:
    """Return the balance of every day of which the feeder's energy is known, in order.

    ``feeder``: mWh by local day; ``spans``: those days in UTC seconds.
    """
    days: dict[date, list[Interval]] = {}
    for each in intervals:
        days.setdefault(datetime.fromtimestamp(each.start, zone).date(), []).append(each)
    return [_balance(day, feeder[day], days.get(day, []), spans[day]) for day in sorted(feeder)]


def _balance(day: date, feeder_mwh: int, several: Sequence[Interval], span: Span) -> DayBalance:
    covered = sum(each.end - each.start for each in several if each.import_mwh is not None)
    if covered != span.end - span.start:
        return DayBalance(day, feeder_mwh, None, "not every interval of the day was released")
    if not all(each.is_complete for each in several):
        return DayBalance(day, feeder_mwh, None, "not every meter is in every interval of the day")
    return DayBalance(day, feeder_mwh, sum((each.import_mwh or 0) - (each.export_mwh or 0) for each in several))
