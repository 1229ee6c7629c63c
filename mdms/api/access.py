"""Who asks the API: a token's holder, or somebody signed in to the pages.

Rule 1: a blueprint refuses everything to everyone but its own roles; its routes say nothing about it, so none forgets.
Rule 2: what an asker may not see does not exist: another neighbourhood's name gets the same 404 as no neighbourhood's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, abort, current_app, g, request

from ..accounts.sessions import who
from ..accounts.tokens import find_token
from ..problems import problem
from ..rosters import RosterBook
from ..store import Store

BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose request it is. ``neighbourhoods`` None: all of them."""

    role: str
    neighbourhoods: frozenset[str] | None = None

    def sees(self, neighbourhood: str) -> bool:
        """Say whether anything of a neighbourhood is for this asker."""
        return self.neighbourhoods is None or neighbourhood in self.neighbourhoods


def only_roles(store: Store, *roles: str) -> Callable[[], Response | None]:
    """Return what a blueprint asks before each of its requests."""

    def check() -> Response | None:
        found = _asker(store)
        if found is None:
            return problem(401)
        if found.role not in roles:
            return problem(403)
        g.asker = found
        return None

    return check


def asker() -> Asker:
    """Return who asks, behind `only_roles`."""
    found: Asker = g.asker
    return found


def _asker(store: Store) -> Asker | None:
    header = request.headers.get("Authorization", "")
    if header:
        # A wrong token is an error even for somebody who is signed in: nobody acts as another than they think.
        token = find_token(store, header[len(BEARER) :].strip(), time.time()) if _is_bearer(header) else None
        return Asker(token.role, token.neighbourhoods) if token else None
    # Without pages there are no logins.
    person = who() if hasattr(current_app, "login_manager") else None
    return Asker(person.role) if person else None


def _is_bearer(header: str) -> bool:
    return header[: len(BEARER)].lower() == BEARER


def known(book: RosterBook, neighbourhood: str) -> str:
    """Return a neighbourhood's name where there is one that the asker may see; 404 otherwise."""
    if not book.versions(neighbourhood) or not asker().sees(neighbourhood):
        abort(404)
    return neighbourhood
