"""Neighbourhoods' loads: those that the key holder has yet to decide, and what it decided."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from protocol.documents import Document

from ..store import Store
from ..tables import interval_loads, load_releases, reports
from .documents import SIGNED, document_of


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


def undecided_loads(store: Store, now: int, limit: int = 500) -> list[PendingLoad]:
    """Return stored loads whose interval is over at ``now`` and that have no decision, oldest first."""
    query = (
        select(
            interval_loads.c.neighbourhood,
            interval_loads.c.interval_start,
            interval_loads.c.contributors,
            interval_loads.c.expected,
            *SIGNED,
        )
        .join(reports, interval_loads.c.report == reports.c.id)
        .where(interval_loads.c.decided.is_(False), interval_loads.c.interval_end <= now)
        .order_by(interval_loads.c.interval_start, interval_loads.c.neighbourhood)
        .limit(limit)
    )
    return [
        PendingLoad(row.neighbourhood, row.interval_start, row.contributors, row.expected, document_of(row))
        for row in store.ask(query)
    ]


def keep_load_release(store: Store, release: LoadRelease, answer: bytes) -> None:
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

    store.write(work)


def decided_loads(store: Store, neighbourhood: str | None = None) -> Iterator[LoadRelease]:
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
    yield from (LoadRelease(*row) for row in store.ask(query))
