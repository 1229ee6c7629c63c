"""The path of one reading through the concentrator, without links and ledger: what one core can do.

Every way opens the same sealed frames with the concentrator's own DataDecryption and parses their readings; what
differs is how a reading enters the interval's load and the meter's register:

- strict, pool: PaillierEncryption makes a ciphertext, and one modular product each advances load and register;
- fold: FoldedLoad and FoldedRegister absorb it; they are open before and emitted after, which these times leave out;
- fold-12, fold-36: the same, with opening both over stored sums and emitting both counted in, once for as many
  readings (a billing window has 12 at 15 minutes, 36 at five);
- phe: one `raw_encrypt` and two modular products of gmpy2.

Not in any of them: the ledger's transaction, duplicates, limits and acknowledgements.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import gmpy2

import paillier
from gateway.aggregate import DataAggregator, OpenWindow
from gateway.encryption import FOLD, POOL, STRICT, PaillierEncryption, Settings
from gateway.folding import FoldedLoad, FoldedRegister
from gateway.intake import DataDecryption
from protocol import keychain, wire
from protocol.documents import to_base64url
from protocol.reports import PSEUDONYM_BYTES
from protocol.windows import Span

from ..sealing_meter import SealingMeter
from .operations import POOL_SIZE, Ours
from .rows import ONLY, OURS, PHE
from .timing import Contender

INTERVAL_S = 900
FIRST_INTERVAL = 1_767_225_600 // INTERVAL_S  # 2026-01-01
LAST_TIME = 2**32 - 1
MOST_FRAMES = 8_192
CHECKED = 5
EMITTED_EVERY = (12, 36)


class Meter(SealingMeter):
    """A meter whose frames are sealed as the firmware seals them, one interval after the other.

    ``sent`` is what all readings sealed so far sum up to, as one plaintext of two slots.
    """

    def __init__(self) -> None:
        start = FIRST_INTERVAL * INTERVAL_S
        super().__init__(
            title=os.urandom(wire.TITLE_BYTES),
            pseudonym=to_base64url(os.urandom(PSEUDONYM_BYTES)),
            root=os.urandom(keychain.KEY_BYTES),
            salt=os.urandom(wire.SALT_BYTES),
            start=start,
        )
        self.now_ms = start * 1000
        self._interval = FIRST_INTERVAL
        self._registers = [0, 0]

    @property
    def next_start(self) -> int:
        """When the next interval starts, UTC seconds."""
        return self._interval * INTERVAL_S

    @property
    def sent(self) -> int:
        """The sum of all readings, both slots."""
        return paillier.ENERGY_SLOTS.pack(self._registers)

    def seal(self) -> bytes:
        """Return the frame of the next reading."""
        energies = (100_000 + self._interval % 977, self._interval % 5)
        for slot, energy in enumerate(energies):
            self._registers[slot] += energy
        reading = wire.Reading(
            series=1,
            interval_number=self._interval,
            interval_end=(self._interval + 1) * INTERVAL_S,
            interval_s=INTERVAL_S,
            import_mwh=energies[0],
            export_mwh=energies[1],
            import_register=self._registers[0],
            export_register=self._registers[1],
            quality=0,
        )
        frame = self.seal_frame(wire.READING, wire.pack_reading(reading), self.keys.chain.epoch, self._interval)
        self._interval += 1
        return frame


class Path(ABC):
    """One way of a reading. ``prepare`` seals the frames of a batch, untimed; ``take`` is one call, timed.

    ``result`` returns the ciphertexts of load and register, over all readings since the path began.
    """

    frames_of_call = 1

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.meter = Meter()
        self._decryption = DataDecryption(accepted_delay_days=1)
        self._frames: Iterator[bytes] = iter(())

    def prepare(self, calls: int) -> None:
        """Seal the frames of so many calls."""
        self._frames = iter([self.meter.seal() for _ in range(calls * self.frames_of_call)])

    @abstractmethod
    def take(self) -> None:
        """Take what one call takes."""

    @abstractmethod
    def result(self) -> tuple[int, int]:
        """Return the load and the register."""

    def open(self) -> wire.Reading:
        """Open the next frame."""
        frame = next(self._frames)
        opened = self._decryption.open(frame, self._decryption.header(frame), self.meter.keys, self.meter.now_ms)
        reading: wire.Reading = wire.parse_reading(opened.body)
        return reading

    def is_right(self) -> bool:
        """Say whether load and register both hold what the meter sent."""
        for calls in (1, CHECKED):
            self.prepare(calls)
            for _ in range(calls):
                self.take()
        load, register = self.result()
        return load != register and all(self.ours.opens_to(c, self.meter.sent) for c in (load, register))


class Encrypting(Path):
    """Strict and pool: a ciphertext of its own for every reading."""

    def __init__(self, ours: Ours, settings: Settings) -> None:
        super().__init__(ours)
        self._encryption = PaillierEncryption(ours.key, settings)
        self._aggregator = DataAggregator(ours.key)
        self._load, self._register = ours.strict.encrypt(0), ours.strict.encrypt(0)

    def prepare(self, calls: int) -> None:
        super().prepare(calls)
        while self._encryption.prepare():
            pass

    def take(self) -> None:
        encrypted = self._encryption.encrypt(self.open(), with_register=False)
        assert encrypted.energy is not None
        self._load = self._aggregator.add_to_load(self._load, encrypted.energy)
        self._register = paillier.add(self.ours.key, self._register, encrypted.energy)

    def result(self) -> tuple[int, int]:
        return self._load, self._register


class Folding(Path):
    """Fold: load and register are open, and absorb one reading after the other."""

    def __init__(self, ours: Ours) -> None:
        super().__init__(ours)
        settings = Settings(accumulator=FOLD, table_window_bits=paillier.WIDE_WINDOW_BITS)
        self._encryption = PaillierEncryption(ours.key, settings)
        self._sums = ours.strict.encrypt(0), ours.strict.encrypt(0)
        self._is_open = False

    def _open(self, start: int) -> None:
        load, register = map(self._encryption.accumulator, self._sums)
        self._load = FoldedLoad(load)
        self._register = FoldedRegister(register, start, OpenWindow(Span(start, LAST_TIME)))
        self._is_open = True

    def _emit(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        register = self._register.emit()[0].register
        assert register is not None
        self._sums = self._load.emit(), register

    def prepare(self, calls: int) -> None:
        self._emit()
        self._open(self.meter.next_start)
        super().prepare(calls)

    def take(self) -> None:
        self._fold(self.open())

    def _fold(self, reading: wire.Reading) -> None:
        message = self._encryption.message(reading)
        self._load.fold(self.meter.title, message)
        start = reading.interval_end - reading.interval_s
        if not self._register.takes(start):
            raise ValueError("the reading does not continue the register")
        self._register.fold(reading, message)

    def result(self) -> tuple[int, int]:
        self._emit()
        return self._sums


class FoldingBatches(Folding):
    """Fold with everything counted: both sums opened from what is stored, and emitted again after some readings."""

    def __init__(self, ours: Ours, readings: int) -> None:
        self.frames_of_call = readings
        super().__init__(ours)

    def take(self) -> None:
        first = self.open()
        self._open(first.interval_end - first.interval_s)
        self._fold(first)
        for _ in range(self.frames_of_call - 1):
            super().take()
        self._emit()


class WithPhe(Path):
    """The same frames, encrypted and added as phe and gmpy2 do it."""

    def __init__(self, ours: Ours) -> None:
        super().__init__(ours)
        self._phe = ours.key.to_phe()
        self._n_squared = gmpy2.mpz(self._phe.nsquare)
        self._load, self._register = (gmpy2.mpz(self._phe.raw_encrypt(0)) for _ in range(2))

    def take(self) -> None:
        reading = self.open()
        c = self._phe.raw_encrypt(paillier.ENERGY_SLOTS.pack((reading.import_mwh, reading.export_mwh)))
        self._load = self._load * c % self._n_squared
        self._register = self._register * c % self._n_squared

    def result(self) -> tuple[int, int]:
        return int(self._load), int(self._register)


def of_path(ours: Ours) -> Iterator[Contender]:
    """Yield the path in every mode, and phe's."""
    wide, narrow = paillier.WIDE_WINDOW_BITS, paillier.PI_WINDOW_BITS
    pool = Settings(accumulator=POOL, table_window_bits=wide, pool_size=POOL_SIZE)
    makers: dict[str, Callable[[], Path]] = {
        "strict": lambda: Encrypting(ours, Settings(accumulator=STRICT, table_window_bits=wide)),
        "strict-pi": lambda: Encrypting(ours, Settings(accumulator=STRICT, table_window_bits=narrow)),
        "pool": lambda: Encrypting(ours, pool),
        "fold": lambda: Folding(ours),
        **{f"fold-{readings}": lambda r=readings: FoldingBatches(ours, r) for readings in EMITTED_EVERY},  # type: ignore[misc]
    }
    yield _contender(ONLY, PHE, WithPhe(ours), MOST_FRAMES)
    for mode, make in makers.items():
        yield _contender(mode, OURS, make(), POOL_SIZE if mode == "pool" else MOST_FRAMES)


def _contender(mode: str, implementation: str, path: Path, most_frames: int) -> Contender:
    return Contender(
        "path_reading",
        mode,
        implementation,
        path.take,
        path.is_right,
        values=path.frames_of_call,
        before=path.prepare,
        most_calls=most_frames // path.frames_of_call,
    )
