"""Who looked: what the key holder's log says of one account's bills and of its street's loads, in plain words.

An entry names a bill's account and a load's street, and never which homes a load is the sum of. Of other accounts
nothing is said.
"""

from typing import Any

from flask import Blueprint, Response

from .. import formats
from ..auditor.log_index import DayOfLoads, LogIndex
from ..auditor.log_reader import LogReader
from ..ingest.routes import answer_json
from ..keyholder.log import LogBroken
from ..keyholder.messages import RELEASED, AskedBill, AskedSum, Entry
from ..reasons import words
from ..rosters import RosterBook
from ..store import Store
from .questions import bills_of

MOST_ENTRIES = 48  # two for each month of two years
MOST_DAYS = 31

NO_LOG = "This server is given no release log, so it cannot show you who looked. Ask the utility's auditor."
CHANGED = "was changed after it had been verified. Do not rely on it; ask the utility's auditor."


class Looked:
    """What one verified log says of an account."""

    def __init__(self, log: LogReader | None, index: LogIndex, book: RosterBook, store: Store) -> None:
        self._log = log
        self._index = index
        self._book = book
        self._store = store

    def of(self, account: str) -> dict[str, Any]:
        """Return the account's own entries, newest first, the street's days, and how far the log holds."""
        nothing: dict[str, Any] = {"holds": False, "head": None, "bills": [], "earlier": 0, "street": "", "days": []}
        if self._log is None:
            return {**nothing, "said": NO_LOG}
        try:
            state = self._log.look()
            numbers = self._index.bills_of(account)
            entries = [entry for seq in numbers[: -MOST_ENTRIES - 1 : -1] for entry in self._log.entries(seq, 1)]
        except OSError as error:
            return {**nothing, "said": f"The key holder's log cannot be read just now: {error.strerror}."}
        except LogBroken:
            self._log.start_again()
            return {**nothing, "said": f"The key holder's log {CHANGED}"}
        head = {"seq": state.head.seq, "hash": state.head.hash}
        if state.broken:
            said = f"The log does not verify: {state.broken}. What follows is from the {state.head.seq} entries before."
        elif not state.whole:
            said = f"{state.head.seq} entries verified so far; the rest is being verified."
        else:
            said = f"The log verifies: {state.head.seq} entries, each signed and naming the one before it."
        return {
            "holds": state.broken is None and state.whole,
            "said": said,
            "head": head,
            "bills": self._bills(account, entries),
            "earlier": max(0, len(numbers) - MOST_ENTRIES),
            **self._street(account),
        }

    def _bills(self, account: str, entries: list[Entry]) -> list[dict[str, Any]]:
        tenancy = self._book.tenancy(account)
        zone = [self._book.zone(tenancy.neighbourhood)] if tenancy else []
        ends = {bill.period_start: bill.period_end for bill in bills_of(self._store, account)}
        found = []
        for entry in entries:
            bill = entry.asked
            assert isinstance(bill, AskedBill), "the index says so"
            start = bill.period_start
            known, day = start in ends, formats.day(start, *zone)
            released = entry.decision == RELEASED
            found.append(
                {
                    "seq": entry.seq,
                    "time": formats.moment(entry.time, *zone),
                    "period": f"of {formats.period(start, ends[start], *zone)}" if known else f"from {day}",
                    "released": released,
                    "why": words(entry.decision),
                    "opened": opened(bill) if released else [],
                    "unsafe": entry.unsafe,
                }
            )
        return found

    def _street(self, account: str) -> dict[str, Any]:
        tenancy = self._book.tenancy(account)
        if tenancy is None:
            return {"street": "", "days": []}
        zone = self._book.zone(tenancy.neighbourhood)
        first = formats.day(tenancy.first_window, zone)
        last = formats.day(tenancy.until - 1, zone) if tenancy.until is not None else "9999"
        days = [day for day in self._index.days_of(tenancy.neighbourhood) if first <= day.day <= last]
        shown = [
            {"day": day.day, "released": day.released, "refused": day.refused, "homes": homes(day)}
            for day in days[:MOST_DAYS]
        ]
        return {"street": street(days), "days": shown}


def opened(bill: AskedBill) -> list[str]:
    """Say what a released bill opened: a sentence for each sum. The energies themselves are on the bill."""
    if not bill.sums:  # an entry of before there were bands
        return [f"One sum of all {bill.windows} windows of three hours."]
    said = [_sum(one) for one in bill.sums]
    if bill.adjusted:
        said.append(f"{bill.adjusted} of these windows were left over from earlier periods.")
    return said


def _sum(one: AskedSum) -> str:
    band = f" of the band {' + '.join(one.bands)}" if one.bands else ""
    empty = one.windows - one.filled
    without = f", {empty} of them without a reading" if empty else ""
    return f"One sum{band}: {one.windows} windows of three hours{without}."


def homes(day: DayOfLoads) -> str:
    """Say of how many homes a day's released loads were."""
    if not day.released:
        return "–"
    return str(day.most) if day.fewest == day.most else f"{day.fewest} to {day.most}"


def street(days: list[DayOfLoads]) -> str:
    """Say what was opened of a street in some days."""
    released, refused = sum(day.released for day in days), sum(day.refused for day in days)
    if not released:
        return "Of your street's loads none was opened since you live here." if days else ""
    fewest = min(day.fewest for day in days if day.released)
    on = "1 day" if len(days) == 1 else f"{len(days)} days"
    return (
        f"Besides, loads of your whole street: {released} opened on {on}, {refused} refused. "
        f"Each is one sum of {fewest} homes or more over one interval. Yours is one of them wherever its reading came "
        "in time; the log does not say which homes they were."
    )


def looked_routes(own: Blueprint, looked: Looked) -> None:
    """Add the address to the blueprint of one customer's objects."""

    @own.get("/releases.json")
    def releases(account: str) -> Response:
        return answer_json(looked.of(account))
