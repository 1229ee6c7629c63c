"""The utility's users: name, role and an argon2id hash (RFC 9106) of the password."""

import getpass
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import argon2
from sqlalchemy import Connection, delete, insert, select

from ..errors import CannotStart
from ..store import Store
from ..tables import users

SUPPLIER = "supplier"
OPERATOR = "operator"
AUDITOR = "auditor"
ROLES = (SUPPLIER, OPERATOR, AUDITOR)
LEAST_PASSWORD = 12
MOST_PASSWORD = 1024
NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}\Z")

_hasher = argon2.PasswordHasher()
# An unknown name costs the same time as a known one.
_NOBODY = _hasher.hash("a password that opens nothing")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the utility's pages. ``stamp`` changes with the password and ends older sessions."""

    name: str
    role: str
    stamp: str


def find_user(store: Store, name: str) -> User | None:
    """Return a user by name, or None."""
    for row in store.ask(select(users).where(users.c.name == name)):
        return User(row.name, row.role, _stamp(row.password_hash))
    return None


def check_password(store: Store, name: str, password: str) -> User | None:
    """Return the user whose name and password these are; None for anything else, in the same time."""
    kept = _NOBODY
    if NAME.match(name):
        for row in store.ask(select(users.c.password_hash).where(users.c.name == name)):
            kept = row.password_hash
    try:
        _hasher.verify(kept, password[:MOST_PASSWORD])
    except argon2.exceptions.VerificationError:
        return None
    return find_user(store, name) if kept is not _NOBODY else None


def add_user(store: Store, name: str, role: str, password: str) -> None:
    """Make a user, or replace one of the same name; raises CannotStart for what cannot be one."""
    if not NAME.match(name):
        raise CannotStart("a name has 1 to 64 letters, digits and . _ @ -")
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise CannotStart(f"a password has {LEAST_PASSWORD} characters or more")
    kept = _hasher.hash(password)

    def work(connection: Connection) -> None:
        connection.execute(delete(users).where(users.c.name == name))
        connection.execute(insert(users).values(name=name, role=role, password_hash=kept))

    store.write(work)


def read_password(path: Path | None) -> str:
    """Return the first line of a file, or what is typed twice; raises CannotStart."""
    if path is None:
        password = getpass.getpass("password: ")
        if getpass.getpass("again: ") != password:
            raise CannotStart("the two passwords are not the same")
        return password
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path}: {getattr(error, 'strerror', 'not UTF-8')}") from None
    return lines[0] if lines else ""


def _stamp(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]
