"""Which period a run is of, in each neighbourhood's own time. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, time, tzinfo

from protocol.windows import Span

from ..errors import ConfigError
from ..formats import day
from ..periods import Periods, has_ended

NOON = time(12)  # every day has one


def wanted_periods(periods: Periods, zones: Mapping[str, tzinfo], start: date | None, now: int) -> dict[str, Span]:
    """Return each neighbourhood's period that begins on a day, or without one the latest that is over at ``now``.

    Neighbourhoods where none is over yet are left out. Raises ConfigError for a day on which no period begins, or whose
    period is not over anywhere.
    """
    found: dict[str, Span] = {}
    for neighbourhood, zone in zones.items():
        period = _latest(periods, zone, now) if start is None else _starting(periods, zone, start)
        if period is not None and has_ended(period, zone, now):
            found[neighbourhood] = period
    if not found:
        raise ConfigError("no billing period is over yet" if start is None else f"the period of {start} is not over")
    return found


def _starting(periods: Periods, zone: tzinfo, start: date) -> Span:
    period = periods.holding(int(datetime.combine(start, NOON, zone).timestamp()), zone)
    if period is None and periods.fixed is not None:
        # It may begin in the afternoon.
        period = periods.fixed
    if period is None or day(period.start, zone) != start.isoformat():
        begins = f"; the one that holds it begins on {day(period.start, zone)}" if period else ""
        raise ConfigError(f"no billing period begins on {start}: periods are by {periods}{begins}")
    return period


def _latest(periods: Periods, zone: tzinfo, now: int) -> Span | None:
    if periods.fixed is not None:
        return periods.fixed
    period = periods.holding(now, zone)
    # At most two steps: a period's last window may end after it.
    while period is not None and not has_ended(period, zone, now):
        period = periods.holding(period.start - 1, zone)
    return period
