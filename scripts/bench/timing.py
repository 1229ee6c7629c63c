"""How things are timed. Strategy: what stands side by side is timed in turn.

A round times one batch of each contender of a group, then comes the next round, so that whatever else the machine
does falls on all of them alike. Rule 1: nothing is timed before its result was checked. Rule 2: a batch is long
enough that the clock does not matter. `one_core` goes around a whole run, setting up included: threads that a
library starts on the way then stay on that core as well.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import repeat

from .rows import Measured

CALIBRATION_GROWTH = 4
SLOW_BATCH_S = 0.1
SLOW_ROUNDS = 5  # of a contender whose batch takes longer than that: its noise is averaged within the batch


class WrongAnswer(Exception):
    """A contender's result is wrong: its time would mean nothing. The message names the contender."""


@dataclass(frozen=True)
class Contender:
    """One implementation's way to do one operation.

    Attributes:
      call: does the work once; what is timed.
      check: does it once and returns whether the result is right, seen by other code than the timed one.
      values: how many results a call yields; the time is divided by it. Below 1 where a call does a part.
      before: runs untimed before each batch with the number of calls to come.
      most_calls: the most calls in a batch; None: as many as fill it.
      every_core: timed on all cores that the process may use instead of one.
    """

    operation: str
    mode: str
    implementation: str
    call: Callable[[], object]
    check: Callable[[], bool]
    values: float = 1
    before: Callable[[int], object] | None = None
    most_calls: int | None = None
    every_core: bool = False

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.implementation} {self.operation} ({self.mode})"


def verify(contender: Contender) -> None:
    """Raise WrongAnswer unless a contender's result is right."""
    try:
        right = contender.check()
    except Exception as error:
        raise WrongAnswer(f"{contender.name}: {type(error).__name__}: {error}") from error
    if not right:
        raise WrongAnswer(f"{contender.name}: the result is wrong")


def measure(
    group: Sequence[Contender],
    bits: int,
    batches: int,
    batch_s: float,
    on_batch: Callable[[Contender], object] = lambda _: None,
    without: Callable[[Contender, WrongAnswer], bool] = lambda _contender, _error: False,
) -> list[Measured]:
    """Check a group of contenders, then time them in turn, ``batches`` rounds of about ``batch_s`` seconds each.

    ``without`` is asked whether to go on without one whose result is wrong; otherwise its WrongAnswer is raised.
    """
    group = [contender for contender in group if _is_right(contender, without)]
    calls = [calls_of_batch(contender, batch_s) for contender in group]
    samples: list[list[float]] = [[] for _ in group]
    for turn in range(batches):
        for contender, number, times in zip(group, calls, samples, strict=True):
            if turn < SLOW_ROUNDS or min(times) * number * contender.values < SLOW_BATCH_S * 1e6:
                times.append(batch_seconds(contender, number) * 1e6 / (number * contender.values))
            on_batch(contender)
    return [
        Measured(contender.operation, contender.mode, bits, contender.implementation, tuple(times))
        for contender, times in zip(group, samples, strict=True)
    ]


def _is_right(contender: Contender, without: Callable[[Contender, WrongAnswer], bool]) -> bool:
    try:
        verify(contender)
    except WrongAnswer as error:
        if not without(contender, error):
            raise
        return False
    return True


def calls_of_batch(contender: Contender, batch_s: float) -> int:
    """Return how many calls make a batch of about ``batch_s`` seconds."""
    most = contender.most_calls
    number = 1
    while most is None or number < most:
        seconds = batch_seconds(contender, number)
        if seconds >= batch_s / CALIBRATION_GROWTH:
            number = max(1, round(number * batch_s / seconds))
            break
        number *= CALIBRATION_GROWTH
    return number if most is None else min(number, most)


def batch_seconds(contender: Contender, number: int) -> float:
    """Return the seconds that so many calls take, without the garbage collector."""
    if contender.before is not None:
        contender.before(number)
    call = contender.call
    gc.collect(0)
    gc.disable()
    try:
        with every_core() if contender.every_core else nullcontext():
            start = time.perf_counter()
            for _ in repeat(None, number):
                call()
            return time.perf_counter() - start
    finally:
        gc.enable()


# --- Cores ------------------------------------------------------------------------------------------------------

HAS_AFFINITY = hasattr(os, "sched_setaffinity")
ALLOWED: frozenset[int] = frozenset(os.sched_getaffinity(0)) if HAS_AFFINITY else frozenset()


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and threads that it starts, on one core: the last, for the first serves interrupts."""
    with _on({max(ALLOWED)} if ALLOWED else set()):
        yield


@contextmanager
def every_core() -> Iterator[None]:
    """Let this thread run on every core that the process was given."""
    with _on(set(ALLOWED)):
        yield


def use_every_core() -> None:
    """Let the calling thread run on every core: for threads that were started from a pinned one."""
    if HAS_AFFINITY:
        os.sched_setaffinity(0, ALLOWED)


@contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    if not HAS_AFFINITY:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
