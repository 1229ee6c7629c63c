"""The release worker: carries what is ready from the store to the key holder, and its decisions back.

Rule 1: it holds no state of its own. What is ready and undecided is asked of the store each time, and the same
stored documents make the same item, byte for byte. So it may be killed anywhere: the key holder repeats a decision
that was not stored, whatever it is asked together with, and the store takes one that it has for granted.
Rule 2: it decides nothing. A load that is too late or too small is asked for as well, and gets its refusal.
Rule 3: a proof is stored before the first decision that names it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from protocol.documents import Document, DocumentError, document_id, parse
from protocol.releases import MAX_DOCUMENTS, MAX_ITEMS, RELEASE_BATCH, parse_batch
from protocol.rosters import Tenancy

from .billing import BillSum, DueBill, StoredWindow, next_due_bill
from .clock import Clock
from .keyholder.client import KeyHolderClient, KeyHolderUnavailable
from .keyholder.messages import (
    ASK_LATER,
    MAX_MESSAGE,
    NOT_CLOSED,
    BillRequest,
    Item,
    items_request,
    parse_answers,
    policy_request,
    release_request,
)
from .periods import Periods, parse_periods
from .rosters import RosterBook
from .store import RELEASED, Bill, LoadRelease, PendingLoad, Store

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
# Of one request: what the key holder takes for it must not keep others waiting, and half a message is enough.
MOST_BYTES = MAX_MESSAGE // 2
# Of signed content: a document's signature and names come on top of it.
MOST_BYTES_OF_A_BILL = MAX_MESSAGE * 3 // 4

log = structlog.get_logger()

_Asked = TypeVar("_Asked")


class _WindowsOf:
    """One tenancy's stored windows. ``reported`` is shared by all of a pass: many ask about the same moment."""

    def __init__(self, store: Store, pseudonym: str, reported: dict[int, frozenset[str]]) -> None:
        self._store = store
        self._pseudonym = pseudonym
        self._reported = reported

    def reported(self, window_start: int) -> bool:
        if window_start not in self._reported:
            self._reported[window_start] = self._store.pseudonyms_with_window(window_start)
        return self._pseudonym in self._reported[window_start]

    def until(self, end: int) -> list[StoredWindow]:
        return self._store.windows_of(self._pseudonym, end)


