"""A run as parts that other processes do, each with a seed of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import NamedTuple

from .failures import fail
from .frames import flood
from .kills import kill
from .power_cuts import cut_power
from .tally import Tally

KILLS, POWER_CUTS, FRAMES, FAILURES = "kills", "power cuts", "frames", "failures"
# How many each part holds: one street's life, one day, one ledger, one day lived again and again.
MOST = {KILLS: 20, POWER_CUTS: 25, FRAMES: 20_000, FAILURES: 100}
DO: dict[str, Callable[[str, int, str], Tally]] = {
    KILLS: kill,
    POWER_CUTS: cut_power,
    FRAMES: flood,
    FAILURES: fail,
}


class Part(NamedTuple):
    """A part of a run: what, how many, by which seed, with which planted bug."""

    kind: str
    number: int
    seed: str
    plant: str


def parts(kind: str, number: int, seed: int, plant: str = "") -> Iterator[Part]:
    """Divide a number into parts."""
    for index, first in enumerate(range(0, number, MOST[kind])):
        yield Part(kind, min(MOST[kind], number - first), f"{seed}/{index}", plant)


def do(part: Part) -> Tally:
    """Do one part."""
    return DO[part.kind](part.seed, part.number, part.plant)


def run(work: list[Part], jobs: int, done: Callable[[Part], None]) -> Tally:
    """Do every part, ``jobs`` processes at a time, and return the sum."""
    total = Tally()
    # Fresh processes: a copy of this one would take the terminal's threads along.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        doing: dict[Future[Tally], Part] = {pool.submit(do, part): part for part in work}
        for future in as_completed(doing):
            total.add(future.result())
            done(doing[future])
    return total
