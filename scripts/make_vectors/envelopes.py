"""The customer's envelope (chapter 8)."""

import hashlib
from typing import Any

from .blocks import Case, Fields, flipped, in_hex, joined, text64, u
from .constants import CUSTOMER_ROOT, CUSTOMER_SECRET, ENROLMENT, EPHEMERAL_SECRET, OTHER_TITLE, PSEUDONYM, TITLE
from .hpke import LOW_ORDER, SUITE, key_pair


def envelope_vectors() -> Case:
    customer, customer_public = key_pair(CUSTOMER_SECRET)
    ephemeral, _ = key_pair(EPHEMERAL_SECRET)
    info: Fields = [
        ("purpose", b"hushmeter/v1/customer-root"),
        ("system title", TITLE),
        ("pseudonym", PSEUDONYM.encode()),
        ("epoch", u(ENROLMENT, 2)),
    ]
    enc, context = SUITE.create_sender_context(customer.public_key, joined(info), eks=ephemeral)
    sealed = context.seal(CUSTOMER_ROOT, b"")
    good = {
        "pseudonym": PSEUDONYM,
        "epoch": ENROLMENT,
        "customer_key": text64(hashlib.sha256(b"hushmeter/v1/customer-key" + customer_public).digest()),
        "public_key": text64(customer_public),
        "enc": text64(enc),
        "sealed_root": text64(sealed),
    }

    def case(because: str, reason: str, title: bytes = TITLE, secret: bytes = CUSTOMER_SECRET, **altered: Any) -> Case:
        return {
            "because": because,
            "refused": "document",
            "reason": reason,
            "customer_secret": secret.hex(),
            "system_title": title.hex(),
            "envelope": {**good, **altered},
        }

    closed = "this envelope does not open with this key, meter and account"
    other_account = text64(bytes(range(1, 17)))
    return {
        "about": "Chapter 8: the customer's root, sealed with a fixed ephemeral key.",
        "customer_secret": CUSTOMER_SECRET.hex(),
        "customer_public": customer_public.hex(),
        "ephemeral_secret": EPHEMERAL_SECRET.hex(),
        "system_title": TITLE.hex(),
        "info": in_hex(info),
        "root": CUSTOMER_ROOT.hex(),
        "fields": in_hex([("enc", enc), ("ciphertext", sealed[:32]), ("tag", sealed[32:])]),
        "envelope": good,
        "refused": [
            case("another meter", closed, OTHER_TITLE),
            case("another account", closed, pseudonym=other_account),
            case("another epoch", closed, epoch=ENROLMENT + 1),
            case("another customer", closed, secret=EPHEMERAL_SECRET),
            case("a flipped bit in the root", closed, sealed_root=text64(flipped(sealed, 0))),
            case("a flipped bit in the tag's last byte", closed, sealed_root=text64(flipped(sealed, -1, 7))),
            case("a flipped bit in enc", closed, enc=text64(flipped(enc, 0))),
            case("a title of 9 bytes", closed, TITLE + b"\x00"),
            case("a title of 7 bytes", closed, TITLE[:7]),
            case("a pseudonym of 23 characters", closed, pseudonym=PSEUDONYM + "A"),
            case("enc of 31 bytes", "enc has 31 bytes, not 32", enc=text64(enc[:31])),
            case("a sealed root of 47 bytes", "sealed root has 47 bytes, not 48", sealed_root=text64(sealed[:47])),
            *(
                case(f"enc is a point of low order: {point}", closed, enc=text64(bytes.fromhex(point)))
                for point in LOW_ORDER
            ),
        ],
    }
