"""What phe takes for the same sums: additions and decryptions alone, measured on a few customers and multiplied up."""

from __future__ import annotations

import time
from typing import Any

from paillier import ciphertext
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey

from .street import Street


def seconds_of_phe(key: PrivateKey, street: Street, customers: int, sample: int) -> float:
    """Return the CPU seconds that phe would need on one core for so many customers, from a sample of them.

    It adds each of a customer's three sums and decrypts it. It verifies no signature and proves nothing.
    """
    private: Any = key.to_phe()
    sums = [[ciphertext.from_base64url(key.public, text) for text in one] for one in street.sums()]
    decryptor = Decryptor(key)
    for one in sums:
        assert _opened(private, one) == decryptor.decrypt(ciphertext.product(key.public, one)), "phe opens the same"
    began = time.process_time()
    for _ in range(sample):
        for one in sums:
            _opened(private, one)
    return (time.process_time() - began) / sample * customers


def _opened(private: Any, one: list[int]) -> int:
    total = one[0]
    for c in one[1:]:
        # What phe's EncryptedNumber does with two of one exponent.
        total = total * c % private.public_key.nsquare
    return int(private.raw_decrypt(total))
