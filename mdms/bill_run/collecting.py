"""What is shipped, taken from the store: decided bills with their prices, and what proves them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import or_, select

from protocol.documents import Document, public_key_bytes, to_base64url
from protocol.releases import ReleasedBill, parse_batch
from protocol.windows import Span

from ..config import MdmsConfig
from ..pricing import Pricing
from ..records.bills import BILL_COLUMNS, Bill, bills_with_sums
from ..records.documents import release_batches_named
from ..rosters import RosterBook
from ..store import Store
from ..tables import billing_windows, bills, reports
from .book import Entry, NotProved, Portion

BILLS_AT_ONCE = 16  # four megabytes of ciphertexts for a month: a second's work


class _Energy(msgspec.Struct, frozen=True):
    """Of a billing-window: its ciphertext alone. The register is nobody's business, and stays here."""

    energy: str | None


class Collecting:
    """Makes portions of a deployment's bills."""

    def __init__(self, config: MdmsConfig, store: Store, book: RosterBook, pricing: Pricing) -> None:
        assert config.log_key is not None, "a run asks for it first"
        self._config = config
        self._log_key = to_base64url(public_key_bytes(config.log_key))
        self._store = store
        self._book = book
        self._pricing = pricing
        self._moduli = {
            key.fingerprint: key.n
            for neighbourhood in book.neighbourhoods()
            for roster in book.versions(neighbourhood)
            if (key := book.paillier_key(roster))
        }

    def entries(self, periods: Mapping[str, Span]) -> list[Entry]:
        """Return every decided bill of the periods, priced, by release batch and pseudonym."""
        starts = sorted({period.start for period in periods.values()})
        query = select(*BILL_COLUMNS).where(or_(*(bills.c.period_start == start for start in starts)))
        entries = [self._entry(bill) for bill in bills_with_sums(self._store, query) if self._is_of(bill, periods)]
        return sorted(entries, key=lambda one: (one.bill.batch or "", one.neighbourhood, one.bill.pseudonym))

    def _is_of(self, bill: Bill, periods: Mapping[str, Span]) -> bool:
        tenancy = self._book.tenancy(bill.pseudonym)
        period = periods.get(tenancy.neighbourhood) if tenancy else None
        return period is not None and period.start == bill.period_start

    def _entry(self, bill: Bill) -> Entry:
        tenancy = self._book.tenancy(bill.pseudonym)
        neighbourhood = tenancy.neighbourhood if tenancy else ""
        tariff = self._pricing.tariff(bill)
        return Entry(
            bill,
            neighbourhood,
            self._book.zone_of(bill.pseudonym),
            tariff,
            self._pricing.cost(bill),
            self._pricing.days(bill, tariff) if tariff is not None else 0,
        )

    def portions(self, entries: Sequence[Entry]) -> Iterator[Portion]:
        """Yield entries in portions, each with what proves it; read from the store only when it is its turn."""
        for at in range(0, len(entries), BILLS_AT_ONCE):
            yield self._portion(entries[at : at + BILLS_AT_ONCE])

    def _portion(self, entries: Sequence[Entry]) -> Portion:
        names = list(dict.fromkeys(one.batch for entry in entries for one in entry.bill.sums if one.batch is not None))
        found = release_batches_named(self._store, names)
        if len(found) != len(names):
            raise NotProved(f"{len(names) - len(found)} release batches are not in the database")
        batches = tuple(found[name] for name in names)
        wanted = _documents_of(batches)
        return Portion(
            self._config.deployment,
            self._config.language,
            self._log_key,
            tuple(entries),
            batches,
            self._moduli,
            {entry.bill.pseudonym: self._reports(entry.bill, wanted) for entry in entries},
        )

    def _reports(self, bill: Bill, wanted: Mapping[tuple[str, int], frozenset[str]]) -> dict[str, str]:
        """Return the ciphertexts of those of a meter's own reports that its bill is proved by, by id."""
        names = wanted.get((bill.pseudonym, bill.period_start), frozenset())
        if not names:
            return {}
        windows = billing_windows.c
        query: Any = (
            select(reports.c.id, reports.c.content)
            .join(billing_windows, windows.report == reports.c.id)
            .where(windows.pseudonym == bill.pseudonym, windows.window_start < bill.period_end)
        )
        if not bill.adjusted:
            query = query.where(windows.window_start >= bill.period_start)
        energies = {row.id: _energy(row.content) for row in self._store.ask(query) if row.id in names}
        return {name: energy for name, energy in energies.items() if energy is not None}


def _energy(content: bytes) -> str | None:
    return msgspec.json.decode(content, type=_Energy).energy


def _documents_of(batches: Sequence[Document]) -> dict[tuple[str, int], frozenset[str]]:
    """Return the ids of the reports that some batches name, by pseudonym and period."""
    found: dict[tuple[str, int], frozenset[str]] = {}
    for document in batches:
        for item in parse_batch(document.content_bytes()).items:
            if isinstance(item, ReleasedBill):
                place = item.pseudonym, item.period_start
                found[place] = found.get(place, frozenset()).union(item.documents)
    return found
