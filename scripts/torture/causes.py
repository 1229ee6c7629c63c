"""What keeps a concentrator from going on besides a failing disk: no room where it writes, a line that breaks.

Both are real: the database may have no more pages (SQLite's own SQLITE_FULL), its files may not grow (the kernel's
RLIMIT_FSIZE, which SQLite reads as another error than a full disk), and whoever sends gets an error, whether or not the
other end has what was sent.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.ledger import Ledger

NO_PAGES, NO_BYTES = "no pages", "no bytes"
KINDS = (NO_PAGES, NO_BYTES)
MOST_PAGES = 1_073_741_823
SPARE = {NO_PAGES: (0, 1, 2), NO_BYTES: (0, 30, 5_000)}  # what may be written yet: pages, bytes


class Unsent(Exception):
    """A line broke while something was sent on it."""


class Line:
    """Breaks when the n-th thing is sent, and the next ones: answers to homes, uploads, the utility's verdicts."""

    def __init__(self, first: int, length: int) -> None:
        self._failing = range(first, first + length)
        self.sent = 0
        self.refused = 0

    def send(self) -> None:
        """Send one thing; raises Unsent."""
        self.sent += 1
        if self.sent - 1 in self._failing:
            self.refused += 1
            raise Unsent("the line is broken")


class Limit:
    """Leaves hardly any room from a step on, until ``tries`` of that step have failed, or until it is done."""

    def __init__(self, kind: str, step: int, spare: int, tries: int) -> None:
        self._kind = kind
        self._step = step
        self._spare = spare
        self._tries = tries
        self.refused = 0

    def applies(self, step: int) -> bool:
        """Say whether it is on in a step."""
        return step == self._step and self.refused < self._tries

    @contextmanager
    def within(self, step: int, ledger: Ledger, path: Path) -> Iterator[None]:
        """Let what is done inside have no more room than that; counts where it failed for it."""
        if not self.applies(step):
            yield
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if self._kind == NO_PAGES:
            (pages,) = ledger.execute("PRAGMA page_count").fetchone()
            ledger.execute(f"PRAGMA max_page_count={pages + self._spare}")
        else:
            sizes = [file.stat().st_size for file in path.parent.glob(path.name + "*")]
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) + self._spare, hard))
        try:
            yield
        except BaseException:
            self.refused += 1
            raise
        finally:
            if self._kind == NO_PAGES:
                ledger.execute(f"PRAGMA max_page_count={MOST_PAGES}")
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
