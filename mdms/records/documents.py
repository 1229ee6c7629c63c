"""Signed documents as they arrived: concentrators' reports, and the release batches that prove what was opened."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from protocol.documents import Document, to_base64url
from protocol.releases import RELEASE_BATCH, ReleaseBatch

from ..store import Store, batched
from ..tables import release_batches, reports

# What a report's Document is made of.
SIGNED = (reports.c.type, reports.c.content, reports.c.signer, reports.c.signature)


def document_of(row: Any) -> Document:
    """Return the document that a row with the columns SIGNED is."""
    # Canonical base64url has one spelling, so this is the document as it arrived.
    return Document(row.type, to_base64url(row.content), row.signer, row.signature)


def reports_named(store: Store, names: Sequence[str]) -> Iterator[tuple[str, Document]]:
    """Yield those of some reports that are there, with their ids, a portion at a time."""
    for some in batched(names):
        for row in store.ask(select(reports).where(reports.c.id.in_(some))):
            yield row.id, document_of(row)


def has_release_batch(store: Store, name: str) -> bool:
    """Say whether a release batch is there, by its document's id."""
    query = select(release_batches.c.id).where(release_batches.c.id == name)
    return bool(store.ask(query))


def keep_release_batch(store: Store, name: str, batch: ReleaseBatch, document: Document) -> None:
    """Store the key holder's signed proof of some sums under its id; a second time is harmless."""

    def work(connection: Connection) -> None:
        known = select(release_batches.c.id).where(release_batches.c.id == name)
        if connection.execute(known).first() is None:
            connection.execute(
                insert(release_batches).values(
                    id=name,
                    neighbourhood=batch.neighbourhood,
                    kind=batch.kind,
                    content=document.content_bytes(),
                    signer=document.signer,
                    signature=document.signature,
                )
            )

    store.write(work)


def release_batches_named(store: Store, names: Sequence[str]) -> dict[str, Document]:
    """Return those of some release batches that are there, by id."""
    return {
        row.id: Document(RELEASE_BATCH, to_base64url(row.content), row.signer, row.signature)
        for some in batched(names)
        for row in store.ask(select(release_batches).where(release_batches.c.id.in_(some)))
    }
