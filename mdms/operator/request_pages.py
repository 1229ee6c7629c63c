"""The operator's pages about requests: propose, decide, export, and see what of it is in force."""

import time

import msgspec
from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import formats
from ..accounts.sessions import who
from ..config import MdmsConfig
from ..rosters import RosterBook
from ..store import Store
from .in_force import IN_FORCE, NOT_SIGNED, OTHERWISE, Signed
from .proposals import KINDS, wanted_of
from .requests import (
    APPROVED,
    REJECTED,
    WITHDRAWN,
    Refused,
    Request,
    all_requests,
    decide,
    export,
    one_request,
    propose,
)
from .wanted import (
    CONCENTRATOR,
    METER,
    REVOCATION,
    NotWanted,
    Wanted,
    WantedConcentrator,
    WantedMeter,
    WantedRevocation,
    kind_of,
)

TITLES = {METER: "Enrol a meter", CONCENTRATOR: "Change a concentrator", REVOCATION: "Revoke a meter"}
WAITS = "waits for a decision"
GROUPS = (("To decide", (None,)), ("Approved", (APPROVED,)), ("Closed", (REJECTED, WITHDRAWN)))


def add_request_pages(routes: Blueprint, config: MdmsConfig, store: Store, book: RosterBook, signed: Signed) -> None:
    """Add them to the operator's door."""
    pages = _RequestPages(store, book, signed)

    @routes.get("/requests")
    def requests() -> ResponseReturnValue:
        return pages.every()

    @routes.get("/requests/new/<kind>")
    def new_request(kind: str) -> ResponseReturnValue:
        return pages.form(kind)

    @routes.get("/requests/<name_of>")
    def request_page(name_of: str) -> ResponseReturnValue:
        return pages.one(name_of)

    _add_steps(routes, pages, config, store, book)


def _add_steps(routes: Blueprint, pages: "_RequestPages", config: MdmsConfig, store: Store, book: RosterBook) -> None:
    """Add what changes a request; a step that is refused shows its page again with the reason."""

    @routes.post("/requests/new/<kind>")
    def propose_request(kind: str) -> ResponseReturnValue:
        if kind not in KINDS:
            abort(404)
        now = int(time.time())
        try:
            name = propose(store, wanted_of(kind, request.form, book, now), _me(), now)
        except (NotWanted, Refused) as error:
            return pages.form(kind, str(error), 400)
        return redirect(url_for(".request_page", name_of=name), 303)

    @routes.post("/requests/<name_of>/<decision>")
    def decide_request(name_of: str, decision: str) -> ResponseReturnValue:
        decided = {"approve": APPROVED, "reject": REJECTED, "withdraw": WITHDRAWN}.get(decision)
        if decided is None:
            abort(404)
        try:
            decide(store, name_of, decided, _me(), int(time.time()))
        except Refused as refused:
            return pages.one(name_of, str(refused), 409)
        return redirect(url_for(".request_page", name_of=name_of), 303)

    @routes.post("/requests/export")
    def export_requests() -> ResponseReturnValue:
        now = int(time.time())
        names = pages.to_export(now)
        if not names:
            return pages.every("Nothing that was approved waits for a signature.", 409)
        file = export(store, names, config.deployment, _me(), now)
        response = Response(msgspec.json.format(msgspec.json.encode(file), indent=1), mimetype="application/json")
        response.headers["Content-Disposition"] = f'attachment; filename="requests-{now}.json"'
        return response


