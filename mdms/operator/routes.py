"""The operator's pages about the fleet: what is wrong, each neighbourhood with its concentrator, and the log."""

import time

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import formats
from ..accounts.sessions import only, who
from ..accounts.users import OPERATOR
from ..config import MdmsConfig
from ..fleet.facts import Fleet, Street
from ..fleet.questions import COUNTED_S, CountedWindows, look, present
from ..fleet.rules import Finding, findings, span
from ..keyholder.messages import RELEASED
from ..reasons import words
from ..rosters import RosterBook
from ..store import Store
from .alarm_pages import add_alarm_pages
from .audit import deeds
from .conflicts import handle
from .in_force import Signed
from .request_pages import add_request_pages

DEEDS_A_PAGE = 100


def operator_routes(config: MdmsConfig, store: Store, book: RosterBook, signed: Signed) -> Blueprint:
    """Return the blueprint of the operator's door."""
    routes = Blueprint("operator", __name__, url_prefix="/operator")
    routes.before_request(only(OPERATOR, "accounts.login"))
    counted = CountedWindows(COUNTED_S)

    def looked() -> tuple[Fleet, list[Finding]]:
        found = look(config, store, book, config.alarms, present(config, store), counted)
        return found, findings(found, config.alarms)

    @routes.get("/")
    def fleet() -> ResponseReturnValue:
        found, wrong = looked()
        return render_template(
            "operator/fleet.html",
            fleet=found,
            wrong=wrong,
            streets=[(street, _shown(street, found.now, book)) for street in found.streets],
            bills=[(words(status), number) for status, number in sorted(found.bills.items()) if status != RELEASED],
            pruned=_ago(found.prune.at, found.now) if found.prune else None,
            waits=span(found.now - found.waits_since) if found.waits_since is not None else None,
            simulated=config.conductor is not None,
        )

    @routes.get("/neighbourhoods/<name>/")
    def street(name: str) -> ResponseReturnValue:
        if not book.versions(name):
            abort(404)
        found, wrong = looked()
        (one,) = (each for each in found.streets if each.name == name)
        zone = book.zone(name)
        return render_template(
            "operator/street.html",
            street=one,
            shown=_shown(one, found.now, book),
            wrong=[each for each in wrong if each.street == name],
            behind=[
                (each, formats.moment(each.newest, zone) if each.newest else f"none in {_days(one)} days")
                for each in one.behind()
            ],
            unsynchronised=[each for each in one.meters if each.unsynchronised],
            opened=[each for each in one.meters if each.opened],
            loads=[(formats.moment(each.start, zone), each) for each in reversed(one.loads)],
            refusals=[(formats.moment(each.last), each) for each in one.refusals],
            aside=[
                (
                    formats.moment(each.arrived) if each.arrived else "–",
                    f"of {formats.moment(each.at, zone)}" if each.at else "",
                    each,
                )
                for each in one.aside
            ],
            decided=[(words(status), number) for status, number in sorted(one.decided.items())],
            stretch=(formats.day(one.windows.start, zone), formats.moment(one.windows.end, zone)),
        )

    @routes.post("/conflicts/<report>/handled")
    def handled(report: str) -> ResponseReturnValue:
        person = who()
        assert person is not None, "the door asked"
        if not handle(store, report[:64], person.name, int(time.time())):
            abort(404)
        name = _street_asked(book)
        return redirect(url_for(".street", name=name) if name else url_for(".fleet"), 303)

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

    add_alarm_pages(routes, config, store)
    add_request_pages(routes, config, store, book, signed)
    return routes


def _street_asked(book: RosterBook) -> str | None:
    name = request.form.get("street", "")
    return name if book.versions(name) else None


def _days(street: Street) -> int:
    return (street.windows.end - street.windows.start) // 86_400 or 1


def _ago(at: int, now: int) -> str:
    return f"{span(max(0, now - at))} ago"


def _shown(street: Street, now: int, book: RosterBook) -> dict[str, str | int | None]:
    """Return what a card says of a neighbourhood."""
    timing, newest = street.timing(), street.newest
    per_day = 86_400 // street.interval_s
    return {
        "heard": formats.moment(street.heard, book.zone(street.name)) if newest else None,
        "ago": span(max(0, now - street.heard)),
        "loads": f"{len(street.loads)} of {per_day}",
        "meters": f"{newest.contributors} of {newest.expected}" if newest else f"{street.members} on the roster",
        "late": f"{timing.median_s} s ({timing.least_s} to {timing.most_s})" if timing else None,
        "missing": sum(each.missing for each in street.meters),
        "empty": sum(each.empty for each in street.meters),
        "expected": sum(each.expected for each in street.meters),
        "unsynchronised": sum(1 for each in street.meters if each.unsynchronised),
        "refused": sum(number for status, number in street.decided.items() if status != RELEASED),
        "decided": sum(street.decided.values()),
    }
