"""Keys (chapter 3): chains and what is derived from them, the boot salt (2.2)."""

import hmac
from collections.abc import Sequence

from .blocks import Case, Fields, in_hex, joined, mac, u
from .constants import CHALLENGE, CUSTOMER_ROOT, ENROLMENT, EPOCH, HOP_ROOT, SALT_SECRET


def chain(root: bytes, epoch: int) -> bytes:
    value = mac(root, "chain")
    for _ in range(epoch - ENROLMENT):
        value = mac(value, "next")
    return value


HOP_UP = mac(chain(HOP_ROOT, EPOCH), "up")
HOP_DOWN = mac(chain(HOP_ROOT, EPOCH), "down")
DETAIL_KEY = mac(chain(CUSTOMER_ROOT, EPOCH), "detail")
HELLO_KEY = mac(HOP_ROOT, "hello")
TIME_KEY = mac(HOP_ROOT, "time")


def keychain_vectors() -> Case:
    days = (0, 1, 2, 7, 8, 365)

    def chains(root: bytes, labels: Sequence[str]) -> list[Case]:
        values = [(ENROLMENT + day, chain(root, ENROLMENT + day)) for day in days]
        return [
            {"epoch": epoch, "chain": value.hex(), **{label: mac(value, label).hex() for label in labels}}
            for epoch, value in values
        ]

    def salt(reserved: int, random: bytes) -> Case:
        fields: Fields = [("label", b"hushmeter/v1/salt"), ("reserved counter", u(reserved, 8)), ("random", random)]
        digest = hmac.digest(SALT_SECRET, joined(fields), "sha256")
        return {
            "secret": SALT_SECRET.hex(),
            "reserved": reserved,
            "random": random.hex(),
            "fields": in_hex(fields),
            "salt": digest[:4].hex(),
        }

    return {
        "about": "Chapter 3: chain values and keys of each root from its enrolment epoch on; the boot salt of 2.2.",
        "hop": {
            "root": HOP_ROOT.hex(),
            "enrolment": ENROLMENT,
            "hello": HELLO_KEY.hex(),
            "time": TIME_KEY.hex(),
            "chains": chains(HOP_ROOT, ("up", "down")),
        },
        "customer": {
            "root": CUSTOMER_ROOT.hex(),
            "enrolment": ENROLMENT,
            "chains": chains(CUSTOMER_ROOT, ("detail",)),
        },
        "salts": [salt(64, bytes(16)), salt(64, CHALLENGE), salt(1 << 40, CHALLENGE)],
        "refused": [
            {"because": "a root of 31 bytes", "root": HOP_ROOT[:31].hex()},
            {"because": "a root of 33 bytes", "root": (HOP_ROOT + b"\x00").hex()},
            {"because": "no root", "root": ""},
            {
                "because": "an epoch before the chain's",
                "from": EPOCH,
                "chain": chain(HOP_ROOT, EPOCH).hex(),
                "to": 19999,
            },
        ],
    }
