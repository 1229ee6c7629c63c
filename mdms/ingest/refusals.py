"""What rostered concentrators sent and was refused: counted by kind, for whoever looks after the fleet.

A stranger's reports are not counted here: they cost the database nothing, whoever sends them and however many.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, insert, update

from ..tables import refusals
from .judgement import MISALIGNED, OTHER_ROSTER, Arrival, Refused

MALFORMED = "malformed"
KINDS = frozenset((*OTHER_ROSTER, MISALIGNED, MALFORMED))


def note_refusals(connection: Connection, judged: Sequence[Arrival | Refused], now: int) -> None:
    """Count the authentic ones of a batch; there are never more rows than concentrators times KINDS."""
    found = Counter((item.signer, kind_of(item.reason)) for item in judged if isinstance(item, Refused) and item.signer)
    # In one order, so that two servers wait for each other and never each for the other.
    for (signer, reason), number in sorted(found.items()):
        this = (refusals.c.signer == signer, refusals.c.reason == reason)
        more = update(refusals).where(*this).values(last=now, number=refusals.c.number + number)
        if not connection.execute(more).rowcount:
            new = {"signer": signer, "reason": reason, "first": now, "last": now, "number": number}
            connection.execute(insert(refusals).values(new))


def kind_of(reason: str) -> str:
    """Return the kind of a reason: what a concentrator may choose the words of is one kind."""
    return reason if reason in KINDS else MALFORMED
