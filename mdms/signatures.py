"""Reports' signatures, verified by OpenSSL: several times faster than what the protocol's own module uses.

Both follow RFC 8032. Where a concentrator crafts a signature on which they differ, what it signed is stored and opened
here, and whoever checks the publication refuses it: the harm is its own street's.
"""

from collections.abc import Mapping, Sequence

from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import eddsa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.documents import (
    MAX_CONTENT,
    BadSignature,
    Document,
    DocumentError,
    from_base64url,
    public_key_bytes,
    signed_bytes,
)

# By fingerprint, which is a hash of the key: it cannot name another. As many as the rosters name concentrators.
_loaded: dict[str, Ed25519PublicKey] = {}


def verified_content(document: Document, deployment: str, key: EccKey) -> bytes:
    """Return the content of a document that the signer with this key signed; raises DocumentError.

    ``key`` is the one that the document's ``signer`` names; protocol.documents.verify is the same check.
    """
    content = document.content_bytes()
    if len(content) > MAX_CONTENT:
        raise DocumentError("content is longer than a mebibyte")
    signature = from_base64url(document.signature, "signature", 64)
    loaded = _loaded.get(document.signer)
    if loaded is None:
        loaded = _loaded[document.signer] = Ed25519PublicKey.from_public_bytes(public_key_bytes(key))
    try:
        loaded.verify(signature, signed_bytes(document.type, deployment, content))
    except InvalidSignature:
        raise BadSignature("bad signature") from None
    return content


def which_verify(deployment: str, keys: Mapping[str, bytes], documents: Sequence[Document]) -> list[bool]:
    """Say of each document whether its signer, by fingerprint among ``keys`` (32 bytes each), signed it.

    For another process: it is given public keys alone and answers with nothing that it was given.
    """
    loaded = {signer: eddsa.import_public_key(key) for signer, key in keys.items()}
    return [_verifies(document, deployment, loaded.get(document.signer)) for document in documents]


def _verifies(document: Document, deployment: str, key: EccKey | None) -> bool:
    if key is None:
        return False
    try:
        verified_content(document, deployment, key)
    except DocumentError:
        return False
    return True
