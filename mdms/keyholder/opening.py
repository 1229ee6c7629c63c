"""Opening: from permitted sums to energies. A load is decrypted alone, the bills of one key many at once.

Rule 1: what stands in one pack was signed for one neighbourhood, whose one key it is under. Whoever signed a sum could
let it run over its slot's guard bits into the next customer's; but only among customers about whom it could have
signed another sum in the first place.
Rule 2: a pack is a short cut and never an answer. What comes out of one is proved like everything else; where one of
its sums is refused for any reason, or the proof does not hold, the same sums are opened one by one, and each stands
for itself.
Rule 3: why a sum is impossible, where it is, never leaves.
"""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import NamedTuple

from paillier import ciphertext
from paillier.errors import DecryptionFailed, PaillierError
from paillier.packing import ENERGY_SLOTS
from paillier.private.decryption import Decryptor
from paillier.private.packed_decryption import PackedDecryptor

from .batches import Opened
from .gate import Permit
from .keyring import HeldKey
from .parts import Part

# What two slots can hold: a sum below it is opened modulo one of the primes alone, in half the time.
MOST_PLAINTEXT = 1 << ENERGY_SLOTS.slots * ENERGY_SLOTS.slot_bits


class _Sum(NamedTuple):
    """What is to be opened: the product of the ciphertexts of a permit's part, and whose it is."""

    number: int
    name: str
    permit: Permit
    part: Part
    total: int


def open_sums(permits: Mapping[str, Permit], keyring: Mapping[str, HeldKey], *, packed: bool) -> list[Opened]:
    """Return what the permits' parts open, in their order, without the permits of which a part is impossible.

    ``packed``: bills of one key may be opened together. Raises DecryptionFailed for a fault of the machine.
    """
    number = count()
    sums = [
        _Sum(next(number), name, permit, part, ciphertext.product(part.public_key, part.ciphertexts))
        for name, permit in permits.items()
        for part in permit.parts
    ]
    found: dict[int, Opened] = {}
    if packed:
        for fingerprint, several in _packs(sums).items():
            found |= _open_pack(keyring[fingerprint].decryptor, several)
    for one in sums:
        if one.number not in found:
            opened = _open_one(keyring[one.part.public_key.fingerprint].decryptor, one)
            found |= {one.number: opened} if opened is not None else {}
    # All parts of a bill or none: what is left of it would tell which of them is impossible.
    impossible = {one.name for one in sums if one.number not in found}
    return [found[one.number] for one in sums if one.name not in impossible]


def may_be_packed(permits: Iterable[Permit]) -> bool:
    """Say whether `open_sums` has anything to open together."""
    return bool(_packs([_Sum(0, "", permit, part, 0) for permit in permits for part in permit.parts]))


def _packs(sums: Iterable[_Sum]) -> dict[str, list[_Sum]]:
    """Return the sums of bills of each key, by its fingerprint, where there are several."""
    packs: dict[str, list[_Sum]] = {}
    for one in sums:
        if one.permit.pseudonym is not None:
            packs.setdefault(one.part.public_key.fingerprint, []).append(one)
    return {fingerprint: several for fingerprint, several in packs.items() if len(several) > 1}


def _open_pack(decryptor: Decryptor, sums: list[_Sum]) -> dict[int, Opened]:
    """Return what several bills open to, or nothing where they must be opened one by one.

    All or nothing: a sum that is refused may have been pushed out of its range by its neighbour, and what is refused
    is not proved.
    """
    below = max(one.part.most_mwh for one in sums) + 1
    try:
        pack = PackedDecryptor.densest(decryptor, ENERGY_SLOTS, below=below)
        plaintexts = pack.decrypt([one.total for one in sums])
    except DecryptionFailed:
        raise
    except PaillierError:  # guard bits; a bound too wide for the key; a total that is no blinded ciphertext
        return {}
    opened = [_energies(one, plaintext) for one, plaintext in zip(sums, plaintexts, strict=True)]
    if None in opened:
        return {}
    return {one.number: found for one, found in zip(sums, opened, strict=True) if found is not None}


def _open_one(decryptor: Decryptor, one: _Sum) -> Opened | None:
    try:
        return _energies(one, decryptor.decrypt(one.total, below=MOST_PLAINTEXT))
    except DecryptionFailed:
        raise
    except PaillierError:
        return None


def _energies(one: _Sum, plaintext: int) -> Opened | None:
    try:
        import_mwh, export_mwh = ENERGY_SLOTS.unpack(plaintext)
    except PaillierError:
        return None
    if max(import_mwh, export_mwh) > one.part.most_mwh:
        return None
    return Opened(one.number, one.name, one.permit, one.part, one.total, import_mwh, export_mwh)
