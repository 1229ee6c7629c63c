"""The supplier's pages about a year: of a neighbourhood with its label and its feeder, and of a region."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, url_for
from flask.typing import ResponseReturnValue

from ..feeders import BadFeederFile
from ..ingest.routes import answer_json
from ..loads.regions import region_load
from ..rosters import RosterBook
from ..store import Store
from .balances import feeder_balance
from .days import day_holding, span_of
from .foresight import Foresight
from .known import known
from .questions import intervals_within, newest_interval
from .year import first_of, label_json, year


def add_year_pages(
    routes: Blueprint,
    store: Store,
    book: RosterBook,
    foresight: Foresight,
    regions: Mapping[str, Sequence[str]],
    feeders: Path | None,
) -> None:
    """Add them to the supplier's door."""
    _add_neighbourhoods(routes, store, book, foresight, feeders)
    _add_regions(routes, store, book, regions)


def _add_neighbourhoods(
    routes: Blueprint, store: Store, book: RosterBook, foresight: Foresight, feeders: Path | None
) -> None:
    @routes.get("/neighbourhoods/<name>/year/")
    def whole_year(name: str) -> ResponseReturnValue:
        known(book, name)
        addresses = {"year": url_for(".year_of", name=name), "label": url_for(".label_of", name=name)}
        if feeders is not None:
            addresses["balance"] = url_for(".balance_of", name=name)
        return render_template("supplier/year.html", name=name, zone=book.versions(name)[0].zone, addresses=addresses)

    @routes.get("/neighbourhoods/<name>/year.json")
    def year_of(name: str) -> Response:
        zone = book.zone(known(book, name))
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
        known(book, name)
        if feeders is None:
            abort(404)
        try:
            return answer_json({"days": feeder_balance(store, feeders, name, book.zone(name))})
        except BadFeederFile as error:
            return answer_json({"error": str(error)}, 409)

    @routes.get("/neighbourhoods/<name>/label.json")
    def label_of(name: str) -> Response:
        # Apart from the year: the attack is the one thing on that page that takes its time.
        newest = newest_interval(store, known(book, name))
        if newest is None:
            return answer_json({"label": None})
        return answer_json({"label": label_json(foresight.label(name, day_holding(newest, book.zone(name))))})


def _add_regions(routes: Blueprint, store: Store, book: RosterBook, regions: Mapping[str, Sequence[str]]) -> None:
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
