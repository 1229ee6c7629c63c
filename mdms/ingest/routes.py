"""The concentrators' door: POST /api/v1/reports, and POST /api/v1/standing for one that must be restored.

Whoever sends whatever gets an answer with a reason in JSON: 400 for a body that is no batch, 413 for one above a
mebibyte, 415 for another type or a compressed body (a kilobyte can unfold to gigabytes). Only 200 means that
anything was decided.
"""

import time
from collections.abc import Callable

import msgspec
import structlog
from apiflask import APIBlueprint
from flask import Response, request

from protocol.documents import Document
from protocol.reports import Batch, BatchAnswer

from ..problems import problem
from ..rosters import RosterBook
from ..store import Store
from .admission import admit
from .judgement import judge
from .standing import NotAnswered, admit_request, standing_of

MAX_REASON = 160

log = structlog.get_logger()


def answer_json(body: object, status: int = 200) -> Response:
    """Return a JSON response that no browser guesses about."""
    response = Response(msgspec.json.encode(body), status=status, mimetype="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def ingest_routes(
    store: Store,
    book: RosterBook,
    deployment: str,
    answered: Callable[[list[str], float], None] | None = None,
    timed: bool = False,
) -> APIBlueprint:
    """Return the blueprint that accepts reports into a store; ``answered`` is told verdicts and seconds of a batch.

    ``timed`` keeps with each load when it came in: not in a simulation, whose time is another than the machine's.
    """
    routes = APIBlueprint("ingest", __name__, tag="Concentrators")

    @routes.post("/api/v1/reports")
    def accept_reports() -> Response:
        """Take a batch of signed reports in, once: each gets a verdict of its own, after the commit.

        The same report again is a duplicate. Signed as chapter 5 of the protocol says; no token is needed.
        """
        if refusal := _not_plain_json():
            return refusal
        try:
            batch = msgspec.json.decode(request.get_data(cache=False), type=Batch, strict=True)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            # An unknown member is named, and its name may be as long as the body.
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:MAX_REASON]
            return problem(400, f"the body is not a batch of reports: {reason}")
        began = time.monotonic()
        arrived = int(time.time()) if timed else None
        verdicts = admit(store, [judge(document, book, deployment) for document in batch.reports], arrived)
        told = [verdict.verdict for verdict in verdicts]
        if answered is not None:
            answered(told, time.monotonic() - began)
        log.info("batch answered", **_counts(told))
        return answer_json(BatchAnswer(verdicts))

    @routes.post("/api/v1/standing")
    def tell_standing() -> Response:
        """Tell a concentrator that must be restored what it sent last; it signs the question."""
        if refusal := _not_plain_json():
            return refusal
        try:
            document = msgspec.json.decode(request.get_data(cache=False), type=Document, strict=True)
            question = admit_request(document, book, deployment, time.time())
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return problem(400, "the body is not a signed document")
        except NotAnswered as refused:
            log.warning("standing refused", reason=str(refused))
            return problem(403, str(refused))
        # Somebody restores a concentrator: rare, and worth a line when nobody meant to.
        log.warning("standing read back", neighbourhood=question.neighbourhood, signer=document.signer)
        return answer_json(standing_of(store, book, question))

    return routes


def _not_plain_json() -> Response | None:
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return problem(415, "compressed bodies are not accepted")
    if request.mimetype != "application/json":
        return problem(415, "the body must be application/json")
    return None


def _counts(verdicts: list[str]) -> dict[str, int]:
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
