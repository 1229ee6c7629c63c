"""The API as a whole: its blueprints, its description, and its errors."""

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response

from ..config import MdmsConfig
from ..pricing import Pricing
from ..problems import problem
from ..rosters import RosterBook
from ..store import Store
from .bills import supplier_api
from .fleet import fleet_api
from .loads import loads_routes
from .reference import describe
from .release_log import auditor_api


def serve_api(app: APIFlask, config: MdmsConfig, store: Store, book: RosterBook, pricing: Pricing) -> None:
    """Add everything under /api/v1 but the concentrators' own addresses, and /docs."""
    app.register_blueprint(loads_routes(store, book))
    app.register_blueprint(supplier_api(store, book, pricing))
    app.register_blueprint(fleet_api(config, store, book))
    app.register_blueprint(auditor_api(store, config.release_log))
    app.register_blueprint(describe(app))
    app.error_processor(_bad_query)


def _bad_query(error: HTTPError) -> Response:
    """Return what is wrong with a query, by name; what was sent is not repeated."""
    return problem(error.status_code, "The query cannot be used: see errors.", errors=_short(error.detail))


def _short(detail: object) -> object:
    """Return a report of errors without endless names: an unknown parameter may be as long as an address."""
    if isinstance(detail, dict):
        return {str(name)[:64]: _short(value) for name, value in list(detail.items())[:20]}
    if isinstance(detail, list):
        return [_short(each) for each in detail[:5]]
    return str(detail)[:200]
