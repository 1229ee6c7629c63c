"""What the supplier alone is given: bills of whole periods, and how complete what they are made of is."""

from apiflask import APIBlueprint

from ..accounts.users import SUPPLIER
from ..pricing import Pricing
from ..records.bills import Bill
from ..rosters import RosterBook
from ..store import Store
from ..supplier.questions import billing_periods, bills_of_period
from .access import asker, known, only_roles
from .completeness import completeness_of
from .loads import chosen_days
from .models import BILLS_A_PAGE, BillsAsked, BillsOut, CompletenessOut, DaysAsked, PeriodsOut
from .tables import AS_CSV, csv_response

COLUMNS = (
    "pseudonym",
    "neighbourhood",
    "period_start",
    "period_end",
    "status",
    "import_mwh",
    "export_mwh",
    "windows",
    "estimated",
    "amount",
)


def supplier_api(store: Store, book: RosterBook, pricing: Pricing) -> APIBlueprint:
    """Return the blueprint for suppliers."""
    routes = APIBlueprint("api_supplier", __name__, url_prefix="/api/v1", tag="Supplier")
    routes.before_request(only_roles(store, SUPPLIER))

    @routes.get("/neighbourhoods/<name>/completeness")
    @routes.input(DaysAsked, location="query", arg_name="asked")
    @routes.output(CompletenessOut)
    def completeness(name: str, asked: DaysAsked) -> dict[str, object]:
        """Say how many of the expected intervals, contributions and windows have come."""
        zone = book.zone(known(book, name))
        return completeness_of(store, book, name, zone, chosen_days(store, name, zone, asked))

    @routes.get("/periods")
    @routes.output(PeriodsOut)
    def periods() -> dict[str, object]:
        """List the billing periods that have bills, newest first."""
        return {
            "periods": [{"start": it.start, "end": it.end, "bills": it.bills} for it in billing_periods(store)],
        }

    @routes.get("/bills")
    @routes.input(BillsAsked, location="query", arg_name="asked")
    @routes.output(BillsOut)
    @routes.doc(responses=AS_CSV)
    def bills(asked: BillsAsked) -> object:
        """Return a page of a period's bills by pseudonym, as JSON or CSV."""
        found = _page(store, asked)
        rows = [row for bill in found if (row := _row(bill, book, pricing)) is not None]
        if asked.format == "csv":
            return csv_response(
                f"bills-{asked.start}", COLUMNS, [tuple(row[column] for column in COLUMNS) for row in rows]
            )
        more = len(found) == BILLS_A_PAGE
        return {"start": asked.start, "bills": rows, "after": found[-1].pseudonym if more else None}

    return routes


def _page(store: Store, asked: BillsAsked) -> list[Bill]:
    ends = [it.end for it in billing_periods(store) if it.start == asked.start]
    found = [bill for end in ends for bill in bills_of_period(store, asked.start, end, asked.after, BILLS_A_PAGE)]
    return sorted(found, key=lambda bill: bill.pseudonym)[:BILLS_A_PAGE]


def _row(bill: Bill, book: RosterBook, pricing: Pricing) -> dict[str, object] | None:
    tenancy = book.tenancy(bill.pseudonym)
    street = tenancy.neighbourhood if tenancy else None
    if asker().neighbourhoods is not None and (street is None or not asker().sees(street)):
        return None
    return {
        "neighbourhood": street,
        "amount": pricing.amount(bill),
        **{name: getattr(bill, name) for name in COLUMNS if name not in ("neighbourhood", "amount")},
    }
