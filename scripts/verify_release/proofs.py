"""The proofs: whether every sum follows from its ciphertexts."""

import secrets
from collections.abc import Callable, Sequence

from paillier.errors import BadProof
from paillier.proofs import (
    joined_root,
    root_from_base64url,
    verify_decryption,
    verify_decryptions,
)
from protocol import releases

from .batches import ProvedBatch, called
from .outcome import Wrong

CONTEXT_BYTES = 32


def check_proofs(proved: Sequence[ProvedBatch], every_root: bool, progress: Callable[[str], None]) -> None:
    """Check all batches of a key at once; where that fails, or if asked, sum by sum: the first wrong one is named."""
    by_key: dict[str, list[ProvedBatch]] = {}
    for one in proved:
        by_key.setdefault(one.key.fingerprint, []).append(one)
    progress("proofs")
    good = {name for name, several in by_key.items() if not every_root and hold_together(several)}
    for done, one in enumerate(proved):
        if one.key.fingerprint not in good:
            progress(f"proofs: {done} of {len(proved)} release batches")
            check_proof(one)


def hold_together(several: Sequence[ProvedBatch]) -> bool:
    """Say whether all batches under one key are right, for the price of one.

    Whoever has the sums' own roots can make the one root that proves them all under a context of its own. This one is
    drawn now, so that nobody could foresee its weights; then a wrong sum passes with probability 2^-128. The batches'
    roots are right if they are what the sums' own roots make under theirs. Of these a damaged or exchanged one is
    seen; one that lacks its sign may not be (-1 to an even weight is 1): it proves its sum all the same, and fails
    alone.
    """
    key = several[0].key
    context = secrets.token_bytes(CONTEXT_BYTES)
    try:
        claims = [claim for one in several for claim in one.claims]
        roots = [root for one in several for root in own_roots(one)]
        verify_decryptions(key, claims, joined_root(key, claims, roots, context), context)
        return all(
            root_from_base64url(key, one.batch.root)
            == joined_root(key, one.claims, own_roots(one), releases.proof_context(one.batch))
            for one in several
        )
    except BadProof:
        return False


def own_roots(proved: ProvedBatch) -> list[int]:
    """Return the roots that prove a batch's sums one by one. Raises BadProof."""
    return [root_from_base64url(proved.key, item.root) for item in proved.batch.items]


def check_proof(proved: ProvedBatch) -> None:
    """Refuse the first sum of a batch that its own root does not prove, and a batch that its root does not prove."""
    batch, key = proved.batch, proved.key
    context = releases.proof_context(batch)
    for item, claim in zip(batch.items, proved.claims, strict=True):
        try:
            verify_decryption(key, claim, root_from_base64url(key, item.root), context)
        except BadProof as error:
            raise Wrong(
                f"{called(item, batch.neighbourhood)}: the sum does not follow from its ciphertexts ({error})"
            ) from None
    try:
        verify_decryptions(key, proved.claims, root_from_base64url(key, batch.root), context)
    except BadProof as error:
        raise Wrong(
            f"release batch {proved.name}: its root does not prove its {len(batch.items)} {batch.kind} ({error})"
        ) from None
