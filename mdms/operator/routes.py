"""The blueprint of the operator's door: the fleet, alarms and requests, each in a file of its own, and the log."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from .. import formats
from ..accounts.sessions import only
from ..accounts.users import OPERATOR
from ..config import MdmsConfig
from ..rosters import RosterBook
from ..store import Store
from .alarm_pages import add_alarm_pages
from .audit import deeds
from .fleet_pages import add_fleet_pages
from .in_force import Signed
from .request_pages import add_request_pages

DEEDS_A_PAGE = 100


def operator_routes(config: MdmsConfig, store: Store, book: RosterBook, signed: Signed) -> Blueprint:
    """Return the blueprint of the operator's door."""
    routes = Blueprint("operator", __name__, url_prefix="/operator")
    routes.before_request(only(OPERATOR, "accounts.login"))
    add_fleet_pages(routes, config, store, book)
    add_alarm_pages(routes, config, store)
    add_request_pages(routes, config, store, book, signed)

    @routes.get("/log")
    def log() -> ResponseReturnValue:
        before = request.args.get("before", "")
        asked = int(before) if before.isascii() and before.isdigit() and len(before) < 10 else None
        found = deeds(store, asked, DEEDS_A_PAGE)
        return render_template(
            "operator/log.html",
            deeds=[(formats.moment(each.at), each) for each in found],
            more=found[-1].id if len(found) == DEEDS_A_PAGE else None,
        )

    return routes
