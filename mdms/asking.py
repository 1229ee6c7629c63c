"""What the release worker and a billing run ask the key holder, and what they keep of its answers.

Rule 1: neither holds state of its own. What is ready and undecided is asked of the store each time, and the same
stored documents make the same item, byte for byte. So either may be killed anywhere, and both may run at once: the key
holder repeats a decision that was not stored, whatever it is asked together with, and the store takes one that it has
for granted.
Rule 2: a proof is stored before the first decision that names it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from protocol.documents import Document, DocumentError, document_id, parse
from protocol.releases import MAX_DOCUMENTS, MAX_ITEMS, RELEASE_BATCH, parse_batch
from protocol.rosters import Tenancy

from .billing import BillSum, DueBill, StoredWindow, next_due_bill
from .keyholder.messages import (
    ASK_LATER,
    MAX_MESSAGE,
    NOT_CLOSED,
    RELEASED,
    BillRequest,
    Item,
    items_request,
    parse_answers,
    policy_request,
    release_request,
)
from .periods import Periods, parse_periods
from .records.bills import Bill, keep_bill, last_decided_periods
from .records.documents import has_release_batch, keep_release_batch
from .records.windows import pseudonyms_with_window, window_documents, windows_of
from .rosters import RosterBook
from .store import Store

# Of one request: what the key holder takes for it must not keep others waiting, and half a message is enough.
MOST_BYTES = MAX_MESSAGE // 2
# Of signed content: a document's signature and names come on top of it.
MOST_BYTES_OF_A_BILL = MAX_MESSAGE * 3 // 4

log = structlog.get_logger()

_Asked = TypeVar("_Asked")


class Line(Protocol):
    """A connection to the key holder, for one thread."""

    def ask(self, message: bytes) -> tuple[bytes, dict[str, Any]]:
        """Return the answer to a request, as bytes and parsed. Raises KeyHolderUnavailable."""


class Asking:
    """One line to the key holder, with the store that keeps what comes of it.

    Its methods raise KeyHolderUnavailable and SQLAlchemyError, and ValueError for an answer that is none.
    """

    def __init__(self, store: Store, line: Line) -> None:
        self._store = store
        self._line = line

    def periods(self) -> Periods:
        """Return how the key holder cuts time into periods."""
        _, policy = self._line.ask(policy_request())
        return parse_periods(str(policy.get("period")))

    def items(self, items: list[Item]) -> list[tuple[bytes, dict[str, Any]]]:
        """Return the answers to items, as bytes and parsed; whatever proves them is stored."""
        message, _ = self._line.ask(items_request(items))
        answers = [(answer, _parsed(answer)) for answer in parse_answers(message, len(items))]
        for batch in dict.fromkeys(name for _, told in answers for name in _batches(told)):
            if batch is not None and not has_release_batch(self._store, batch):
                self._fetch(batch)
        return answers

    def bills(self, asked: list["AskedFor"]) -> list[str]:
        """Ask for several bills and keep what was decided; return each one's status, in their order."""
        requests = [BillRequest(one.tenancy.pseudonym, one.due.period.start, one.documents) for one in asked]
        answers = self.items([Item(bill=request) for request in requests])
        statuses = []
        for one, (answer, told) in zip(asked, answers, strict=True):
            status: str = told["status"]
            if status not in ASK_LATER:
                keep_bill(self._store, _bill(one, told), one.due.starts, answer)
            elif status != NOT_CLOSED:
                log.error("bill held back", pseudonym=one.tenancy.pseudonym, status=status)
            statuses.append(status)
        return statuses

    def _fetch(self, name: str) -> None:
        _, told = self._line.ask(release_request(name))
        try:
            document: Document = msgspec.convert(told.get("release"), Document)
            content = document.content_bytes()
            batch = parse_batch(content)
        except (msgspec.ValidationError, DocumentError) as error:
            raise ValueError(f"release batch: {error}") from None
        if document_id(RELEASE_BATCH, batch.deployment, content) != name:
            raise ValueError("not the release batch that was asked for")
        keep_release_batch(self._store, name, batch, document)


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A bill that is due, with the signed reports of its windows in order of time."""

    tenancy: Tenancy
    due: DueBill
    documents: list[Document]

    @property
    def content(self) -> int:
        """How many characters of signed content go with it."""
        return sum(len(document.content) for document in self.documents)


class DueBills:
    """Finds the bills that are due, a tenancy's next one when the one before it has its decision."""

    def __init__(self, store: Store, book: RosterBook, periods: Periods, now: int) -> None:
        self._store = store
        self._book = book
        self._periods = periods
        self._now = now
        self._decided = last_decided_periods(store)
        # Shared by all tenancies: many ask about the same moment.
        self._reported: dict[int, frozenset[str]] = {}

    def decided(self, tenancy: Tenancy, period_start: int) -> None:
        """Say that a tenancy's bill has its decision: it may have left its windows to the next."""
        self._decided[tenancy.pseudonym] = period_start

    def of(self, tenancy: Tenancy, until: int | None = None) -> AskedFor | None:
        """Return the next bill of a tenancy if it is due; ``until``: of a period that starts before then."""
        zone = self._book.zone(tenancy.neighbourhood)
        stored = _WindowsOf(self._store, tenancy.pseudonym, self._reported)
        last = self._decided.get(tenancy.pseudonym)
        due = next_due_bill(self._periods, zone, tenancy.first_window, tenancy.until, last, stored, self._now)
        if due is None or (until is not None and due.period.start >= until):
            return None
        asked = AskedFor(tenancy, due, window_documents(self._store, tenancy.pseudonym, due.starts))
        if len(asked.documents) > MAX_DOCUMENTS or asked.content > MOST_BYTES_OF_A_BILL:
            # Years of windows, none of which could be billed: it needs a person, and nobody else waits for it.
            log.error("bill held back", pseudonym=tenancy.pseudonym, windows=len(asked.documents), status="too_large")
            return None
        return asked


