"""The ledger of a simulated street: asks every place what it holds, and balances import and export."""

from typing import NamedTuple

from mdms.keyholder.messages import RELEASED
from mdms.records.bills import decided_bills
from mdms.records.windows import billed_windows, unbilled_windows
from mdms.store import Store

from .balance import (
    Balance,
    Named,
    Stretch,
    balance,
    named_by_concentrator,
    read_measured,
    released_by_concentrator,
)
from .street import Street


class StreetBalance(NamedTuple):
    """A ledger for each direction."""

    imported: Balance
    exported: Balance

    def balances(self) -> bool:
        """Say whether both do."""
        return self.imported.balances() and self.exported.balances()


def take_balance(street: Street, store: Store, stores: dict[str, list[int]]) -> StreetBalance:
    """Return the ledgers. ``stores`` is what the meters say they hold: interval starts by system title in hex."""
    titles = {home.pseudonym: home.system_title.hex() for home in street.homes}
    at_concentrator, quarantined, counts = named_by_concentrator(street.ledger)
    waiting = {(title, start) for title, starts in stores.items() for start in starts}
    unbilled = [Stretch(titles[w.pseudonym], w.register_from, w.register_to) for w in unbilled_windows(store)]
    billed = [Stretch(titles[w.pseudonym], w.register_from, w.register_to) for w in billed_windows(store)]
    in_bills = [(titles[w.pseudonym], w.window_start, w.register_from, w.register_to) for w in billed_windows(store)]
    released = {
        (given.title, given.start) for given in released_by_concentrator(street.ledger) if not given.in_one_of(in_bills)
    }
    bills = [bill for bill in decided_bills(store) if bill.status == RELEASED]
    measured = read_measured(street.measured, street.interval_s)
    sums = (sum(bill.import_mwh or 0 for bill in bills), sum(bill.export_mwh or 0 for bill in bills))
    return StreetBalance(
        *(
            balance(
                energies,
                street.interval_s,
                billed_mwh=total,
                billed=billed,
                queued=Named(waiting | at_concentrator.readings, at_concentrator.stretches + unbilled),
                quarantined=quarantined,
                counts=counts,
                released=released,
            )
            for energies, total in zip(measured, sums, strict=True)
        )
    )
