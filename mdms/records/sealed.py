"""What only a customer's key opens: the envelope of their meter's root, and the rows that the root opens."""

from collections.abc import Iterator

from sqlalchemy import Connection, delete, insert, select

from protocol.documents import Document, from_base64url, to_base64url
from protocol.envelopes import ENVELOPE

from ..store import Store
from ..tables import detail_rows, envelopes


def keep_envelopes(store: Store, found: dict[str, Document]) -> None:
    """Store the operator's verified envelopes by pseudonym; one that was sealed anew replaces the old."""

    def work(connection: Connection) -> None:
        for pseudonym, document in found.items():
            connection.execute(delete(envelopes).where(envelopes.c.pseudonym == pseudonym))
            connection.execute(
                insert(envelopes).values(
                    pseudonym=pseudonym,
                    content=from_base64url(document.content, "content"),
                    signer=document.signer,
                    signature=document.signature,
                )
            )

    store.write(work)


def envelope_of(store: Store, pseudonym: str) -> Document | None:
    """Return the signed envelope of a tenancy's customer root, or None."""
    query = select(envelopes).where(envelopes.c.pseudonym == pseudonym)
    for row in store.ask(query):
        return Document(ENVELOPE, to_base64url(row.content), row.signer, row.signature)
    return None


def rows_of(store: Store, pseudonym: str) -> Iterator[bytes]:
    """Yield a tenancy's sealed rows (90 bytes each) in the order in which the meter made them."""
    query = (
        select(detail_rows.c.row)
        .where(detail_rows.c.pseudonym == pseudonym)
        .order_by(detail_rows.c.epoch, detail_rows.c.counter, detail_rows.c.salt)
    )
    yield from (bytes(row.row) for row in store.ask(query))