class _WindowsOf:
    """One tenancy's stored windows. ``reported`` is shared by all of a pass: many ask about the same moment."""

    def __init__(self, store: Store, pseudonym: str, reported: dict[int, frozenset[str]]) -> None:
        self._store = store
        self._pseudonym = pseudonym
        self._reported = reported

    def reported(self, window_start: int) -> bool:
        if window_start not in self._reported:
            self._reported[window_start] = pseudonyms_with_window(self._store, window_start)
        return self._pseudonym in self._reported[window_start]

    def until(self, end: int) -> list[StoredWindow]:
        return windows_of(self._store, self._pseudonym, end)


def portions(items: Iterable[_Asked], size: Callable[[_Asked], int]) -> Iterator[list[_Asked]]:
    """Yield items in order, as many as one request takes: MAX_ITEMS, or MOST_BYTES of signed content."""
    portion: list[_Asked] = []
    filled = 0
    for item in items:
        bytes_of = size(item)
        if portion and (len(portion) == MAX_ITEMS or filled + bytes_of > MOST_BYTES):
            yield portion
            portion, filled = [], 0
        portion.append(item)
        filled += bytes_of
    if portion:
        yield portion


def _bill(one: AskedFor, told: dict[str, Any]) -> Bill:
    """Return what is kept of an answer to a bill."""
    due = one.due
    sums = _sums(told, due.windows)
    return Bill(
        one.tenancy.pseudonym,
        due.period.start,
        due.period.end,
        told.get("import_mwh"),
        told.get("export_mwh"),
        due.windows,
        due.estimated,
        told["status"],
        sums[0].batch if sums else None,
        told.get("tariff"),
        told.get("adjusted", 0),
        sums,
    )


def _batches(told: dict[str, Any]) -> list[str | None]:
    """Return the release batches that an answer names."""
    sums: list[dict[str, Any]] = told.get("sums", [])
    return [told.get("batch"), *(one.get("batch") for one in sums)]


def _sums(told: dict[str, Any], windows: int) -> tuple[BillSum, ...]:
    """Return the sums of a bill's answer. One of before there were bands is one sum of all its filled windows."""
    if told["status"] != RELEASED:
        return ()
    if "sums" not in told:
        return (BillSum(0, (), windows, windows, told["import_mwh"], told["export_mwh"], told.get("batch")),)
    return tuple(
        BillSum(
            one["group"],
            tuple((band["name"], band["windows"]) for band in one["bands"]),
            one["windows"],
            one["filled"],
            one["import_mwh"],
            one["export_mwh"],
            one.get("batch"),
        )
        for one in told["sums"]
    )


def _parsed(answer: bytes) -> dict[str, Any]:
    try:
        told: dict[str, Any] = parse(answer, dict[str, Any])
    except DocumentError as error:
        raise ValueError(str(error)) from None
    if not isinstance(told.get("status"), str):
        raise ValueError("an answer without a status")
    return told
