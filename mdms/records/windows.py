"""Billing windows: which are reported, which are spent by a bill, and the signed reports of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from protocol.documents import Document

from ..billing import StoredWindow
from ..keyholder.messages import RELEASED
from ..store import Store
from ..tables import billing_windows, bills, reports
from .documents import SIGNED, document_of


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """A stored window, with the times of its two registers."""

    pseudonym: str
    window_start: int
    register_from: int
    register_to: int


def pseudonyms_with_window(store: Store, window_start: int) -> frozenset[str]:
    """Return who has reported the window that starts at a time."""
    query = select(billing_windows.c.pseudonym).where(billing_windows.c.window_start == window_start)
    return frozenset(row.pseudonym for row in store.ask(query))


def windows_of(store: Store, pseudonym: str, until: int) -> list[StoredWindow]:
    """Return a tenancy's windows that start before ``until``, in order, with whether each is spent."""
    query = (
        select(
            billing_windows.c.window_start,
            billing_windows.c.present,
            billing_windows.c.expected,
            billing_windows.c.filled,
            billing_windows.c.quality,
            billing_windows.c.bill,
        )
        .where(billing_windows.c.pseudonym == pseudonym, billing_windows.c.window_start < until)
        .order_by(billing_windows.c.window_start)
    )
    return [
        StoredWindow(row.window_start, row.present, row.expected, row.filled, row.bill is not None, row.quality)
        for row in store.ask(query)
    ]


def window_documents(store: Store, pseudonym: str, starts: Sequence[int]) -> list[Document]:
    """Return the signed reports of a tenancy's windows, in order of time."""
    wanted = frozenset(starts)
    if not wanted:
        return []
    query = (
        select(billing_windows.c.window_start, *SIGNED)
        .join(reports, billing_windows.c.report == reports.c.id)
        .where(
            billing_windows.c.pseudonym == pseudonym,
            billing_windows.c.window_start.between(min(wanted), max(wanted)),
        )
        .order_by(billing_windows.c.window_start)
    )
    return [document_of(row) for row in store.ask(query) if row.window_start in wanted]


def unbilled_windows(store: Store) -> Iterator[WindowSpan]:
    """Yield the stored windows that entered no released bill, by pseudonym and time."""
    yield from _windows(store, or_(billing_windows.c.bill.is_(None), bills.c.status != RELEASED))


def billed_windows(store: Store) -> Iterator[WindowSpan]:
    """Yield the stored windows that entered a released bill, by pseudonym and time."""
    yield from _windows(store, bills.c.status == RELEASED)


def _windows(store: Store, condition: Any) -> Iterator[WindowSpan]:
    query = (
        select(
            billing_windows.c.pseudonym,
            billing_windows.c.window_start,
            billing_windows.c.register_from,
            billing_windows.c.register_to,
        )
        .outerjoin(bills, billing_windows.c.bill == bills.c.id)
        .where(condition)
        .order_by(billing_windows.c.pseudonym, billing_windows.c.window_start)
    )
    yield from (WindowSpan(*row) for row in store.ask(query))
