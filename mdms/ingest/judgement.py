"""What becomes of one signed report before the database is asked: authentic and possible, or refused with the reason.

Rule 1: the signature is verified before a byte of the content is parsed.
Rule 2: a report is the word of the concentrator that the operator's roster names, about its own neighbourhood only.
Rule 3: pure; whoever sent the bytes, the result is an Arrival or a Refused and never an exception.
"""

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from paillier import ciphertext
from paillier.errors import BadCiphertext
from protocol.documents import BadSignature, Document, DocumentError, document_id, from_base64url
from protocol.keychain import epoch_of
from protocol.reports import (
    BillingWindow,
    DetailSegment,
    IntervalLoad,
    Report,
    parse_bitmap,
    parse_report,
)
from protocol.rosters import Roster
from protocol.windows import Span, expected_intervals, window_of
from protocol.wire import DETAIL, ROW_BYTES, WireError, parse_header

from ..rosters import RosterBook
from ..signatures import verified_content

MISALIGNED = "interval or window misaligned"
NOT_A_MEMBER = "pseudonym not on the roster"
NOT_YOURS = "wrong concentrator for this neighbourhood"
NO_SUCH_ROSTER = "unknown roster version"
WRONG_KEY = "wrong paillier key"
# What a roster that is not the same on both sides looks like from here.
OTHER_ROSTER = (NOT_A_MEMBER, NOT_YOURS, NO_SUCH_ROSTER, WRONG_KEY)


