"""Signed documents (chapter 5), with the contents of chapters 6 and 7."""

import base64
import hashlib

from .blocks import Case, flipped, in_hex, joined, json_bytes, text64
from .constants import DEPLOYMENT, OTHER_SIGNING_SEED, SIGNING_SEED
from .reports import LOAD, report_cases
from .rosters import roster_cases
from .signing import Signer, signed_fields

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def documents_vectors() -> Case:
    signer, other = Signer(SIGNING_SEED), Signer(OTHER_SIGNING_SEED)

    def signed(name: str, kind: str, content: bytes) -> Case:
        fields = signed_fields(kind, content, DEPLOYMENT)
        return {
            "name": name,
            "fields": in_hex(fields),
            "content": content.hex(),
            "id": hashlib.sha256(joined(fields)).hexdigest(),
            "document": signer.document(kind, content),
        }

    return {
        "about": "Chapters 5 to 7: signed documents, documents that are refused, contents of reports and rosters.",
        "deployment": DEPLOYMENT,
        "keys": [{"seed": key.seed.hex(), "public": key.public.hex(), "id": key.id} for key in (signer, other)],
        "documents": [
            signed("empty content", "roster", b""),
            signed("bytes", "detail-segment", bytes(range(256))),
            signed("an interval's load", "interval-load", json_bytes(LOAD)),
            signed("no type", "", b"x"),
        ],
        "refused": refused_documents(signer, other),
        "reports": report_cases(),
        "rosters": roster_cases(signer),
    }


def refused_documents(signer: Signer, other: Signer) -> list[Case]:
    content = b"content!"
    good = signer.document("roster", content)

    def case(because: str, reason: str, **altered: str) -> Case:
        kind = "bad signature" if reason in ("bad signature", "signer is not the key that signed") else "document"
        return {"because": because, "refused": kind, "reason": reason, "document": {**good, **altered}}

    signature = base64.urlsafe_b64decode(good["signature"] + "==")
    s = int.from_bytes(signature[32:], "little")
    malleable = signature[:32] + (s + ED25519_ORDER).to_bytes(32, "little")
    bare = signer.raw(content)
    unmeasured = signer.raw(b"hushmeter/v1/signed" + b"roster" + DEPLOYMENT.encode() + content)
    return [
        case("another type", "bad signature", type="rosters"),
        case(
            "a letter moved from the type into the deployment",
            "bad signature",
            **{**signer.document("roste", content, "rvectors"), "type": "roster"},
        ),
        case("signed for another deployment", "bad signature", **signer.document("roster", content, "vector")),
        case(
            "signed under another label", "bad signature", **signer.document("roster", content, label=b"hushmeter/v2")
        ),
        case("the content alone signed", "bad signature", signature=text64(bare)),
        case("signed without lengths", "bad signature", signature=text64(unmeasured)),
        case("content with a flipped bit", "bad signature", content=text64(flipped(content, 0))),
        case("signature with a flipped bit", "bad signature", signature=text64(flipped(signature, 0))),
        case("s plus the group's order", "bad signature", signature=text64(malleable)),
        case("a signature of zeros", "bad signature", signature=text64(bytes(64))),
        case("signed by another key", "bad signature", **other.document("roster", content)),
        case("signed by this key in another's name", "signer is not the key that signed", signer=other.id),
        case("no signer", "signer is not the key that signed", signer=""),
        case("a signature of 63 bytes", "signature has 63 bytes, not 64", signature=text64(signature[:63])),
        case("a signature of 65 bytes", "signature has 65 bytes, not 64", signature=text64(signature + b"\x00")),
        case("no signature", "signature has 0 bytes, not 64", signature=""),
        case("padding", "content is not canonical base64url", content=good["content"] + "="),
        case("bits behind the last byte", "content is not canonical base64url", content=good["content"][:-1] + "F"),
        case("the other alphabet", "content is not canonical base64url", content="+/+/"),
        case("an impossible length", "content is not base64url", content="A"),
        case("white space", "content is not base64url", content=good["content"] + "\n"),
        case("a foreign letter", "content is not base64url", content="é" * 4),
        case("padded signature", "signature is not canonical base64url", signature=good["signature"] + "=="),
    ]
