"""The customer's page and what its script asks for. Nothing decrypted is ever sent here, so nothing takes it."""

from typing import TypeVar

from flask import Blueprint, Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]

from protocol.documents import DocumentError, parse, to_base64url
from protocol.envelopes import Envelope
from protocol.logins import Answer, Asked

from .. import formats
from ..accounts.origins import Origins
from ..accounts.sessions import CUSTOMER, Person, only, sign_in, who
from ..ingest.routes import answer_json
from ..pricing import Pricing, described
from ..reasons import words
from ..rosters import RosterBook
from ..statements.pages import SECONDS, StatementPages
from ..store import Store
from .challenges import Challenges
from .questions import ROWS_AT_ONCE, bills_of, rows_behind

PER_ADDRESS = "60 per minute"
PER_ACCOUNT = "10 per minute; 200 per hour"
MAX_ARRIVAL = (1 << 63) - 1

_Message = TypeVar("_Message")


def _account_asked() -> str:
    try:
        account = parse(request.get_data(), Asked).account
    except DocumentError:
        account = ""
    return f"{get_remote_address()} {account}"


def portal_routes(
    store: Store, book: RosterBook, origins: Origins, pricing: Pricing, statements: StatementPages, limiter: Limiter
) -> Blueprint:
    """Return the blueprint of the customer's door."""
    routes = Blueprint("portal", __name__, url_prefix="/portal")
    challenges = Challenges(store)

    @routes.get("/")
    def home() -> ResponseReturnValue:
        return render_template("portal/home.html")

    @routes.get("/new-key")
    def new_key() -> ResponseReturnValue:
        # The sheet names this address: as browsers know it, whatever a proxy makes of it.
        address = f"{origins.of(request.host)}{url_for('.home')}"
        return render_template("portal/new_key.html", address=address)

    @routes.post("/challenge.json")
    @limiter.limit(PER_ADDRESS)
    @limiter.limit(PER_ACCOUNT, key_func=_account_asked)
    def challenge() -> Response:
        asked = _body(Asked)
        origin = origins.of(request.host)
        assert origin is not None, "other hosts are refused before"
        return answer_json(challenges.new(asked.account, origin))

    @routes.post("/answer.json")
    @limiter.limit(PER_ADDRESS)
    def answer() -> Response:
        account = challenges.settle(_body(Answer))
        if account is None:
            return answer_json({"error": "not the answer, or too late"}, 403)
        sign_in(Person(account, CUSTOMER))
        # The new session has a token of its own, and the page is not loaded again.
        return answer_json({"account": account, "csrf_token": generate_csrf()})

    routes.register_blueprint(_own_objects(store, book, pricing, statements))
    return routes


def _own_objects(store: Store, book: RosterBook, pricing: Pricing, statements: StatementPages) -> Blueprint:
    own = Blueprint("own", __name__, url_prefix="/accounts/<account>")
    own.before_request(only(CUSTOMER, "portal.home"))

    @own.before_request
    def nobody_elses() -> None:
        person = who()
        # Like an account that does not exist: who is a customer is nobody's business.
        if person is None or (request.view_args or {}).get("account") != person.name:
            abort(404)

    @own.get("/envelope.json")
    def envelope(account: str) -> Response:
        document = store.envelope_of(account)
        if document is None:
            abort(404)
        sealed: Envelope = parse(document.content_bytes(), Envelope)
        tenancy = book.tenancy(account)
        zone = book.versions(tenancy.neighbourhood)[0].zone if tenancy else "UTC"
        return answer_json({"envelope": sealed, "document": document, "zone": zone})

    @own.get("/rows.json")
    def rows(account: str) -> Response:
        after = request.args.get("after", "0")
        if not (after.isascii() and after.isdigit()) or int(after[:20]) > MAX_ARRIVAL:
            abort(400)
        found = rows_behind(store, account, int(after))
        return answer_json(
            {
                "rows": to_base64url(b"".join(row for _, row in found)),
                "next": found[-1][0] if found else int(after),
                "more": len(found) == ROWS_AT_ONCE,
            }
        )

    @own.get("/bills.json")
    def bills(account: str) -> Response:
        tenancy = book.tenancy(account)
        zone = book.zone(tenancy.neighbourhood) if tenancy else None
        found = bills_of(store, account)
        newest = pricing.tariff(found[0]) if found else None
        return answer_json(
            {
                "tariff": described(newest) if newest else None,
                "bills": [
                    {
                        "period": formats.period(bill.period_start, bill.period_end, *([zone] if zone else [])),
                        "start": bill.period_start,
                        "end": bill.period_end,
                        "status": bill.status,
                        "why": words(bill.status),
                        "import_mwh": bill.import_mwh,
                        "export_mwh": bill.export_mwh,
                        "windows": bill.windows,
                        "estimated": bill.estimated,
                        "adjusted": bill.adjusted,
                        "sums": [
                            {
                                "bands": [name for name, _ in one.bands],
                                "import_mwh": one.import_mwh,
                                "export_mwh": one.export_mwh,
                            }
                            for one in bill.sums
                        ],
                        "amount": pricing.amount(bill),
                        "page": url_for(".bill", account=account, period_start=bill.period_start),
                    }
                    for bill in found
                ],
            }
        )

    @own.get(f"/bills/{SECONDS}")
    def bill(account: str, period_start: int) -> ResponseReturnValue:
        pdf = url_for(".bill_pdf", account=account, period_start=period_start)
        return statements.page(account, period_start, pdf)

    @own.get(f"/bills/{SECONDS}.pdf")
    def bill_pdf(account: str, period_start: int) -> Response:
        return statements.pdf(account, period_start)

    return own


def _body(kind: type[_Message]) -> _Message:
    if request.mimetype != "application/json":
        abort(415)
    try:
        message: _Message = parse(request.get_data(), kind)
    except DocumentError:
        abort(400)
    return message
