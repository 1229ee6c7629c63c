"""Challenges for customers' logins (protocol, chapter 10): kept until answered, once, or until they expire.

Rule: an account that does not exist is answered like one that does. Its challenge is sealed to a key that nobody has,
kept like any other, and no answer to it is right.
"""

import secrets
import time

from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from sqlalchemy import Connection, delete, insert, select

from protocol.documents import DocumentError, canonical_json, parse, to_base64url
from protocol.envelopes import Envelope, customer_public_key, seal_root
from protocol.logins import CHALLENGE_BYTES, Answer, Challenge, is_right, seal_challenge

from ..records.sealed import envelope_of
from ..store import Store
from ..tables import challenges

OPEN_S = 120  # machine time


class Challenges:
    """The challenges of one store. Several servers on one database may share the work."""

    def __init__(self, store: Store) -> None:
        self._store = store
        stranger = ECC.generate(curve="Curve25519")
        self._nobody = canonical_json(seal_root(stranger, bytes(32), bytes(8), "A" * 22, 0))

    def new(self, account: str, origin: str) -> Challenge:
        """Return a fresh challenge for an account, whether it exists or not."""
        key, exists = self._key_of(account)
        expires = int(time.time()) + OPEN_S
        name = to_base64url(secrets.token_bytes(16))
        challenge, expected = seal_challenge(key, secrets.token_bytes(CHALLENGE_BYTES), name, origin, account, expires)
        if not exists:
            expected = secrets.token_bytes(len(expected))

        def work(connection: Connection) -> None:
            connection.execute(delete(challenges).where(challenges.c.expires <= int(time.time())))
            connection.execute(insert(challenges).values(id=name, pseudonym=account, answer=expected, expires=expires))

        self._store.write(work)
        return challenge

    def settle(self, answer: Answer) -> str | None:
        """Use a challenge up; return the account that answered it rightly and in time, or None."""

        def work(connection: Connection) -> tuple[str, bytes, int] | None:
            row = connection.execute(select(challenges).where(challenges.c.id == answer.id)).first()
            # Whoever deletes it has it: two answers at the same time are one.
            gone = connection.execute(delete(challenges).where(challenges.c.id == answer.id)).rowcount
            return (row.pseudonym, bytes(row.answer), row.expires) if row and gone else None

        kept = self._store.write(work)
        if kept is None:
            return None
        account, expected, expires = kept
        return account if is_right(answer, expected) and time.time() < expires else None

    def _key_of(self, account: str) -> tuple[EccKey, bool]:
        document = envelope_of(self._store, account)
        # Both take the same steps, and so the same time. The operator's signature was verified at the start.
        try:
            return _customer_of(document.content_bytes() if document else self._nobody), document is not None
        except DocumentError:
            # Kept since before envelopes named their key: sealing it anew makes the account known again.
            return _customer_of(self._nobody), False


def _customer_of(content: bytes) -> EccKey:
    envelope: Envelope = parse(content, Envelope)
    return customer_public_key(envelope)
