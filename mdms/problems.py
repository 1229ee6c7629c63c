"""What the API answers where it cannot do what was asked: problem details (RFC 9457), with a reason for a person."""

from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException

PROBLEM_JSON = "application/problem+json"
MAX_DETAIL = 300

DETAILS = {
    401: "A token is needed: Authorization: Bearer TOKEN. The operator makes them with add-token.",
    403: "This is not for the role of this token or login.",
    404: "There is nothing at this address for this token or login.",
    405: "This address does not take this method.",
    413: "The body is longer than a mebibyte: send less at once.",
    415: "The body must be application/json, and not compressed.",
    421: "This request is for another server.",
    429: "Too many requests: wait a minute.",
    500: "Something went wrong here. It has been noted, and nothing was stored.",
    503: "The database is not available. Nothing was stored: send it again in a moment.",
}


def problem(status: int, detail: str | None = None, **more: Any) -> Response:
    """Return a problem of a status; ``more`` are extension members. Nothing of the request is repeated in it."""
    title = HTTPStatus(status).phrase
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": (detail or DETAILS.get(status, title + "."))[:MAX_DETAIL],
        **more,
    }
    response = Response(msgspec.json.encode(body), status=status, mimetype=PROBLEM_JSON)
    response.headers["Cache-Control"] = "no-store"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem_of(error: HTTPException) -> Response:
    """Return the problem that an exception of the framework stands for, with its headers (405's Allow)."""
    response = problem(error.code or 500)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response
