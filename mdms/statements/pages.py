"""A stored bill, looked up and answered as a page or a PDF. Who may ask for which is the doors' business."""

from flask import Response, abort, render_template
from flask.typing import ResponseReturnValue

from ..pricing import Pricing
from ..records.bills import bill_of
from ..rosters import RosterBook
from ..store import Store
from .contents import Statement, statement
from .paper import paper
from .texts import Texts

# As an address has a period's start: what no report can hold is no address either.
SECONDS = "<int(max=4294967295):period_start>"


class StatementPages:
    """The bills of a deployment in its language."""

    def __init__(self, store: Store, book: RosterBook, pricing: Pricing, texts: Texts, deployment: str) -> None:
        self._store = store
        self._book = book
        self._pricing = pricing
        self._texts = texts
        self._deployment = deployment

    def page(self, pseudonym: str, period_start: int, pdf: str) -> ResponseReturnValue:
        """Return a bill's page, with a link to the address of its ``pdf``; 404 where there is no such bill."""
        said = self._statement(pseudonym, period_start)
        return render_template("bill.html", said=said, pdf=pdf, print=self._texts.say("print"))

    def pdf(self, pseudonym: str, period_start: int) -> Response:
        """Return the same as a PDF to be saved; 404 where there is no such bill."""
        said = self._statement(pseudonym, period_start)
        answer = Response(paper(said, self._deployment), mimetype="application/pdf")
        answer.headers["Content-Disposition"] = f'attachment; filename="{said.file_name}"'
        return answer

    def _statement(self, pseudonym: str, period_start: int) -> Statement:
        # The database is asked for rostered names alone: another may hold what it takes for no text.
        tenancy = self._book.tenancy(pseudonym)
        if tenancy is None:
            abort(404)
        bill = bill_of(self._store, pseudonym, period_start)
        if bill is None:
            abort(404)
        pricing = self._pricing
        tariff = pricing.tariff(bill)
        days = pricing.days(bill, tariff) if tariff is not None else 0
        zone = self._book.zone(tenancy.neighbourhood)
        return statement(bill, tenancy.neighbourhood, zone, tariff, pricing.cost(bill), days, self._texts)
