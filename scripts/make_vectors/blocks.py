"""What every subject is built of: bytes with their fields' names, how they are written down, the labelled MAC."""

import base64
import hmac
import json
from typing import Any

Fields = list[tuple[str, bytes]]
Case = dict[str, Any]


def u(value: int, size: int) -> bytes:
    """Return an unsigned integer, big-endian."""
    return value.to_bytes(size, "big")


def joined(fields: Fields) -> bytes:
    return b"".join(data for _, data in fields)


def in_hex(fields: Fields) -> list[list[str]]:
    """Return the fields as [name, hex], in the order in which they travel."""
    return [[name, data.hex()] for name, data in fields]


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    altered = bytearray(data)
    altered[at] ^= 1 << bit
    return bytes(altered)


def text64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def json_bytes(value: Any) -> bytes:
    """Return JSON with sorted members and no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def mac(key: bytes, label: str) -> bytes:
    return hmac.digest(key, b"hushmeter/v1/" + label.encode(), "sha256")
