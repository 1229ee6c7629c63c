"""How much of what was expected has come: counts of reports, and never what is in them."""

from collections.abc import Sequence
from datetime import date, tzinfo

from sqlalchemy import case, func, select

from protocol.rosters import Tenancy
from protocol.windows import Span, windows

from ..keyholder.messages import RELEASED
from ..rosters import RosterBook
from ..store import Store, batched
from ..supplier.days import span_of
from ..supplier.questions import loads_within
from ..tables import billing_windows

_Counts = tuple[int, int, int]


def completeness_of(
    store: Store, book: RosterBook, name: str, zone: tzinfo, days: tuple[date, date] | None
) -> dict[str, object]:
    """Return a neighbourhood's counts over local days, of its intervals and of each account's windows."""
    first, last = days or (None, None)
    span = Span(span_of(days[0], zone).start, span_of(days[1], zone).end) if days else Span(0, 0)
    loads = loads_within(store, name, span.start, span.end)
    tenancies = sorted(
        (each for each in book.tenancies() if each.neighbourhood == name), key=lambda each: each.pseudonym
    )
    counted = _windows(store, [each.pseudonym for each in tenancies], span)
    starts = [window.start for window in windows(span.start, span.end, zone)] if days else []
    meters = [_meter(each, starts, counted.get(each.pseudonym, (0, 0, 0))) for each in tenancies]
    return {
        "neighbourhood": name,
        "first": first,
        "last": last,
        "intervals_reported": len(loads),
        "intervals_released": sum(load.status == RELEASED for load in loads),
        "contributions": sum(load.contributors for load in loads),
        "contributions_expected": sum(load.expected for load in loads),
        "meters": [meter for meter in meters if meter["expected"] or meter["reported"]],
    }


def _meter(tenancy: Tenancy, starts: Sequence[int], counted: _Counts) -> dict[str, int | str]:
    reported, empty, estimated = counted
    return {
        "pseudonym": tenancy.pseudonym,
        "expected": sum(tenancy.covers(start) for start in starts),
        "reported": reported,
        "empty": empty,
        "estimated": estimated,
    }


def _windows(store: Store, pseudonyms: Sequence[str], span: Span) -> dict[str, _Counts]:
    filled = billing_windows.c.filled.is_(True)
    missing = filled & (billing_windows.c.present < billing_windows.c.expected)
    found: dict[str, _Counts] = {}
    for some in batched(pseudonyms):
        query = (
            select(
                billing_windows.c.pseudonym,
                func.count().label("reported"),
                func.sum(case((filled, 0), else_=1)).label("empty"),
                func.sum(case((missing, 1), else_=0)).label("estimated"),
            )
            .where(
                billing_windows.c.pseudonym.in_(some),
                billing_windows.c.window_start >= span.start,
                billing_windows.c.window_start < span.end,
            )
            .group_by(billing_windows.c.pseudonym)
        )
        found |= {row.pseudonym: (row.reported, row.empty, row.estimated) for row in store.ask(query)}
    return found
