"""One billing run from its configuration to its outcome."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from protocol.rosters import Tenancy
from protocol.windows import Span, windows

from ..asking import Asking, DueBills
from ..billing.due import next_period
from ..billing.money import decimal
from ..config import MdmsConfig
from ..errors import CannotStart, ConfigError
from ..formats import day
from ..keyholder.client import KeyHolderClient, KeyHolderUnavailable
from ..keyholder.messages import RELEASED
from ..periods import Periods
from ..pricing import Pricing
from ..records.bills import last_decided_periods
from ..records.windows import windows_of
from ..rosters import RosterBook, load_rosters
from ..statements.contents import file_name
from ..store import Store
from ..tariffs import load_tariffs
from .book import Entry, NotProved, Page, make_pages, unproved
from .collecting import Collecting
from .executors import Working, working
from .folder import BillFolder
from .opening import open_due_bills
from .periods import wanted_periods
from .progress import Progress

FORMAT = 1
LINES = 2  # one request's signatures are verified while another's sums are opened
AGAIN = "; what was decided and written stays: run the same command again"


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator asked for. ``start``: the period that begins on this day, else the latest that is over."""

    start: date | None
    out: Path | None
    workers: int
    scheduler: str | None = None
    unsafe_plain_scheduler: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``days``: on which its periods begin. ``statuses`` counts the decided bills.

    ``refused`` has a status, ``left`` what is missing, by pseudonym. ``made`` pages were written now. ``unproved`` sums
    have no proof of their own; ``unpriced`` bills have no amount.
    """

    folder: Path
    days: tuple[str, ...]
    statuses: Counter[str]
    refused: dict[str, str]
    left: dict[str, str]
    made: int
    unproved: int
    unpriced: int


def bill_run(config: MdmsConfig, options: Options, progress: Progress, now: int) -> Outcome:
    """Bill a period; ``now`` is domain time in UTC seconds. Raises CannotStart, saying what was kept."""
    if config.log_key is None:
        raise ConfigError("bill-run needs release_log and log_key: with that key it checks what the key holder proved")
    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    tariffs = load_tariffs(config.tariffs, config.deployment, config.operator_key, book)
    pricing = Pricing(tariffs, book)
    with ExitStack() as open_, _said_clearly():
        # First of all, so that nothing is opened before everything that follows is known to be there.
        workers = open_.enter_context(working(options.workers, options.scheduler, options.unsafe_plain_scheduler))
        store = open_.enter_context(closing(Store(config.database, migrate=False)))
        clients = [open_.enter_context(closing(KeyHolderClient(config.keyholder_socket))) for _ in range(LINES)]
        lines = [Asking(store, client) for client in clients]
        with _answered():
            cut = lines[0].periods()
        periods = wanted_periods(cut, {name: book.zone(name) for name in book.neighbourhoods()}, options.start, now)
        days = tuple(sorted({day(span.start, book.zone(name)) for name, span in periods.items()}))
        about = _about(config, pricing, periods, days)
        folder = BillFolder(options.out or Path(f"bills-{days[0]}"), about)
        tenancies = [tenancy for tenancy in book.tenancies() if _is_in(tenancy, periods)]
        due_bills = DueBills(store, book, cut, now)
        with _answered():
            waiting = open_due_bills(due_bills, tenancies, periods, lines, progress)
        collecting = Collecting(config, store, book, pricing)
        entries = collecting.entries(periods)
        made = _make_book(collecting, entries, folder, workers, progress)
        left = _Left(store, book, cut, waiting)
        decided = {entry.bill.pseudonym for entry in entries}
        return Outcome(
            folder.path,
            days,
            Counter(entry.bill.status for entry in entries),
            {one.bill.pseudonym: one.bill.status for one in entries if one.bill.status != RELEASED},
            {one.pseudonym: left.why(one, periods) for one in tenancies if one.pseudonym not in decided},
            made,
            sum(unproved(entry.bill.sums) for entry in entries),
            sum(entry.cost is None for entry in entries),
        )


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (KeyHolderUnavailable, ValueError) as error:
        raise CannotStart(f"key holder: {error}{AGAIN}") from None


@contextmanager
def _said_clearly() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise CannotStart(f"database: {type(error).__name__}{AGAIN}") from None
    except NotProved as error:
        raise CannotStart(
            f"alarm: {error}. No page of it was written. Compare the database with the key holder's release log "
            "(scripts.verify_log) before any bill leaves the house"
        ) from None
    except BrokenExecutor:
        raise CannotStart(f"a process that works for this run ended{AGAIN}") from None


def _about(config: MdmsConfig, pricing: Pricing, periods: Mapping[str, Span], days: Sequence[str]) -> dict[str, object]:
    """Return what a folder is of. What the pages say depends on nothing else but the decided bills."""
    in_force = {name: pricing.in_force(name, span.start) for name, span in periods.items()}
    return {
        "format": FORMAT,
        "deployment": config.deployment,
        "language": config.language,
        "periods": list(days),
        "tariffs": {name: f"{one.name} v{one.version}" if one else None for name, one in in_force.items()},
    }


def _is_in(tenancy: Tenancy, periods: Mapping[str, Span]) -> bool:
    period = periods.get(tenancy.neighbourhood)
    if period is None or tenancy.first_window >= period.end:
        return False
    return tenancy.until is None or tenancy.until > period.start


def _make_book(
    collecting: Collecting, entries: Sequence[Entry], folder: BillFolder, workers: Working, progress: Progress
) -> int:
    """Write the pages that are not there yet, and the table of all; return how many pages."""
    names = {entry.bill.pseudonym: file_name(entry.bill, entry.tz()) for entry in entries}
    missing = [entry for entry in entries if not folder.has(names[entry.bill.pseudonym])]
    progress.begin("pages written", len(entries))
    progress.advance(len(entries) - len(missing))
    made = 0
    for pages in workers.each(make_pages, collecting.portions(missing)):
        _keep(folder, pages)
        made += len(pages)
        progress.advance(len(pages))
    in_order = sorted(entries, key=lambda one: (one.neighbourhood, one.bill.pseudonym))
    folder.keep_table(_row(entry, names[entry.bill.pseudonym]) for entry in in_order)
    return made


def _keep(folder: BillFolder, pages: Sequence[Page]) -> None:
    for page in pages:
        folder.keep(page.name, page.pdf)


def _row(entry: Entry, name: str) -> tuple[object, ...]:
    bill, zone, cost = entry.bill, entry.tz(), entry.cost
    return (
        entry.neighbourhood,
        bill.pseudonym,
        datetime.fromtimestamp(bill.period_start, zone).isoformat(),
        datetime.fromtimestamp(bill.period_end, zone).isoformat(),
        bill.status,
        bill.tariff or "",
        "" if bill.import_mwh is None else bill.import_mwh,
        "" if bill.export_mwh is None else bill.export_mwh,
        bill.windows,
        bill.estimated,
        bill.adjusted,
        cost.currency if cost else "",
        decimal(cost.total, cost.digits) if cost else "",
        name,
    )


class _Left:
    """Says why a bill is not decided."""

    def __init__(self, store: Store, book: RosterBook, periods: Periods, waiting: Mapping[str, str]) -> None:
        self._store = store
        self._book = book
        self._periods = periods
        self._waiting = waiting
        self._decided = last_decided_periods(store)

    def why(self, tenancy: Tenancy, periods: Mapping[str, Span]) -> str:
        """Return what is missing, in a line."""
        if tenancy.pseudonym in self._waiting:
            return f"the key holder says {self._waiting[tenancy.pseudonym]}"
        zone = self._book.zone(tenancy.neighbourhood)
        last = self._decided.get(tenancy.pseudonym)
        period = next_period(self._periods, zone, tenancy.first_window, tenancy.until, last)
        if period is None:
            return "a later period is decided"
        end = period.end if tenancy.until is None else min(period.end, tenancy.until)
        first = max(period.start, tenancy.first_window)
        wanted = [span.start for span in windows(first, end, zone)]
        stored = {window.start for window in windows_of(self._store, tenancy.pseudonym, end)}
        reported = sum(start in stored for start in wanted)
        if reported < len(wanted):
            return f"{reported} of {len(wanted)} windows since {day(first, zone)} are reported"
        return "every window is reported, and it is held back: see the log lines above"
