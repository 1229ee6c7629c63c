"""What the fleet's health is made of, asked of the database: times and counts, and never an energy, a row or a sum."""

from __future__ import annotations

import shutil
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.engine import make_url

from protocol.documents import DocumentError
from protocol.reports import IntervalLoad, parse_report
from protocol.rosters import Roster, Tenancy
from protocol.windows import Span, windows
from protocol.wire import CLOCK_UNSYNCHRONISED, COVER_OPENED

from ..config import MdmsConfig
from ..rosters import RosterBook
from ..store import Store, batched
from ..tables import billing_windows, bills, chores, conflicts, detail_rows, interval_loads, load_releases, refusals
from ..tables import reports as report_table
from .facts import DAY_S, Chore, Fleet, LoadSeen, MeterSeen, Refusal, SetAside, Street
from .limits import Limits

LOOKED_AT_S = 14 * DAY_S
BILLS_S = 70 * DAY_S  # behind their periods' starts
MOST_ASIDE = 1000
_Counts = tuple[int, int, int, int]  # windows that came, and of those: empty, unsynchronised, cover opened
_Windows = tuple[Span, dict[str, _Counts], dict[str, int]]

COUNTED_S = 600  # between two counts of all windows
PRUNE, WATCH = "prune", "watch"  # chores


def present(config: MdmsConfig, store: Store) -> int:
    """Return the time by which the fleet is judged: the machine's, or in a simulation the newest load's end."""
    if config.conductor is None:
        return int(time.time())
    newest: int | None = store.ask(select(func.max(interval_loads.c.interval_end)))[0][0]
    return newest or 0


class CountedWindows:
    """The windows' counts of a while ago, for whoever looks often: they are of days, and there are many.

    Safe to share between threads: two may count at once, and either's counts are right.
    """

    def __init__(self, every_s: int = 0) -> None:
        self._every_s = every_s
        self._kept: tuple[int, _Windows] | None = None

    def at(self, store: Store, limits: Limits, now: int) -> _Windows:
        """Return the stretch that is looked at, what was counted in it, and each account's newest window."""
        kept = self._kept
        if kept is not None and 0 <= now - kept[0] < self._every_s:
            return kept[1]
        stretch = Span(now - LOOKED_AT_S, now - limits.windows_hours * 3600)
        found = stretch, _windows(store, stretch), _newest_windows(store, stretch.start)
        self._kept = now, found
        return found


def look(
    config: MdmsConfig,
    store: Store,
    book: RosterBook,
    limits: Limits,
    now: int,
    counted: CountedWindows | None = None,
) -> Fleet:
    """Return the whole fleet at a time; ``counted`` may know the windows' counts from a while ago."""
    waiting, since = store.ask(
        select(func.count(), func.min(interval_loads.c.interval_end)).where(
            interval_loads.c.decided.is_(False), interval_loads.c.interval_end <= now
        )
    )[0]
    held = store.ask(
        select(bills.c.status, func.count()).where(bills.c.period_start > now - BILLS_S).group_by(bills.c.status)
    )
    return Fleet(
        now=now,
        streets=_streets(store, book, now, (counted or CountedWindows()).at(store, limits, now)),
        waits_since=since,
        waiting=waiting,
        bills={row[0]: row[1] for row in held},
        prune=chore(store, PRUNE),
        rows=bool(store.ask(select(detail_rows.c.epoch).limit(1))),
        detail_days=config.detail_days,
        free_bytes=_free_bytes(config.database),
    )


def _streets(store: Store, book: RosterBook, now: int, windows_: _Windows) -> list[Street]:
    names = book.neighbourhoods()
    loads = _loads_since(store, names, now - DAY_S)
    decided = _decided(store, names, now - DAY_S)
    refused = _refusals(store, book, now - DAY_S)
    aside = _set_aside(store)
    stretch, counted, filled = windows_
    tenancies: dict[str, list[Tenancy]] = {}
    for each in book.tenancies():
        tenancies.setdefault(each.neighbourhood, []).append(each)
    found = []
    for name in names:
        roster = book.in_force(name, now)
        assert roster is not None, "a neighbourhood has a roster"
        last = _newest_load(store, name)
        found.append(
            Street(
                name=name,
                members=len(roster.members),
                interval_s=roster.interval_s,
                roster=roster.version,
                roster_since=roster.valid_from,
                reported_roster=last[1] if last else None,
                concentrator=book.signer_of(roster),
                began=book.versions(name)[0].valid_from,
                newest=last[0] if last else None,
                loads=loads.get(name, []),
                windows=stretch,
                meters=_meters(tenancies.get(name, []), roster, stretch, counted, filled),
                refusals=refused.get(name, []),
                aside=aside.get(name, []),
                decided=decided.get(name, {}),
            )
        )
    return found


# --- Loads --------------------------------------------------------------------------------------------------------

_LOAD = (
    interval_loads.c.neighbourhood,
    interval_loads.c.interval_start,
    interval_loads.c.interval_end,
    interval_loads.c.contributors,
    interval_loads.c.expected,
    interval_loads.c.arrived,
)


def _newest_load(store: Store, name: str) -> tuple[LoadSeen, int | None] | None:
    query = (
        select(*_LOAD, report_table.c.type, report_table.c.content)
        .join(report_table, interval_loads.c.report == report_table.c.id)
        .where(interval_loads.c.neighbourhood == name)
        .order_by(interval_loads.c.interval_start.desc())
        .limit(1)
    )
    for row in store.ask(query):
        return LoadSeen(*row[1:6]), _roster_of(row.type, bytes(row.content))
    return None


