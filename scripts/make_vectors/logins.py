"""The customer's login (chapter 10)."""

import hashlib
import hmac
from typing import Any

from .blocks import Case, Fields, flipped, in_hex, joined, text64, u
from .constants import CUSTOMER_SECRET, EPHEMERAL_SECRET, PSEUDONYM
from .hpke import LOW_ORDER, SUITE, key_pair

ORIGIN = "https://portal.example.org"
EXPIRES = 1_727_600_120
ID = text64(bytes(range(0x30, 0x40)))
LOGIN_CHALLENGE = bytes(range(0x40, 0x60))


def login_vectors() -> Case:
    customer, customer_public = key_pair(CUSTOMER_SECRET)
    ephemeral, _ = key_pair(EPHEMERAL_SECRET)
    info: Fields = [
        ("purpose", b"hushmeter/v1/login"),
        ("length of the origin", u(len(ORIGIN), 1)),
        ("origin", ORIGIN.encode()),
        ("pseudonym", PSEUDONYM.encode()),
        ("expires", u(EXPIRES, 4)),
    ]
    enc, context = SUITE.create_sender_context(customer.public_key, joined(info), eks=ephemeral)
    sealed = context.seal(LOGIN_CHALLENGE, b"")
    key = context.export(b"hushmeter/v1/login-answer", 32)
    answer = hmac.new(key, LOGIN_CHALLENGE, hashlib.sha256).digest()
    good = {"id": ID, "enc": text64(enc), "sealed": text64(sealed), "expires": EXPIRES}
    closed = "this challenge does not open with this key, origin and account"

    def case(because: str, reason: str = closed, secret: bytes = CUSTOMER_SECRET, **altered: Any) -> Case:
        origin, account = altered.pop("origin", ORIGIN), altered.pop("account", PSEUDONYM)
        return {
            "because": because,
            "reason": reason,
            "customer_secret": secret.hex(),
            "origin": origin,
            "account": account,
            "challenge": {**good, **altered},
        }

    return {
        "about": "Chapter 10: a login challenge, sealed with a fixed ephemeral key, and its answer.",
        "customer_secret": CUSTOMER_SECRET.hex(),
        "customer_public": customer_public.hex(),
        "ephemeral_secret": EPHEMERAL_SECRET.hex(),
        "origin": ORIGIN,
        "account": PSEUDONYM,
        "plaintext": LOGIN_CHALLENGE.hex(),
        "info": in_hex(info),
        "fields": in_hex([("enc", enc), ("ciphertext", sealed[:32]), ("tag", sealed[32:])]),
        "exported_key": key.hex(),
        "challenge": good,
        "answer": {"id": ID, "answer": text64(answer)},
        "refused": [
            case("another origin", origin="https://portal.example.com"),
            case("the origin by another scheme", origin="http://portal.example.org"),
            case("another account", account=text64(bytes(range(1, 17)))),
            case("another end", expires=EXPIRES + 1),
            case("another customer", secret=EPHEMERAL_SECRET),
            case("a flipped bit in the challenge", sealed=text64(flipped(sealed, 0))),
            case("a flipped bit in the tag's last byte", sealed=text64(flipped(sealed, -1, 7))),
            case("a flipped bit in enc", enc=text64(flipped(enc, 0))),
            case("enc of 31 bytes", "enc has 31 bytes, not 32", enc=text64(enc[:31])),
            case("a sealed challenge of 47 bytes", "sealed challenge has 47 bytes, not 48", sealed=text64(sealed[:47])),
            *(case(f"enc is a point of low order: {point}", enc=text64(bytes.fromhex(point))) for point in LOW_ORDER),
        ],
    }
