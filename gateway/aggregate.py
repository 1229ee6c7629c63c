"""DataAggregator, the third step: sums over ciphertexts, as pure functions.

Neighbourhood loads are products of interval ciphertexts. Billing windows come from registers: a window's energy is
the register at its last reading minus the register at the last reading of the window before. So a gap loses no
energy and nothing counts twice, in whatever order readings arrive: the sum of the windows is always last register
minus first register.
"""

from dataclasses import dataclass, replace

import paillier
from protocol.windows import Span, expected_intervals

from .encryption import EncryptedReading


@dataclass(frozen=True)
class Tail:
    """A register of a meter: at ``end`` (UTC seconds) it was what ``register`` encrypts; None before any reading."""

    end: int
    register: int | None = None

    def continued_by(self, start: int) -> bool:
        """Say whether a reading that starts then follows in unbroken order: this register plus its energy is its."""
        return self.register is not None and self.end == start


@dataclass(frozen=True)
class OpenWindow:
    """A billing window that is not sealed: how many of its intervals are in, and the last register among them."""

    span: Span
    present: int = 0
    quality: int = 0
    last_end: int = 0
    register: int | None = None

    def complete(self, interval_s: int) -> bool:
        """Say whether every interval of the window has been counted."""
        return self.present == expected_intervals(self.span, interval_s)

    def holds(self, start: int) -> bool:
        """Say whether an interval is one of the window's own."""
        return self.span.start <= start < self.span.end


@dataclass(frozen=True)
class SealedWindow:
    """What a window's report says; ``energy`` and ``register`` are None where it is empty."""

    window: OpenWindow
    register_from: int
    register_to: int
    energy: int | None
    register: int | None


class DataAggregator:
    """The sums of one neighbourhood. Holds the public key and nothing else."""

    def __init__(self, public_key: paillier.PublicKey) -> None:
        self._key = public_key

    def add_to_load(self, load: int | None, energy: int) -> int:
        """Return a neighbourhood's load with one more meter's interval in it."""
        return energy if load is None else paillier.add(self._key, load, energy)

    def needs_register(self, tail: Tail, window: OpenWindow, start: int, end: int) -> bool:
        """Say whether a reading's register must be encrypted afresh.

        While readings come in unbroken order the register is the one before plus the interval, as ciphertexts, and
        costs no second encryption. It is not needed either where a later register of its window is known.
        """
        return not tail.continued_by(start) and end > window.last_end

    def count(
        self, tail: Tail, window: OpenWindow, reading: EncryptedReading, held: int | None
    ) -> tuple[Tail, OpenWindow]:
        """Return a meter's tail and the window that takes the reading, with the reading counted.

        ``window`` is the reading's own, or the oldest unsealed one where that is sealed already: then its energy
        joins there, and no interval of that window becomes present by it. ``held`` encrypts the energy of the
        readings up to this one's end that are quarantined: it is in the meter's registers and must not be billed.
        """
        present = window.present + window.holds(reading.start)
        window = replace(window, present=present, quality=window.quality | reading.quality)
        register = self._register(tail, reading, held)
        if register is None:
            return tail, window
        if reading.end > tail.end or tail.register is None:
            tail = Tail(reading.end, register)
        if reading.end > window.last_end:
            window = replace(window, last_end=reading.end, register=register)
        return tail, window

    def hold_back(self, register: int | None, register_end: int, energy: int, end: int) -> int | None:
        """Return an unbilled register without the energy of a reading that was quarantined after it was counted."""
        if register is None or register_end < end:
            return register
        return paillier.subtract(self._key, register, energy)

    def seal(self, base: Tail, window: OpenWindow, former: int | None = None) -> SealedWindow:
        """Return a window's energy since ``base``, the register that closed the last non-empty window.

        The aggregator is that of the base's key. Where the window's own register is under a later key, ``former`` is
        the same register under the base's.
        """
        if window.register is None or window.last_end <= base.end:
            return SealedWindow(window, base.end, base.end, None, None)
        if base.register is None:
            raise ValueError("the register at enrolment is missing")
        energy = paillier.subtract(self._key, window.register if former is None else former, base.register)
        return SealedWindow(window, base.end, window.last_end, energy, window.register)

    def _register(self, tail: Tail, reading: EncryptedReading, held: int | None) -> int | None:
        if tail.continued_by(reading.start):
            assert tail.register is not None and reading.energy is not None, "what continues a register has an energy"
            return paillier.add(self._key, tail.register, reading.energy)
        if reading.register is None or held is None:
            return reading.register
        return paillier.subtract(self._key, reading.register, held)
