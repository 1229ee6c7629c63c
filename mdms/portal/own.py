"""What a signed-in customer's script asks for: their own objects and nobody else's."""

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, abort, request, url_for
from flask.typing import ResponseReturnValue

from protocol.documents import parse
from protocol.envelopes import Envelope
from protocol.rosters import Tenancy
from protocol.tariffs import Tariff

from .. import formats
from ..accounts.sessions import CUSTOMER, only, who
from ..envelopes import Earlier
from ..ingest.routes import answer_json
from ..pricing import Pricing, described
from ..reasons import words
from ..rosters import RosterBook
from ..statements.pages import SECONDS, StatementPages
from ..store import Bill, Store
from .choices import choice_routes
from .looked import Looked, looked_routes
from .proofs import proof_of
from .questions import bills_of
from .rows import row_routes


def own_objects(
    store: Store,
    book: RosterBook,
    pricing: Pricing,
    statements: StatementPages,
    deployment: str,
    earlier: Mapping[str, Sequence[Earlier]],
    looked: Looked,
    detail_days: int,
) -> Blueprint:
    """Return the blueprint of one customer's objects; another's do not exist for it."""
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
        before = [one._asdict() for one in earlier.get(account, ())]
        return answer_json({"envelope": sealed, "document": document, "earlier": before, "zone": zone})

    @own.get("/tariffs.json")
    def tariffs(account: str) -> Response:
        tenancy = book.tenancy(account)
        return answer_json({"tariffs": pricing.versions(tenancy.neighbourhood) if tenancy else []})

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
                        "why": words(bill.status),
                        "amount": pricing.amount(bill),
                        "page": url_for(".bill", account=account, period_start=bill.period_start),
                        "proof": _proof(bill),
                        **_counted(bill, tenancy),
                        "tariff": _name(pricing.tariff(bill)),
                        **_energies(bill),
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

    @own.get(f"/bills/{SECONDS}/proof.json")
    def proof(account: str, period_start: int) -> Response:
        found = proof_of(store, book, deployment, account, period_start)
        if found is None:
            abort(404)
        return answer_json(found)

    row_routes(own, store)
    looked_routes(own, looked)
    choice_routes(own, store, detail_days)
    return own


def _counted(bill: Bill, tenancy: Tenancy | None) -> dict[str, int]:
    """From when to when a bill counts: its period, as far as the tenancy lasts in it."""
    start, until = (tenancy.first_window, tenancy.until) if tenancy else (bill.period_start, None)
    return {
        "start": max(bill.period_start, start),
        "end": bill.period_end if until is None else min(bill.period_end, until),
    }


def _name(tariff: Tariff | None) -> tuple[str, int] | None:
    return (tariff.name, tariff.version) if tariff else None


def _proof(bill: Bill) -> str | None:
    """Return where a bill's proof is; None where no sum of it has one."""
    if not any(one.batch for one in bill.sums):
        return None
    return url_for(".proof", account=bill.pseudonym, period_start=bill.period_start)


def _energies(bill: Bill) -> dict[str, object]:
    return {
        "status": bill.status,
        "import_mwh": bill.import_mwh,
        "export_mwh": bill.export_mwh,
        "windows": bill.windows,
        "estimated": bill.estimated,
        "adjusted": bill.adjusted,
        "sums": [
            {"bands": [name for name, _ in one.bands], "import_mwh": one.import_mwh, "export_mwh": one.export_mwh}
            for one in bill.sums
        ],
    }
