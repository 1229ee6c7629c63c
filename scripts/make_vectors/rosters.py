"""Rosters (chapter 7): one that is accepted, and what of it is refused."""

from .blocks import Case, text64, u
from .constants import FINGERPRINT
from .contents import ILL, content_cases
from .signing import Signer
from .windows import utc


def roster_cases(signer: Signer) -> list[Case]:
    good: Case = {
        "neighbourhood": "north",
        "version": 3,
        "valid_from": utc("2024-09-30T22:00"),
        "zone": "Europe/Berlin",
        "interval_s": 900,
        "rating_w": 24_000,
        "concentrator": text64(signer.public),
        "paillier_key": FINGERPRINT,
        "paillier_n": text64(bytes(range(1, 65))),
        "members": [{"pseudonym": text64(u(n, 16)), "since": utc("2024-09-30T22:00")} for n in range(3)],
    }
    case = content_cases(good, "roster")
    twice = [good["members"][0], {**good["members"][0], "since": 0}]
    return [
        case("a roster", None),
        case("a roster of nobody", None, members=[]),
        case("a meter twice", "a meter stands on the roster twice", members=twice),
        case("a zone that does not exist", "no such time zone: Europe/Atlantis", zone="Europe/Atlantis"),
        case("the name of a folder of zones", "no such time zone: America", zone="America"),
        case("a path", "no such time zone: ../../etc/passwd", zone="../../etc/passwd"),
        case("a key of 31 bytes", "signing key has 31 bytes, not 32", concentrator=text64(signer.public[:31])),
        case("no point of the curve", "signing key is not an Ed25519 public key", concentrator=text64(b"\xff" * 32)),
        case("a rating of 0", ILL, rating_w=0),
        case("an unknown member", ILL, k=10),
    ]
