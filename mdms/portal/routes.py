"""The customer's page and what its script asks for. Nothing decrypted is ever sent here, so nothing takes it."""

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]

from protocol.documents import DocumentError, parse
from protocol.logins import Answer, Asked

from ..accounts.origins import Origins
from ..accounts.sessions import CUSTOMER, Person, sign_in
from ..ingest.routes import answer_json
from ..store import Store
from .bodies import body_as
from .bundle import read_bundle
from .challenges import Challenges
from .honesty import honesty_routes

PER_ADDRESS = "60 per minute"
PER_ACCOUNT = "10 per minute; 200 per hour"


def _account_asked() -> str:
    try:
        account = parse(request.get_data(), Asked).account
    except DocumentError:
        account = ""
    return f"{get_remote_address()} {account}"


def portal_routes(store: Store, origins: Origins, limiter: Limiter, own: Blueprint) -> Blueprint:
    """Return the blueprint of the customer's door; ``own`` is that of one customer's objects (own.py)."""
    routes = Blueprint("portal", __name__, url_prefix="/portal")
    challenges = Challenges(store)

    @routes.get("/")
    def home() -> ResponseReturnValue:
        return render_template("portal/home.html")

    @routes.get("/new-key")
    def new_key() -> ResponseReturnValue:
        # The sheet names this address: as browsers know it, whatever a proxy makes of it.
        address = f"{origins.of(request.host)}{url_for('.home')}"
        return render_template("portal/new_key.html", address=address)

    @routes.post("/challenge.json")
    @limiter.limit(PER_ADDRESS)
    @limiter.limit(PER_ACCOUNT, key_func=_account_asked)
    def challenge() -> Response:
        asked = body_as(Asked)
        origin = origins.of(request.host)
        assert origin is not None, "other hosts are refused before"
        return answer_json(challenges.new(asked.account, origin))

    @routes.post("/answer.json")
    @limiter.limit(PER_ADDRESS)
    def answer() -> Response:
        account = challenges.settle(body_as(Answer))
        if account is None:
            return answer_json({"error": "not the answer, or too late"}, 403)
        sign_in(Person(account, CUSTOMER))
        # The new session has a token of its own, and the page is not loaded again.
        return answer_json({"account": account, "csrf_token": generate_csrf()})

    honesty_routes(routes, read_bundle(), origins)
    routes.register_blueprint(own)
    return routes
