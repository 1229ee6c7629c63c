"""Revocations: the operator's word that a meter's keys are not its own any more (README.md, chapter 7)."""

from typing import Annotated

import msgspec
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from .documents import Document, DocumentError, canonical_json, parse, sign, verify
from .reports import Name, Seconds

REVOCATION = "revocation"

Title = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From ``revoked_at`` (UTC seconds) on, a concentrator takes nothing of the meter of this system title."""

    neighbourhood: Name
    system_title: Title
    revoked_at: Seconds


def sign_revocation(operator: EccKey, deployment: str, revocation: Revocation) -> Document:
    """Return the revocation as the operator's signed document."""
    return sign(operator, REVOCATION, deployment, canonical_json(revocation))


def open_revocation(document: Document, deployment: str, operator: EccKey) -> Revocation:
    """Return a revocation that the operator signed; raises DocumentError with the reason."""
    if document.type != REVOCATION:
        raise DocumentError("not a revocation")
    revocation: Revocation = parse(verify(document, deployment, operator), Revocation)
    return revocation
