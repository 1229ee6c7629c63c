"""Bills: the key holder's decisions on tenancies' periods, with the sums that they consist of."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ..billing import BillSum
from ..keyholder.messages import NO_ENERGY, NOT_RELEASABLE, RELEASED
from ..store import Store, batched
from ..tables import bill_sums, billing_windows, bills

# The decisions that use their windows up. Any other leaves them to the next period.
SPENDING = (RELEASED, NOT_RELEASABLE, NO_ENERGY)


@dataclass(frozen=True, slots=True)
class Bill:
    """The key holder's decision on one tenancy's period; energies in mWh, None unless released.

    ``windows`` counts the filled windows that were asked for, ``estimated`` those of them in which intervals
    are missing or were not plainly measured; ``batch`` is as a load's, of the first of its ``sums``. ``tariff`` is the
    id of the document by whose bands it was opened; ``adjusted`` counts the filled windows that were left over from
    earlier periods.
    """

    pseudonym: str
    period_start: int
    period_end: int
    import_mwh: int | None
    export_mwh: int | None
    windows: int
    estimated: int
    status: str
    batch: str | None = None
    tariff: str | None = None
    adjusted: int = 0
    sums: tuple[BillSum, ...] = ()


# What a Bill is made of, in its order.
BILL_COLUMNS = (
    bills.c.pseudonym,
    bills.c.period_start,
    bills.c.period_end,
    bills.c.import_mwh,
    bills.c.export_mwh,
    bills.c.windows,
    bills.c.estimated,
    bills.c.status,
    bills.c.batch,
    bills.c.tariff,
    bills.c.adjusted,
)


def keep_bill(store: Store, bill: Bill, window_starts: Sequence[int], answer: bytes) -> None:
    """Store a decision on a bill and mark the windows that it spent; a second time is harmless."""

    def work(connection: Connection) -> None:
        known = select(bills.c.id).where(bills.c.pseudonym == bill.pseudonym, bills.c.period_start == bill.period_start)
        if connection.execute(known).first() is not None:
            return
        kept = connection.execute(
            insert(bills)
            .values(
                pseudonym=bill.pseudonym,
                period_start=bill.period_start,
                period_end=bill.period_end,
                status=bill.status,
                import_mwh=bill.import_mwh,
                export_mwh=bill.export_mwh,
                windows=bill.windows,
                estimated=bill.estimated,
                answer=answer,
                batch=bill.batch,
                tariff=bill.tariff,
                adjusted=bill.adjusted,
            )
            .returning(bills.c.id)
        ).scalar_one()
        for number, one in enumerate(bill.sums):
            connection.execute(insert(bill_sums).values(bill=kept, number=number, **_values(one)))
        if bill.status in SPENDING:
            for starts in batched(window_starts):
                connection.execute(
                    update(billing_windows)
                    .where(
                        billing_windows.c.pseudonym == bill.pseudonym,
                        billing_windows.c.window_start.in_(starts),
                        billing_windows.c.bill.is_(None),
                    )
                    .values(bill=kept)
                )

    store.write(work)


def decided_bills(store: Store) -> Iterator[Bill]:
    """Yield the decisions on bills, by pseudonym and period."""
    yield from bills_with_sums(store, select(*BILL_COLUMNS).order_by(bills.c.pseudonym, bills.c.period_start))


def bill_of(store: Store, pseudonym: str, period_start: int) -> Bill | None:
    """Return a tenancy's bill of the period that starts at a time, or None."""
    query = select(*BILL_COLUMNS).where(bills.c.pseudonym == pseudonym, bills.c.period_start == period_start)
    return next(iter(bills_with_sums(store, query)), None)


def bills_with_sums(store: Store, query: Any) -> list[Bill]:
    """Return the bills of a query for BILL_COLUMNS, in its order, each with the sums that it consists of."""
    found = [Bill(*row) for row in store.ask(query)]
    sums: dict[tuple[str, int], list[BillSum]] = {}
    for names in batched(sorted({bill.pseudonym for bill in found})):
        for row in store.ask(_sums_of(names)):
            sums.setdefault((row.pseudonym, row.period_start), []).append(bill_sum(row))
    return [replace(bill, sums=tuple(sums.get((bill.pseudonym, bill.period_start), ()))) for bill in found]


def last_decided_periods(store: Store) -> dict[str, int]:
    """Return, by pseudonym, the start of the latest period that has a decision."""
    query = select(bills.c.pseudonym, func.max(bills.c.period_start)).group_by(bills.c.pseudonym)
    return {row[0]: row[1] for row in store.ask(query)}


def _sums_of(pseudonyms: Sequence[str]) -> Any:
    return (
        select(bills.c.pseudonym, bills.c.period_start, bill_sums)
        .join(bills, bill_sums.c.bill == bills.c.id)
        .where(bills.c.pseudonym.in_(pseudonyms))
        .order_by(bill_sums.c.bill, bill_sums.c.number)
    )


def bill_sum(row: Any) -> BillSum:
    """Return the sum that a row of bill_sums is."""
    bands = tuple((name, windows) for name, windows in json.loads(row.bands))
    return BillSum(row.group_number, bands, row.windows, row.filled, row.import_mwh, row.export_mwh, row.batch)


def _values(one: BillSum) -> dict[str, Any]:
    return {
        "group_number": one.group,
        "bands": json.dumps(one.bands),
        "windows": one.windows,
        "filled": one.filled,
        "import_mwh": one.import_mwh,
        "export_mwh": one.export_mwh,
        "batch": one.batch,
    }
