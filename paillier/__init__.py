"""Additively homomorphic encryption after Paillier: integers, sums of ciphertexts, packed slots.

This is the public half: whatever works without a private key. The private half, `paillier.private`, is imported
by name where it is needed, and never from here.
"""

from .accumulator import Accumulator
from .ciphertext import (
    ONE,
    add,
    add_many,
    add_plain,
    from_base64url,
    from_bytes,
    many_from_base64url,
    product,
    require_unit,
    subtract,
    to_base64url,
    to_bytes,
    validate,
    validate_many,
)
from .encryption import Encryptor, Mode
from .errors import (
    BadCiphertext,
    BadPrivateKey,
    BadProof,
    BadPublicKey,
    BadShare,
    DecryptionFailed,
    GuardBitsSet,
    KeyTooShort,
    PackingTooWide,
    PaillierError,
    PlaintextOutOfRange,
    PlaintextTooLarge,
    SlotOverflow,
)
from .keys import PublicKey, validate_public_key
from .packing import ENERGY_SLOTS, Interleaving, Packing
from .pool import RandomiserPool
from .proofs import (
    Claim,
    KeyProof,
    root_from_base64url,
    root_to_base64url,
    verify_decryption,
    verify_decryptions,
    verify_key_proof,
)
from .table import PI_WINDOW_BITS, WIDE_WINDOW_BITS, HalfSizeTable, shared_table

__all__ = [
    "ENERGY_SLOTS",
    "ONE",
    "PI_WINDOW_BITS",
    "WIDE_WINDOW_BITS",
    "Accumulator",
    "BadCiphertext",
    "BadPrivateKey",
    "BadProof",
    "BadPublicKey",
    "BadShare",
    "Claim",
    "DecryptionFailed",
    "Encryptor",
    "GuardBitsSet",
    "HalfSizeTable",
    "Interleaving",
    "KeyProof",
    "KeyTooShort",
    "Mode",
    "Packing",
    "PackingTooWide",
    "PaillierError",
    "PlaintextOutOfRange",
    "PlaintextTooLarge",
    "PublicKey",
    "RandomiserPool",
    "SlotOverflow",
    "add",
    "add_many",
    "add_plain",
    "from_base64url",
    "from_bytes",
    "many_from_base64url",
    "product",
    "require_unit",
    "root_from_base64url",
    "root_to_base64url",
    "shared_table",
    "subtract",
    "to_base64url",
    "to_bytes",
    "validate",
    "validate_many",
    "validate_public_key",
    "verify_decryption",
    "verify_decryptions",
    "verify_key_proof",
]
