"""The same daemon with phe's encryption: `python -m scripts.bench_gateway.with_phe run --config ...`.

Links, frames, ledger and sums are the daemon's own; each ciphertext comes from `raw_encrypt` of phe.
"""

from __future__ import annotations

from functools import lru_cache

import paillier
from gateway import __main__ as gateway
from gateway.encryption import PaillierEncryption
from paillier import PublicKey


@lru_cache
def _phe_key(key: PublicKey) -> object:
    return key.to_phe()


def encrypt_slots(encryption: PaillierEncryption, import_mwh: int, export_mwh: int) -> int:
    """Return a ciphertext of both energies, as phe makes one."""
    plaintext = paillier.ENERGY_SLOTS.pack((import_mwh, export_mwh))
    return int(_phe_key(encryption.public_key).raw_encrypt(plaintext))  # type: ignore[attr-defined]


if __name__ == "__main__":
    setattr(PaillierEncryption, "encrypt_slots", encrypt_slots)  # noqa: B010 - a method is replaced
    gateway.main()
