"""The concentrators' door: POST /api/v1/reports.

Whoever sends whatever gets an answer with a reason in JSON: 400 for a body that is no batch, 413 for one above a
mebibyte, 415 for another type or a compressed body (a kilobyte can unfold to gigabytes). Only 200 means that
anything was decided.
"""

import msgspec
import structlog
from flask import Blueprint, Response, request

from protocol.reports import Batch, BatchAnswer

from ..rosters import RosterBook
from ..store import Store
from .admission import admit
from .judgement import judge

MAX_REASON = 160

log = structlog.get_logger()


def answer_json(body: object, status: int = 200) -> Response:
    """Return a JSON response that no browser guesses about."""
    response = Response(msgspec.json.encode(body), status=status, mimetype="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def ingest_routes(store: Store, book: RosterBook, deployment: str) -> Blueprint:
    """Return the blueprint that accepts reports into a store."""
    routes = Blueprint("ingest", __name__)

    @routes.post("/api/v1/reports")
    def accept_reports() -> Response:
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            return answer_json({"error": "compressed bodies are not accepted"}, 415)
        if request.mimetype != "application/json":
            return answer_json({"error": "the body must be application/json"}, 415)
        try:
            batch = msgspec.json.decode(request.get_data(cache=False), type=Batch, strict=True)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            # An unknown member is named, and its name may be as long as the body.
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:MAX_REASON]
            return answer_json({"error": f"the body is not a batch of reports: {reason}"}, 400)
        verdicts = admit(store, [judge(document, book, deployment) for document in batch.reports])
        log.info("batch answered", **_counts([verdict.verdict for verdict in verdicts]))
        return answer_json(BatchAnswer(verdicts))

    @routes.get("/healthz")
    def healthz() -> Response:
        return answer_json({"status": "ok"})

    return routes


def _counts(verdicts: list[str]) -> dict[str, int]:
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
