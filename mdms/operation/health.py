"""Two questions of whoever starts, balances and restarts servers; neither says anything of anybody."""

from flask import Blueprint, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ..ingest.routes import answer_json
from ..problems import problem
from ..store import Store


def health_routes(store: Store) -> Blueprint:
    """Return the blueprint of /healthz (the process answers) and /readyz (its database does as well)."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        return answer_json({"status": "ok"})

    @routes.get("/readyz")
    def readyz() -> Response:
        try:
            store.ask(text("SELECT 1"))
        except SQLAlchemyError:
            return problem(503, "The database does not answer.")
        return answer_json({"status": "ready"})

    return routes
