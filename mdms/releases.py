"""The release worker: carries what is ready from the store to the key holder, and its decisions back.

Rule 1: it holds no state of its own. What is ready and undecided is asked of the store each time, and the same
stored documents make the same request, byte for byte. So it may be killed anywhere: the key holder repeats a
decision that was not stored, and the store takes one that it has for granted.
Rule 2: it decides nothing. A load that is too late or too small is asked for as well, and gets its refusal.
"""

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from .billing import DueBill, StoredWindow, next_due_bill
from .clock import Clock
from .keyholder.client import KeyHolderClient, KeyHolderUnavailable
from .keyholder.messages import ASK_LATER, NOT_CLOSED, bill_request, load_request, policy_request
from .periods import Periods, parse_periods
from .rosters import RosterBook, Tenancy
from .store import Bill, LoadRelease, PendingLoad, Store

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0

log = structlog.get_logger()


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

    # --- Loads ------------------------------------------------------------------------------------------------

    def _settle_loads(self, now: int) -> bool:
        settled = True
        while pending := self._store.undecided_loads(now):
            decided = [self._settle_load(load) for load in pending]
            settled = all(decided)
            if not settled or self._stopped.is_set():
                break
        return settled

    def _settle_load(self, load: PendingLoad) -> bool:
        answer, told = self._keyholder.ask(load_request(load.document))
        status: str = told["status"]
        if status in ASK_LATER:
            # The key holder's clock is behind this one: it has not seen the interval's end yet.
            return False
        release = LoadRelease(
            load.neighbourhood,
            load.interval_start,
            load.contributors,
            load.expected,
            status,
            told.get("import_mwh"),
            told.get("export_mwh"),
        )
        self._store.keep_load_release(release, answer)
        return True

    # --- Bills ------------------------------------------------------------------------------------------------

    def _settle_bills(self, periods: Periods, now: int) -> bool:
        decided = self._store.last_decided_periods()
        reported: dict[int, frozenset[str]] = {}
        settled = True
        for tenancy in self._book.tenancies():
            if self._stopped.is_set():
                return False
            stored = _WindowsOf(self._store, tenancy.pseudonym, reported)
            settled &= self._settle_tenancy(tenancy, periods, decided.get(tenancy.pseudonym), stored, now)
        return settled

    def _settle_tenancy(
        self, tenancy: Tenancy, periods: Periods, last: int | None, stored: _WindowsOf, now: int
    ) -> bool:
        zone = self._book.zone(tenancy.neighbourhood)
        while True:
            due = next_due_bill(periods, zone, tenancy.first_window, tenancy.until, last, stored, now)
            if due is None:
                return True
            status = self._settle_bill(tenancy, due)
            if status in ASK_LATER:
                return status != NOT_CLOSED
            last = due.period.start

    def _settle_bill(self, tenancy: Tenancy, due: DueBill) -> str:
        documents = self._store.window_documents(tenancy.pseudonym, due.starts)
        answer, told = self._keyholder.ask(bill_request(tenancy.pseudonym, due.period.start, documents))
        status: str = told["status"]
        if status in ASK_LATER:
            if status != NOT_CLOSED:
                log.error("bill held back", pseudonym=tenancy.pseudonym, status=status)
            return status
        bill = Bill(
            tenancy.pseudonym,
            due.period.start,
            due.period.end,
            told.get("import_mwh"),
            told.get("export_mwh"),
            due.windows,
            due.estimated,
            status,
        )
        self._store.keep_bill(bill, due.starts, answer)
        return status
