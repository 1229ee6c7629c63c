"""What one batch has open: sums in memory, until each is emitted into the ledger. No I/O.

In fold mode they absorb plaintexts, and need the rules; in strict and pool mode a load is a product of ciphertexts.

Rule 1: nothing here outlives the batch's transaction. Frames are acknowledged behind its commit, so what a crash
takes away is sent again.
Rule 2: two states of one accumulator say their difference to everyone. So each is opened with a fresh randomiser,
lets its state out once, by `emit`, and ends there. What memory shows besides, the sealed frames of the batch and the
keys that open them, it shows with or without a second randomiser.
Rule 3: a register is folded only while its readings follow each other within one window. At anything else it is
emitted first, and the reading then meets the ledger as it would in any mode.
"""

from dataclasses import dataclass, field, replace

from paillier import Accumulator, PublicKey
from protocol.windows import Span
from protocol.wire import Reading

from .aggregate import DataAggregator, OpenWindow, Tail


class FoldedLoad:
    """An open load and the meters that this batch has added to it."""

    def __init__(self, accumulator: Accumulator) -> None:
        self._accumulator = accumulator
        self.titles: list[bytes] = []

    @property
    def public_key(self) -> PublicKey:
        """The neighbourhood's key."""
        return self._accumulator.public_key

    def fold(self, title: bytes, message: int) -> None:
        """Absorb one meter's energies."""
        self._accumulator.fold(message)
        self.titles.append(title)

    def emit(self) -> int:
        """Return the sum under the randomiser that it was opened with, and end."""
        return self._accumulator.close()


class SummedLoad:
    """An open load of ciphertexts (strict and pool mode): read from the ledger once a batch, and written once."""

    def __init__(self, public_key: PublicKey, aggregator: DataAggregator, total: int | None) -> None:
        self.public_key = public_key
        self.titles: list[bytes] = []
        self._aggregator = aggregator
        self._total = total

    def add(self, title: bytes, energy: int) -> None:
        """Add one meter's energies, under a randomiser of their own."""
        self._total = self._aggregator.add_to_load(self._total, energy)
        self.titles.append(title)

    def emit(self) -> int:
        """Return the sum, as blinded as the last energy that was added."""
        assert self._total is not None, "it was opened for a reading"
        return self._total


class FoldedRegister:
    """A meter's newest register, folded, and the window whose readings it absorbs."""

    def __init__(self, accumulator: Accumulator, end: int, window: OpenWindow) -> None:
        """``accumulator`` is opened over the register as it was at ``end`` (UTC seconds)."""
        self._accumulator = accumulator
        self._end = end
        self._window = window
        self._present = 0
        self._quality = 0

    @property
    def public_key(self) -> PublicKey:
        """The neighbourhood's key."""
        return self._accumulator.public_key

    @property
    def span(self) -> Span:
        """The window."""
        return self._window.span

    def takes(self, start: int) -> bool:
        """Say whether the reading that starts then is the next one, and of this window."""
        return start == self._end and self._window.holds(start)

    def fold(self, reading: Reading, message: int) -> None:
        """Absorb the next reading; ``message`` are its energies. Raises ValueError where there is a gap before it."""
        start = reading.interval_end - reading.interval_s
        if start != self._end:
            raise ValueError("the reading does not continue the register")
        self._accumulator.fold(message)
        self._end = reading.interval_end
        self._present += self._window.holds(start)
        self._quality |= reading.quality

    def emit(self) -> tuple[Tail, OpenWindow]:
        """Return the meter's tail and window with everything counted, the register blinded afresh; it ends there."""
        register = self._accumulator.close()
        window = replace(
            self._window,
            present=self._window.present + self._present,
            quality=self._window.quality | self._quality,
            last_end=self._end,
            register=register,
        )
        return Tail(self._end, register), window


@dataclass
class Folding:
    """Everything that a batch has open: loads by (neighbourhood, interval start), registers by their meter's title."""

    loads: dict[tuple[str, int], FoldedLoad | SummedLoad] = field(default_factory=dict)
    registers: dict[bytes, FoldedRegister] = field(default_factory=dict)
