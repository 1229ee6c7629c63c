"""What passes over the key holder's socket (protocol, chapter 9): requests, answers, log entries. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from protocol.documents import Document, canonical_json
from protocol.releases import MAX_ITEMS, DocumentId
from protocol.reports import Name, Pseudonym, Seconds
from protocol.tariffs import BandName

MAX_MESSAGE = 16 << 20

RELEASED = "released"
BAD_DOCUMENT = "bad_document"
WRONG_KEY = "wrong_key"
NOT_ON_ROSTER = "not_on_roster"
TOO_FEW_CONTRIBUTORS = "too_few_contributors"
TOO_LATE = "too_late"
ALREADY_RELEASED = "already_released"
NOT_CLOSED = "not_closed"
WINDOWS_MISSING = "windows_missing"
WINDOW_SPENT = "window_spent"
PERIOD_TOO_SHORT = "period_too_short"
NO_ENERGY = "no_energy"
NOT_RELEASABLE = "not_releasable"

# Says nothing for good: neither logged nor kept, so asking again is worth while.
ASK_LATER = (NOT_CLOSED, WINDOWS_MISSING)
# No decision at all: the key holder could not commit one, has too many clients, or did not understand the frame.
UNAVAILABLE = "unavailable"
BUSY = "busy"
BAD_FRAME = "bad_frame"


class BillRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One meter's period with the signed reports of all its windows."""

    pseudonym: Pseudonym
    period_start: Seconds
    windows: list[Document]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One load or one bill. It is written as the request that asks for it alone, and has that request's name."""

    load: Document | None = None
    bill: BillRequest | None = None

    def __post_init__(self) -> None:
        if (self.load is not None) + (self.bill is not None) != 1:
            raise ValueError("an item is one load or one bill")

    def name(self) -> str:
        """Return the item's name, however its JSON was spaced and whatever was asked with it."""
        return hashlib.sha256(canonical_json(self)).hexdigest()


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of a load, a bill, several of both, a release batch by its id, and the question of the policy."""

    load: Document | None = None
    bill: BillRequest | None = None
    items: Annotated[list[Item], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    release: DocumentId | None = None
    policy: bool = False

    def __post_init__(self) -> None:
        asked = (self.load, self.bill, self.items, self.release)
        if sum(member is not None for member in asked) + self.policy != 1:
            raise ValueError("a request is one load, one bill, several items, a release batch or the policy")


class AskedLoad(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="load"):
    """A signed load that was asked for: how many of how many rostered meters contributed, and its document.

    Both numbers are 0 where the load was refused before they were known.
    """

    neighbourhood: Name
    interval_start: Seconds
    contributors: int
    expected: int
    document: str


class BandWindows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many windows of a sum belong to a band, with or without energy."""

    name: BandName
    windows: int


class AskedSum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sum that a bill opens: of which bands, of how many windows, how many of them with energy."""

    bands: list[BandName]
    windows: int
    filled: int


class AskedBill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="bill"):
    """A bill that was asked for; ``documents`` is hex SHA-256 of its windows' ids one after the other.

    The rest is said where it was opened: the id of the tariff in force, the sums, and how many windows with energy
    were left over from earlier periods (``adjusted``).
    """

    pseudonym: Pseudonym
    period_start: Seconds
    windows: int
    documents: str
    tariff: DocumentId | None = None
    adjusted: int = 0
    sums: list[AskedSum] = []


class AskedUnverified(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="unverified"):
    """Something that no rostered concentrator signed; only the request's hash names it."""


Asked = AskedLoad | AskedBill | AskedUnverified


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the release log. It holds no energy: ``commitment`` binds the answer without telling it.

    ``previous`` names the entry before it (64 zeros before the first); ``time`` is domain time, UTC seconds;
    ``request`` is hex SHA-256 of the request; ``unsafe`` names the unsafe settings in force.
    """

    seq: int
    previous: str
    time: Seconds
    request: str
    asked: Asked
    decision: str
    k: int
    unsafe: list[str]
    commitment: str


def load_request(document: Document) -> bytes:
    """Return the request to open a load; the same document always gives the same bytes."""
    return canonical_json(Request(load=document))


def bill_request(pseudonym: str, period_start: int, windows: list[Document]) -> bytes:
    """Return the request to open a bill; ``windows`` in order of time."""
    return canonical_json(Request(bill=BillRequest(pseudonym, period_start, windows)))


def items_request(items: Sequence[Item]) -> bytes:
    """Return the request to open several loads and bills, each on its own merits."""
    return canonical_json(Request(items=list(items)))


def release_request(name: str) -> bytes:
    """Return the request for a stored release batch by its document's id."""
    return canonical_json(Request(release=name))


def policy_request() -> bytes:
    """Return the question for the policy in force."""
    return canonical_json(Request(policy=True))


def parse_request(message: bytes) -> Request:
    """Return the request in a message; raises ValueError for anything else."""
    try:
        return msgspec.json.decode(message, type=Request, strict=True)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("not a request") from None


class _Answers(msgspec.Struct, frozen=True):
    answers: list[msgspec.Raw]


def joined_answers(answers: Sequence[bytes]) -> bytes:
    """Return the answer to several items: their own answers as they are, in the order of the items."""
    return canonical_json({"status": "answers", "answers": [msgspec.Raw(answer) for answer in answers]})


def parse_answers(message: bytes, count: int) -> list[bytes]:
    """Return the answers to ``count`` items, byte for byte as `joined_answers` was given; raises ValueError."""
    try:
        answers = msgspec.json.decode(message, type=_Answers, strict=True).answers
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ValueError("not an answer to several items") from None
    if len(answers) != count:
        raise ValueError(f"{len(answers)} answers to {count} items")
    return [bytes(answer) for answer in answers]


def committed(answer: dict[str, Any], opening: bytes) -> str:
    """Return the commitment to an answer without its ``opening``: hex SHA-256 of 16 random bytes and the answer.

    The random bytes keep a reader of the log from trying out sums.
    """
    return hashlib.sha256(opening + canonical_json(answer)).hexdigest()
