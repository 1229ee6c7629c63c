"""What the supplier's pages ask of the database: reports' counts and released sums, and never a row."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select

from ..loads import Interval
from ..reasons import WAITING
from ..records.bills import BILL_COLUMNS, Bill, bills_with_sums
from ..store import Store
from ..tables import bills, interval_loads, load_releases


@dataclass(frozen=True, slots=True)
class ShownLoad:
    """One interval of one neighbourhood: reported, and released, withheld or waiting. Energies in mWh."""

    start: int
    end: int
    contributors: int
    expected: int
    status: str
    import_mwh: int | None
    export_mwh: int | None


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A period that has bills, and how many."""

    start: int
    end: int
    bills: int


def newest_interval(store: Store, neighbourhood: str) -> int | None:
    """Return the start of the newest interval that was reported; None before the first."""
    query = select(func.max(interval_loads.c.interval_start)).where(interval_loads.c.neighbourhood == neighbourhood)
    newest: int | None = store.ask(query)[0][0]
    return newest


def loads_within(store: Store, neighbourhood: str, start: int, end: int) -> list[ShownLoad]:
    """Return the intervals that start in start <= t < end, in order."""
    return [
        ShownLoad(
            row.interval_start,
            row.interval_end,
            row.contributors,
            row.expected,
            row.status or WAITING,
            row.import_mwh,
            row.export_mwh,
        )
        for row in store.ask(_loads_within(neighbourhood, start, end))
    ]


def _loads_within(neighbourhood: str, start: int, end: int) -> Select[Any]:
    same = and_(
        load_releases.c.neighbourhood == interval_loads.c.neighbourhood,
        load_releases.c.interval_start == interval_loads.c.interval_start,
    )
    return (
        select(
            interval_loads.c.interval_start,
            interval_loads.c.interval_end,
            interval_loads.c.contributors,
            interval_loads.c.expected,
            load_releases.c.status,
            load_releases.c.import_mwh,
            load_releases.c.export_mwh,
        )
        .outerjoin(load_releases, same)
        .where(
            interval_loads.c.neighbourhood == neighbourhood,
            interval_loads.c.interval_start >= start,
            interval_loads.c.interval_start < end,
        )
        .order_by(interval_loads.c.interval_start)
    )


def intervals_within(store: Store, neighbourhood: str, start: int, end: int) -> list[Interval]:
    """Return the same as what `mdms.loads` works on: an interval that waits or is withheld has no energy."""
    return [
        Interval(row[0], row[1], row[5], row[6], row[2], row[3])
        for row in store.ask(_loads_within(neighbourhood, start, end))
    ]


def billing_periods(store: Store, limit: int = 60) -> list[BillingPeriod]:
    """Return the periods that have bills, newest first."""
    query = (
        select(bills.c.period_start, bills.c.period_end, func.count())
        .group_by(bills.c.period_start, bills.c.period_end)
        .order_by(bills.c.period_start.desc(), bills.c.period_end.desc())
        .limit(limit)
    )
    return [BillingPeriod(*row) for row in store.ask(query)]


def bills_of_period(store: Store, start: int, end: int, after: str, limit: int) -> list[Bill]:
    """Return the bills of a period by pseudonym, those behind ``after``."""
    query = (
        select(*BILL_COLUMNS)
        .where(bills.c.period_start == start, bills.c.period_end == end, bills.c.pseudonym > after)
        .order_by(bills.c.pseudonym)
        .limit(limit)
    )
    return bills_with_sums(store, query)
