"""The blueprint of what a signed-in customer's script asks for: their own objects and nobody else's.

What the objects are is each in a file of its own: rows, bills, who looked, choices. Here is who gets in.
"""

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, abort, request

from protocol.documents import parse
from protocol.envelopes import Envelope

from ..accounts.sessions import CUSTOMER, only, who
from ..envelopes import Earlier
from ..ingest.routes import answer_json
from ..records.sealed import envelope_of
from ..rosters import RosterBook
from ..store import Store


def own_objects(store: Store, book: RosterBook, earlier: Mapping[str, Sequence[Earlier]]) -> Blueprint:
    """Return the blueprint, with the account's envelopes on it; another's account does not exist for it.

    ``earlier``: envelopes of replaced meters by pseudonym.
    """
    own = Blueprint("own", __name__, url_prefix="/accounts/<account>")
    own.before_request(only(CUSTOMER, "portal.home"))

    @own.before_request
    def nobody_elses() -> None:
        person = who()
        # Like an account that does not exist: who is a customer is nobody's business.
        if person is None or (request.view_args or {}).get("account") != person.name:
            abort(404)

    @own.get("/envelope.json")
    def envelope(account: str) -> Response:
        document = envelope_of(store, account)
        if document is None:
            abort(404)
        sealed: Envelope = parse(document.content_bytes(), Envelope)
        before = [one._asdict() for one in earlier.get(account, ())]
        return answer_json({"envelope": sealed, "document": document, "earlier": before, "zone": book.zone_of(account)})

    return own