class ReleaseWorker:
    """Asks for everything that is due. For one thread; ``stopped`` may be set from another."""

    def __init__(self, store: Store, book: RosterBook, keyholder: KeyHolderClient, stopped: threading.Event) -> None:
        self._store = store
        self._book = book
        self._keyholder = keyholder
        self._stopped = stopped
        self._working = True

    def run(self, clock: Clock) -> None:
        """Settle every tick of the clock, until the clock ends or ``stopped`` is set."""
        while (tick := clock.next_tick()) is not None:
            pause_s = FIRST_PAUSE_S
            while not self._stopped.is_set():
                now_ms = clock.now_ms()
                if now_ms is not None and self.settle(now_ms // 1000):
                    clock.settled(tick)
                    break
                self._stopped.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def settle(self, now: int) -> bool:
        """Ask for every load and bill that is due at ``now``; True when each has its decision."""
        try:
            _, policy = self._keyholder.ask(policy_request())
            settled = self._settle_loads(now)
            settled &= self._settle_bills(parse_periods(str(policy.get("period"))), now)
        except (KeyHolderUnavailable, ValueError) as error:
            return self._nothing_decided(f"key holder: {error}")
        except SQLAlchemyError as error:
            return self._nothing_decided(f"database: {type(error).__name__}")
        if not self._working:
            log.info("releases go on")
        self._working = True
        return settled

    def _nothing_decided(self, reason: str) -> bool:
        # Said once, not with each attempt.
        if self._working:
            log.warning("releases wait", reason=reason)
        self._working = False
        return False

    # --- Questions --------------------------------------------------------------------------------------------

    def _ask(self, items: list[Item]) -> list[tuple[bytes, dict[str, Any]]]:
        """Return the answers to items, as bytes and parsed; whatever proves them is stored."""
        message, _ = self._keyholder.ask(items_request(items))
        answers = [(answer, _parsed(answer)) for answer in parse_answers(message, len(items))]
        for batch in dict.fromkeys(name for _, told in answers for name in _batches(told)):
            if batch is not None and not self._store.has_release_batch(batch):
                self._fetch(batch)
        return answers

    def _fetch(self, name: str) -> None:
        _, told = self._keyholder.ask(release_request(name))
        try:
            document: Document = msgspec.convert(told.get("release"), Document)
            content = document.content_bytes()
            batch = parse_batch(content)
        except (msgspec.ValidationError, DocumentError) as error:
            raise ValueError(f"release batch: {error}") from None
        if document_id(RELEASE_BATCH, batch.deployment, content) != name:
            raise ValueError("not the release batch that was asked for")
        self._store.keep_release_batch(name, batch, document)

    # --- Loads ------------------------------------------------------------------------------------------------

    def _settle_loads(self, now: int) -> bool:
        settled = True
        while pending := self._store.undecided_loads(now):
            for several in portions(pending, lambda load: len(load.document.content)):
                settled &= self._settle_several_loads(several)
                if self._stopped.is_set():
                    return False
            if not settled:
                break
        return settled

    def _settle_several_loads(self, loads: list[PendingLoad]) -> bool:
        settled = True
        answers = self._ask([Item(load=load.document) for load in loads])
        for load, (answer, told) in zip(loads, answers, strict=True):
            status: str = told["status"]
            if status in ASK_LATER:
                # The key holder's clock is behind this one: it has not seen the interval's end yet.
                settled = False
                continue
            release = LoadRelease(
                load.neighbourhood,
                load.interval_start,
                load.contributors,
                load.expected,
                status,
                told.get("import_mwh"),
                told.get("export_mwh"),
                told.get("batch"),
            )
            self._store.keep_load_release(release, answer)
        return settled

    # --- Bills ------------------------------------------------------------------------------------------------

    def _settle_bills(self, periods: Periods, now: int) -> bool:
        decided = self._store.last_decided_periods()
        reported: dict[int, frozenset[str]] = {}
        settled = True
        tenancies = list(self._book.tenancies())
        # A tenancy's next period is looked at when the one before it has its decision: it may take its windows over.
        while tenancies:
            due = self._due_bills(tenancies, periods, decided, reported, now)
            tenancies = []
            for several in portions(due, lambda one: _content(one[2])):
                for tenancy, bill, status in self._settle_several_bills(several):
                    if status not in ASK_LATER:
                        decided[tenancy.pseudonym] = bill.period.start
                        tenancies.append(tenancy)
                    settled &= status != NOT_CLOSED
                if self._stopped.is_set():
                    return False
        return settled and not self._stopped.is_set()

    def _due_bills(
        self,
        tenancies: list[Tenancy],
        periods: Periods,
        decided: dict[str, int],
        reported: dict[int, frozenset[str]],
        now: int,
    ) -> Iterator[tuple[Tenancy, DueBill, list[Document]]]:
        for tenancy in tenancies:
            if self._stopped.is_set():
                return
            zone = self._book.zone(tenancy.neighbourhood)
            stored = _WindowsOf(self._store, tenancy.pseudonym, reported)
            last = decided.get(tenancy.pseudonym)
            due = next_due_bill(periods, zone, tenancy.first_window, tenancy.until, last, stored, now)
            if due is None:
                continue
            documents = self._store.window_documents(tenancy.pseudonym, due.starts)
            if len(documents) > MAX_DOCUMENTS or _content(documents) > MOST_BYTES_OF_A_BILL:
                # Years of windows, none of which could be billed: it needs a person, and nobody else waits for it.
                log.error("bill held back", pseudonym=tenancy.pseudonym, windows=len(documents), status="too_large")
                continue
            yield tenancy, due, documents

    def _settle_several_bills(
        self, bills: list[tuple[Tenancy, DueBill, list[Document]]]
    ) -> Iterator[tuple[Tenancy, DueBill, str]]:
        requests = [BillRequest(tenancy.pseudonym, due.period.start, documents) for tenancy, due, documents in bills]
        answers = self._ask([Item(bill=request) for request in requests])
        for (tenancy, due, _), (answer, told) in zip(bills, answers, strict=True):
            status: str = told["status"]
            if status not in ASK_LATER:
                self._keep_bill(tenancy, due, answer, told)
            elif status != NOT_CLOSED:
                log.error("bill held back", pseudonym=tenancy.pseudonym, status=status)
            yield tenancy, due, status

    def _keep_bill(self, tenancy: Tenancy, due: DueBill, answer: bytes, told: dict[str, Any]) -> None:
        sums = _sums(told, due.windows)
        bill = Bill(
            tenancy.pseudonym,
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
        self._store.keep_bill(bill, due.starts, answer)


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


def _content(documents: Iterable[Document]) -> int:
    return sum(len(document.content) for document in documents)


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
