"""What the MDMS knows, and the questions asked of it; each is one function with its own explicit query.

Strategy: ciphertexts and sealed rows go in and come out as the bytes that arrived. The only energies in clear are
released sums, in ``load_releases`` and ``bills`` and in the ``release_batches`` that prove them. What is written twice
is written once: every writer asks first inside its transaction, and unique keys hold where two run at the same time.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from protocol.documents import Document, from_base64url, to_base64url
from protocol.envelopes import ENVELOPE
from protocol.releases import RELEASE_BATCH, ReleaseBatch

from .billing import BillSum, StoredWindow
from .database import WRITES, open_database
from .tables import (
    bill_sums,
    billing_windows,
    bills,
    conflicts,
    detail_rows,
    envelopes,
    interval_loads,
    load_releases,
    release_batches,
    reports,
)

ATTEMPTS = 10
PAUSE_S = 0.005  # after the first attempt that came second, and longer after each: several race for one place
NAMES_AT_ONCE = 500
RELEASED = "released"
# The decisions that use their windows up. Any other leaves them to the next period.
SPENDING = (RELEASED, "not_releasable", "no_energy")

_Result = TypeVar("_Result")
_Named = TypeVar("_Named", str, int)


@dataclass(frozen=True, slots=True)
class PendingLoad:
    """A stored load that the key holder has not decided."""

    neighbourhood: str
    interval_start: int
    contributors: int
    expected: int
    document: Document


@dataclass(frozen=True, slots=True)
class LoadRelease:
    """The key holder's decision on one neighbourhood's interval. ``expected`` is the number of rostered meters.

    ``status`` is "released" or the reason of the refusal; energies in mWh, None unless released. ``batch`` is the id
    of the release batch that proves them.
    """

    neighbourhood: str
    interval_start: int
    contributors: int
    expected: int
    status: str
    import_mwh: int | None
    export_mwh: int | None
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """The key holder's decision on one tenancy's period; energies in mWh, None unless released.

    ``windows`` counts the filled windows that were asked for, ``estimated`` those of them in which intervals
    are missing or were not plainly measured; ``batch`` is as a load's, of the first of its ``sums``. ``tariff`` is the
    id of the document by whose bands it was opened; ``adjusted`` counts the filled windows that were left over from
    earlier periods.
    """

    pseudonym: str
    period_start: int
    period_end: int
    import_mwh: int | None
    export_mwh: int | None
    windows: int
    estimated: int
    status: str
    batch: str | None = None
    tariff: str | None = None
    adjusted: int = 0
    sums: tuple[BillSum, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """A stored window, with the times of its two registers."""

    pseudonym: str
    window_start: int
    register_from: int
    register_to: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """An authentic report that contradicts a stored one."""

    id: str
    document: Document
    reason: str


# What a Bill is made of, in its order.
BILL_COLUMNS = (
    bills.c.pseudonym,
    bills.c.period_start,
    bills.c.period_end,
    bills.c.import_mwh,
    bills.c.export_mwh,
    bills.c.windows,
    bills.c.estimated,
    bills.c.status,
    bills.c.batch,
    bills.c.tariff,
    bills.c.adjusted,
)


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
        """Return the rows of one question; each door keeps its own in a file beside its pages."""
        return self._rows(query)

    def _rows(self, query: Any) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(query))

    # --- Questions ----------------------------------------------------------------------------------------------

    def loads(self, neighbourhood: str | None = None) -> Iterator[LoadRelease]:
        """Yield the decisions on loads, of one neighbourhood or of all, by neighbourhood and time."""
        query = select(
            load_releases.c.neighbourhood,
            load_releases.c.interval_start,
            load_releases.c.contributors,
            load_releases.c.expected,
            load_releases.c.status,
            load_releases.c.import_mwh,
            load_releases.c.export_mwh,
            load_releases.c.batch,
        ).order_by(load_releases.c.neighbourhood, load_releases.c.interval_start)
        if neighbourhood is not None:
            query = query.where(load_releases.c.neighbourhood == neighbourhood)
        yield from (LoadRelease(*row) for row in self._rows(query))

    def bills(self) -> Iterator[Bill]:
        """Yield the decisions on bills, by pseudonym and period."""
        yield from self.bills_with_sums(select(*BILL_COLUMNS).order_by(bills.c.pseudonym, bills.c.period_start))

    def bills_with_sums(self, query: Any) -> list[Bill]:
        """Return the bills of a query for BILL_COLUMNS, in its order, each with the sums that it consists of."""
        found = [Bill(*row) for row in self._rows(query)]
        sums: dict[tuple[str, int], list[BillSum]] = {}
        for names in batched(sorted({bill.pseudonym for bill in found})):
            for row in self._rows(_sums_of(names)):
                sums.setdefault((row.pseudonym, row.period_start), []).append(bill_sum(row))
        return [replace(bill, sums=tuple(sums.get((bill.pseudonym, bill.period_start), ()))) for bill in found]

    def rows_of(self, pseudonym: str) -> Iterator[bytes]:
        """Yield a tenancy's sealed rows (90 bytes each) in the order in which the meter made them."""
        query = (
            select(detail_rows.c.row)
            .where(detail_rows.c.pseudonym == pseudonym)
            .order_by(detail_rows.c.epoch, detail_rows.c.counter, detail_rows.c.salt)
        )
        yield from (bytes(row.row) for row in self._rows(query))

    def envelope_of(self, pseudonym: str) -> Document | None:
        """Return the signed envelope of a tenancy's customer root, or None."""
        query = select(envelopes).where(envelopes.c.pseudonym == pseudonym)
        for row in self._rows(query):
            return Document(ENVELOPE, to_base64url(row.content), row.signer, row.signature)
        return None

    def unbilled_windows(self) -> Iterator[WindowSpan]:
        """Yield the stored windows that entered no released bill, by pseudonym and time."""
        yield from self._windows(or_(billing_windows.c.bill.is_(None), bills.c.status != RELEASED))

    def billed_windows(self) -> Iterator[WindowSpan]:
        """Yield the stored windows that entered a released bill, by pseudonym and time."""
        yield from self._windows(bills.c.status == RELEASED)

    def _windows(self, condition: Any) -> Iterator[WindowSpan]:
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
        yield from (WindowSpan(*row) for row in self._rows(query))

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the reports that were set aside."""
        for row in self._rows(select(conflicts).order_by(conflicts.c.id)):
            document = Document(row.type, to_base64url(row.content), row.signer, row.signature)
            yield Conflict(row.id, document, row.reason)

    # --- Releases -----------------------------------------------------------------------------------------------

    def undecided_loads(self, now: int, limit: int = 500) -> list[PendingLoad]:
        """Return stored loads whose interval is over at ``now`` and that have no decision, oldest first."""
        query = (
            select(
                interval_loads.c.neighbourhood,
                interval_loads.c.interval_start,
                interval_loads.c.contributors,
                interval_loads.c.expected,
                *_signed,
            )
            .join(reports, interval_loads.c.report == reports.c.id)
            .where(interval_loads.c.decided.is_(False), interval_loads.c.interval_end <= now)
            .order_by(interval_loads.c.interval_start, interval_loads.c.neighbourhood)
            .limit(limit)
        )
        return [
            PendingLoad(row.neighbourhood, row.interval_start, row.contributors, row.expected, _document(row))
            for row in self._rows(query)
        ]

    def keep_load_release(self, release: LoadRelease, answer: bytes) -> None:
        """Store a decision on a load; a second time is harmless."""

        def work(connection: Connection) -> None:
            known = select(load_releases.c.status).where(
                load_releases.c.neighbourhood == release.neighbourhood,
                load_releases.c.interval_start == release.interval_start,
            )
            if connection.execute(known).first() is None:
                connection.execute(
                    insert(load_releases).values(
                        neighbourhood=release.neighbourhood,
                        interval_start=release.interval_start,
                        contributors=release.contributors,
                        expected=release.expected,
                        status=release.status,
                        import_mwh=release.import_mwh,
                        export_mwh=release.export_mwh,
                        answer=answer,
                        batch=release.batch,
                    )
                )
            connection.execute(
                update(interval_loads)
                .where(
                    interval_loads.c.neighbourhood == release.neighbourhood,
                    interval_loads.c.interval_start == release.interval_start,
                )
                .values(decided=True)
            )

        self.write(work)

    def last_decided_periods(self) -> dict[str, int]:
        """Return, by pseudonym, the start of the latest period that has a decision."""
        query = select(bills.c.pseudonym, func.max(bills.c.period_start)).group_by(bills.c.pseudonym)
        return {row[0]: row[1] for row in self._rows(query)}

    def pseudonyms_with_window(self, window_start: int) -> frozenset[str]:
        """Return who has reported the window that starts at a time."""
        query = select(billing_windows.c.pseudonym).where(billing_windows.c.window_start == window_start)
        return frozenset(row.pseudonym for row in self._rows(query))

    def windows_of(self, pseudonym: str, until: int) -> list[StoredWindow]:
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
            for row in self._rows(query)
        ]

    def window_documents(self, pseudonym: str, starts: Sequence[int]) -> list[Document]:
        """Return the signed reports of a tenancy's windows, in order of time."""
        wanted = frozenset(starts)
        if not wanted:
            return []
        query = (
            select(billing_windows.c.window_start, *_signed)
            .join(reports, billing_windows.c.report == reports.c.id)
            .where(
                billing_windows.c.pseudonym == pseudonym,
                billing_windows.c.window_start.between(min(wanted), max(wanted)),
            )
            .order_by(billing_windows.c.window_start)
        )
        return [_document(row) for row in self._rows(query) if row.window_start in wanted]

    def keep_bill(self, bill: Bill, window_starts: Sequence[int], answer: bytes) -> None:
        """Store a decision on a bill and mark the windows that it spent; a second time is harmless."""

        def work(connection: Connection) -> None:
            known = select(bills.c.id).where(
                bills.c.pseudonym == bill.pseudonym, bills.c.period_start == bill.period_start
            )
            if connection.execute(known).first() is not None:
                return
            kept = connection.execute(
                insert(bills)
                .values(
                    pseudonym=bill.pseudonym,
                    period_start=bill.period_start,
                    period_end=bill.period_end,
                    status=bill.status,
                    import_mwh=bill.import_mwh,
                    export_mwh=bill.export_mwh,
                    windows=bill.windows,
                    estimated=bill.estimated,
                    answer=answer,
                    batch=bill.batch,
                    tariff=bill.tariff,
                    adjusted=bill.adjusted,
                )
                .returning(bills.c.id)
            ).scalar_one()
            for number, one in enumerate(bill.sums):
                connection.execute(insert(bill_sums).values(bill=kept, number=number, **_values(one)))
            if bill.status in SPENDING:
                for starts in batched(window_starts):
                    connection.execute(
                        update(billing_windows)
                        .where(
                            billing_windows.c.pseudonym == bill.pseudonym,
                            billing_windows.c.window_start.in_(starts),
                            billing_windows.c.bill.is_(None),
                        )
                        .values(bill=kept)
                    )

        self.write(work)

    def has_release_batch(self, name: str) -> bool:
        """Say whether a release batch is there, by its document's id."""
        query = select(release_batches.c.id).where(release_batches.c.id == name)
        return bool(self._rows(query))

    def keep_release_batch(self, name: str, batch: ReleaseBatch, document: Document) -> None:
        """Store the key holder's signed proof of some sums under its id; a second time is harmless."""

        def work(connection: Connection) -> None:
            known = select(release_batches.c.id).where(release_batches.c.id == name)
            if connection.execute(known).first() is None:
                connection.execute(
                    insert(release_batches).values(
                        id=name,
                        neighbourhood=batch.neighbourhood,
                        kind=batch.kind,
                        content=document.content_bytes(),
                        signer=document.signer,
                        signature=document.signature,
                    )
                )

        self.write(work)

    def release_batches(self, names: Sequence[str]) -> dict[str, Document]:
        """Return those of some release batches that are there, by id."""
        return {
            row.id: Document(RELEASE_BATCH, to_base64url(row.content), row.signer, row.signature)
            for some in batched(names)
            for row in self._rows(select(release_batches).where(release_batches.c.id.in_(some)))
        }

    def reports_named(self, names: Sequence[str]) -> Iterator[tuple[str, Document]]:
        """Yield those of some reports that are there, with their ids, a portion at a time."""
        for some in batched(names):
            for row in self._rows(select(reports).where(reports.c.id.in_(some))):
                yield row.id, _document(row)

    # --- Envelopes ----------------------------------------------------------------------------------------------

    def keep_envelopes(self, found: dict[str, Document]) -> None:
        """Store the operator's verified envelopes by pseudonym; one that was sealed anew replaces the old."""

        def work(connection: Connection) -> None:
            for pseudonym, document in found.items():
                connection.execute(delete(envelopes).where(envelopes.c.pseudonym == pseudonym))
                connection.execute(
                    insert(envelopes).values(
                        pseudonym=pseudonym,
                        content=from_base64url(document.content, "content"),
                        signer=document.signer,
                        signature=document.signature,
                    )
                )

        self.write(work)


