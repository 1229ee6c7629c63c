"""Additively homomorphic encryption after Paillier: integers, sums of ciphertexts, packed slots.

This is the public half: whatever works without a private key. The private half is imported by name where it
is needed, `paillier.private_key` and `paillier.decryption`, and never from here.
"""

from .ciphertext import (
    ONE,
    add,
    add_many,
    add_plain,
    from_base64url,
    from_bytes,
    product,
    require_unit,
    subtract,
    to_base64url,
    to_bytes,
    validate,
)
from .encryption import Encryptor, Mode
from .errors import (
    BadCiphertext,
    BadPrivateKey,
    BadPublicKey,
    DecryptionFailed,
    GuardBitsSet,
    KeyTooShort,
    PackingTooWide,
    PaillierError,
    PlaintextOutOfRange,
    SlotOverflow,
)
from .keys import PublicKey, validate_public_key
from .packing import ENERGY_SLOTS, Packing

__all__ = [
    "ENERGY_SLOTS",
    "ONE",
    "BadCiphertext",
    "BadPrivateKey",
    "BadPublicKey",
    "DecryptionFailed",
    "Encryptor",
    "GuardBitsSet",
    "KeyTooShort",
    "Mode",
    "Packing",
    "PackingTooWide",
    "PaillierError",
    "PlaintextOutOfRange",
    "PublicKey",
    "SlotOverflow",
    "add",
    "add_many",
    "add_plain",
    "from_base64url",
    "from_bytes",
    "product",
    "require_unit",
    "subtract",
    "to_base64url",
    "to_bytes",
    "validate",
    "validate_public_key",
]
