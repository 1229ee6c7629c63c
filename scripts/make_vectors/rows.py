"""Stored rows (chapter 2.3, DETAIL): what only the customer opens."""

from .blocks import Case, Fields, flipped, in_hex, joined, mac
from .bodies import TYPICAL, detail
from .constants import CUSTOMER_ROOT, EPOCH, OTHER_TITLE
from .frames import DETAIL, READING, header, inner
from .keychain import DETAIL_KEY, HOP_UP, chain


def rows_vectors() -> Case:
    def row(name: str, head: Fields, body: Fields) -> Case:
        fields = head + inner(head, body)
        return {
            "name": name,
            "key": DETAIL_KEY.hex(),
            "body_fields": in_hex(body),
            "fields": in_hex(fields),
            "row": joined(fields).hex(),
        }

    head = header(DETAIL)
    good = joined(head + inner(head, TYPICAL))

    def case(because: str, refused: str, data: bytes, key: bytes = DETAIL_KEY) -> Case:
        return {"because": because, "refused": refused, "key": key.hex(), "row": data.hex()}

    other_nonce = inner(head, TYPICAL, layer=1)
    return {
        "about": "Chapter 2.3: stored DETAIL rows, header | 66 bytes, opened with the customer's key of the epoch.",
        "rows": [
            row("all measured", head, TYPICAL),
            row("nothing electrical measured", head, detail((0xFFFF, 0xFFFF, 0x7FFF))),
            row("extremes", header(DETAIL, 0, 0), detail((0, 0, -0x8000), 0x1F)),
        ],
        "refused": [
            case("89 bytes", "malformed", good[:-1]),
            case("91 bytes", "malformed", good + b"\x00"),
            case("empty", "malformed", b""),
            case("version 2", "malformed", b"\x02" + good[1:]),
            case("a READING's header", "malformed", joined(header(READING) + inner(header(READING), TYPICAL))),
            case("a nonce of the hop's layer", "malformed", joined(head + other_nonce)),
            case("another counter than its nonce's", "malformed", flipped(good, 23)),
            case("another salt than its nonce's", "malformed", flipped(good, 12)),
            case("another system title", "forged", joined(header(DETAIL, title=OTHER_TITLE)) + good[24:]),
            case("another epoch", "forged", joined(header(DETAIL, EPOCH + 1)) + good[24:]),
            case("a flipped bit in the ciphertext", "forged", flipped(good, 37)),
            case("a flipped bit in the last byte of the tag", "forged", flipped(good, -1)),
            case("the hop's key", "forged", good, HOP_UP),
            case("the next day's key", "forged", good, mac(chain(CUSTOMER_ROOT, EPOCH + 1), "detail")),
        ],
    }
