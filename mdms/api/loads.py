"""Released loads of neighbourhoods: the only energies that a third party may have."""

from datetime import date, tzinfo

from apiflask import APIBlueprint
from flask import Response

from ..accounts.tokens import THIRD_PARTY
from ..accounts.users import SUPPLIER
from ..keyholder.messages import RELEASED
from ..rosters import RosterBook
from ..store import Store
from ..supplier.days import day_holding, span_of
from ..supplier.questions import ShownLoad, loads_within, newest_interval
from .access import asker, known, only_roles
from .forecasts import Forecasts
from .models import DaysAsked, ForecastAsked, ForecastOut, LoadsAsked, LoadsOut, NeighbourhoodsOut
from .tables import AS_CSV, csv_response

COLUMNS = ("start", "end", "contributors", "expected", "status", "import_mwh", "export_mwh")


def loads_routes(store: Store, book: RosterBook) -> APIBlueprint:
    """Return the blueprint for suppliers and third parties."""
    routes = APIBlueprint("api_loads", __name__, url_prefix="/api/v1", tag="Loads")
    routes.before_request(only_roles(store, SUPPLIER, THIRD_PARTY))
    forecasts = Forecasts(store, book)

    @routes.get("/neighbourhoods")
    @routes.output(NeighbourhoodsOut)
    def neighbourhoods() -> dict[str, object]:
        """List the neighbourhoods."""
        names = [name for name in book.neighbourhoods() if asker().sees(name)]
        return {"neighbourhoods": [_summary(store, book, name) for name in names]}

    @routes.get("/neighbourhoods/<name>/loads")
    @routes.input(LoadsAsked, location="query", arg_name="asked")
    @routes.output(LoadsOut)
    @routes.doc(responses=AS_CSV)
    def loads(name: str, asked: LoadsAsked) -> object:
        """Return a neighbourhood's loads, interval by interval, as JSON or CSV.

        A sum of fewer meters than the key holder's k is never released. A third party is given released loads only.
        """
        zone = book.zone(known(book, name))
        days = chosen_days(store, name, zone, asked)
        found = _loads(store, name, zone, days)
        if asked.format == "csv":
            return csv_response(f"loads-{name}", COLUMNS, [tuple(row.values()) for row in found])
        first, last = days or (None, None)
        return {"neighbourhood": name, "zone": str(zone), "first": first, "last": last, "loads": found}

    @routes.get("/neighbourhoods/<name>/forecast")
    @routes.input(ForecastAsked, location="query", arg_name="asked")
    @routes.output(ForecastOut)
    def forecast(name: str, asked: ForecastAsked) -> dict[str, object] | Response:
        """Return the day-ahead forecast of a neighbourhood's import, with an interval of confidence."""
        return forecasts.answer(known(book, name), asked.day)

    return routes


def chosen_days(store: Store, name: str, zone: tzinfo, asked: DaysAsked) -> tuple[date, date] | None:
    """Return the first and the last local day that are asked for; None where nothing is there to choose from."""
    if asked.first is not None and asked.last is not None:
        return asked.first, asked.last
    newest = newest_interval(store, name)
    if newest is None:
        return None
    day = day_holding(newest, zone)
    return day, day


def _summary(store: Store, book: RosterBook, name: str) -> dict[str, object]:
    newest = newest_interval(store, name)
    roster = book.in_force(name, newest or 0)
    assert roster is not None, "a neighbourhood has a roster"
    return {
        "name": name,
        "zone": roster.zone,
        "interval_s": roster.interval_s,
        "meters": len(roster.members),
        "newest_load": newest,
    }


def _loads(store: Store, name: str, zone: tzinfo, days: tuple[date, date] | None) -> list[dict[str, object]]:
    if days is None:
        return []
    found = loads_within(store, name, span_of(days[0], zone).start, span_of(days[1], zone).end)
    every = asker().role == SUPPLIER
    return [_row(load) for load in found if every or load.status == RELEASED]


def _row(load: ShownLoad) -> dict[str, object]:
    return {column: getattr(load, column) for column in COLUMNS}
