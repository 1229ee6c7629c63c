"""Strict base64url without padding (RFC 7515 section 2, RFC 4648 section 5): one text per byte string.

Python's decoder skips foreign characters and ignores stray trailing bits; either would give one ciphertext
many spellings. Here only the text that `encode` would have written is read.
"""

from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    """Return `data` as unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes of unpadded base64url.

    Raises ValueError for padding, foreign characters, an impossible length or non-zero trailing bits.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("not base64url") from None
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def encode_integer(value: int) -> str:
    """Return a positive integer as the base64url of its shortest big-endian bytes (RFC 7518 section 2)."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def decode_integer(text: str) -> int:
    """Return the positive integer that `encode_integer` wrote.

    Raises ValueError for anything that it does not write: zero and leading zero bytes among them.
    """
    data = decode(text)
    if not data or data[0] == 0:
        raise ValueError("not the shortest form of a positive integer")
    return int.from_bytes(data, "big")
