"""The release gate: what may be opened (protocol, chapter 9). Pure decisions; nothing here can decrypt.

Strategy: a request is read as if its sender had taken over the web server. The checks run in the order of trust:
whose word it is, under whose key, of how many meters, at which time, whether spent before. What passes all of them
becomes a `Permit` that names the one sum to open, the most that it can be, and what it uses up.

Rule 1: only what a rostered concentrator signed is looked at, and only under its own neighbourhood's key.
Rule 2: the asker chooses nothing: not the period, not the windows of a bill, not what counts as a member.
Rule 3: a permit is used up whatever comes out. Otherwise "impossible" would be an answer about a hidden sum, to be
asked again and again with another summand until it tells the sum.
"""

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import msgspec

from paillier import ciphertext
from paillier.errors import BadCiphertext
from paillier.keys import PublicKey
from protocol.documents import Document, DocumentError, document_id
from protocol.releases import MAX_DOCUMENTS
from protocol.reports import BillingWindow, IntervalLoad, parse_bitmap, parse_report
from protocol.rosters import Roster, Tenancy, most_mwh
from protocol.tariffs import TariffBook
from protocol.windows import Span, window_of, windows

from ..periods import Periods, has_ended
from ..rosters import RosterBook
from ..signatures import verified_content
from ..tariffs import NO_TARIFFS
from .bands import LEAST_WINDOWS
from .messages import (
    ALREADY_RELEASED,
    BAD_DOCUMENT,
    NO_ENERGY,
    NOT_CLOSED,
    NOT_ON_ROSTER,
    PERIOD_TOO_SHORT,
    TOO_FEW_CONTRIBUTORS,
    TOO_LATE,
    WINDOW_SPENT,
    WINDOWS_MISSING,
    WRONG_KEY,
    Asked,
    AskedBill,
    AskedLoad,
    AskedUnverified,
    BillRequest,
)
from .parts import CheckedWindow, Part, asked_sums, bill_parts
from .verifying import NONE_PROVEN, Proven

LOAD_OPEN_S = 48 * 3600

_Report = TypeVar("_Report", IntervalLoad, BillingWindow)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the key holder's own configuration fixes. ``unsafe`` names the unsafe settings in force."""

    min_contributors: int
    periods: Periods
    unsafe: tuple[str, ...] = ()

    @property
    def short_periods(self) -> bool:
        """Whether periods of fewer than 28 windows are opened. A band of a period is never opened below that."""
        return "unsafe_short_periods" in self.unsafe


