"""Who is signed in: Flask-Login over a signed cookie, ended by idleness, by age, or by a new password.

Rule 1: a door refuses everything to everyone but its own role; its routes say nothing about it, so none forgets.
Rule 2: what a page asks for by itself (BY_ITSELF) does not keep a session alive; a person's own doing does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import flask_login  # type: ignore[import-untyped]
from flask import Flask, abort, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from ..ingest.routes import answer_json
from ..store import Store
from .users import NAME, User, find_user

CUSTOMER = "customer"
IDLE_S = 30 * 60
LONGEST_S = 12 * 3600
REFRESH_S = 30
BY_ITSELF = (".json", ".bin", ".events")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in. ``name`` of a customer is the pseudonym."""

    name: str
    role: str
    stamp: str = ""

    is_active = True
    is_authenticated = True
    is_anonymous = False

    def get_id(self) -> str:
        """Return what the session keeps."""
        return f"{self.role}:{self.stamp}:{self.name}"


def keep_sessions(app: Flask, store: Store) -> None:
    """Install sessions; every blueprint of pages then asks `only` for its role."""
    manager = flask_login.LoginManager(app)
    # Its own protection ties a session to an address, which a phone changes on its way.
    manager.session_protection = None

    def load(text: str) -> Person | None:
        role, _, rest = text.partition(":")
        stamp, _, name = rest.partition(":")
        if role == CUSTOMER:
            return Person(name, CUSTOMER)
        user = find_user(store, name) if NAME.match(name) else None
        known = user is not None and (user.role, user.stamp) == (role, stamp)
        return Person(name, role, stamp) if known else None

    manager.user_loader(load)
    app.before_request(_end_old_session)


def _end_old_session() -> None:
    now = int(time.time())
    seen, since = session.get("seen"), session.get("since")
    if seen is None or since is None:
        return
    if now - seen > IDLE_S or now - since > LONGEST_S:
        session.clear()
    elif now - seen > REFRESH_S and (not request.path.endswith(BY_ITSELF) or request.args.get("active") == "1"):
        session["seen"] = now


def sign_in(person: Person) -> None:
    """Begin a new session; whatever an earlier one held is gone."""
    session.clear()
    session["seen"] = session["since"] = int(time.time())
    flask_login.login_user(person)


def sign_in_user(user: User) -> None:
    """Begin the session of one of the utility's users."""
    sign_in(Person(user.name, user.role, user.stamp))


def sign_out() -> None:
    """End the session."""
    flask_login.logout_user()
    session.clear()


def who() -> Person | None:
    """Return who is signed in, or None."""
    person = flask_login.current_user
    return person._get_current_object() if person.is_authenticated else None


def only(role: str, entrance: str) -> Callable[[], ResponseReturnValue | None]:
    """Return what a blueprint asks before each of its requests: strangers go to its entrance, others nowhere."""

    def check() -> ResponseReturnValue | None:
        person = who()
        if person is None:
            if request.path.endswith(BY_ITSELF):
                return answer_json({"error": "not signed in"}, 401)
            return redirect(url_for(entrance))
        if person.role != role:
            abort(403)
        return None

    return check
