"""How a customer logs in without a password (README.md, chapter 10): whoever has the private key can answer.

HPKE (RFC 9180) base mode with the suite of chapter 8. The answer is a MAC under a key that both ends export, so what
was sealed never comes back in clear, and a server cannot have something else opened under the name of a challenge.
"""

import hashlib
import hmac
import re
import struct
from typing import Annotated

import msgspec
from Crypto.Protocol import HPKE
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from .documents import DocumentError, from_base64url, to_base64url
from .reports import Pseudonym, Seconds

PURPOSE = b"hushmeter/v1/login"
ANSWER = b"hushmeter/v1/login-answer"
CHALLENGE_BYTES = 32
ANSWER_BYTES = 32
MAX_ORIGIN = 255
ACCOUNT = re.compile(r"[A-Za-z0-9_-]{22}\Z")

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}\Z")]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends first: whose challenge it wants."""

    account: Pseudonym


class Challenge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the server sends: a name to answer under, the sealed challenge, and when it ends (UTC seconds)."""

    id: Id
    enc: str
    sealed: str
    expires: Seconds


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the client sends back: the MAC, base64url of 32 bytes."""

    id: Id
    answer: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]


def login_info(origin: str, pseudonym: str, expires: int) -> bytes:
    """Return what binds a challenge: purpose, the origin that the client sees (RFC 6454), account and end."""
    where = origin.encode("ascii")
    if len(where) > MAX_ORIGIN or not ACCOUNT.match(pseudonym) or not 0 <= expires < 1 << 32:
        raise ValueError("an origin has 255 characters at most, a pseudonym 22, an end 32 bits")
    return PURPOSE + struct.pack(">B", len(where)) + where + pseudonym.encode("ascii") + struct.pack(">I", expires)


def seal_challenge(
    customer: EccKey, challenge: bytes, name: str, origin: str, pseudonym: str, expires: int
) -> tuple[Challenge, bytes]:
    """Seal 32 fresh random bytes to a customer's public key. Returns the Challenge and the answer to expect."""
    if len(challenge) != CHALLENGE_BYTES:
        raise ValueError("a challenge has 32 bytes")
    cipher = HPKE.new(
        receiver_key=customer.public_key(),
        aead_id=HPKE.AEAD.AES256_GCM,
        info=login_info(origin, pseudonym, expires),
    )
    sealed = cipher.seal(challenge)
    expected = _mac(cipher.export(ANSWER, ANSWER_BYTES), challenge)
    return Challenge(name, to_base64url(cipher.enc), to_base64url(sealed), expires), expected


def answer_challenge(customer: EccKey, challenge: Challenge, origin: str, pseudonym: str) -> Answer:
    """Return a client's answer; raises DocumentError where the challenge is not for this key, origin and account."""
    enc = from_base64url(challenge.enc, "enc", 32)
    sealed = from_base64url(challenge.sealed, "sealed challenge", CHALLENGE_BYTES + 16)
    info = login_info(origin, pseudonym, challenge.expires)
    try:
        cipher = HPKE.new(receiver_key=customer, aead_id=HPKE.AEAD.AES256_GCM, enc=enc, info=info)
        opened = cipher.unseal(sealed)
    except ValueError:
        raise DocumentError("this challenge does not open with this key, origin and account") from None
    return Answer(challenge.id, to_base64url(_mac(cipher.export(ANSWER, ANSWER_BYTES), opened)))


def is_right(answer: Answer, expected: bytes) -> bool:
    """Compare in a time that does not depend on where they differ."""
    try:
        given = from_base64url(answer.answer, "answer", ANSWER_BYTES)
    except DocumentError:
        return False
    return hmac.compare_digest(given, expected)


def _mac(key: bytes, challenge: bytes) -> bytes:
    return hmac.new(key, challenge, hashlib.sha256).digest()
