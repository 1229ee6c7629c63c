"""Tokens of the API: 256 random bits, of which the database has only the SHA-256.

A token is looked up by its hash, so nothing secret is compared; a slow hash is for passwords, which can be guessed.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from ..errors import CannotStart
from ..store import Store
from ..tables import tokens
from .users import AUDITOR, NAME, OPERATOR, SUPPLIER

THIRD_PARTY = "third-party"
TOKEN_ROLES = (SUPPLIER, OPERATOR, THIRD_PARTY, AUDITOR)
PREFIX = "hmt_"
TOKEN = re.compile(r"hmt_[A-Za-z0-9_-]{43}\Z")
DAY_S = 86_400
MOST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Token:
    """What a token may do. ``neighbourhoods`` None: all of them; times in UTC seconds."""

    name: str
    role: str
    neighbourhoods: frozenset[str] | None
    created: int
    expires: int


def find_token(store: Store, text: str, now: float) -> Token | None:
    """Return the token whose secret this is; None for an unknown, revoked or expired one."""
    if not TOKEN.match(text):
        return None
    for row in store.ask(select(tokens).where(tokens.c.hash == _hash(text))):
        found = _token(row)
        return found if now < found.expires else None
    return None


def list_tokens(store: Store) -> list[Token]:
    """Return every token by name; expired ones as well."""
    return [_token(row) for row in store.ask(select(tokens).order_by(tokens.c.name))]


def add_token(store: Store, name: str, role: str, days: int, neighbourhoods: Sequence[str] = ()) -> str:
    """Make a token and return its secret, which is kept nowhere; raises CannotStart for what cannot be one."""
    if not NAME.match(name):
        raise CannotStart("a name has 1 to 64 letters, digits and . _ @ -")
    if role not in TOKEN_ROLES:
        raise CannotStart(f"a token's role is one of {', '.join(TOKEN_ROLES)}")
    if not 1 <= days <= MOST_DAYS:
        raise CannotStart(f"a token lasts 1 to {MOST_DAYS} days")
    if neighbourhoods and role == AUDITOR:
        raise CannotStart("the release log is one for all neighbourhoods: an auditor's token cannot be for some")
    secret = PREFIX + secrets.token_urlsafe(32)
    now = int(time.time())

    def work(connection: Connection) -> None:
        if connection.execute(select(tokens.c.name).where(tokens.c.name == name)).first() is not None:
            raise CannotStart(f"there is a token {name} already: revoke it first, or choose another name")
        connection.execute(
            insert(tokens).values(
                name=name,
                role=role,
                hash=_hash(secret),
                # A neighbourhood's name has no space in it.
                neighbourhoods=" ".join(sorted(set(neighbourhoods))) or None,
                created=now,
                expires=now + days * DAY_S,
            )
        )

    store.write(work)
    return secret


def revoke_token(store: Store, name: str) -> None:
    """Forget a token, from the next request on; raises CannotStart where there is none of that name."""

    def work(connection: Connection) -> int:
        return connection.execute(delete(tokens).where(tokens.c.name == name)).rowcount

    if not store.write(work):
        raise CannotStart(f"there is no token {name[:64]}")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: object) -> Token:
    name, role, names, created, expires = (
        getattr(row, column) for column in ("name", "role", "neighbourhoods", "created", "expires")
    )
    return Token(name, role, frozenset(names.split()) if names else None, created, expires)
