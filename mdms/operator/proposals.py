"""A form's fields become a request, or a sentence about what is wrong with them. Pure but for randomness."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import date, datetime

import msgspec

from protocol.documents import to_base64url
from protocol.reports import PSEUDONYM_BYTES, Name

from ..rosters import RosterBook
from .wanted import (
    CONCENTRATOR,
    METER,
    REVOCATION,
    NotWanted,
    Wanted,
    WantedConcentrator,
    WantedMeter,
    WantedRevocation,
    check,
    customer_key_text,
)

KINDS = (METER, CONCENTRATOR, REVOCATION)
TITLE = re.compile(r"[0-9a-f]{16}\Z")
MOST_TEXT = 3000
MANUFACTURER = b"HSM"  # of our own system titles, as scripts.enrol makes them


def wanted_of(kind: str, form: Mapping[str, str], book: RosterBook, now: int) -> Wanted:
    """Return the request that a form asks for; raises NotWanted, with words for the person who filled it in."""
    fields = {name: value.strip()[:MOST_TEXT] for name, value in form.items()}
    street = fields.get("neighbourhood", "")
    if not book.versions(street):
        raise NotWanted("no roster names this neighbourhood")
    make = {METER: _meter, CONCENTRATOR: _concentrator, REVOCATION: _revocation}[kind]
    wanted = make(street, fields, book, now)
    check(wanted)
    return wanted


def _meter(street: str, fields: Mapping[str, str], book: RosterBook, now: int) -> Wanted:
    title = fields.get("title", "").lower() or (MANUFACTURER + secrets.token_bytes(5)).hex()
    pseudonym = to_base64url(secrets.token_bytes(PSEUDONYM_BYTES))
    assert book.tenancy(pseudonym) is None, "16 random bytes do not come twice"
    return WantedMeter(
        neighbourhood=street,
        gateway=_gateway(fields),
        system_title=_title(title),
        pseudonym=pseudonym,
        since=_day(fields.get("since", ""), street, book, now),
        customer=customer_key_text(fields.get("customer", "")),
        fingerprint=_fingerprint(fields),
    )


def _concentrator(street: str, fields: Mapping[str, str], book: RosterBook, now: int) -> Wanted:
    since = _day(fields.get("since", ""), street, book, now)
    if since <= book.versions(street)[-1].valid_from:
        raise NotWanted("the newest roster of this neighbourhood begins on that day or later: choose a day behind it")
    return _built(
        WantedConcentrator,
        neighbourhood=street,
        since=since,
        key=fields.get("key", ""),
        fingerprint=_fingerprint(fields),
    )


def _revocation(street: str, fields: Mapping[str, str], book: RosterBook, now: int) -> Wanted:
    pseudonym, leaves = fields.get("pseudonym", ""), fields.get("leaves", "")
    if pseudonym:
        tenancy = book.tenancy(pseudonym)
        if tenancy is None or tenancy.neighbourhood != street or tenancy.until is not None:
            raise NotWanted("no account of this neighbourhood's newest roster has this pseudonym")
    return WantedRevocation(
        neighbourhood=street,
        gateway=_gateway(fields),
        system_title=_title(fields.get("title", "").lower()),
        pseudonym=pseudonym or None,
        leaves_at=_day(leaves, street, book, now) if leaves else None,
    )


def _built(kind: type[WantedConcentrator], **facts: object) -> Wanted:
    """Return a request whose fields have the forms that a file's must have."""
    try:
        wanted: Wanted = msgspec.convert({"kind": CONCENTRATOR, **facts}, kind, strict=True)
    except msgspec.ValidationError:
        raise NotWanted("the concentrator's key must be the 43 characters that its operator was told") from None
    return wanted


def _title(text: str) -> str:
    if not TITLE.match(text):
        raise NotWanted("a system title has 16 hex digits")
    return text


def _gateway(fields: Mapping[str, str]) -> str:
    try:
        name: str = msgspec.convert(fields.get("gateway", ""), Name)
    except msgspec.ValidationError:
        raise NotWanted("a concentrator's name has 1 to 64 of A-Z, a-z, 0-9, _ and -") from None
    return name


def _fingerprint(fields: Mapping[str, str]) -> str:
    text = fields.get("fingerprint", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", text):
        raise NotWanted("a fingerprint has 43 characters")
    return text


def _day(text: str, street: str, book: RosterBook, now: int) -> int:
    """Return where a local day begins. It must be to come: what has begun is billed by the roster that was in force."""
    try:
        day = date.fromisoformat(text)
        start = int(datetime(day.year, day.month, day.day, tzinfo=book.zone(street)).timestamp())
    except (ValueError, OverflowError):
        raise NotWanted("a day is written YYYY-MM-DD") from None
    if not now < start < 1 << 32:
        raise NotWanted("the day must be one to come")
    return start
