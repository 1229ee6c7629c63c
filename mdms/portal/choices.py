"""What a customer decides about the own rows: how many days they are kept, and that they are erased.

What deletes needs a session that has just begun: its key was there minutes ago. A page left open is not enough.
"""

import time
from typing import Annotated, Any

import msgspec
import structlog
from flask import Blueprint, Response, abort, session
from msgspec import Meta

from .. import formats
from ..ingest.routes import answer_json
from ..retention import ERASE, KEEP, LEAST_OWN_DAYS, Done, decisions_of, erase, keep_days, kept_of
from ..store import Store
from .bodies import body_as

FRESH_S = 10 * 60
TYPED = "erase my detail"
MOST_DECISIONS = 20
DAY_S = 86_400

log = structlog.get_logger()


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many days to keep; null: as long as the deployment does."""

    days: Annotated[int, Meta(ge=LEAST_OWN_DAYS, le=1 << 20)] | None


class Erase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was typed."""

    confirm: Annotated[str, Meta(max_length=64)]


def choice_routes(own: Blueprint, store: Store, most_days: int) -> None:
    """Add the addresses to the blueprint of one customer's objects; ``most_days`` is what the deployment keeps."""

    @own.get("/detail.json")
    def detail(account: str) -> Response:
        return answer_json(_state(store, account, most_days))

    @own.post("/keep.json")
    def keep(account: str) -> Response:
        days = body_as(Keep).days
        if days is not None and days > most_days:
            abort(400)
        if not _fresh():
            return _too_old()
        # As long as the deployment keeps is no choice of one's own: it follows where the deployment changes.
        keep_days(store, account, None if days == most_days else days, int(time.time()))
        log.info("customer's rows are kept for", account=account, days=days or most_days)
        return answer_json(_state(store, account, most_days))

    @own.post("/erase.json")
    def erase_all(account: str) -> Response:
        if body_as(Erase).confirm != TYPED:
            abort(400)
        if not _fresh():
            return _too_old()
        rows = erase(store, account, int(time.time()))
        log.info("customer's rows erased", account=account, rows=rows)
        return answer_json({"erased": rows, **_state(store, account, most_days)})


def _fresh() -> bool:
    since = session.get("since")
    return since is not None and 0 <= time.time() - since < FRESH_S


def _too_old() -> Response:
    return answer_json({"error": "signed in too long ago"}, 403)


def _state(store: Store, account: str, most_days: int) -> dict[str, Any]:
    kept = kept_of(store, account)
    own = kept.days is not None and kept.days < most_days
    return {
        "rows": kept.rows,
        "oldest": None if kept.oldest is None else formats.day(kept.oldest * DAY_S),
        "days": kept.days if own else most_days,
        "own": own,
        "least": LEAST_OWN_DAYS,
        "most": most_days,
        "typed": TYPED,
        "decided": [_words(done) for done in decisions_of(store, account, MOST_DECISIONS)],
    }


def _words(done: Done) -> str:
    when = formats.moment(done.at)
    match done.did, done.number:
        case (str(did), 0) if did == KEEP:
            return f"{when}: kept as long as the utility keeps everybody's."
        case (str(did), days) if did == KEEP:
            return f"{when}: kept for {days} days."
        case (str(did), rows) if did == ERASE:
            return f"{when}: {rows} rows erased."
    return when
