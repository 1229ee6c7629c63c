"""The pages as a whole: sessions, CSRF, limits, headers, and the doors, each for one role.

Without a session key no page is served: a configuration of before the pages keeps serving reports alone.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from flask import Blueprint, Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException

from protocol.documents import parse
from protocol.envelopes import Envelope

from . import formats
from .accounts.origins import Origins
from .accounts.routes import account_routes
from .accounts.sessions import LONGEST_S, keep_sessions, who
from .auditor.log_index import LogIndex
from .auditor.log_reader import LogReader
from .auditor.routes import auditor_routes
from .config import MdmsConfig
from .envelopes import Earlier
from .errors import CannotStart
from .ingest.routes import answer_json
from .operator.in_force import Signed
from .operator.routes import operator_routes
from .portal.bills import bill_routes
from .portal.choices import choice_routes
from .portal.looked import Looked, looked_routes
from .portal.own import own_objects
from .portal.routes import portal_routes
from .portal.rows import row_routes
from .pricing import Pricing
from .problems import problem_of
from .reasons import words
from .records.sealed import envelope_of
from .revocations import load_revocations
from .rosters import RosterBook
from .statements.pages import StatementPages
from .statements.texts import load_texts
from .store import Store
from .supplier.routes import supplier_routes

MACHINES = ("/api/", "/healthz", "/readyz", "/docs")
SESSION_KEY = re.compile(r"[0-9a-f]{64}\s*\Z")


def serve_pages(
    app: Flask,
    config: MdmsConfig,
    store: Store,
    book: RosterBook,
    pricing: Pricing,
    earlier: Mapping[str, Sequence[Earlier]],
) -> None:
    """Add every page to an application; raises CannotStart where the session key cannot be used."""
    assert config.session_key is not None, "asked for"
    origins = Origins(config.origin)
    _prepare_sessions(app, _read_key(config.session_key), origins, store)
    CSRFProtect(app).exempt(app.blueprints["ingest"])
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", headers_enabled=True)
    index = LogIndex(book)
    log = LogReader(config.release_log, config.deployment, config.log_key, index) if config.release_log else None
    app.register_blueprint(Blueprint("pages", __name__, static_folder="static", static_url_path="/static"))
    app.register_blueprint(account_routes(store, limiter))
    statements = StatementPages(store, book, pricing, load_texts(config.language), config.deployment)
    app.register_blueprint(supplier_routes(store, book, pricing, statements, _regions(config, book), config.feeders))
    own = own_objects(store, book, earlier)
    row_routes(own, store, app.extensions["hushmeter_ending"])
    bill_routes(own, store, book, pricing, statements, config.deployment)
    looked_routes(own, Looked(log, index, book, store))
    choice_routes(own, store, config.detail_days)
    app.register_blueprint(portal_routes(store, origins, limiter, own))
    app.register_blueprint(operator_routes(config, store, book, _signed(config, store, book)))
    app.register_blueprint(auditor_routes(log, book))
    app.jinja_env.filters.update(kwh=formats.kwh, words=words)
    app.context_processor(
        lambda: {"person": who(), "deployment": config.deployment, "simulated": config.conductor is not None}
    )
    app.register_error_handler(HTTPException, _error)

    def refuse_other_hosts() -> ResponseReturnValue | None:
        if request.path.startswith(MACHINES) or origins.of(request.host) is not None:
            return None
        return render_template("error.html", code=421, text=_wrong_host(config)), 421

    # First of all: nothing else looks at a request that is not for this server.
    app.before_request_funcs.setdefault(None, []).insert(0, refuse_other_hosts)


def _signed(config: MdmsConfig, store: Store, book: RosterBook) -> Signed:
    def customer_of(pseudonym: str) -> str | None:
        document = envelope_of(store, pseudonym)
        # It was verified before it was stored.
        return parse(document.content_bytes(), Envelope).customer_key if document else None

    return Signed(book, customer_of, load_revocations(config.revocations, config.deployment, config.operator_key))


def _regions(config: MdmsConfig, book: RosterBook) -> dict[str, tuple[str, ...]]:
    for region, members in config.regions:
        unknown = [name for name in members if not book.versions(name)]
        if unknown:
            raise CannotStart(f"regions: {region}: no roster of {unknown[0]}")
        if len({(book.versions(name)[0].zone, book.versions(name)[0].interval_s) for name in members}) > 1:
            raise CannotStart(f"regions: {region}: its neighbourhoods have different zones or intervals")
    return dict(config.regions)


def _wrong_host(config: MdmsConfig) -> str:
    if config.origin is not None:
        return f"This server is {config.origin}."
    return "This server knows no name but loopback's: set origin in its configuration to the address browsers use."


def _prepare_sessions(app: Flask, key: bytes, origins: Origins, store: Store) -> None:
    app.config.update(
        SECRET_KEY=key,
        SESSION_COOKIE_NAME="__Host-hushmeter" if origins.secure else "hushmeter",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=origins.secure,
        PERMANENT_SESSION_LIFETIME=LONGEST_S,
        WTF_CSRF_TIME_LIMIT=None,
        # No page sends a Referer, so there is none to compare; the token and SameSite stand.
        WTF_CSRF_SSL_STRICT=False,
    )
    keep_sessions(app, store)


def _read_key(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()[:80].decode("ascii", "replace")
    except OSError as error:
        raise CannotStart(f"session_key {path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and os.name == "posix":
        raise CannotStart(f"session_key {path}: others may read it; chmod 600")
    if not SESSION_KEY.match(text):
        raise CannotStart(f"session_key {path}: must be 64 hex digits, such as openssl rand -hex 32 writes")
    return bytes.fromhex(text.strip())


EXPLANATIONS = {
    400: "The request was not understood. If you sent a form, load its page again first.",
    403: "This page is not for the role that you are signed in with.",
    404: "There is no such page.",
    429: "Too many attempts. Wait a minute and try again.",
    500: "Something went wrong here. It has been noted.",
    503: "The database is not available. Try again in a moment.",
}


def _error(error: HTTPException) -> Response | tuple[str, int] | HTTPException:
    code = error.code or 500
    if code in (301, 302, 303, 304, 307, 308):
        return error
    if request.path.startswith(MACHINES):
        return problem_of(error)
    if request.path.endswith(".json"):
        return answer_json({"error": error.name.lower()}, code)
    text = EXPLANATIONS.get(code, HTTPStatus(code).phrase + ".")
    return render_template("error.html", code=code, text=text), code