def _roster_of(kind: str, content: bytes) -> int | None:
    try:
        report = parse_report(kind, content)
    except DocumentError:
        return None
    return report.roster_version if isinstance(report, IntervalLoad) else None


def _loads_since(store: Store, names: Sequence[str], start: int) -> dict[str, list[LoadSeen]]:
    found: dict[str, list[LoadSeen]] = {}
    # By name as well: the key begins with it, and years of loads are not looked through for a day's.
    for some in batched(names):
        query = (
            select(*_LOAD)
            .where(interval_loads.c.neighbourhood.in_(some), interval_loads.c.interval_start >= start)
            .order_by(interval_loads.c.neighbourhood, interval_loads.c.interval_start)
        )
        for row in store.ask(query):
            found.setdefault(row[0], []).append(LoadSeen(*row[1:6]))
    return found


def _decided(store: Store, names: Sequence[str], start: int) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for some in batched(names):
        query = (
            select(load_releases.c.neighbourhood, load_releases.c.status, func.count())
            .where(load_releases.c.neighbourhood.in_(some), load_releases.c.interval_start >= start)
            .group_by(load_releases.c.neighbourhood, load_releases.c.status)
        )
        for name, status, number in store.ask(query):
            found.setdefault(name, {})[status] = number
    return found


# --- What was not taken -------------------------------------------------------------------------------------------


def _refusals(store: Store, book: RosterBook, start: int) -> dict[str, list[Refusal]]:
    streets: dict[str, set[str]] = {}
    for name in book.neighbourhoods():
        for roster in book.versions(name):
            streets.setdefault(book.signer_of(roster), set()).add(name)
    found: dict[str, list[Refusal]] = {}
    query = select(refusals).where(refusals.c.last >= start).order_by(refusals.c.last.desc())
    for row in store.ask(query):
        for name in streets.get(row.signer, ()):
            found.setdefault(name, []).append(Refusal(row.reason, row.last, row.number))
    return found


def _set_aside(store: Store) -> dict[str, list[SetAside]]:
    found: dict[str, list[SetAside]] = {}
    query = select(conflicts).where(conflicts.c.handled.is_(None)).order_by(conflicts.c.id).limit(MOST_ASIDE)
    for row in store.ask(query):
        try:
            report = parse_report(row.type, bytes(row.content))
        except DocumentError:  # it was parsed before it was stored
            continue
        at = getattr(report, "interval_start", getattr(report, "window_start", None))
        aside = SetAside(row.id, row.type, at, row.reason, row.arrived)
        found.setdefault(report.neighbourhood, []).append(aside)
    return found


# --- Windows ------------------------------------------------------------------------------------------------------


def _windows(store: Store, stretch: Span) -> dict[str, _Counts]:
    def number(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    query = (
        select(
            billing_windows.c.pseudonym,
            func.count(),
            number(billing_windows.c.filled.is_(False)),
            number(billing_windows.c.quality.bitwise_and(CLOCK_UNSYNCHRONISED) != 0),
            number(billing_windows.c.quality.bitwise_and(COVER_OPENED) != 0),
        )
        .where(billing_windows.c.window_start >= stretch.start, billing_windows.c.window_start < stretch.end)
        .where(billing_windows.c.window_end <= stretch.end)
        .group_by(billing_windows.c.pseudonym)
    )
    return {row[0]: (row[1], int(row[2]), int(row[3]), int(row[4])) for row in store.ask(query)}


def _newest_windows(store: Store, start: int) -> dict[str, int]:
    query = (
        select(billing_windows.c.pseudonym, func.max(billing_windows.c.window_end))
        .where(billing_windows.c.window_start >= start, billing_windows.c.filled.is_(True))
        .group_by(billing_windows.c.pseudonym)
    )
    return {row[0]: row[1] for row in store.ask(query)}


def _meters(
    tenancies: Iterable[Tenancy],
    roster: Roster,
    stretch: Span,
    counted: dict[str, _Counts],
    filled: dict[str, int],
) -> list[MeterSeen]:
    due = [each.start for each in windows(stretch.start, stretch.end, roster.tz()) if each.end <= stretch.end]
    found = []
    for each in sorted(tenancies, key=lambda it: it.pseudonym):
        expected = _covered(each, due)
        reported, empty, unsynchronised, opened = counted.get(each.pseudonym, (0, 0, 0, 0))
        if expected or reported:
            newest = filled.get(each.pseudonym)
            found.append(MeterSeen(each.pseudonym, expected, reported, empty, unsynchronised, opened, newest))
    return found


def _covered(tenancy: Tenancy, starts: Sequence[int]) -> int:
    """Return how many of some rising starts a tenancy covers."""
    end = len(starts) if tenancy.until is None else bisect_left(starts, tenancy.until)
    return max(0, end - bisect_left(starts, tenancy.first_window))


# --- The rest -----------------------------------------------------------------------------------------------------


def chore(store: Store, name: str) -> Chore | None:
    """Return when a command was last done, None where it never was."""
    for row in store.ask(select(chores.c.at, chores.c.said).where(chores.c.name == name)):
        return Chore(row.at, row.said)
    return None


def _free_bytes(url: str) -> int | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    try:
        return shutil.disk_usage(Path(parsed.database or "").absolute().parent).free
    except OSError:
        return None
