"""What the MDMS has of a concentrator: read back to it when it must be restored (protocol, chapter 11).

Rule 1: the signature is verified before a byte of the question is parsed.
Rule 2: only the concentrator of a neighbourhood's newest roster is answered: an earlier one's key may be gone astray.
Rule 3: what leaves is what a concentrator of that neighbourhood has sent, unchanged; none of it is ever opened.
"""

from sqlalchemy import func, select

from protocol.documents import Document, DocumentError, parse, verify
from protocol.standing import FRESH_S, METERS_AT_ONCE, STANDING_REQUEST, MeterStanding, Standing, StandingRequest

from ..records.documents import SIGNED, document_of
from ..rosters import RosterBook
from ..store import Store
from ..tables import billing_windows, interval_loads, reports

STALE = "asked at another time than the present: is the concentrator's clock right?"


class NotAnswered(Exception):
    """The question gets no standing; the message is the reason."""


def admit_request(document: Document, book: RosterBook, deployment: str, now: float) -> StandingRequest:
    """Return the authentic question; ``now`` is machine time in UTC seconds. Raises NotAnswered."""
    key = book.signer(document.signer)
    if key is None:
        raise NotAnswered("unknown concentrator")
    if document.type != STANDING_REQUEST:
        raise NotAnswered("not a standing request")
    try:
        request: StandingRequest = parse(verify(document, deployment, key), StandingRequest)
    except DocumentError as error:
        raise NotAnswered(str(error)) from None
    versions = book.versions(request.neighbourhood)
    if not versions or book.signer_of(versions[-1]) != document.signer:
        raise NotAnswered("wrong concentrator for this neighbourhood")
    if abs(request.asked - now) > FRESH_S:
        raise NotAnswered(STALE)
    return request


def standing_of(store: Store, book: RosterBook, request: StandingRequest) -> Standing:
    """Return what is stored of a neighbourhood, one page of its meters."""
    pseudonyms = sorted(
        tenancy.pseudonym for tenancy in book.tenancies() if tenancy.neighbourhood == request.neighbourhood
    )
    waiting = [pseudonym for pseudonym in pseudonyms if pseudonym > request.after]
    page = waiting[:METERS_AT_ONCE]
    newest = _newest_windows(store, page, filled=False)
    filled = _newest_windows(store, page, filled=True)
    return Standing(
        load=_newest_load(store, request.neighbourhood),
        meters=[MeterStanding(name, newest[name], filled.get(name)) for name in page if name in newest],
        more=len(waiting) > len(page),
    )


def _newest_load(store: Store, neighbourhood: str) -> Document | None:
    query = (
        select(*SIGNED)
        .join(interval_loads, interval_loads.c.report == reports.c.id)
        .where(interval_loads.c.neighbourhood == neighbourhood)
        .order_by(interval_loads.c.interval_start.desc())
        .limit(1)
    )
    return next((document_of(row) for row in store.ask(query)), None)


def _newest_windows(store: Store, pseudonyms: list[str], *, filled: bool) -> dict[str, Document]:
    last = (
        select(billing_windows.c.pseudonym, func.max(billing_windows.c.window_start).label("start"))
        .where(billing_windows.c.pseudonym.in_(pseudonyms))
        .group_by(billing_windows.c.pseudonym)
    )
    if filled:
        last = last.where(billing_windows.c.filled.is_(True))
    newest = last.subquery()
    query = (
        select(billing_windows.c.pseudonym, *SIGNED)
        .join(
            newest,
            (newest.c.pseudonym == billing_windows.c.pseudonym) & (newest.c.start == billing_windows.c.window_start),
        )
        .join(reports, billing_windows.c.report == reports.c.id)
    )
    return {row.pseudonym: document_of(row) for row in store.ask(query)}
