"""The supplier's pages about bills: a period's list, and each bill as a page and a document."""

from datetime import tzinfo
from urllib.parse import quote

from flask import Blueprint, Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import formats
from ..pricing import Pricing, described
from ..records.bills import Bill
from ..rosters import RosterBook
from ..statements.pages import SECONDS, StatementPages
from ..store import Store
from .questions import billing_periods, bills_of_period

BILLS_A_PAGE = 200


def add_bill_pages(
    routes: Blueprint, store: Store, book: RosterBook, pricing: Pricing, statements: StatementPages
) -> None:
    """Add them to the supplier's door."""

    @routes.get("/bills")
    def bills() -> ResponseReturnValue:
        periods = billing_periods(store)
        chosen = request.args.get("period", "")
        period = next((it for it in periods if chosen in ("", f"{it.start}-{it.end}")), None)
        if period is None and chosen:
            abort(404)
        found = []
        if period is not None:
            after = request.args.get("after", "").encode("ascii", "ignore").decode().replace("\0", "")[:22]
            found = bills_of_period(store, period.start, period.end, after, BILLS_A_PAGE)
        return render_template(
            "supplier/bills.html",
            periods=[(f"{it.start}-{it.end}", formats.period(it.start, it.end, _zone(book))) for it in periods],
            chosen=f"{period.start}-{period.end}" if period else "",
            bills=[(bill, _street(book, bill.pseudonym), pricing.amount(bill) or "–") for bill in found],
            more=quote(found[-1].pseudonym) if len(found) == BILLS_A_PAGE else None,
            tariffs=_tariffs(pricing, found),
        )

    @routes.get(f"/bills/<pseudonym>/{SECONDS}")
    def bill(pseudonym: str, period_start: int) -> ResponseReturnValue:
        pdf = url_for(".bill_pdf", pseudonym=pseudonym, period_start=period_start)
        return statements.page(pseudonym, period_start, pdf)

    @routes.get(f"/bills/<pseudonym>/{SECONDS}.pdf")
    def bill_pdf(pseudonym: str, period_start: int) -> Response:
        return statements.pdf(pseudonym, period_start)


def _zone(book: RosterBook) -> tzinfo:
    return book.zone(book.neighbourhoods()[0])


def _street(book: RosterBook, pseudonym: str) -> str:
    tenancy = book.tenancy(pseudonym)
    return tenancy.neighbourhood if tenancy else "–"


def _tariffs(pricing: Pricing, found: list[Bill]) -> list[str]:
    """Return what the bills of a page are priced by, each tariff once."""
    return list(dict.fromkeys(described(tariff) for bill in found if (tariff := pricing.tariff(bill))))
