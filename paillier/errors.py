"""What this library refuses, one type per thing that a caller handles differently.

Messages give the reason and never a value: no plaintext, ciphertext, factor or randomiser appears in one,
so that they may be logged. A misuse by the calling code (a float for an integer, a packing without slots)
raises `TypeError` or `ValueError` instead.
"""

from __future__ import annotations


class PaillierError(Exception):
    """Base of every refusal of this library."""


class BadPublicKey(PaillierError):
    """A modulus, or its JWK, that must not be encrypted under."""


class KeyTooShort(BadPublicKey):
    """A key below the least length, without the flag that marks it as unsafe."""


class BadPrivateKey(PaillierError):
    """Factors, or their JWK, that are no Paillier private key."""


class BadCiphertext(PaillierError):
    """A number or a text that is no blinded ciphertext under the key at hand."""


class PlaintextOutOfRange(PaillierError):
    """A message outside 0 <= m < n."""


class DecryptionFailed(PaillierError):
    """A decryption contradicted itself: a fault of the machine, whose result must not leave it."""


class SlotOverflow(PaillierError):
    """A value too large, or negative, for its slot."""


class GuardBitsSet(PaillierError):
    """A decrypted sum overflowed or borrowed: none of its slots may be believed."""


class PackingTooWide(PaillierError):
    """A packing that the plaintexts of a key cannot hold."""


# --- Proofs -----------------------------------------------------------------------------------------------------


class BadProof(PaillierError):
    """A proof, or a claim to be proved, that must not be believed."""


# --- Decryption and recovery ------------------------------------------------------------------------------------


class PlaintextTooLarge(PaillierError):
    """A decrypted message not below the bound that its caller gave: it is never shown."""


class BadShare(PaillierError):
    """Recovery shares from which no key is restored; the message says what to do."""
