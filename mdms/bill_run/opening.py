"""The first half of a run: every bill up to the period's is asked for, several requests at once.

The key holder takes several connections: it verifies one request's signatures while it opens another's sums. What one
bill gets does not depend on what is asked beside it (`..asking`), so the order in which requests end does not matter.
"""

import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from protocol.rosters import Tenancy
from protocol.windows import Span

from ..asking import AskedFor, Asking, DueBills, portions
from ..keyholder.messages import ASK_LATER
from .progress import Progress

Settled = list[tuple[AskedFor, str]]


def open_due_bills(
    due_bills: DueBills,
    tenancies: Sequence[Tenancy],
    periods: Mapping[str, Span],
    lines: Sequence[Asking],
    progress: Progress,
) -> dict[str, str]:
    """Ask for every bill of some tenancies up to the end of their neighbourhood's period.

    Returns why the key holder lets bills wait: its status by pseudonym. Raises what `Asking` raises; what was decided
    until then is kept.
    """
    waiting: dict[str, str] = {}
    progress.begin("bills asked for", len(tenancies))
    free: queue.SimpleQueue[Asking] = queue.SimpleQueue()
    for line in lines:
        free.put(line)
    with ThreadPoolExecutor(len(lines), thread_name_prefix="ask") as threads:
        left = list(tenancies)
        # A tenancy's next period is looked at when the one before it has its decision: it may take its windows over.
        while left:
            again: list[Tenancy] = []
            looked = _due(due_bills, left, periods, progress)
            for settled in _in_turn(threads, free, portions(looked, lambda one: one.content), 2 * len(lines)):
                for one, status in settled:
                    if status in ASK_LATER:
                        waiting[one.tenancy.pseudonym] = status
                        progress.advance()
                        continue
                    due_bills.decided(one.tenancy, one.due.period.start)
                    if one.due.period.start < periods[one.tenancy.neighbourhood].start:
                        again.append(one.tenancy)
                    else:
                        progress.advance()
            left = again
    return waiting


def _due(
    due_bills: DueBills, tenancies: Sequence[Tenancy], periods: Mapping[str, Span], progress: Progress
) -> Iterator[AskedFor]:
    for tenancy in tenancies:
        one = due_bills.of(tenancy, until=periods[tenancy.neighbourhood].end)
        if one is None:
            progress.advance()
        else:
            yield one


def _in_turn(
    threads: ThreadPoolExecutor,
    free: "queue.SimpleQueue[Asking]",
    asked: Iterator[list[AskedFor]],
    most: int,
) -> Iterator[Settled]:
    """Yield what portions came to, as they come: the store is read only as far ahead as ``most`` requests."""

    def settle(several: list[AskedFor]) -> Settled:
        line = free.get()
        try:
            return list(zip(several, line.bills(several), strict=True))
        finally:
            free.put(line)

    running: set[Future[Settled]] = set()
    for several in asked:
        running.add(threads.submit(settle, several))
        if len(running) >= most:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
    for each in list(running):
        yield each.result()
