"""What a customer's script sends: JSON of a known shape, or 415 and 400."""

from typing import TypeVar

from flask import abort, request

from protocol.documents import DocumentError, parse

_Message = TypeVar("_Message")


def body_as(kind: type[_Message]) -> _Message:
    """Return the request's body as a message; ends the request where it is none."""
    if request.mimetype != "application/json":
        abort(415)
    try:
        message: _Message = parse(request.get_data(), kind)
    except DocumentError:
        abort(400)
    return message
