"""Requests with approval: proposed by one person, decided by another, each step in one transaction with its log line.

Rule 1: whoever proposed a request cannot approve it.
Rule 2: what was decided stays decided, and what was proposed never changes: a mistake is rejected and proposed anew.
Rule 3: nothing here changes what is signed, or what anybody goes by.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from protocol.documents import to_base64url

from ..store import Store
from ..tables import requests
from .audit import note
from .wanted import (
    FORMAT,
    Approved,
    RequestsFile,
    Wanted,
    WantedConcentrator,
    body_of,
    confirmation,
    kind_of,
    wanted_in,
)

APPROVED, REJECTED, WITHDRAWN = "approved", "rejected", "withdrawn"
ID_BYTES = 12
SHOWN = 500


class Refused(Exception):
    """A step that is not this person's to do, or not any more; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; times in UTC seconds, None for what has not been done."""

    id: str
    wanted: Wanted
    proposed_by: str
    proposed: int
    decision: str | None
    decided_by: str | None
    decided: int | None
    exported: int | None


def propose(store: Store, wanted: Wanted, who: str, now: int) -> str:
    """Store a checked request and return its id; raises Refused where the same thing is proposed already."""
    name = to_base64url(secrets.token_bytes(ID_BYTES))
    body = body_of(wanted)

    def work(connection: Connection) -> None:
        for row in connection.execute(select(requests).where(requests.c.decision.is_(None))):
            if _about(wanted_in(row.body)) == _about(wanted):
                raise Refused("the same thing has been proposed already and waits for a decision")
        new = {"id": name, "kind": kind_of(wanted), "body": body, "proposed_by": who, "proposed": now}
        connection.execute(insert(requests).values(new))
        note(connection, now, who, "proposed", name, _words(wanted))

    store.write(work)
    return name


def decide(store: Store, request: str, decision: str, who: str, now: int) -> None:
    """Approve, reject or withdraw a request; raises Refused."""

    def work(connection: Connection) -> None:
        row = connection.execute(select(requests).where(requests.c.id == request)).first()
        if row is None:
            raise Refused("There is no such request.")
        if decision == APPROVED and row.proposed_by == who:
            raise Refused("Whoever proposes something cannot approve it: another operator must.")
        if decision == WITHDRAWN and row.proposed_by != who:
            raise Refused("Only whoever proposed it can withdraw it: reject it instead.")
        values = {"decision": decision, "decided_by": who, "decided": now}
        open_ = (requests.c.id == request, requests.c.decision.is_(None))
        if not connection.execute(update(requests).where(*open_).values(values)).rowcount:
            raise Refused(f"It was {row.decision} by {row.decided_by} already.")
        note(connection, now, who, decision, request, _words(wanted_in(row.body)))

    store.write(work)


def export(store: Store, names: list[str], deployment: str, who: str, now: int) -> RequestsFile:
    """Return the approved ones of some requests as a file for whoever signs, and note that they were exported."""

    def work(connection: Connection) -> list[Approved]:
        found = []
        for row in connection.execute(select(requests).order_by(requests.c.decided, requests.c.id)):
            if row.id in names and row.decision == APPROVED:
                wanted = wanted_in(row.body)
                found.append(Approved(row.id, wanted, row.proposed_by, row.proposed, row.decided_by, row.decided))
        for each in found:
            connection.execute(update(requests).where(requests.c.id == each.id).values(exported=now))
            note(connection, now, who, "exported", each.id, confirmation(each.wanted))
        return found

    return RequestsFile(FORMAT, deployment, who, now, store.write(work))


def all_requests(store: Store, limit: int = SHOWN) -> list[Request]:
    """Return requests, those that wait for a decision first, then the newest."""
    query = select(requests).order_by(requests.c.decision.is_not(None), requests.c.proposed.desc(), requests.c.id)
    return [_request(row) for row in store.ask(query.limit(limit))]


def one_request(store: Store, name: str) -> Request | None:
    """Return a request by its id, or None."""
    for row in store.ask(select(requests).where(requests.c.id == name)):
        return _request(row)
    return None


def _request(row: object) -> Request:
    columns = ("proposed_by", "proposed", "decision", "decided_by", "decided", "exported")
    return Request(row.id, wanted_in(row.body), *(getattr(row, name) for name in columns))  # type: ignore[attr-defined]


def _about(wanted: Wanted) -> tuple[str, str]:
    """Return what a request is about: two open ones about the same would contradict each other."""
    about = wanted.neighbourhood if isinstance(wanted, WantedConcentrator) else wanted.system_title
    return kind_of(wanted), about


def _words(wanted: Wanted) -> str:
    return f"{kind_of(wanted)} {_about(wanted)[1]}: {confirmation(wanted)}"
