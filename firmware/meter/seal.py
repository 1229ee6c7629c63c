"""AES-CCM (NIST SP 800-38C, RFC 3610) from the two modes that MicroPython's cryptolib offers: ECB and CBC.

The MAC is the last block of a CBC encryption with a zero IV, the key stream an ECB encryption of counter blocks.
A key of 192 bits is refused, as the chips refuse it.
"""

from cryptolib import aes

from protocol.keychain import equal

_ECB = 1
_CBC = 2
_BLOCK = 16
_ZERO_IV = bytes(_BLOCK)
MAX_AAD = 0xFEFF  # from 0xFF00 on, the length takes another encoding (SP 800-38C, A.2.2); no frame needs it


class Ccm:
    """Seals and opens with a tag of ``tag_bytes`` (4 to 16, even); the protocol takes 16."""

    def __init__(self, tag_bytes=16):
        if tag_bytes not in (4, 6, 8, 10, 12, 14, 16):
            raise ValueError("a CCM tag has 4, 6, 8, 10, 12, 14 or 16 bytes")
        self._tag_bytes = tag_bytes

    def seal(self, key, nonce, plaintext, aad=b""):
        """Return ciphertext | tag. Raises ValueError for lengths that CCM does not allow.

        The caller never repeats a nonce under a key: two messages under one nonce reveal their difference.
        """
        _check(key, nonce, len(plaintext), aad)
        stream = _key_stream(key, nonce, len(plaintext))
        tag = self._mac(key, nonce, plaintext, aad)
        return _xor(plaintext, stream[_BLOCK:]) + _xor(tag, stream)

    def open(self, key, nonce, sealed, aad=b""):
        """Return the plaintext; raises ValueError when the tag is wrong or a length is impossible.

        Nothing of the plaintext leaves before the tag has been compared, in constant time.
        """
        length = len(sealed) - self._tag_bytes
        if length < 0:
            raise ValueError("shorter than a tag")
        _check(key, nonce, length, aad)
        stream = _key_stream(key, nonce, length)
        plaintext = _xor(sealed[:length], stream[_BLOCK:])
        if not equal(_xor(sealed[length:], stream), self._mac(key, nonce, plaintext, aad)):
            raise ValueError("the tag does not verify")
        return plaintext

    def _mac(self, key, nonce, plaintext, aad):
        counted = 15 - len(nonce)
        flags = (0x40 if aad else 0) | (self._tag_bytes - 2) // 2 << 3 | counted - 1
        blocks = bytearray((flags,)) + nonce + len(plaintext).to_bytes(counted, "big")
        if aad:
            blocks += len(aad).to_bytes(2, "big") + aad
            blocks += bytes(-len(blocks) % _BLOCK)
        blocks += plaintext
        blocks += bytes(-len(blocks) % _BLOCK)
        aes(key, _CBC, _ZERO_IV).encrypt(blocks, blocks)
        last = len(blocks) - _BLOCK
        return blocks[last : last + self._tag_bytes]


def _check(key, nonce, length, aad):
    if len(key) not in (16, 32):
        raise ValueError("an AES key has 16 or 32 bytes here")
    if not 7 <= len(nonce) <= 13:
        raise ValueError("a CCM nonce has 7 to 13 bytes")
    if length >> 8 * (15 - len(nonce)):
        raise ValueError("the message is too long for this nonce")
    if len(aad) > MAX_AAD:
        raise ValueError("the associated data is too long")


def _key_stream(key, nonce, length):
    """Return S0 (for the tag) and behind it the blocks that cover ``length`` bytes."""
    counted = 15 - len(nonce)
    prefix = bytes((counted - 1,)) + nonce
    stream = bytearray()
    for number in range(1 + (length + _BLOCK - 1) // _BLOCK):
        stream += prefix + number.to_bytes(counted, "big")
    aes(key, _ECB).encrypt(stream, stream)
    return stream


def _xor(data, stream):
    """Return ``data`` XOR the stream's beginning: by big integers, twice as fast on the board as per byte."""
    length = len(data)
    if not length:
        return b""
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream[:length], "big")
    return mixed.to_bytes(length, "big")
