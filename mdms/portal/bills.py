"""A customer's own bills and tariffs, and what a bill's release is proved with."""

from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, url_for
from flask.typing import ResponseReturnValue

from protocol.rosters import Tenancy
from protocol.tariffs import Tariff

from .. import formats
from ..ingest.routes import answer_json
from ..pricing import Pricing, described
from ..reasons import words
from ..records.bills import Bill
from ..rosters import RosterBook
from ..statements.pages import SECONDS, StatementPages
from ..store import Store
from .proofs import proof_of
from .questions import bills_of


def bill_routes(
    own: Blueprint, store: Store, book: RosterBook, pricing: Pricing, statements: StatementPages, deployment: str
) -> None:
    """Add the addresses to the blueprint of one customer's objects."""

    @own.get("/tariffs.json")
    def tariffs(account: str) -> Response:
        tenancy = book.tenancy(account)
        return answer_json({"tariffs": pricing.versions(tenancy.neighbourhood) if tenancy else []})

    @own.get("/bills.json")
    def bills(account: str) -> Response:
        tenancy = book.tenancy(account)
        zone = book.zone_of(account)
        found = bills_of(store, account)
        newest = pricing.tariff(found[0]) if found else None
        return answer_json(
            {
                "tariff": described(newest) if newest else None,
                "bills": [
                    {
                        "period": formats.period(bill.period_start, bill.period_end, ZoneInfo(zone)),
                        "why": words(bill.status),
                        "amount": pricing.amount(bill),
                        "page": url_for(".bill", account=account, period_start=bill.period_start),
                        "proof": _proof(bill),
                        "zone": zone,
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
