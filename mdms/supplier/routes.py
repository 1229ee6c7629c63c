"""The supplier's pages. What they show are counts and released sums, and the reason where a sum is withheld."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta, tzinfo
from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import formats
from ..accounts.sessions import only
from ..accounts.users import SUPPLIER
from ..feeders import BadFeederFile
from ..ingest.routes import answer_json
from ..loads.regions import region_load
from ..pricing import Pricing, described
from ..reasons import WAITING, words
from ..rosters import RosterBook
from ..store import RELEASED, Bill, Store
from .balances import feeder_balance
from .days import day_holding, parse_day, span_of
from .foresight import Foresight
from .questions import ShownLoad, billing_periods, bills_of_period, intervals_within, loads_within, newest_interval
from .year import first_of, label_json, year

BILLS_A_PAGE = 200


def supplier_routes(
    store: Store,
    book: RosterBook,
    pricing: Pricing,
    regions: Mapping[str, Sequence[str]],
    feeders: Path | None,
) -> Blueprint:
    """Return the blueprint of the supplier's door."""
    routes = Blueprint("supplier", __name__, url_prefix="/supplier")
    routes.before_request(only(SUPPLIER, "accounts.login"))
    foresight = Foresight(store, book)

    def known(name: str) -> str:
        if not book.versions(name):
            abort(404)
        return name

    @routes.get("/")
    def overview() -> ResponseReturnValue:
        streets = [_summary(store, book, name) for name in book.neighbourhoods()]
        return render_template("supplier/overview.html", streets=streets, regions=regions)

    @routes.get("/neighbourhoods/<name>/")
    def neighbourhood(name: str) -> ResponseReturnValue:
        known(name)
        return render_template("supplier/neighbourhood.html", name=name, zone=book.versions(name)[0].zone)

    @routes.get("/neighbourhoods/<name>/loads.json")
    def loads(name: str) -> Response:
        behind = request.args.get("behind", "")
        known_up_to = int(behind) if behind.isascii() and behind.isdigit() and len(behind) < 12 else 0
        held = request.args.get("held", "")
        answer = _loads(store, book, known(name), request.args.get("day", ""), held, known_up_to)
        if answer["day"] is not None and answer["day"] != held:
            # A day's forecast is made of the days before it: it does not change while the day goes on.
            day = parse_day(str(answer["day"]))
            answer["forecast"] = [asdict(point) for point in foresight.forecast(name, day)] if day else []
        return answer_json(answer)

    @routes.get("/neighbourhoods/<name>/year/")
    def whole_year(name: str) -> ResponseReturnValue:
        known(name)
        addresses = {"year": url_for(".year_of", name=name), "label": url_for(".label_of", name=name)}
        if feeders is not None:
            addresses["balance"] = url_for(".balance_of", name=name)
        return render_template("supplier/year.html", name=name, zone=book.versions(name)[0].zone, addresses=addresses)

    @routes.get("/neighbourhoods/<name>/year.json")
    def year_of(name: str) -> Response:
        zone = book.zone(known(name))
        newest = newest_interval(store, name)
        if newest is None:
            return answer_json({"last": None})
        last = day_holding(newest, zone)
        roster = book.in_force(name, newest)
        assert roster is not None, "a neighbourhood has a roster"
        intervals = intervals_within(store, name, first_of(last, zone), span_of(last, zone).end)
        return answer_json(year(intervals, last, roster.interval_s, zone, newest + roster.interval_s))

    @routes.get("/neighbourhoods/<name>/balance.json")
    def balance_of(name: str) -> Response:
        known(name)
        if feeders is None:
            abort(404)
        try:
            return answer_json({"days": feeder_balance(store, feeders, name, book.zone(name))})
        except BadFeederFile as error:
            return answer_json({"error": str(error)}, 409)

    @routes.get("/regions/<region>/year/")
    def regions_year(region: str) -> ResponseReturnValue:
        if region not in regions:
            abort(404)
        zone = book.versions(regions[region][0])[0].zone
        addresses = {"year": url_for(".region_of", region=region)}
        return render_template(
            "supplier/year.html", name=region, region=regions[region], zone=zone, addresses=addresses
        )

    @routes.get("/regions/<region>/year.json")
    def region_of(region: str) -> Response:
        if region not in regions:
            abort(404)
        members = regions[region]
        newest = min((newest_interval(store, name) or 0 for name in members), default=0)
        if not newest:
            return answer_json({"last": None})
        zone = book.zone(members[0])
        last = day_holding(newest, zone)
        span = (first_of(last, zone), span_of(last, zone).end)
        load = region_load({name: intervals_within(store, name, *span) for name in members})
        roster = book.in_force(members[0], newest)
        assert roster is not None, "a neighbourhood has a roster"
        return answer_json(year(load, last, roster.interval_s, zone, newest + roster.interval_s))

    @routes.get("/neighbourhoods/<name>/label.json")
    def label_of(name: str) -> Response:
        # Apart from the year: the attack is the one thing on that page that takes its time.
        newest = newest_interval(store, known(name))
        if newest is None:
            return answer_json({"label": None})
        return answer_json({"label": label_json(foresight.label(name, day_holding(newest, book.zone(name))))})

    @routes.get("/bills")
    def bills() -> ResponseReturnValue:
        periods = billing_periods(store)
        chosen = request.args.get("period", "")
        period = next((it for it in periods if chosen in ("", f"{it.start}-{it.end}")), None)
        if period is None and chosen:
            abort(404)
        found = []
        if period is not None:
            after = request.args.get("after", "").encode("ascii", "ignore").decode().replace("\0", "")[:22]
            found = bills_of_period(store, period.start, period.end, after, BILLS_A_PAGE)
        return render_template(
            "supplier/bills.html",
            periods=[(f"{it.start}-{it.end}", formats.period(it.start, it.end, _zone(book))) for it in periods],
            chosen=f"{period.start}-{period.end}" if period else "",
            bills=[(bill, _street(book, bill.pseudonym), pricing.amount(bill) or "–") for bill in found],
            more=quote(found[-1].pseudonym) if len(found) == BILLS_A_PAGE else None,
            tariffs=_tariffs(pricing, found),
        )

    return routes


def _zone(book: RosterBook) -> tzinfo:
    return book.zone(book.neighbourhoods()[0])


def _street(book: RosterBook, pseudonym: str) -> str:
    tenancy = book.tenancy(pseudonym)
    return tenancy.neighbourhood if tenancy else "–"


def _tariffs(pricing: Pricing, found: list[Bill]) -> list[str]:
    """Return what the bills of a page are priced by, each tariff once."""
    return list(dict.fromkeys(described(tariff) for bill in found if (tariff := pricing.tariff(bill))))


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
