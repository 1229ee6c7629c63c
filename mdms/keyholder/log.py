"""The release log: every release and every final refusal, signed and chained (protocol, chapter 9).

An entry is a signed document; its name is the document's id, and each entry holds the name of the one before it. So
whoever knows one published head can tell that nothing up to it was changed, left out or reordered.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from Crypto.PublicKey.ECC import EccKey

from protocol.documents import (
    Document,
    DocumentError,
    canonical_json,
    document_id,
    from_base64url,
    parse,
    sign,
    verify,
)

from .messages import Entry, committed

ENTRY = "release-log-entry"
NOTHING_BEFORE = "0" * 64


class LogBroken(Exception):
    """A release log that is not one unbroken, signed chain; the message names the entry."""


class Head(NamedTuple):
    """The last entry of a log: its number (0 for an empty log) and its name."""

    seq: int
    hash: str


EMPTY = Head(0, NOTHING_BEFORE)


class VerifiedLog(NamedTuple):
    """A log that holds: its entries in order and its head."""

    entries: list[Entry]
    head: Head


def sign_entry(key: EccKey, deployment: str, entry: Entry) -> tuple[Document, Head]:
    """Return the signed entry and the head that it makes."""
    document = sign(key, ENTRY, deployment, canonical_json(entry))
    return document, Head(entry.seq, document_id(ENTRY, deployment, document.content_bytes()))


def entry_time(line: str) -> int:
    """Return the domain time of an entry of one's own log, unverified."""
    document = msgspec.json.decode(line, type=Document)
    entry: Entry = parse(document.content_bytes(), Entry)
    return entry.time


def verify_log(lines: Iterable[bytes | str], deployment: str, public_key: EccKey, after: Head = EMPTY) -> VerifiedLog:
    """Check a log, one signed entry per line as ``log_file`` holds it, from behind ``after`` on; raises LogBroken.

    Whether it is the *right* log is for the published head to say: compare it with an entry's number and name.
    """
    entries: list[Entry] = []
    head = after
    for entry, name in verify_entries(lines, deployment, public_key, after):
        entries.append(entry)
        head = name
    return VerifiedLog(entries, head)


def verify_entries(
    lines: Iterable[bytes | str], deployment: str, public_key: EccKey, after: Head = EMPTY
) -> Iterator[tuple[Entry, Head]]:
    """Yield the entries of a log with their numbers and names, each verified as `verify_log` says."""
    head = after
    for line in lines:
        entry, head = _follow(line, head, deployment, public_key)
        yield entry, head


def _follow(line: bytes | str, before: Head, deployment: str, public_key: EccKey) -> tuple[Entry, Head]:
    where = f"entry {before.seq + 1}"
    try:
        document = msgspec.json.decode(line, type=Document, strict=True)
        content = verify(document, deployment, public_key)
        entry: Entry = parse(content, Entry)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise LogBroken(f"{where}: not a signed entry") from None
    except DocumentError as error:
        raise LogBroken(f"{where}: {error}") from None
    if document.type != ENTRY:
        raise LogBroken(f"{where}: not a release log entry")
    if entry.seq != before.seq + 1:
        raise LogBroken(f"{where}: calls itself {entry.seq}")
    if entry.previous != before.hash:
        raise LogBroken(f"{where}: does not follow the entry before it")
    return entry, Head(entry.seq, document_id(ENTRY, deployment, content))


def check_answer(entry: Entry, answer: bytes) -> None:
    """Check that an answer is the one that a log entry commits to; raises LogBroken."""
    try:
        told: dict[str, Any] = parse(answer, dict[str, Any])
        opening = from_base64url(str(told.pop("opening", "")), "opening", 16)
    except DocumentError:
        raise LogBroken(f"entry {entry.seq}: not an answer") from None
    if told.get("status") != entry.decision or committed(told, opening) != entry.commitment:
        raise LogBroken(f"entry {entry.seq}: commits to another answer")
