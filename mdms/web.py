"""The web application and its server: one process, a few threads, no private key anywhere in it."""

import signal
import threading
from types import FrameType
from typing import Any, NoReturn

import structlog
import waitress  # type: ignore[import-untyped]
from apiflask import APIFlask
from flask import Flask, Response
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from .api.routes import serve_api
from .config import MdmsConfig, is_loopback
from .envelopes import load_earlier, load_envelopes
from .errors import CannotStart
from .headers import send_headers
from .ingest.routes import ingest_routes
from .operation.health import health_routes
from .operation.metrics import Metrics, listen_for_scrapes
from .pages import serve_pages
from .pricing import Pricing
from .problems import problem, problem_of
from .records.sealed import keep_envelopes
from .rosters import load_rosters
from .store import Store
from .tariffs import load_tariffs

MAX_BODY = 1 << 20
THREADS = 16  # half of them may hold a customer's stream of news (portal/rows.py)

log = structlog.get_logger()


def create_app(config: MdmsConfig) -> Flask:
    """Return the application with its store open; raises CannotStart."""
    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    envelopes = load_envelopes(config)
    store = Store(config.database)
    try:
        keep_envelopes(store, envelopes)
    except SQLAlchemyError as error:
        raise CannotStart(f"database: {type(error).__name__}") from None
    # Errors and descriptions are this program's own: mdms/problems.py, mdms/api/reference.py.
    app = APIFlask(
        "mdms",
        static_folder=None,  # type: ignore[arg-type]
        json_errors=False,
        enable_openapi=False,
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.extensions["hushmeter_store"] = store
    app.extensions["hushmeter_ending"] = threading.Event()
    metrics = Metrics(store)
    app.extensions["hushmeter_metrics"] = metrics
    timed = config.conductor is None
    app.register_blueprint(ingest_routes(store, book, config.deployment, metrics.answered, timed))
    app.register_blueprint(health_routes(store))
    app.register_error_handler(HTTPException, problem_of)
    app.register_error_handler(SQLAlchemyError, _storage_error)
    pricing = Pricing(load_tariffs(config.tariffs, config.deployment, config.operator_key, book), book)
    serve_api(app, config, store, book, pricing)
    metrics.count_responses(app)
    send_headers(app, (config.origin or "").startswith("https:"))
    if config.session_key is not None:
        serve_pages(app, config, store, book, pricing, load_earlier(config))
    return app


def _storage_error(error: SQLAlchemyError) -> Response:
    # The type alone: a database driver's message may quote what it was given.
    log.error("storage unavailable", reason=type(error).__name__)
    return problem(503)


def serve(config: MdmsConfig) -> None:
    """Serve until SIGTERM or SIGINT; raises CannotStart."""
    app = create_app(config)
    try:
        server = waitress.create_server(
            app,
            host=config.listen.host,
            port=config.listen.port,
            threads=THREADS,
            ident=None,
            # Flask answers from MAX_BODY on in JSON; this bounds what is read before it is asked.
            max_request_body_size=2 * MAX_BODY,
            channel_timeout=60,
            clear_untrusted_proxy_headers=True,
            **proxy_settings(config),
        )
        metrics = listen_for_scrapes(config, app)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotStart(f"listen {config.listen.host}:{config.listen.port}: {reason}") from None
    if not is_loopback(config.listen.host):
        log.warning("listening beyond loopback: put HTTPS in front", host=config.listen.host)

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        # Streams of news end at once: nobody who stops a server waits for a customer who looks at a page.
        app.extensions["hushmeter_ending"].set()
        # waitress takes SystemExit out of its loop as the word to finish what its threads are doing.
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.info("listening", host=config.listen.host, port=getattr(server, "effective_port", config.listen.port))
    try:
        server.run()
    finally:
        server.close()
        if metrics is not None:
            metrics.shutdown()
        app.extensions["hushmeter_store"].close()
    log.info("stopped")


def proxy_settings(config: MdmsConfig) -> dict[str, Any]:
    """Return whose word about the client's address is taken: limits on guessing go by it."""
    if config.trusted_proxy is None:
        return {}
    names = {"x-forwarded-for", "x-forwarded-proto"}
    return {"trusted_proxy": config.trusted_proxy, "trusted_proxy_count": 1, "trusted_proxy_headers": names}
