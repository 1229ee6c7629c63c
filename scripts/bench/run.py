"""One run: keys, contenders in groups, and everything that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paillier.private.key import generate_keypair

from . import operations
from .machine import Machine, this_machine
from .operations import Claims, Ours, Table
from .path import of_path
from .peers import Missing, Peer, PeerFailed, contenders_of, load_peers
from .rows import OURS, PHE, Measured, Row, rows_of
from .timing import Contender, WrongAnswer, measure, one_core


@dataclass(frozen=True)
class Effort:
    """How long and how often: batches of each contender, seconds of a batch, proofs checked one by one."""

    batches: int
    batch_s: float
    one_by_one: int
    quick: bool


FULL = Effort(batches=31, batch_s=0.02, one_by_one=5, quick=False)
QUICK = Effort(batches=15, batch_s=0.008, one_by_one=2, quick=True)


@dataclass
class Result:
    """What a run found out."""

    machine: Machine
    measured: list[Measured] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    proof_bytes: dict[int, int] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """The rows, in the order of measuring."""
        return rows_of(self.measured)


@dataclass(frozen=True)
class Progress:
    """Whom to tell: what is being prepared, how many batches a group has, and each batch that is done."""

    preparing: Callable[[str], object] = lambda _: None
    group: Callable[[str, int], object] = lambda _name, _batches: None
    batch: Callable[[Contender], object] = lambda _: None


def run(lengths: Sequence[int], effort: Effort, folder: Path, *, small_keys: bool, progress: Progress) -> Result:
    """Measure everything at each length of key, on one core.

    Raises WrongAnswer where this library's result is wrong, or that of phe, which all ratios refer to; another peer's
    is left out with the reason.
    """
    with one_core():
        found = load_peers(folder)
        peers = [peer for peer in found if isinstance(peer, Peer)]
        result = Result(this_machine([(peer.name, peer.version) for peer in peers]))
        result.absent += [f"{peer.name}: {peer.reason}" for peer in found if isinstance(peer, Missing)]

        def without(contender: Contender, error: WrongAnswer) -> bool:
            result.absent.append(str(error))
            return contender.implementation not in (OURS, PHE)

        for bits in lengths:
            for group in _groups(bits, peers, effort, small_keys, progress, result):
                progress.group(f"{bits} bits: {group[0].operation}", len(group) * effort.batches)
                result.measured += measure(group, bits, effort.batches, effort.batch_s, progress.batch, without)
    return result


def _groups(
    bits: int, peers: Sequence[Peer], effort: Effort, small_keys: bool, progress: Progress, result: Result
) -> Iterator[list[Contender]]:
    """Yield what is timed in turn: an operation with everything whose ratio refers to it."""
    progress.preparing(f"{bits} bits: key and tables")
    key = generate_keypair(bits, unsafe_small_key=small_keys)
    ours = Ours(key)
    result.tables += ours.tables()
    theirs: list[Contender] = []
    for peer in peers:
        progress.preparing(f"{bits} bits: {peer.name}")
        try:
            theirs += contenders_of(peer, key, effort.quick)
        except PeerFailed as error:
            result.absent.append(f"{peer.name} at {bits} bits: {error}")

    def with_peers(contenders: Iterator[Contender], *names: str) -> list[Contender]:
        return [*(peer for peer in theirs if peer.operation in names), *contenders]

    yield with_peers(operations.of_encryption(ours), "encrypt", "emit")
    yield with_peers(operations.of_addition(ours), "add")
    yield with_peers(operations.of_decryption(ours), "decrypt")
    progress.preparing(f"{bits} bits: {operations.BATCH_OF_PROOF:,} sums")
    claims = Claims(ours)
    result.proof_bytes[bits] = (claims.root.bit_length() + 7) // 8
    yield list(operations.of_proving(claims))
    yield list(operations.of_verifying(claims, effort.one_by_one))
    yield list(of_path(ours))
    yield list(operations.of_validation(ours))
