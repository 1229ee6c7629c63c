"""The release log as the key holder exported it, for an auditor who verifies it elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from apiflask import APIBlueprint
from flask import Response

from ..accounts.users import AUDITOR
from ..problems import problem
from ..store import Store
from .access import only_roles

NDJSON = "application/x-ndjson"
PIECE = 1 << 16
LINES: dict[int | str, Any] = {
    200: {"description": "a signed entry a line", "content": {NDJSON: {"schema": {"type": "string"}}}}
}


def auditor_api(store: Store, log: Path | None) -> APIBlueprint:
    """Return the blueprint for auditors."""
    routes = APIBlueprint("api_auditor", __name__, url_prefix="/api/v1", tag="Auditor")
    routes.before_request(only_roles(store, AUDITOR))

    @routes.get("/release-log")
    @routes.doc(responses=LINES)
    def release_log() -> Response:
        """Return every release and refusal, a signed entry a line, as the key holder wrote them.

        It is not verified here: mdms.keyholder.log.verify_log does that, on the auditor's own machine.
        """
        if log is None:
            return problem(404, "This server is given no release log: release_log in its configuration.")
        try:
            file = log.open("rb")
        except OSError as error:
            return problem(503, f"The release log cannot be read: {error.strerror}.")
        return Response(_whole_lines(file), mimetype=NDJSON)

    return routes


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the file up to its last whole line; what is being written just now is for the next asker."""
    with file:
        rest = b""
        while piece := file.read(PIECE):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                yield whole + newline
