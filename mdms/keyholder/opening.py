"""Opening: from permitted sums to energies. A load is decrypted alone, the bills of one key many at once.

Rule 1: what stands in one pack was signed for one neighbourhood, whose one key it is under. Whoever signed a sum could
let it run over its slot's guard bits into the next customer's; but only among customers about whom it could have
signed another sum in the first place.
Rule 2: a pack is a short cut and never an answer. What comes out of one is proved like everything else; where guard
bits are set, or the proof does not hold, the same sums are opened one by one, and each stands for itself.
Rule 3: why a sum is impossible, where it is, never leaves.
"""

from collections.abc import Iterable, Mapping

from paillier import ciphertext
from paillier.errors import DecryptionFailed, GuardBitsSet, PackingTooWide, PaillierError
from paillier.packing import ENERGY_SLOTS
from paillier.private.decryption import Decryptor
from paillier.private.packed_decryption import PackedDecryptor

from .batches import Opened
from .gate import Permit
from .keyring import HeldKey

# What two slots can hold: a sum below it is opened modulo one of the primes alone, in half the time.
MOST_PLAINTEXT = 1 << ENERGY_SLOTS.slots * ENERGY_SLOTS.slot_bits


def open_sums(permits: Mapping[str, Permit], keyring: Mapping[str, HeldKey], *, packed: bool) -> list[Opened]:
    """Return what the permits open, by their items' names and in their order, without what is impossible.

    ``packed``: bills of one key may be opened together. Raises DecryptionFailed for a fault of the machine.
    """
    totals = {name: ciphertext.product(permit.public_key, permit.ciphertexts) for name, permit in permits.items()}
    plaintexts: dict[str, int] = {}
    if packed:
        for fingerprint, names in _packs(permits).items():
            plaintexts |= _open_pack(keyring[fingerprint].decryptor, permits, totals, names)
    found = []
    for name, permit in permits.items():
        if name in plaintexts:
            plaintext: int | None = plaintexts[name]
        else:
            plaintext = _open_one(keyring[permit.public_key.fingerprint].decryptor, totals[name])
        opened = None if plaintext is None else _energies(name, permit, totals[name], plaintext)
        if opened is not None:
            found.append(opened)
    return found


def may_be_packed(permits: Iterable[Permit]) -> bool:
    """Say whether `open_sums` has anything to open together."""
    return bool(_packs({str(number): permit for number, permit in enumerate(permits)}))


def _packs(permits: Mapping[str, Permit]) -> dict[str, list[str]]:
    """Return the names of the bills of each key, by its fingerprint, where there are several."""
    packs: dict[str, list[str]] = {}
    for name, permit in permits.items():
        if permit.pseudonym is not None:
            packs.setdefault(permit.public_key.fingerprint, []).append(name)
    return {fingerprint: names for fingerprint, names in packs.items() if len(names) > 1}


def _open_pack(
    decryptor: Decryptor, permits: Mapping[str, Permit], totals: Mapping[str, int], names: list[str]
) -> dict[str, int]:
    """Return the plaintexts of several bills, or nothing where they must be opened one by one."""
    below = max(permits[name].most_mwh for name in names) + 1
    try:
        packed = PackedDecryptor.densest(decryptor, ENERGY_SLOTS, below=below)
        return dict(zip(names, packed.decrypt([totals[name] for name in names]), strict=True))
    except (PackingTooWide, GuardBitsSet):
        return {}


def _open_one(decryptor: Decryptor, total: int) -> int | None:
    try:
        return decryptor.decrypt(total, below=MOST_PLAINTEXT)
    except DecryptionFailed:
        raise
    except PaillierError:
        return None


def _energies(name: str, permit: Permit, total: int, plaintext: int) -> Opened | None:
    try:
        import_mwh, export_mwh = ENERGY_SLOTS.unpack(plaintext)
    except PaillierError:
        return None
    if max(import_mwh, export_mwh) > permit.most_mwh:
        return None
    return Opened(name, permit, total, import_mwh, export_mwh)
