"""The release worker: carries what is ready from the store to the key holder, and its decisions back.

Rule 1: it holds no state of its own (`asking` says how). So it may be killed anywhere.
Rule 2: it decides nothing. A load that is too late or too small is asked for as well, and gets its refusal.
"""

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from .asking import Asking, DueBills, Line, portions
from .clock import Clock
from .keyholder.client import KeyHolderUnavailable
from .keyholder.messages import ASK_LATER, NOT_CLOSED, Item
from .periods import Periods
from .records.loads import LoadRelease, PendingLoad, keep_load_release, undecided_loads
from .rosters import RosterBook
from .store import Store

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0

log = structlog.get_logger()


class ReleaseWorker:
    """Asks for everything that is due. For one thread; ``stopped`` may be set from another."""

    def __init__(self, store: Store, book: RosterBook, keyholder: Line, stopped: threading.Event) -> None:
        self._store = store
        self._book = book
        self._asking = Asking(store, keyholder)
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
            periods = self._asking.periods()
            settled = self._settle_loads(now)
            settled &= self._settle_bills(periods, now)
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
        while pending := undecided_loads(self._store, now):
            for several in portions(pending, lambda load: len(load.document.content)):
                settled &= self._settle_several_loads(several)
                if self._stopped.is_set():
                    return False
            if not settled:
                break
        return settled

    def _settle_several_loads(self, loads: list[PendingLoad]) -> bool:
        settled = True
        answers = self._asking.items([Item(load=load.document) for load in loads])
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
            keep_load_release(self._store, release, answer)
        return settled

    # --- Bills ------------------------------------------------------------------------------------------------

    def _settle_bills(self, periods: Periods, now: int) -> bool:
        due_bills = DueBills(self._store, self._book, periods, now)
        settled = True
        tenancies = list(self._book.tenancies())
        # A tenancy's next period is looked at when the one before it has its decision: it may take its windows over.
        while tenancies and not self._stopped.is_set():
            looked = (due_bills.of(tenancy) for tenancy in tenancies if not self._stopped.is_set())
            due = (one for one in looked if one is not None)
            tenancies = []
            for several in portions(due, lambda one: one.content):
                for one, status in zip(several, self._asking.bills(several), strict=True):
                    if status not in ASK_LATER:
                        due_bills.decided(one.tenancy, one.due.period.start)
                        tenancies.append(one.tenancy)
                    settled &= status != NOT_CLOSED
                if self._stopped.is_set():
                    return False
        return settled and not self._stopped.is_set()
