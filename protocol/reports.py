"""Concentrator -> MDMS: what a report says (README.md, chapter 6). It travels as the content of a signed document.

Big integers travel as base64url of fixed length, never as digits. No report carries a ciphertext of one meter over
less than a billing window.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from .documents import Document, DocumentError, from_base64url, parse, to_base64url

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
# 16 and 32 bytes as base64url. The last character has spare bits that must be zero: one pseudonym has one spelling,
# or a meter could stand on a roster twice and count twice.
Pseudonym = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{21}[AQgw]\Z")]
Fingerprint = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
Seconds = Annotated[int, Meta(ge=0, lt=1 << 32)]
Length = Annotated[int, Meta(gt=0, le=10_800)]
Count = Annotated[int, Meta(ge=0, lt=1 << 16)]

PSEUDONYM_BYTES = 16
MAX_BATCH = 100


class IntervalLoad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One neighbourhood's load in one interval: a sum of both energies of every contributor, or only who they were.

    ``contributors`` is a bitmap over the roster's meters, ceil(n / 8) bytes, meter i at byte i // 8, bit i % 8.
    ``ciphertext`` holds two slots (import, export) in mWh, or is null where fewer than k contributed.
    """

    neighbourhood: Name
    roster_version: Count
    interval_start: Seconds
    interval_s: Length
    contributors: str
    paillier_key: Fingerprint
    ciphertext: str | None


class BillingWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One meter's energy over one billing window, or the word that it sent nothing.

    ``energy`` is the register at ``register_to`` minus the register at ``register_from`` (two slots, mWh), null in
    an empty window, where both times are equal. ``closing_register`` is the register itself, freshly randomised;
    it is kept for a concentrator that must be restored and is never opened.
    """

    neighbourhood: Name
    pseudonym: Pseudonym
    window_start: Seconds
    window_end: Seconds
    interval_s: Length
    present: Count
    expected: Count
    quality: Annotated[int, Meta(ge=0, le=0x1F)]
    register_from: Seconds
    register_to: Seconds
    paillier_key: Fingerprint
    energy: str | None
    closing_register: str | None


class DetailSegment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sealed rows of one meter (header | blob, 90 bytes each), carried unread."""

    neighbourhood: Name
    pseudonym: Pseudonym
    rows: Annotated[list[str], Meta(min_length=1, max_length=1000)]


Report = IntervalLoad | BillingWindow | DetailSegment
INTERVAL_LOAD = "interval-load"
BILLING_WINDOW = "billing-window"
DETAIL_SEGMENT = "detail-segment"
TYPES: dict[str, type[Report]] = {
    INTERVAL_LOAD: IntervalLoad,
    BILLING_WINDOW: BillingWindow,
    DETAIL_SEGMENT: DetailSegment,
}


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one upload carries. Its items are independent: each gets a verdict of its own."""

    reports: Annotated[list[Document], Meta(min_length=1, max_length=MAX_BATCH)]


class ItemVerdict(msgspec.Struct, frozen=True):
    """The MDMS's answer to one report: stored, duplicate, conflict or refused, with the reason of the last two."""

    id: str
    verdict: str
    reason: str = ""


class BatchAnswer(msgspec.Struct, frozen=True):
    """The verdicts in the order of the reports."""

    verdicts: list[ItemVerdict]


# A verdict that ends the matter: the concentrator keeps the report no longer for sending.
FINAL = ("stored", "duplicate", "conflict", "refused")


def parse_report(kind: str, content: bytes) -> Report:
    """Return the report that verified ``content`` holds; raises DocumentError with the reason."""
    if kind not in TYPES:
        raise DocumentError(f"no such type of report: {kind[:32]}")
    report: Report = parse(content, TYPES[kind])
    if isinstance(report, BillingWindow):
        _check_window(report)
    return report


def _check_window(report: BillingWindow) -> None:
    if report.window_end - report.window_start < 3 * 3600:
        raise DocumentError("a billing window shorter than 3 hours")
    if (report.energy is None) != (report.closing_register is None):
        raise DocumentError("energy and closing register come together or not at all")
    if (report.energy is None) != (report.register_from == report.register_to):
        raise DocumentError("an empty window is one whose registers have one time")
    if report.register_from > report.register_to:
        raise DocumentError("a register that goes back in time")
    if report.present > report.expected or bool(report.present) > (report.energy is not None):
        raise DocumentError("more intervals present than expected, or in an empty window")


def covered_s(windows: Sequence[BillingWindow]) -> int:
    """Return the time in seconds in which the energy of some windows can have flowed.

    Registers only grow, so it is what each window's registers cover, and no more than from the first to the last.
    """
    if not windows:
        return 0
    each = sum(window.register_to - window.register_from for window in windows)
    return min(each, max(w.register_to for w in windows) - min(w.register_from for w in windows))


def pack_bitmap(members: set[int], size: int) -> str:
    """Return the bitmap of a roster of ``size`` meters in which ``members`` are set."""
    bits = bytearray((size + 7) // 8)
    for index in members:
        if not 0 <= index < size:
            raise ValueError("a member outside the roster")
        bits[index // 8] |= 1 << index % 8
    return to_base64url(bytes(bits))


def parse_bitmap(text: str, size: int) -> set[int]:
    """Return the indices that a bitmap sets; raises DocumentError when one is not on the roster."""
    bits = from_base64url(text, "contributors")
    if len(bits) != (size + 7) // 8:
        raise DocumentError("contributors: the bitmap is not the roster's length")
    members = {i for i in range(len(bits) * 8) if bits[i // 8] >> i % 8 & 1}
    if any(index >= size for index in members):
        raise DocumentError("contributor not on the roster")
    return members
