"""Recovery shares: any t of n people restore a private key, fewer of them know nothing about it.

Shamir, "How to share a secret", Communications of the ACM 22 (11), 1979, over GF(2^128) as pycryptodome has it: a
polynomial of degree t - 1 with random coefficients for each block of 16 bytes of p, the smaller factor. n is public, so
p is the whole key. Whatever t - 1 shares say fits every p; only the public key knows which one is right, and a
restored p that does not divide n is refused.

A share is made for paper. Its lines are numbered and each carries a checksum of its own, so that the line is named
that was mistyped; the checksums are no protection against whoever forges a share, n is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import NoReturn

from Crypto.Protocol.SecretSharing import Shamir

from .. import base64url
from ..errors import BadPrivateKey, BadShare
from ..keys import PublicKey
from .key import PrivateKey

LABEL = b"hushmeter/v1/paillier-recovery-share"
LEAST_THRESHOLD = 2  # one share that restores is a copy of the key
MOST_SHARES = 20
BLOCK_BYTES = 16
SET_BYTES = 3
KEY_CHARACTERS = 12  # of the fingerprint, enough to tell keys apart: 9 bytes

# Base32 after Crockford: no I, L, O, U, so that whoever reads them off paper cannot mean anything but 1, 1, 0.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MISREAD = str.maketrans("OIL", "011")
BLOCK_CHARACTERS = 26  # 130 bits, the upper two zero
CHECK_CHARACTERS = 4  # a mistyped line passes once in a million
GROUP = 5

_NUMBERED = re.compile(r"\s*([0-9OIL]{2})[\s.:-]+(.*)")


@dataclass(frozen=True, slots=True, eq=False)
class RecoveryShare:
    """One person's share of a private key: secret, for `threshold` of them are the key. Cannot be pickled.

    Attributes:
      number: which share this is, 1 to `total`.
      threshold: how many restore the key.
      total: how many were made.
      key: the first KEY_CHARACTERS of the key's fingerprint.
      split_id: 6 hex digits, the same for all shares that were made together; others do not go with them.
      data: the polynomials' values at `number`, 16 bytes for each 16 bytes of p.

    Raises BadShare for numbers that no split yields.
    """

    number: int
    threshold: int
    total: int
    key: str
    split_id: str
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not (LEAST_THRESHOLD <= self.threshold <= self.total <= MOST_SHARES and 1 <= self.number <= self.total):
            raise BadShare("the share's numbers are none that a split yields: compare its line 00 with the paper")
        if not self.data or len(self.data) % BLOCK_BYTES:
            raise BadShare("the share's data are not whole blocks")

    def to_text(self, label: str = "") -> str:
        """Return the share for a printer, lines of at most 40 characters (a longer `label` apart).

        label: a name for people, such as a neighbourhood's; `from_text` ignores it with all that is not numbered.
        """
        head = [
            "PAILLIER KEY RECOVERY SHARE, version 1",
            f"share {self.number} of {self.total}, any {self.threshold} restore",
            f"key {self.key}..., set {self.split_id}",
            *([f"for {' '.join(label.split())}"] if label else []),
            "Secret. Keep it on paper, alone.",
        ]
        header = self._header()
        blocks = [header, *_blocks(self.data)]
        lines = [_line(header, number, block) for number, block in enumerate(blocks)]
        return "\n".join([*head, "", *lines, ""])

    @classmethod
    def from_text(cls, text: str) -> RecoveryShare:
        """Return the share in a printed text, typed in again: case, spaces, O for 0 and I or L for 1 do not matter.

        Raises BadShare naming the line that is missing, doubled or mistyped.
        """
        lines = _numbered_lines(text)
        if 0 not in lines:
            raise BadShare("the share's line 00 is missing: every numbered line is needed")
        header = _block(0, lines[0], None)
        number, threshold, total, count = header[:4]
        data = bytearray()
        for line in range(1, count + 1):
            if line not in lines:
                raise BadShare(f"the share's line {line:02} is missing: there are {count} after line 00")
            data += _block(line, lines[line], header)
        if max(lines) > count:
            raise BadShare(f"the share has a line {max(lines):02}, but only {count} after line 00")
        split_id, key = header[4 : 4 + SET_BYTES].hex().upper(), header[4 + SET_BYTES :]
        return cls(number, threshold, total, base64url.encode(key), split_id, bytes(data))

    def _header(self) -> bytes:
        numbers = bytes([self.number, self.threshold, self.total, len(self.data) // BLOCK_BYTES])
        return numbers + bytes.fromhex(self.split_id) + base64url.decode(self.key)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a recovery share is not pickled or copied; to_text() writes it down on purpose")


def split(private_key: PrivateKey, threshold: int, shares: int) -> list[RecoveryShare]:
    """Return `shares` recovery shares of a key, any `threshold` of which restore it; 2 <= threshold <= shares <= 20.

    Takes about 50 ms for 3 of 5 at 3072 bits. Shares of two splits do not go together. Raises ValueError.
    """
    threshold, shares = index(threshold), index(shares)
    if not LEAST_THRESHOLD <= threshold <= shares <= MOST_SHARES:
        raise ValueError(f"a key is split into at most {MOST_SHARES} shares, any {LEAST_THRESHOLD} or more restore it")
    public = private_key.public
    secret = private_key.p.to_bytes(_blocks_of(public) * BLOCK_BYTES, "big")
    data = [bytearray() for _ in range(shares)]
    for block in _blocks(secret):
        for number, value in Shamir.split(threshold, shares, block):
            data[number - 1] += value
    key, split_id = public.fingerprint[:KEY_CHARACTERS], secrets.token_hex(SET_BYTES).upper()
    made = [
        RecoveryShare(number, threshold, shares, key, split_id, bytes(values)) for number, values in enumerate(data, 1)
    ]
    restore(made[-threshold:], public)  # a fault of the machine shows now, not when the key is gone
    return made


def restore(shares: Sequence[RecoveryShare], public_key: PublicKey) -> PrivateKey:
    """Return the private key of a public one from `threshold` of its shares or more.

    More are not needed and not looked at. Raises BadShare, saying what to do, for shares of another key or of
    different splits, a share given twice, too few, and shares that yield no factor of the modulus.
    """
    _require_one_split(shares, public_key)
    threshold = shares[0].threshold
    if len(shares) < threshold:
        missing = threshold - len(shares)
        raise BadShare(f"{threshold} shares are needed and {len(shares)} were given: bring {missing} more")
    chosen = shares[:threshold]
    secret = bytearray()
    for at in range(0, len(chosen[0].data), BLOCK_BYTES):
        # pycryptodome takes exactly as many as are needed, and of fewer or wrong ones makes a wrong secret in silence.
        secret += Shamir.combine([(share.number, share.data[at : at + BLOCK_BYTES]) for share in chosen])
    p = int.from_bytes(secret, "big")
    if not 1 < p < public_key.n or public_key.n % p:
        numbers = ", ".join(str(share.number) for share in chosen)
        raise BadShare(f"shares {numbers} do not restore this key, for one of them is wrong: try another in its place")
    try:
        return PrivateKey(p, public_key.n // p)
    except BadPrivateKey:
        raise BadShare("the shares restore a factor of the modulus, but no private key") from None


def _require_one_split(shares: Sequence[RecoveryShare], public_key: PublicKey) -> None:
    if not shares:
        raise BadShare("no shares were given")
    first, seen = shares[0], set()
    key, size = public_key.fingerprint[:KEY_CHARACTERS], _blocks_of(public_key) * BLOCK_BYTES
    for share in shares:
        name = f"share {share.number} of set {share.split_id}"
        if share.key != key:
            raise BadShare(f"{name} is for the key {share.key}..., not for {key}...: leave it out")
        if share.split_id != first.split_id:
            raise BadShare(f"{name} was not made together with set {first.split_id}: take shares of one set")
        if (share.threshold, share.total) != (first.threshold, first.total) or len(share.data) != size:
            raise BadShare(f"{name} does not go with share {first.number}: one of the two was changed, leave it out")
        if share.number in seen:
            raise BadShare(f"{name} was given twice: bring another one")
        seen.add(share.number)


def _blocks_of(public_key: PublicKey) -> int:
    """The number of blocks that hold the smaller factor, which is shorter than half the modulus, rounded up."""
    return -(-public_key.bits // (2 * 8 * BLOCK_BYTES))


def _blocks(data: bytes) -> Iterator[bytes]:
    return (data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES))


# --- Lines ------------------------------------------------------------------------------------------------------


def _line(header: bytes, number: int, block: bytes) -> str:
    text = _characters(int.from_bytes(block, "big"), BLOCK_CHARACTERS) + _checksum(header, number, block)
    return f"{number:02}  " + " ".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def _checksum(header: bytes, number: int, block: bytes) -> str:
    """The header is part of every line's checksum: a line of another share does not pass."""
    digest = hashlib.sha256(LABEL + header + bytes([number]) + block).digest()
    return _characters(int.from_bytes(digest[:4], "big") >> 32 - 5 * CHECK_CHARACTERS, CHECK_CHARACTERS)


