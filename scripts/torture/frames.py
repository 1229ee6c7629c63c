"""Hostile frames against the concentrator's real Reception: replayed, damaged, spliced, forged. None may count.

Half of the homes' frames are in the ledger when the flood comes, half are still to come: a damaged copy of either
must move no sum, and behind the flood every honest frame is taken, whatever counters were forged.
"""

import sqlite3
import struct
import tempfile
from pathlib import Path
from random import Random

from protocol import keychain, wire

from . import planted
from .memory import memory
from .power_cuts import LEDGER, verdict_of
from .quiet import quiet
from .street import GRACE_S, HOMES, INTERVAL_S, START, WINDOW_S, Concentrator, Home, Sealed, Utility, differences
from .tally import Tally

BATCH = 1000  # hostile frames in one commit: far fewer would time commits
UNTIL = START + 2 * WINDOW_S
HUGE = (1 << 64) - 1
KINDS = ("replay", "bit", "bits", "cut", "longer", "splice", "counter", "epoch", "title", "type", "noise", "reflected")


class Hostile:
    """Makes frames out of honest ones; never one that equals an honest one, but for replays."""

    def __init__(self, chance: Random, taken: list[bytes], coming: list[bytes], answers: list[bytes]) -> None:
        self._chance = chance
        self._taken = taken
        self._known = taken + coming
        self._honest = frozenset(self._known)
        self._answers = answers

    def make(self) -> tuple[str, bytes]:
        """Return the next one's kind and bytes."""
        while True:
            kind = self._chance.choice(KINDS)
            if kind == "replay":
                return kind, self._chance.choice(self._taken)
            frame = self._make(kind)
            if frame not in self._honest:
                return kind, frame

    def _make(self, kind: str) -> bytes:
        chance = self._chance
        frame = bytearray(chance.choice(self._known))
        if kind in ("bit", "bits"):
            for _ in range(1 if kind == "bit" else chance.randint(2, 40)):
                frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del frame[chance.randrange(len(frame)) :]
        elif kind == "longer":
            frame += chance.randbytes(chance.randint(1, 300))
        elif kind == "splice":
            at = chance.randrange(1, len(frame))
            frame[at:] = chance.choice(self._known)[at:]
        elif kind == "counter":
            frame[16:24] = struct.pack(">Q", chance.choice((HUGE, HUGE - chance.randrange(1 << 20), 1 << 63)))
        elif kind == "epoch":
            epoch = keychain.epoch_of(START)
            far = (0, 1, epoch - 8, epoch + 1, epoch + 2, epoch + 3, 0xFFFE, wire.EPOCH_NONE, chance.randrange(1 << 16))
            frame[10:12] = struct.pack(">H", chance.choice(far))
        elif kind == "title":
            frame[2:10] = chance.choice(self._known)[2:10] if chance.random() < 0.5 else chance.randbytes(8)
        elif kind == "type":
            frame[1] = chance.randrange(256)
        elif kind == "noise":
            return chance.randbytes(chance.randrange(wire.MAX_FRAME + 50))
        elif kind == "reflected":
            return chance.choice(self._answers)
        return bytes(frame)


def flood(seed: str, frames: int, plant: str | None = None) -> Tally:
    """Send ``frames`` hostile frames to one concentrator, between two halves of honest ones."""
    tally = Tally()
    with quiet(), planted.bug(plant), tempfile.TemporaryDirectory(dir=memory(), prefix="hushmeter-") as name:
        concentrator = Concentrator(Path(name) / LEDGER, planted.ledger(plant))
        try:
            _flood(concentrator, Random(seed), frames, tally)  # noqa: S311 - a seed makes a run again
        except (sqlite3.Error, ValueError, AssertionError, LookupError, TypeError, struct.error) as error:
            tally.breaks(f"{type(error).__name__} out of the reception: {error}")
        finally:
            concentrator.ledger.close()
    if tally.off:
        tally.words = [f"frames {seed}: {word}" for word in tally.words]
    return tally


def _flood(concentrator: Concentrator, chance: Random, frames: int, tally: Tally) -> None:
    homes = [Home(index) for index in range(HOMES)]
    concentrator.enrol(homes)
    honest = [home.measure(start, chance) for start in range(START, UNTIL, INTERVAL_S) for home in homes]
    # Authentic and useless, under the greatest counter there is: a register of counters would now shut the home out.
    huge = [home.seal(wire.READING, b"no reading", START, counter=HUGE) for home in homes]
    chance.shuffle(honest)
    half = len(honest) // 2
    now = UNTIL
    answers = concentrator.take([each.frame for each in (*huge, *honest[:half])], now)
    hostile = Hostile(chance, [each.frame for each in honest[:half]], [each.frame for each in honest[half:]], answers)
    before = concentrator.sums()
    while tally.frames < frames:
        batch = [hostile.make() for _ in range(min(BATCH, frames - tally.frames))]
        stored = _stored(concentrator, homes, [frame for _, frame in batch], now)
        tally.frames += len(batch)
        if stored:
            tally.mutated += stored
            tally.words.append(f"{stored} had another verdict than that they are known")
    if concentrator.sums() != before:
        tally.mutated = max(tally.mutated, 1)
        tally.words.append("the ledger's tables moved")
    _honest(concentrator, homes, honest[half:], now, tally)
    tally.acknowledged += len(honest)
    utility = Utility()
    concentrator.closing.close((now + GRACE_S) * 1000)
    while concentrator.upload(utility):
        pass
    found = differences(utility, homes, UNTIL)
    tally.mwh_off += found.mwh_off
    tally.twice += found.twice
    tally.lost += found.missing
    tally.words += found.words[:3]


def _stored(concentrator: Concentrator, homes: list[Home], frames: list[bytes], now: int) -> int:
    """Return how many verdicts say anything but that a frame is known."""
    answers = concentrator.take(frames, now)
    verdicts = [verdict for answer in answers for home in homes for verdict in home.answered(answer).values()]
    return sum(verdict != wire.DUPLICATE for verdict in verdicts)


def _honest(concentrator: Concentrator, homes: list[Home], frames: list[Sealed], now: int, tally: Tally) -> None:
    answers = concentrator.take([each.frame for each in frames], now)
    for each in frames:
        if verdict_of(each, answers, homes) != wire.STORED:
            tally.shut_out += 1
            tally.words.append("an honest frame behind the flood was not taken")