def _sums_of(pseudonyms: Sequence[str]) -> Any:
    return (
        select(bills.c.pseudonym, bills.c.period_start, bill_sums)
        .join(bills, bill_sums.c.bill == bills.c.id)
        .where(bills.c.pseudonym.in_(pseudonyms))
        .order_by(bill_sums.c.bill, bill_sums.c.number)
    )


def bill_sum(row: Any) -> BillSum:
    """Return the sum that a row of bill_sums is."""
    bands = tuple((name, windows) for name, windows in json.loads(row.bands))
    return BillSum(row.group_number, bands, row.windows, row.filled, row.import_mwh, row.export_mwh, row.batch)


def _values(one: BillSum) -> dict[str, Any]:
    return {
        "group_number": one.group,
        "bands": json.dumps(one.bands),
        "windows": one.windows,
        "filled": one.filled,
        "import_mwh": one.import_mwh,
        "export_mwh": one.export_mwh,
        "batch": one.batch,
    }


def _is_a_race(error: DBAPIError) -> bool:
    # serialization_failure, deadlock_detected (PostgreSQL, appendix A)
    return isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def batched(names: Sequence[_Named]) -> Iterator[Sequence[_Named]]:
    """Yield names, or times, in portions that one query may ask for."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        yield names[start : start + NAMES_AT_ONCE]


_signed = (reports.c.type, reports.c.content, reports.c.signer, reports.c.signature)


def _document(row: Any) -> Document:
    # Canonical base64url has one spelling, so this is the document as it arrived.
    return Document(row.type, to_base64url(row.content), row.signer, row.signature)
