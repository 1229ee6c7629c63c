"""Where in the release log an account's bills are, and what became of a street's loads day by day.

Filled by the log's reader, one verified entry after the other: no question has to read years of a log again.
"""

import threading
from dataclasses import dataclass, replace

from .. import formats
from ..keyholder.messages import RELEASED, AskedBill, AskedLoad, Entry
from ..rosters import RosterBook


@dataclass(frozen=True, slots=True)
class DayOfLoads:
    """A street's loads of one local day: how many were decided which way, and of how many homes those released were."""

    day: str
    released: int = 0
    refused: int = 0
    fewest: int = 0
    most: int = 0

    def with_load(self, load: AskedLoad, released: bool) -> "DayOfLoads":
        """Return the day with one more decision in it."""
        if not released:
            return replace(self, refused=self.refused + 1)
        fewest = min(self.fewest, load.contributors) if self.released else load.contributors
        return replace(self, released=self.released + 1, fewest=fewest, most=max(self.most, load.contributors))


class LogIndex:
    """The index of one log. Safe to share between threads."""

    def __init__(self, book: RosterBook) -> None:
        self._book = book
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Begin again: the log is read from its first entry."""
        with self._lock:
            self._bills: dict[str, list[int]] = {}
            self._days: dict[str, dict[str, DayOfLoads]] = {}

    def note(self, entry: Entry) -> None:
        """Take in the next verified entry."""
        with self._lock:
            match entry.asked:
                case AskedBill() as bill:
                    self._bills.setdefault(bill.pseudonym, []).append(entry.seq)
                case AskedLoad() as load if self._book.versions(load.neighbourhood):
                    day = formats.day(load.interval_start, self._book.zone(load.neighbourhood))
                    days = self._days.setdefault(load.neighbourhood, {})
                    days[day] = days.get(day, DayOfLoads(day)).with_load(load, entry.decision == RELEASED)

    def bills_of(self, pseudonym: str) -> list[int]:
        """Return the numbers of the entries that name an account, oldest first."""
        with self._lock:
            return list(self._bills.get(pseudonym, ()))

    def days_of(self, neighbourhood: str) -> list[DayOfLoads]:
        """Return what the log holds of a street's loads, newest day first."""
        with self._lock:
            days = self._days.get(neighbourhood, {})
            return [days[day] for day in sorted(days, reverse=True)]
