"""Reports' signatures, verified by OpenSSL: several times faster than what the protocol's own module uses.

The key holder verifies what it opens once more, with that one. Both follow RFC 8032; where a signature is crafted so
that implementations differ, a report would be stored here and refused there.
"""

from Crypto.PublicKey.ECC import EccKey
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
