"""Release batches: sums that were opened together, and the proof that each is what its reports add up to.

Loads are public and bills are personal, so they never stand in one batch; and one batch has one Paillier key. Every
item has a root of its own, with which whoever knows that item alone can check it; the batch's root proves all of
them for the price of one. A bill is an item for each of its sums: of each band, and of each key.

Rule 1: only sums that passed the gate are proved, and only with what they opened to. The root of a ciphertext is its
randomiser: to whoever has it, the ciphertext is open.
Rule 2: what may only be told as a part of a total (`Part.alone`) stands in no batch: its root would open it.
Rule 3: a proof is verified before it leaves (`Prover`). One computed wrongly would give the key's factors away.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby

from msgspec.structs import replace

from paillier.keys import PublicKey
from paillier.packing import ENERGY_SLOTS
from paillier.private.decryption import require_threads
from paillier.private.proving import Prover
from paillier.proofs import Claim, root_to_base64url
from protocol.releases import (
    BILLS,
    LOADS,
    MAX_DOCUMENTS,
    MAX_ITEMS,
    ReleaseBatch,
    Released,
    ReleasedBill,
    ReleasedLoad,
    proof_context,
)

from .gate import Permit, Policy
from .parts import Part


@dataclass(frozen=True, slots=True)
class Opened:
    """A sum that was opened: of which request's item, which part of which permit, of which ciphertext; in mWh.

    ``number`` distinguishes it from whatever else was opened with it.
    """

    number: int
    name: str
    permit: Permit
    part: Part
    total: int
    import_mwh: int
    export_mwh: int

    @property
    def kind(self) -> str:
        """Whether it is a load or a bill."""
        return LOADS if self.permit.interval_start is not None else BILLS

    @property
    def claim(self) -> Claim:
        """What is to be proved."""
        return Claim(self.total, ENERGY_SLOTS.pack((self.import_mwh, self.export_mwh)))


def together(opened: Sequence[Opened]) -> Iterator[list[Opened]]:
    """Yield the sums that make one batch each, in their order; those of one bill under one key stay together."""
    ordered = sorted((one for one in opened if one.part.alone), key=_batch_of)  # stable
    for _, several in groupby(ordered, key=_batch_of):
        batch: list[Opened] = []
        documents = 0
        for _, bill in groupby(several, key=lambda one: one.name):
            items = list(bill)
            more = sum(len(item.part.documents) for item in items)
            if batch and (len(batch) + len(items) > MAX_ITEMS or documents + more > MAX_DOCUMENTS):
                yield batch
                batch, documents = [], 0
            batch += items
            documents += more
        yield batch


def _batch_of(opened: Opened) -> tuple[str, str, str]:
    return opened.permit.neighbourhood, opened.part.public_key.fingerprint, opened.kind


def prove(prover: Prover, deployment: str, policy: Policy, opened: Sequence[Opened], threads: Executor) -> ReleaseBatch:
    """Return the proved batch of sums that `together` put together; ``threads`` of this process make its roots.

    Raises PaillierError where the machine computed something wrong; nothing of the batch may leave then.
    """
    first = opened[0]
    require_threads(threads)
    roots = prover.roots([item.claim for item in opened], executor=threads)
    batch = ReleaseBatch(
        deployment=deployment,
        neighbourhood=first.permit.neighbourhood,
        paillier_key=first.part.public_key.fingerprint,
        kind=first.kind,
        k=policy.min_contributors,
        unsafe=list(policy.unsafe),
        items=[_item(item, root) for item, root in zip(opened, roots, strict=True)],
        root="",
    )
    root = prover.prove([item.claim for item in opened], proof_context(batch))
    return replace(batch, root=root_to_base64url(first.part.public_key, root))


def _item(opened: Opened, proof: int) -> Released:
    permit, part = opened.permit, opened.part
    key: PublicKey = part.public_key
    root = root_to_base64url(key, proof)
    if permit.interval_start is not None:
        return ReleasedLoad(permit.interval_start, part.documents[0], opened.import_mwh, opened.export_mwh, root)
    assert permit.pseudonym is not None, "a permit is for a load or a bill"
    assert permit.period_start is not None, "a bill has a period"
    assert permit.period_end is not None, "a period has an end"
    return ReleasedBill(
        permit.pseudonym,
        permit.period_start,
        permit.period_end,
        list(part.documents),
        opened.import_mwh,
        opened.export_mwh,
        root,
        permit.tariff,
        [band.name for band in part.bands],
    )
