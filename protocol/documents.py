"""Signed documents: who said what, over exact bytes (README.md, chapter 5).

A document is verified before a single byte of its content is parsed, so a parser never sees what a stranger wrote.
"""

import base64
import binascii
import hashlib
import struct
from typing import Any

import msgspec
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import eddsa

LABEL = b"hushmeter/v1/signed"
KEY_LABEL = b"hushmeter/v1/signing-key"
MAX_CONTENT = 1 << 20
MAX_REASON = 160


class DocumentError(Exception):
    """A document that is not well formed or not signed by who it says; the message is the reason."""


class BadSignature(DocumentError):
    """The signature is not the signer's over this type, deployment and content."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed document as it travels: JSON with base64url members, without padding."""

    type: str
    content: str
    signer: str
    signature: str

    def content_bytes(self) -> bytes:
        """Return the exact bytes that were signed."""
        return from_base64url(self.content, "content")


def to_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str, name: str, length: int | None = None) -> bytes:
    """Return the bytes of canonical base64url without padding; raises DocumentError naming ``name``."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise DocumentError(f"{name} is not base64url") from None
    # One value has one spelling: otherwise the same ciphertext could be two documents.
    if to_base64url(data) != text:
        raise DocumentError(f"{name} is not canonical base64url")
    if length is not None and len(data) != length:
        raise DocumentError(f"{name} has {len(data)} bytes, not {length}")
    return data


def signed_bytes(kind: str, deployment: str, content: bytes) -> bytes:
    """Return label | type | deployment | content, each behind its length (u32), so that no two tuples collide."""
    parts = (LABEL, kind.encode(), deployment.encode(), content)
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def document_id(kind: str, deployment: str, content: bytes) -> str:
    """Return what names a document: hex SHA-256 of what is signed. Ed25519 is not asked to be unique."""
    return hashlib.sha256(signed_bytes(kind, deployment, content)).hexdigest()


def public_key_bytes(key: EccKey) -> bytes:
    """Return the 32 bytes of an Ed25519 public key (RFC 8032)."""
    return key.public_key().export_key(format="raw")


def key_id(key: EccKey) -> str:
    """Return the fingerprint that names a signer: base64url SHA-256 of label and public key."""
    return to_base64url(hashlib.sha256(KEY_LABEL + public_key_bytes(key)).digest())


def import_public_key(text: str) -> EccKey:
    """Return an Ed25519 public key from base64url; raises DocumentError."""
    data = from_base64url(text, "signing key", 32)
    try:
        return eddsa.import_public_key(data)
    except ValueError:
        raise DocumentError("signing key is not an Ed25519 public key") from None


def generate_signing_key() -> EccKey:
    """Return a new Ed25519 private key from the operating system's randomness."""
    return ECC.generate(curve="Ed25519")


def sign(key: EccKey, kind: str, deployment: str, content: bytes) -> Document:
    """Sign ``content`` with Ed25519 (RFC 8032, pure)."""
    signature = eddsa.new(key, "rfc8032").sign(signed_bytes(kind, deployment, content))
    return Document(kind, to_base64url(content), key_id(key), to_base64url(signature))


def verify(document: Document, deployment: str, key: EccKey) -> bytes:
    """Return the content of a document that ``key`` signed for this deployment; raises DocumentError."""
    content = document.content_bytes()
    if len(content) > MAX_CONTENT:
        raise DocumentError("content is longer than a mebibyte")
    signature = from_base64url(document.signature, "signature", 64)
    try:
        eddsa.new(key.public_key(), "rfc8032").verify(signed_bytes(document.type, deployment, content), signature)
    except ValueError:
        raise BadSignature("bad signature") from None
    if document.signer != key_id(key):
        raise BadSignature("signer is not the key that signed")
    return content


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted members and no white space; what is signed is these bytes, whatever they parse to."""
    return msgspec.json.encode(value, order="sorted")


def parse(content: bytes, type_: Any) -> Any:
    """Decode JSON into a msgspec type, strictly: unknown, missing or ill-typed members raise DocumentError."""
    try:
        return msgspec.json.decode(content, type=type_, strict=True)
    except UnicodeDecodeError:
        raise DocumentError("content is not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        # An unknown member is named, and its name may be as long as the content.
        raise DocumentError(f"content is not what its type says: {str(error)[:MAX_REASON]}") from None
