"""The store: one database for many threads and processes, with transactions that are run again when they came second.

What is written twice is written once: every writer asks first inside its transaction, and unique keys hold where two
run at the same time. What is kept here, and what is asked of it, is in `records` and beside each door's pages.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from .database import WRITES, open_database

ATTEMPTS = 10
PAUSE_S = 0.005  # after the first attempt that came second, and longer after each: several race for one place
NAMES_AT_ONCE = 500

_Result = TypeVar("_Result")
_Named = TypeVar("_Named", str, int)


class Store:
    """The database behind a URL, its tables brought forward or, without ``migrate``, only checked.

    Raises CannotStart if it cannot be opened; safe to share between threads.
    """

    def __init__(self, url: str, migrate: bool = True) -> None:
        self._engine = open_database(url, migrate)
        self._writing = self._engine.execution_options(**{WRITES: True})

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """Run ``work`` in one transaction and return its result after the commit.

        Two writers may both find a key free; the one that comes second breaks a unique key, and finds the
        first one's row when it runs again. So does one that PostgreSQL ended because two waited for each other.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._writing.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _is_a_race(error):
                    raise
            time.sleep(attempt * PAUSE_S)
        raise AssertionError("the loop returns or raises")

    def ask(self, query: Any) -> list[Any]:
        """Return the rows of one question."""
        with self._engine.connect() as connection:
            return list(connection.execute(query))


def _is_a_race(error: DBAPIError) -> bool:
    # serialization_failure, deadlock_detected (PostgreSQL, appendix A)
    return isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def batched(names: Sequence[_Named]) -> Iterator[Sequence[_Named]]:
    """Yield names, or times, in portions that one query may ask for."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        yield names[start : start + NAMES_AT_ONCE]