class _RequestPages:
    """The three pages as they stand now: every request, one of them, and the form for another."""

    def __init__(self, store: Store, book: RosterBook, signed: Signed) -> None:
        self._store = store
        self._book = book
        self._signed = signed

    def every(self, refused: str = "", status: int = 200) -> ResponseReturnValue:
        now = int(time.time())
        found = [(each, _state(each, self._signed, now)) for each in all_requests(self._store)]
        to_export = [each for each, state in found if _is_to_export(each, state)]
        page = render_template(
            "operator/requests.html",
            groups=[
                (name, [_row(each, state, self._book) for each, state in found if each.decision in decisions])
                for name, decisions in GROUPS
            ],
            to_export=len(to_export),
            kinds=TITLES.items(),
            refused=refused,
        )
        return page, status

    def one(self, name: str, refused: str = "", status: int = 200) -> ResponseReturnValue:
        found = one_request(self._store, name)
        if found is None:
            abort(404)
        state = _state(found, self._signed, int(time.time()))
        mine = found.proposed_by == _me()
        page = render_template("operator/request.html", it=_row(found, state, self._book), mine=mine, refused=refused)
        return page, status

    def form(self, kind: str, wrong: str = "", status: int = 200) -> ResponseReturnValue:
        if kind not in KINDS:
            abort(404)
        page = render_template(
            "operator/propose.html",
            kind=kind,
            title=TITLES[kind],
            streets=self._book.neighbourhoods(),
            wrong=wrong,
            # A private key that somebody pasted is nowhere in the answer.
            form={name: text for name, text in request.form.items() if "PRIVATE" not in text.upper()},
        )
        return page, status

    def to_export(self, now: int) -> list[str]:
        """Return the ids of the approved requests that nobody has signed yet."""
        return [each.id for each in all_requests(self._store) if _is_to_export(each, _state(each, self._signed, now))]


def _me() -> str:
    person = who()
    assert person is not None, "the door asked"
    return person.name


def _state(each: Request, signed: Signed, now: int) -> str:
    """Return the state in words: what was decided, and for what was approved what has become of it."""
    if each.decision != APPROVED:
        return each.decision or WAITS
    state = signed.state(each.wanted, now)
    if state == NOT_SIGNED:
        return "exported, not signed yet" if each.exported else "approved, to be exported"
    return state


def _is_to_export(each: Request, state: str) -> bool:
    return each.decision == APPROVED and state.endswith(("exported", NOT_SIGNED))


def _row(each: Request, state: str, book: RosterBook) -> dict[str, object]:
    """Return a request as a page shows it."""
    return {
        "id": each.id,
        "title": TITLES[kind_of(each.wanted)],
        "facts": _facts(each.wanted, book),
        "state": state,
        "kind": {IN_FORCE: "good", OTHERWISE: "bad"}.get(state, "warn"),
        "proposed_by": each.proposed_by,
        "proposed": formats.moment(each.proposed),
        "decision": each.decision,
        "decided_by": each.decided_by,
        "decided": formats.moment(each.decided) if each.decided else None,
        "exported": formats.moment(each.exported) if each.exported else None,
    }


def _facts(wanted: Wanted, book: RosterBook) -> list[tuple[str, str, bool]]:
    """Return label, value and whether the value is code, of everything that a request says."""
    street = wanted.neighbourhood
    zone = book.zone(street) if book.versions(street) else None

    def day(at: int) -> str:
        return formats.moment(at, zone) if zone else formats.moment(at)

    match wanted:
        case WantedMeter():
            own = [
                ("System title", wanted.system_title, True),
                ("Customer's fingerprint", wanted.fingerprint, True),
                ("Account", wanted.pseudonym, True),
                ("Concentrator", wanted.gateway, False),
                ("From", day(wanted.since), False),
            ]
        case WantedConcentrator():
            own = [
                ("Key", wanted.key, True),
                ("Key's fingerprint", wanted.fingerprint, True),
                ("From", day(wanted.since), False),
            ]
        case WantedRevocation():
            own = [("System title", wanted.system_title, True), ("Concentrator", wanted.gateway, False)]
            if wanted.pseudonym is not None and wanted.leaves_at is not None:
                own += [("Account that leaves", wanted.pseudonym, True), ("From", day(wanted.leaves_at), False)]
    return [("Neighbourhood", street, False), *own]
