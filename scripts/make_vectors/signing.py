"""Signatures as chapter 5 says: what is signed, by whom."""

import hashlib

from Crypto.Signature import eddsa

from .blocks import Case, Fields, joined, text64, u
from .constants import DEPLOYMENT


class Signer:
    """An Ed25519 key that signs as chapter 5 says."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._key = eddsa.import_private_key(seed)
        self.public: bytes = self._key.public_key().export_key(format="raw")
        self.id = text64(hashlib.sha256(b"hushmeter/v1/signing-key" + self.public).digest())

    def document(
        self, kind: str, content: bytes, deployment: str = DEPLOYMENT, label: bytes = b"hushmeter/v1/signed"
    ) -> Case:
        signature = self.raw(joined(signed_fields(kind, content, deployment, label)))
        return {"type": kind, "content": text64(content), "signer": self.id, "signature": text64(signature)}

    def raw(self, message: bytes) -> bytes:
        signature: bytes = eddsa.new(self._key, "rfc8032").sign(message)
        return signature


def signed_fields(kind: str, content: bytes, deployment: str, label: bytes = b"hushmeter/v1/signed") -> Fields:
    parts = (("label", label), ("type", kind.encode()), ("deployment", deployment.encode()), ("content", content))
    fields: Fields = []
    for name, data in parts:
        fields += [(f"length of {name}", u(len(data), 4)), (name, data)]
    return fields
