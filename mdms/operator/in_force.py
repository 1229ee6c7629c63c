"""Whether what was approved is signed, and in force: judged by the operator's signed documents alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from protocol.documents import key_id
from protocol.revocations import Revocation

from ..rosters import RosterBook
from .wanted import Wanted, WantedConcentrator, WantedMeter, WantedRevocation, signing_key

NOT_SIGNED = "not signed yet"
SIGNED = "signed"
IN_FORCE = "in force"
OTHERWISE = "signed otherwise than approved"


class Signed:
    """What the operator has signed, as this server has read it. ``customer_of`` names an account's customer's key."""

    def __init__(
        self,
        book: RosterBook,
        customer_of: Callable[[str], str | None],
        revocations: Mapping[str, Revocation],
    ) -> None:
        self._book = book
        self._customer_of = customer_of
        self._revocations = revocations

    def state(self, wanted: Wanted, now: int) -> str:
        """Return NOT_SIGNED, SIGNED, IN_FORCE or OTHERWISE of a request at a time."""
        match wanted:
            case WantedMeter():
                return self._meter(wanted, now)
            case WantedConcentrator():
                return self._concentrator(wanted, now)
            case WantedRevocation():
                return self._revocation(wanted, now)

    def _meter(self, wanted: WantedMeter, now: int) -> str:
        tenancy = self._book.tenancy(wanted.pseudonym)
        customer = self._customer_of(wanted.pseudonym)
        if tenancy is None or customer is None:
            return NOT_SIGNED
        as_approved = (wanted.neighbourhood, wanted.since, wanted.fingerprint)
        if (tenancy.neighbourhood, tenancy.since, customer) != as_approved:
            return OTHERWISE
        return IN_FORCE if tenancy.since <= now else SIGNED

    def _concentrator(self, wanted: WantedConcentrator, now: int) -> str:
        fingerprint = key_id(signing_key(wanted.key))
        versions = self._book.versions(wanted.neighbourhood)
        named = [each for each in versions if self._book.signer_of(each) == fingerprint]
        if not named:
            return NOT_SIGNED
        then = self._book.in_force(wanted.neighbourhood, now)
        return IN_FORCE if then is not None and any(each.version <= then.version for each in named) else SIGNED

    def _revocation(self, wanted: WantedRevocation, now: int) -> str:
        revocation = self._revocations.get(wanted.system_title)
        if revocation is None:
            return NOT_SIGNED
        if revocation.neighbourhood != wanted.neighbourhood:
            return OTHERWISE
        if wanted.pseudonym is None:
            return IN_FORCE
        tenancy = self._book.tenancy(wanted.pseudonym)
        if tenancy is None or tenancy.until is None:
            return NOT_SIGNED
        if tenancy.until != wanted.leaves_at:
            return OTHERWISE
        return IN_FORCE if tenancy.until <= now else SIGNED