class Spent(Protocol):
    """What has been used up by earlier releases."""

    def load_is_spent(self, neighbourhood: str, interval_start: int) -> bool:
        """Say whether an interval's load has been opened."""

    def spent_windows(self, pseudonym: str) -> Set[int]:
        """Return the starts of the windows of a pseudonym that have entered an opened sum."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be opened, once: a load's one part, or the parts of a bill.

    Opening spends ``windows`` of ``pseudonym``, or the load of ``interval_start``. ``tariff`` is the id of the
    document whose bands a bill's parts are.
    """

    asked: Asked
    neighbourhood: str
    parts: tuple[Part, ...]
    interval_start: int | None = None
    pseudonym: str | None = None
    period_start: int | None = None
    period_end: int | None = None
    windows: tuple[int, ...] = ()
    tariff: str | None = None
    adjusted: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A constant reason, and as much of what was asked as is verified.

    Empty windows are used up by their refusal: there is nothing in them to open, and a home that stands empty for
    years would pile up more of them than a request can carry.
    """

    reason: str
    asked: Asked
    pseudonym: str | None = None
    windows: tuple[int, ...] = ()


class _Refused(Exception):
    """Ends a decision; the first argument is the reason, the second the empty windows that it uses up."""

    def __init__(self, reason: str, windows: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.windows = windows


class Gate:
    """Decides under one policy, one set of rosters and of tariffs. ``now`` is domain time in UTC seconds."""

    def __init__(self, policy: Policy, book: RosterBook, deployment: str, tariffs: TariffBook = NO_TARIFFS) -> None:
        self.policy = policy
        self._book = book
        self._deployment = deployment
        self._tariffs = tariffs

    # --- Loads ------------------------------------------------------------------------------------------------

    def decide_load(self, document: Document, spent: Spent, now: int, proven: Proven = NONE_PROVEN) -> Permit | Refusal:
        """Decide on one interval of one neighbourhood. Signatures of ``proven`` documents are known to be good."""
        asked: Asked = AskedUnverified()
        try:
            report, name = self._verified(document, IntervalLoad, proven)
            asked = AskedLoad(report.neighbourhood, report.interval_start, 0, 0, name)
            roster = self._roster_of(report, document.signer)
            members = self._contributors(report, roster)
            asked = AskedLoad(report.neighbourhood, report.interval_start, len(members), len(roster.members), name)
            return self._permit_load(report, roster, name, len(members), asked, spent, now)
        except _Refused as refused:
            return Refusal(refused.reason, asked)

    def _roster_of(self, report: IntervalLoad, signer: str) -> Roster:
        if not any(self._book.signer_of(roster) == signer for roster in self._book.versions(report.neighbourhood)):
            raise _Refused(BAD_DOCUMENT)
        roster = self._book.roster(report.neighbourhood, report.roster_version)
        # The version in force and no other, or a meter could count in one and be the difference in the next.
        if roster is None or roster != self._book.in_force(report.neighbourhood, report.interval_start):
            raise _Refused(NOT_ON_ROSTER)
        if report.interval_start < roster.valid_from:
            raise _Refused(NOT_ON_ROSTER)
        if self._book.signer_of(roster) != signer:
            raise _Refused(BAD_DOCUMENT)
        if report.interval_s != roster.interval_s or report.interval_start % report.interval_s:
            raise _Refused(BAD_DOCUMENT)
        # One concentrator's key opens one street: what it signs is opened under that street's key alone.
        if report.paillier_key != roster.paillier_key:
            raise _Refused(WRONG_KEY)
        return roster

    def _contributors(self, report: IntervalLoad, roster: Roster) -> frozenset[int]:
        """Return the distinct members that a load names. k counts these, and nothing else."""
        try:
            named = frozenset(parse_bitmap(report.contributors, len(roster.members)))
        except DocumentError:
            raise _Refused(NOT_ON_ROSTER) from None
        for index in named:
            tenancy = self._book.tenancy(roster.members[index].pseudonym)
            if tenancy is None or not tenancy.covers(report.interval_start):
                raise _Refused(NOT_ON_ROSTER)
        return named

    def _permit_load(
        self,
        report: IntervalLoad,
        roster: Roster,
        name: str,
        contributors: int,
        asked: Asked,
        spent: Spent,
        now: int,
    ) -> Permit:
        if contributors < self.policy.min_contributors or report.ciphertext is None:
            raise _Refused(TOO_FEW_CONTRIBUTORS)
        key = self._book.paillier_key(roster)
        most = most_mwh(roster.rating_w * contributors, report.interval_s)
        part = Part(key, tuple(self._ciphertexts(key, [report.ciphertext])), (name,), most)
        end = report.interval_start + report.interval_s
        if now < end:
            raise _Refused(NOT_CLOSED)
        if now > end + LOAD_OPEN_S:
            raise _Refused(TOO_LATE)
        if spent.load_is_spent(report.neighbourhood, report.interval_start):
            raise _Refused(ALREADY_RELEASED)
        return Permit(asked, report.neighbourhood, (part,), interval_start=report.interval_start)

    # --- Bills ------------------------------------------------------------------------------------------------

    def decide_bill(self, bill: BillRequest, spent: Spent, now: int, proven: Proven = NONE_PROVEN) -> Permit | Refusal:
        """Decide on one period of one tenancy. Signatures of ``proven`` documents are known to be good."""
        names: list[str] = []
        try:
            tenancy, period = self._period_of(bill)
            reports = [self._window(document, tenancy, names, proven) for document in bill.windows]
            end = self._check_whole(tenancy, period, reports, spent, now)
            return self._permit_bill(tenancy, Span(period.start, end), reports, names, self._asked(bill, names))
        except _Refused as refused:
            pseudonym = bill.pseudonym if refused.windows else None
            return Refusal(refused.reason, self._asked(bill, names), pseudonym, refused.windows)

    @staticmethod
    def _asked(bill: BillRequest, names: Sequence[str]) -> AskedBill:
        documents = hashlib.sha256("".join(names).encode()).hexdigest()
        return AskedBill(bill.pseudonym, bill.period_start, len(names), documents)

    def _period_of(self, bill: BillRequest) -> tuple[Tenancy, Span]:
        tenancy = self._book.tenancy(bill.pseudonym)
        if tenancy is None:
            raise _Refused(NOT_ON_ROSTER)
        period = self.policy.periods.starting(bill.period_start, self._book.zone(tenancy.neighbourhood))
        if period is None:
            raise _Refused(BAD_DOCUMENT)
        return tenancy, period

    def _window(self, document: Document, tenancy: Tenancy, names: list[str], proven: Proven) -> BillingWindow:
        report, name = self._verified(document, BillingWindow, proven)
        if (report.pseudonym, report.neighbourhood) != (tenancy.pseudonym, tenancy.neighbourhood):
            raise _Refused(BAD_DOCUMENT)
        if not self._book.may_sign_window(tenancy.neighbourhood, document.signer, report.window_start):
            raise _Refused(BAD_DOCUMENT)
        zone = self._book.zone(tenancy.neighbourhood)
        if window_of(report.window_start, zone) != (report.window_start, report.window_end):
            raise _Refused(BAD_DOCUMENT)
        if report.register_to > report.window_end:
            raise _Refused(BAD_DOCUMENT)
        if report.paillier_key != self._roster_at(report, report.register_from).paillier_key:
            raise _Refused(WRONG_KEY)
        names.append(name)
        return report

    def _roster_at(self, report: BillingWindow, at: int) -> Roster:
        roster = self._book.in_force(report.neighbourhood, at)
        if roster is None:
            raise _Refused(NOT_ON_ROSTER)
        return roster

    def _check_whole(
        self, tenancy: Tenancy, period: Span, reports: Sequence[BillingWindow], spent: Spent, now: int
    ) -> int:
        """Refuse all but exactly a period's unspent windows, enough of them; return where the bill's period ends."""
        starts = [report.window_start for report in reports]
        # In order of time, as a reader of the release batch expects them; each of them once.
        if any(later <= earlier for earlier, later in pairwise(starts)) or len(starts) > MAX_DOCUMENTS:
            raise _Refused(BAD_DOCUMENT)
        zone = self._book.zone(tenancy.neighbourhood)
        if not has_ended(period, zone, now):
            raise _Refused(NOT_CLOSED)
        spent_before = spent.spent_windows(tenancy.pseudonym)
        if not spent_before.isdisjoint(starts):
            raise _Refused(WINDOW_SPENT)
        # Exactly all of them: with one left out, or one more, two sums would differ by a single window.
        end = period.end if tenancy.until is None else min(period.end, tenancy.until)
        unspent = {span.start for span in windows(tenancy.first_window, end, zone)} - spent_before
        if set(starts) != unspent:
            raise _Refused(WINDOWS_MISSING)
        filled = sum(report.energy is not None for report in reports)
        if not filled:
            raise _Refused(NO_ENERGY, tuple(starts))
        if not self.policy.short_periods and (len(starts) < LEAST_WINDOWS or 2 * filled < len(starts)):
            raise _Refused(PERIOD_TOO_SHORT)
        return end

    def _permit_bill(
        self,
        tenancy: Tenancy,
        period: Span,
        reports: Sequence[BillingWindow],
        names: Sequence[str],
        asked: AskedBill,
    ) -> Permit:
        zone = self._book.versions(tenancy.neighbourhood)[0].zone
        # By the period's start and nothing else: a version that begins later is a later period's.
        tariff = self._tariffs.in_force(tenancy.neighbourhood, zone, period.start)
        name = tariff.id if tariff else None
        parts = bill_parts(self._checked(reports, names), tariff)
        adjusted = sum(report.window_start < period.start and report.energy is not None for report in reports)
        return Permit(
            msgspec.structs.replace(asked, tariff=name, adjusted=adjusted, sums=asked_sums(parts)),
            tenancy.neighbourhood,
            tuple(parts),
            pseudonym=tenancy.pseudonym,
            period_start=period.start,
            period_end=period.end,
            windows=tuple(report.window_start for report in reports),
            tariff=name,
            adjusted=adjusted,
        )

    def _checked(self, reports: Sequence[BillingWindow], names: Sequence[str]) -> list[CheckedWindow]:
        rosters = [self._roster_at(report, report.window_start) for report in reports]
        # A window that closes a gap over a change of keys is a difference of registers under the former one.
        keys = [self._book.paillier_key(self._roster_at(report, report.register_from)) for report in reports]
        terms: dict[str, int] = {}
        for key in {key.fingerprint: key for key in keys}.values():
            under = {
                name: report.energy
                for report, name, own in zip(reports, names, keys, strict=True)
                if report.energy is not None and own.fingerprint == key.fingerprint
            }
            terms |= zip(under, self._ciphertexts(key, list(under.values())), strict=True)
        return [
            CheckedWindow(report, name, key, roster.rating_w, terms.get(name))
            for report, name, key, roster in zip(reports, names, keys, rosters, strict=True)
        ]

    # --- Documents --------------------------------------------------------------------------------------------

    def _verified(self, document: Document, kind: type[_Report], proven: Proven) -> tuple[_Report, str]:
        """Return the report that a rostered concentrator signed, and its document's name."""
        key = self._book.signer(document.signer)
        if key is None:
            raise _Refused(BAD_DOCUMENT)
        try:
            content = (
                document.content_bytes() if document in proven else verified_content(document, self._deployment, key)
            )
            report = parse_report(document.type, content)
        except DocumentError:
            raise _Refused(BAD_DOCUMENT) from None
        if not isinstance(report, kind):
            raise _Refused(BAD_DOCUMENT)
        return report, document_id(document.type, self._deployment, content)

    @staticmethod
    def _ciphertexts(key: PublicKey, texts: Sequence[str]) -> list[int]:
        try:
            return ciphertext.many_from_base64url(key, texts)
        except BadCiphertext:
            raise _Refused(BAD_DOCUMENT) from None
