"""The operator's pages about the fleet: what is wrong, and each neighbourhood with its concentrator."""

import time

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import formats
from ..accounts.sessions import who
from ..config import MdmsConfig
from ..fleet.facts import Fleet, Street
from ..fleet.questions import COUNTED_S, CountedWindows, look, present
from ..fleet.rules import Finding, findings, span
from ..keyholder.messages import RELEASED
from ..reasons import words
from ..rosters import RosterBook
from ..store import Store
from .conflicts import handle


def add_fleet_pages(routes: Blueprint, config: MdmsConfig, store: Store, book: RosterBook) -> None:
    """Add them to the operator's door."""
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
            streets=[(street, _card(street, found.now, book)) for street in found.streets],
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
        return render_template(
            "operator/street.html",
            street=one,
            shown=_card(one, found.now, book),
            wrong=[each for each in wrong if each.street == name],
            **_details(one, book),
        )

    @routes.post("/conflicts/<report>/handled")
    def handled(report: str) -> ResponseReturnValue:
        person = who()
        assert person is not None, "the door asked"
        if not handle(store, report[:64], person.name, int(time.time())):
            abort(404)
        name = _street_asked(book)
        return redirect(url_for(".street", name=name) if name else url_for(".fleet"), 303)


def _street_asked(book: RosterBook) -> str | None:
    name = request.form.get("street", "")
    return name if book.versions(name) else None


def _card(street: Street, now: int, book: RosterBook) -> dict[str, str | int | None]:
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


def _details(street: Street, book: RosterBook) -> dict[str, object]:
    """Return what a neighbourhood's own page says beyond its card: each meter, load and report that stands out."""
    zone = book.zone(street.name)
    return {
        "behind": [
            (each, formats.moment(each.newest, zone) if each.newest else f"none in {_days(street)} days")
            for each in street.behind()
        ],
        "unsynchronised": [each for each in street.meters if each.unsynchronised],
        "opened": [each for each in street.meters if each.opened],
        "loads": [(formats.moment(each.start, zone), each) for each in reversed(street.loads)],
        "refusals": [(formats.moment(each.last), each) for each in street.refusals],
        "aside": [
            (
                formats.moment(each.arrived) if each.arrived else "–",
                f"of {formats.moment(each.at, zone)}" if each.at else "",
                each,
            )
            for each in street.aside
        ],
        "decided": [(words(status), number) for status, number in sorted(street.decided.items())],
        "stretch": (formats.day(street.windows.start, zone), formats.moment(street.windows.end, zone)),
    }


def _days(street: Street) -> int:
    return (street.windows.end - street.windows.start) // 86_400 or 1


def _ago(at: int, now: int) -> str:
    return f"{span(max(0, now - at))} ago"
