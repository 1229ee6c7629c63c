"""Where a concentrator stands with the MDMS: what a restored one asks before it takes frames (README.md, chapter 11).

Everything in the answer is a document that a concentrator of the neighbourhood has signed itself: the MDMS can be
late or silent about the last ones, and can make up none.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from .documents import Document
from .reports import Name, Pseudonym, Seconds

STANDING_REQUEST = "standing-request"
BACKUP_PURPOSE = b"hushmeter/v1/concentrator-backup"  # of what a concentrator seals to an offline recovery key
FRESH_S = 600  # how far a request's time may be from the MDMS's: two clocks that may both be off
METERS_AT_ONCE = 100  # of two documents of about 3.5 KB each: an answer stays below a mebibyte


class StandingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed question; ``asked`` in UTC seconds. Meters follow ``after`` in order of their pseudonyms."""

    neighbourhood: Name
    asked: Seconds
    after: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{21}[AQgw])?\Z")] = ""


class MeterStanding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenancy's newest window, and its newest one that was not empty: the one with the closing register."""

    pseudonym: Pseudonym
    newest: Document
    newest_filled: Document | None


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer: the neighbourhood's newest load, and a page of meters. ``more``: there are others behind it."""

    load: Document | None
    meters: Annotated[list[MeterStanding], Meta(max_length=METERS_AT_ONCE)]
    more: bool