def _characters(value: int, length: int) -> str:
    return "".join(ALPHABET[value >> 5 * place & 31] for place in reversed(range(length)))


def _numbered_lines(text: str) -> dict[int, str]:
    """Return {number: characters} of the lines that begin with a number of two digits; all others are for people."""
    lines: dict[int, str] = {}
    for line in text.upper().splitlines():
        match = _NUMBERED.fullmatch(line)
        if match:
            number = int(match[1].translate(MISREAD))
            characters = re.sub(r"[\s-]", "", match[2]).translate(MISREAD)
            if number in lines:
                raise BadShare(f"the share's line {number:02} is there twice")
            lines[number] = characters
    return lines


def _block(number: int, characters: str, header: bytes | None) -> bytes:
    """Return the block in a line, whose checksum holds; the header is that of the share, None for line 00 itself."""
    name = f"the share's line {number:02}"
    wanted = BLOCK_CHARACTERS + CHECK_CHARACTERS
    if len(characters) != wanted:
        raise BadShare(f"{name} has {len(characters)} characters after its number instead of {wanted}")
    if not set(characters) <= set(ALPHABET):
        raise BadShare(f"{name} has a character that no share has: only digits and letters but I, L, O, U")
    value = 0
    for character in characters[:BLOCK_CHARACTERS]:
        value = value << 5 | ALPHABET.index(character)
    block = (value % (1 << 8 * BLOCK_BYTES)).to_bytes(BLOCK_BYTES, "big")
    checksum = _checksum(block if header is None else header, number, block)
    if value >> 8 * BLOCK_BYTES or not hmac.compare_digest(checksum, characters[BLOCK_CHARACTERS:]):
        raise BadShare(f"{name} is mistyped, or of another share: compare it with the paper")
    return block