@dataclass(frozen=True, slots=True)
class Row:
    """A sealed DETAIL row (90 bytes) and what its header says in clear."""

    title: bytes
    salt: bytes
    counter: bytes
    epoch: int
    row: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """An authentic, possible report. ``contributors`` and ``expected`` belong to a load, ``rows`` to a segment."""

    id: str
    document: Document
    report: Report
    contributors: int = 0
    expected: int = 0
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A report of which nothing is stored; ``id`` is empty where the content has no exact bytes to name.

    ``signer`` is the rostered concentrator that signed it, empty where that is not certain.
    """

    id: str
    reason: str
    signer: str = ""


class _Wrong(Exception):
    """Ends the judgement of one report; the message is the reason."""


def judge(document: Document, book: RosterBook, deployment: str) -> Arrival | Refused:
    """Return what a document is worth."""
    try:
        name = document_id(document.type, deployment, document.content_bytes())
    except DocumentError as error:
        return Refused("", str(error))
    try:
        content = _authentic(document, book, deployment)
    except (_Wrong, DocumentError) as error:
        return Refused(name, str(error))
    try:
        return _judge(name, document, content, book)
    except (_Wrong, DocumentError) as error:
        return Refused(name, str(error), document.signer)


def _authentic(document: Document, book: RosterBook, deployment: str) -> bytes:
    key = book.signer(document.signer)
    if key is None:
        raise _Wrong("unknown concentrator")
    try:
        return verified_content(document, deployment, key)
    except BadSignature:
        raise _Wrong("bad signature") from None


def _judge(name: str, document: Document, content: bytes, book: RosterBook) -> Arrival:
    report = parse_report(document.type, content)
    match report:
        case IntervalLoad():
            return _load(name, document, report, book)
        case BillingWindow():
            return _window(name, document, report, book)
        case DetailSegment():
            return _segment(name, document, report, book)


def _load(name: str, document: Document, report: IntervalLoad, book: RosterBook) -> Arrival:
    roster = _own_roster(document, report, book)
    if report.interval_s != roster.interval_s or report.interval_start % report.interval_s:
        raise _Wrong(MISALIGNED)
    contributors = parse_bitmap(report.contributors, len(roster.members))
    _check_encryption(roster, book, report.paillier_key, report.ciphertext)
    return Arrival(name, document, report, len(contributors), len(roster.members))


def _own_roster(document: Document, report: IntervalLoad, book: RosterBook) -> Roster:
    _check_neighbourhood(document, report.neighbourhood, book)
    roster = book.roster(report.neighbourhood, report.roster_version)
    if roster is None:
        raise _Wrong(NO_SUCH_ROSTER)
    if book.signer_of(roster) != document.signer:
        raise _Wrong(NOT_YOURS)
    return roster


def _check_neighbourhood(document: Document, neighbourhood: str, book: RosterBook) -> None:
    if not any(book.signer_of(roster) == document.signer for roster in book.versions(neighbourhood)):
        raise _Wrong(NOT_YOURS)


def _window(name: str, document: Document, report: BillingWindow, book: RosterBook) -> Arrival:
    _check_neighbourhood(document, report.neighbourhood, book)
    _check_member(report.pseudonym, report.neighbourhood, report.window_start, book)
    if not book.may_sign_window(report.neighbourhood, document.signer, report.window_start):
        raise _Wrong(NOT_YOURS)
    roster = book.in_force(report.neighbourhood, report.window_start)
    assert roster is not None, "the neighbourhood has a roster"
    window = Span(report.window_start, report.window_end)
    if report.interval_s != roster.interval_s or window != _window_of(window.start, roster.tz()):
        raise _Wrong(MISALIGNED)
    _check_counts(report, window, book)
    if report.register_to > report.window_end:
        raise _Wrong("a register from after the window's end")
    _check_keys(report, book)
    return Arrival(name, document, report)


@lru_cache(maxsize=1024)
def _window_of(at: int, zone: tzinfo) -> Span:
    # A street's meters report the same window at about the same time.
    return window_of(at, zone)


def _check_counts(report: BillingWindow, window: Span, book: RosterBook) -> None:
    whole = expected_intervals(window, report.interval_s)
    tenancy = book.tenancy(report.pseudonym)
    first = tenancy is not None and tenancy.first_window == window.start
    # The first window may have begun before the meter was there.
    if report.expected > whole or (report.expected < whole and not first):
        raise _Wrong(MISALIGNED)


def _check_member(pseudonym: str, neighbourhood: str, at: int | None, book: RosterBook) -> None:
    tenancy = book.tenancy(pseudonym)
    if tenancy is None or tenancy.neighbourhood != neighbourhood or (at is not None and not tenancy.covers(at)):
        raise _Wrong(NOT_A_MEMBER)


def _check_keys(report: BillingWindow, book: RosterBook) -> None:
    """Refuse an energy that is not under the key of its first register's time, a register not under its own time's."""
    first, last = (book.in_force(report.neighbourhood, at) for at in (report.register_from, report.register_to))
    assert first is not None and last is not None, "the neighbourhood has a roster"
    _check_encryption(first, book, report.paillier_key, report.energy)
    _check_encryption(last, book, last.paillier_key, report.closing_register)


def _check_encryption(roster: Roster, book: RosterBook, fingerprint: str, text: str | None) -> None:
    if fingerprint != roster.paillier_key:
        raise _Wrong(WRONG_KEY)
    if text is None:
        return
    try:
        ciphertext.from_base64url(book.paillier_key(roster), text)
    except BadCiphertext:
        # Zero, a multiple of a factor, too large, or readable without any key: it would poison a sum or be one.
        raise _Wrong("ciphertext out of range") from None


def _segment(name: str, document: Document, report: DetailSegment, book: RosterBook) -> Arrival:
    _check_neighbourhood(document, report.neighbourhood, book)
    _check_member(report.pseudonym, report.neighbourhood, None, book)
    rows = tuple(_row(text) for text in report.rows)
    if len({row.title for row in rows}) != 1:
        raise _Wrong("rows of more than one meter")
    return Arrival(name, document, report, rows=_of_the_tenancy(rows, report.pseudonym, book))


def _of_the_tenancy(rows: tuple[Row, ...], pseudonym: str, book: RosterBook) -> tuple[Row, ...]:
    """Leave out what a meter that kept its keys over a move seals for whoever has moved out: it is another's life.

    A row's day alone is in clear, and the last period's row is sealed at the end itself: that day passes.
    """
    tenancy = book.tenancy(pseudonym)
    if tenancy is None or tenancy.until is None:
        return rows
    last = epoch_of(tenancy.until)
    own = tuple(row for row in rows if row.epoch <= last)
    if not own:
        raise _Wrong("rows of after the tenancy's end")
    return own


def _row(text: str) -> Row:
    data = from_base64url(text, "row", ROW_BYTES)
    try:
        header = parse_header(data)
    except WireError as error:
        raise _Wrong(f"row: {error}") from None
    if header.type != DETAIL:
        raise _Wrong("row: not a DETAIL")
    return Row(header.system_title, header.salt, header.counter.to_bytes(8, "big"), header.epoch, data)
