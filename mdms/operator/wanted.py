"""What an operator may propose to be signed, and the file in which it goes to whoever has the key. Pure.

Nothing here is trusted by whoever signs: the file is a list of wishes, and each is compared with what came on another
way, the `confirmation`, before anything is made of it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from Crypto.Protocol.DH import import_x25519_public_key
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from protocol.documents import DocumentError, canonical_json, from_base64url, import_public_key, key_id, parse
from protocol.documents import to_base64url as base64url
from protocol.envelopes import fingerprint, raw_public_key
from protocol.reports import Fingerprint, Name, Pseudonym, Seconds
from protocol.revocations import Title

METER, CONCENTRATOR, REVOCATION = "meter", "concentrator", "revocation"
FORMAT = "hushmeter-requests/1"
MOST_PEM = 2000

Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
Person = Annotated[str, Meta(min_length=1, max_length=64)]


class WantedMeter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=METER, tag_field="kind"):
    """A meter and its customer: the envelope is sealed to the customer when the meter gets its root, so they are one.

    ``customer`` is the customer's X25519 public key, base64url, ``fingerprint`` what the customer compares.
    """

    neighbourhood: Name
    gateway: Name
    system_title: Title
    pseudonym: Pseudonym
    since: Seconds
    customer: Key
    fingerprint: Fingerprint


class WantedConcentrator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=CONCENTRATOR, tag_field="kind"):
    """Another concentrator for a neighbourhood: its Ed25519 public key, base64url, and that key's fingerprint."""

    neighbourhood: Name
    since: Seconds
    key: Key
    fingerprint: Fingerprint


class WantedRevocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=REVOCATION, tag_field="kind"):
    """A meter whose keys are to be refused; with ``leaves_at`` its account leaves the roster from then on."""

    neighbourhood: Name
    gateway: Name
    system_title: Title
    pseudonym: Pseudonym | None
    leaves_at: Seconds | None


Wanted = WantedMeter | WantedConcentrator | WantedRevocation


class Approved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request as it was approved; times in UTC seconds."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,22}\Z")]
    wanted: Wanted
    proposed_by: Person
    proposed: Seconds
    approved_by: Person
    approved: Seconds


class RequestsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is exported."""

    format: str
    deployment: Name
    exported_by: Person
    exported: Seconds
    requests: Annotated[list[Approved], Meta(max_length=10_000)]


class NotWanted(Exception):
    """A request that cannot be one; the message says to a person what is wrong with it."""


def kind_of(wanted: Wanted) -> str:
    """Return METER, CONCENTRATOR or REVOCATION."""
    return str(wanted.__struct_config__.tag)


def body_of(wanted: Wanted) -> str:
    """Return what is stored of a request."""
    return canonical_json(wanted).decode()


def wanted_in(body: str) -> Wanted:
    """Return the request that a stored text is; raises DocumentError."""
    wanted: Wanted = parse(body.encode(), Wanted)
    return wanted


def read_file(data: bytes, deployment: str) -> RequestsFile:
    """Return the requests of a file, each checked by itself; raises NotWanted."""
    try:
        file: RequestsFile = parse(data, RequestsFile)
    except DocumentError as error:
        raise NotWanted(f"not a file of requests: {error}") from None
    if file.format != FORMAT:
        raise NotWanted(f"the file is of another format than {FORMAT}")
    if file.deployment != deployment:
        raise NotWanted(f"the requests are for the deployment {file.deployment}, this one is {deployment}")
    if len({each.id for each in file.requests}) != len(file.requests):
        raise NotWanted("a request stands in the file twice")
    for each in file.requests:
        try:
            check(each.wanted)
        except NotWanted as error:
            raise NotWanted(f"request {each.id}: {error}") from None
        if each.approved_by == each.proposed_by:
            raise NotWanted(f"request {each.id}: whoever proposed it has approved it")
    return file


def check(wanted: Wanted) -> None:
    """Raise NotWanted where a request contradicts itself: a fingerprint of another key, half of a pair."""
    match wanted:
        case WantedMeter():
            if fingerprint(customer_key(wanted.customer)) != wanted.fingerprint:
                raise NotWanted(
                    "the fingerprint is not the customer's key's: was it read from the customer's own paper?"
                )
        case WantedConcentrator():
            if key_id(signing_key(wanted.key)) != wanted.fingerprint:
                raise NotWanted("the fingerprint is not the concentrator's key's")
        case WantedRevocation():
            if (wanted.pseudonym is None) != (wanted.leaves_at is None):
                raise NotWanted("account and day of leaving are given together or not at all")


def confirmation(wanted: Wanted) -> str:
    """Return what whoever signs must have heard on another way, in words with spaces between them.

    Neighbourhood and fingerprint of a key; of a revocation the meter's system title, and the account that leaves.
    """
    match wanted:
        case WantedRevocation():
            return " ".join((wanted.system_title, *([wanted.pseudonym] if wanted.pseudonym else [])))
        case _:
            return f"{wanted.neighbourhood} {wanted.fingerprint}"


def customer_key(text: str) -> EccKey:
    """Return an X25519 public key from base64url; raises NotWanted."""
    try:
        return import_x25519_public_key(from_base64url(text, "the customer's key", 32))
    except (DocumentError, ValueError):
        raise NotWanted("the customer's key is no X25519 public key") from None


def signing_key(text: str) -> EccKey:
    """Return an Ed25519 public key from base64url; raises NotWanted."""
    try:
        return import_public_key(text)
    except DocumentError as error:
        raise NotWanted(f"the concentrator's key: {error}") from None


def customer_key_text(pasted: str) -> str:
    """Return the base64url of a customer's public key that was pasted so, or as PEM; raises NotWanted."""
    text = pasted.strip()
    if "PRIVATE" in text.upper():
        raise NotWanted("this is a private key, which is the customer's alone: ask for the file that ends in .pub")
    if not text.startswith("-----BEGIN"):
        customer_key(text)
        return text
    try:
        key = ECC.import_key(text[:MOST_PEM])
    except (ValueError, IndexError, TypeError):
        raise NotWanted("the customer's key is no public key") from None
    if key.curve != "Curve25519":
        raise NotWanted("the customer's key is no X25519 public key")
    return base64url(raw_public_key(key))
