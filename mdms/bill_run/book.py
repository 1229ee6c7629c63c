"""What is shipped: some bills with what proves them go out, their pages come back. Pure; runs on any machine.

Rule 1: a page is set only for sums that are proved here, anew: the release batch bears the log key's signature, names
these very energies, and its roots open exactly the ciphertexts of this meter's own stored reports.
Rule 2: nothing here decides an amount. Prices were applied before; a page shows them.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

from paillier import ENERGY_SLOTS, PublicKey
from paillier.ciphertext import many_from_base64url, product
from paillier.errors import PaillierError
from paillier.proofs import Claim, joined_root, root_from_base64url, verify_decryptions
from protocol.documents import Document, DocumentError, document_id, import_public_key
from protocol.releases import RELEASE_BATCH, ReleasedBill, open_batch
from protocol.tariffs import Tariff

from ..billing import BillSum
from ..billing.money import Cost
from ..keyholder.messages import RELEASED
from ..records.bills import Bill
from ..statements.contents import statement
from ..statements.paper import paper
from ..statements.texts import load_texts

CONTEXT_BYTES = 32


class NotProved(Exception):
    """A bill whose sums are not what the key holder proved, or not of this meter's reports. The message names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided bill, with its price. ``zone`` names its neighbourhood's; ``days`` bear the standing charge."""

    bill: Bill
    neighbourhood: str
    zone: str
    tariff: Tariff | None
    cost: Cost | None
    days: int

    def tz(self) -> tzinfo:
        """Return the neighbourhood's zone."""
        return ZoneInfo(self.zone)


@dataclass(frozen=True, slots=True)
class Portion:
    """What one worker is given. Public keys, ciphertexts, released sums; nothing that opens anything.

    ``batches`` are the signed release batches that the bills name. ``moduli`` are those of the Paillier keys, by
    fingerprint. ``reports`` holds, by pseudonym and by the document's id, the ciphertext of each report that the meter
    sent and a batch names.
    """

    deployment: str
    language: str
    log_key: str
    entries: tuple[Entry, ...]
    batches: tuple[Document, ...]
    moduli: dict[str, int]
    reports: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """A bill's PDF and the name of its file."""

    name: str
    pdf: bytes


def make_pages(portion: Portion) -> list[Page]:
    """Return the page of each of a portion's bills, in their order. Raises NotProved for the first that is wrong."""
    check(portion)
    texts = load_texts(portion.language)
    pages = []
    for entry in portion.entries:
        said = statement(entry.bill, entry.neighbourhood, entry.tz(), entry.tariff, entry.cost, entry.days, texts)
        pages.append(Page(said.file_name, paper(said, portion.deployment)))
    return pages


# --- Proofs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Proved:
    """One proved sum: the fingerprint of its key, what is claimed, and the root that proves it."""

    paillier_key: str
    claim: Claim
    root: int


def check(portion: Portion) -> None:
    """Refuse a portion unless every sum that has a proof is proved; raises NotProved.

    All roots under one key are verified for the price of one, under a context that is drawn now. Where that fails, each
    bill is verified alone, so that the wrong one is named.
    """
    items = _items(portion)
    proved = {at: _proved(entry.bill, items, portion) for at, entry in enumerate(portion.entries)}
    if _hold(portion, [one for several in proved.values() for one in several]):
        return
    for at, entry in enumerate(portion.entries):
        if not _hold(portion, proved[at]):
            raise NotProved(f"{_called(entry.bill)}: its energy does not follow from the meter's reports")
    raise NotProved("the proofs of some bills do not hold together")


def _items(portion: Portion) -> dict[tuple[str, str, int, tuple[str, ...]], tuple[str, ReleasedBill]]:
    """Return what the batches prove: key and item by batch, pseudonym, period and bands."""
    log_key = import_public_key(portion.log_key)
    items = {}
    for document in portion.batches:
        try:
            batch = open_batch(document, portion.deployment, log_key)
            name = document_id(RELEASE_BATCH, portion.deployment, document.content_bytes())
        except DocumentError as error:
            raise NotProved(f"a release batch: {error}") from None
        for item in batch.items:
            if isinstance(item, ReleasedBill):
                items[name, item.pseudonym, item.period_start, tuple(item.bands)] = batch.paillier_key, item
    return items


def _proved(
    bill: Bill, items: dict[tuple[str, str, int, tuple[str, ...]], tuple[str, ReleasedBill]], portion: Portion
) -> list[_Proved]:
    if bill.status != RELEASED:
        return []
    if (sum(one.import_mwh for one in bill.sums), sum(one.export_mwh for one in bill.sums)) != (
        bill.import_mwh,
        bill.export_mwh,
    ):
        raise NotProved(f"{_called(bill)}: its sums do not add up to it")
    found = []
    used: set[str] = set()
    for one in bill.sums:
        if one.batch is None:
            continue  # a total whose parts may not be told, or older than proofs: the page says so
        place = one.batch, bill.pseudonym, bill.period_start, tuple(name for name, _ in one.bands)
        if place not in items:
            raise NotProved(f"{_called(bill)}: its release batch does not name it")
        fingerprint, item = items[place]
        if _says(item) != (one.import_mwh, one.export_mwh, one.filled, bill.tariff):
            raise NotProved(f"{_called(bill)}: its release batch says something else")
        if not used.isdisjoint(item.documents):
            raise NotProved(f"{_called(bill)}: a window stands in two of its sums")
        used.update(item.documents)
        found.append(_of_item(bill, item, fingerprint, portion))
    return found


def _says(item: ReleasedBill) -> tuple[int, int, int, str | None]:
    return item.import_mwh, item.export_mwh, len(set(item.documents)), item.tariff


def _of_item(bill: Bill, item: ReleasedBill, fingerprint: str, portion: Portion) -> _Proved:
    own = portion.reports.get(bill.pseudonym, {})
    try:
        key = PublicKey(portion.moduli[fingerprint])
        total = product(key, many_from_base64url(key, [own[name] for name in item.documents]))
        message = ENERGY_SLOTS.pack((item.import_mwh, item.export_mwh))
        return _Proved(fingerprint, Claim(total, message), root_from_base64url(key, item.root))
    except KeyError:
        raise NotProved(f"{_called(bill)}: its release batch names what this meter did not report") from None
    except PaillierError as error:
        raise NotProved(f"{_called(bill)}: {error}") from None


def _hold(portion: Portion, proved: Sequence[_Proved]) -> bool:
    context = secrets.token_bytes(CONTEXT_BYTES)
    for fingerprint in {one.paillier_key for one in proved}:
        key = PublicKey(portion.moduli[fingerprint])
        claims = [one.claim for one in proved if one.paillier_key == fingerprint]
        roots = [one.root for one in proved if one.paillier_key == fingerprint]
        try:
            verify_decryptions(key, claims, joined_root(key, claims, roots, context), context)
        except PaillierError:
            return False
    return True


def _called(bill: Bill) -> str:
    return f"the bill of {bill.pseudonym} for the period from {bill.period_start}"


def unproved(sums: Sequence[BillSum]) -> int:
    """Return how many sums have no proof of their own."""
    return sum(one.batch is None for one in sums)
