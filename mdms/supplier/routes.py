"""The supplier's pages. What they show are counts and released sums, and the reason where a sum is withheld."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from ..accounts.sessions import only
from ..accounts.users import SUPPLIER
from ..ingest.routes import answer_json
from ..keyholder.messages import RELEASED
from ..pricing import Pricing
from ..reasons import WAITING, words
from ..rosters import RosterBook
from ..statements.pages import StatementPages
from ..store import Store
from .bill_pages import add_bill_pages
from .days import day_holding, parse_day, span_of
from .foresight import Foresight
from .known import known
from .questions import ShownLoad, loads_within, newest_interval
from .year_pages import add_year_pages


def supplier_routes(
    store: Store,
    book: RosterBook,
    pricing: Pricing,
    statements: StatementPages,
    regions: Mapping[str, Sequence[str]],
    feeders: Path | None,
) -> Blueprint:
    """Return the blueprint of the supplier's door."""
    routes = Blueprint("supplier", __name__, url_prefix="/supplier")
    routes.before_request(only(SUPPLIER, "accounts.login"))
    foresight = Foresight(store, book)

    @routes.get("/")
    def overview() -> ResponseReturnValue:
        streets = [_summary(store, book, name) for name in book.neighbourhoods()]
        return render_template("supplier/overview.html", streets=streets, regions=regions)

    @routes.get("/neighbourhoods/<name>/")
    def neighbourhood(name: str) -> ResponseReturnValue:
        known(book, name)
        return render_template("supplier/neighbourhood.html", name=name, zone=book.versions(name)[0].zone)

    @routes.get("/neighbourhoods/<name>/loads.json")
    def loads(name: str) -> Response:
        behind = request.args.get("behind", "")
        known_up_to = int(behind) if behind.isascii() and behind.isdigit() and len(behind) < 12 else 0
        held = request.args.get("held", "")
        answer = _loads(store, book, known(book, name), request.args.get("day", ""), held, known_up_to)
        if answer["day"] is not None and answer["day"] != held:
            # A day's forecast is made of the days before it: it does not change while the day goes on.
            day = parse_day(str(answer["day"]))
            answer["forecast"] = [asdict(point) for point in foresight.forecast(name, day)] if day else []
        return answer_json(answer)

    add_year_pages(routes, store, book, foresight, regions, feeders)
    add_bill_pages(routes, store, book, pricing, statements)
    return routes


def _summary(store: Store, book: RosterBook, name: str) -> dict[str, object]:
    """Return what the overview says of a neighbourhood: its newest day that has a report."""
    newest = newest_interval(store, name)
    roster = book.in_force(name, newest or 0)
    assert roster is not None, "a neighbourhood has a roster"
    loads: list[ShownLoad] = []
    day = None
    if newest is not None:
        day = day_holding(newest, book.zone(name))
        loads = loads_within(store, name, *span_of(day, book.zone(name)))
    released = [load for load in loads if load.status == RELEASED]
    withheld = Counter(load.status for load in loads if load.status not in (RELEASED, WAITING))
    return {
        "name": name,
        "meters": len(roster.members),
        "day": day,
        "newest": loads[-1] if loads else None,
        "released": len(released),
        "import_mwh": sum(load.import_mwh or 0 for load in released) if released else None,
        "export_mwh": sum(load.export_mwh or 0 for load in released) if released else None,
        "withheld": sum(withheld.values()),
        "why": words(withheld.most_common(1)[0][0]) if withheld else None,
    }


def _loads(store: Store, book: RosterBook, name: str, chosen: str, held: str, behind: int) -> dict[str, object]:
    """Return one day of a neighbourhood: the chosen one, or the newest that has a report.

    Of the day that the page holds, only what starts behind the interval up to which it knows all decisions.
    """
    zone = book.zone(name)
    newest = newest_interval(store, name)
    day = parse_day(chosen) if chosen else None
    if chosen and day is None:
        abort(400)
    if day is None:
        if newest is None:
            return {"day": None, "loads": []}
        day = day_holding(newest, zone)
    span = span_of(day, zone)
    first = max(span.start, behind + 1) if held == day.isoformat() else span.start
    return {
        "day": day.isoformat(),
        "before": (day - timedelta(days=1)).isoformat(),
        "after": (day + timedelta(days=1)).isoformat(),
        "start": span.start,
        "end": span.end,
        "newest": newest is not None and newest < span.end,
        "loads": [
            {
                "start": load.start,
                "end": load.end,
                "contributors": load.contributors,
                "expected": load.expected,
                "status": load.status,
                "why": words(load.status),
                "import_mwh": load.import_mwh,
                "export_mwh": load.export_mwh,
            }
            for load in loads_within(store, name, first, span.end)
        ],
    }
