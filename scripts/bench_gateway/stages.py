"""The daemon under timers: `python -m scripts.bench_gateway.stages FILE run --config ...`.

Every function of the ledger's thread that belongs to a stage is wrapped; what it calls of another stage is taken out
of its time. The timers themselves cost some microseconds a call, so what counts here are shares, and rates are
measured without them. A function that is not there any more stops the daemon at its start: a profile must not lie.
"""

from __future__ import annotations

import functools
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import iter_modules
from types import FunctionType
from typing import Any

import msgspec

import paillier
from gateway import __main__ as gateway
from gateway import counting, holdings
from gateway.aggregate import DataAggregator
from gateway.answers import Answers
from gateway.closing import Closing
from gateway.encryption import PaillierEncryption
from gateway.intake import DataDecryption
from gateway.ledger import Ledger
from gateway.reception import Reception
from gateway.service import Service

LINK = "link"
OPEN = "open"
ENCRYPT = "encrypt"
ADD = "add"
ENCODE = "encode"
LEDGER = "ledger"
COMMIT = "commit"
ACK = "ack"
JUDGE = "judge"
CLOSE = "close"

FUNCTIONS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    (JUDGE, Reception, ("take",)),
    (OPEN, DataDecryption, ("header", "open")),
    (ENCRYPT, PaillierEncryption, ("encrypt", "encrypt_slots", "rerandomise", "accumulator", "message", "prepare")),
    (ENCRYPT, paillier.Accumulator, ("fold", "emit", "close")),
    (ADD, DataAggregator, ("add_to_load", "count", "hold_back", "seal")),
    (ACK, Answers, ("acks", "to_hello")),
    (CLOSE, Closing, ("close", "close_segments")),
)
NOT_STATEMENTS = ("transaction", "close", "tag")
HOLDINGS = [importlib.import_module(f"{holdings.__name__}.{each.name}") for each in iter_modules(holdings.__path__)]


class Stage(msgspec.Struct):
    """A stage and what it took: CPU and wall seconds of its thread, and how often it was entered."""

    name: str
    cpu_s: float = 0.0
    wall_s: float = 0.0
    calls: int = 0


class Stages:
    """Timers of one thread, nested: a stage's time is its own."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self._stack: list[str] = []
        self._cpu_s = self._wall_s = 0.0

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Count what happens inside to a stage."""
        self._turn()
        self._stack.append(name)
        self.stages.setdefault(name, Stage(name)).calls += 1
        try:
            yield
        finally:
            self._turn()
            self._stack.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function under a stage's timer."""

        @functools.wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if self._stack and self._stack[-1] == name:
                return function(*arguments, **named)
            with self.within(name):
                return function(*arguments, **named)

        return wrapped

    def _turn(self) -> None:
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        if self._stack:
            stage = self.stages[self._stack[-1]]
            stage.cpu_s += cpu_s - self._cpu_s
            stage.wall_s += wall_s - self._wall_s
        self._cpu_s, self._wall_s = cpu_s, wall_s


def install(stages: Stages) -> None:
    """Put every stage's functions under timers."""
    for name, owner, functions in FUNCTIONS:
        for function in functions:
            setattr(owner, function, stages.timed(name, getattr(owner, function)))
    for owner in (Ledger, *HOLDINGS):
        for function in _statements(owner):
            setattr(owner, function, stages.timed(LEDGER, getattr(owner, function)))
    for function in ("to_bytes", "from_bytes"):
        setattr(paillier, function, stages.timed(ENCODE, getattr(paillier, function)))
    setattr(Ledger, "transaction", _transaction(stages, Ledger.transaction))  # noqa: B010 - a method is replaced
    assert counting.paillier is paillier, "its ciphertexts are encoded by what was wrapped"  # type: ignore[attr-defined]


def _statements(owner: Any) -> list[str]:
    """Return the public functions of the ledger, or of a module of what it holds, that run statements."""
    functions = [name for name, each in vars(owner).items() if isinstance(each, FunctionType)]
    return [name for name in functions if not name.startswith("_") and name not in NOT_STATEMENTS]


def _transaction(stages: Stages, original: Callable[[Ledger], Any]) -> Callable[[Ledger], Any]:
    @contextmanager
    def transaction(ledger: Ledger) -> Iterator[None]:
        manager = original(ledger)
        manager.__enter__()
        try:
            yield
        except BaseException:
            if not manager.__exit__(*sys.exc_info()):
                raise
        else:
            with stages.within(COMMIT):
                manager.__exit__(None, None, None)

    return transaction


def main() -> None:
    """Run the daemon's own command line under timers, and write what they say when it ends."""
    out = Path(sys.argv.pop(1))
    stages = Stages()
    run = Service.run

    async def timed_run(*arguments: Any) -> None:
        install(stages)  # here: what happened before, the meters' enrolment above all, is no stage
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        try:
            await run(*arguments)
        finally:
            link = Stage(LINK, time.thread_time() - cpu_s, time.perf_counter() - wall_s, 1)
            out.write_bytes(msgspec.json.encode([link, *stages.stages.values()]))

    setattr(Service, "run", timed_run)  # noqa: B010 - a method is replaced
    gateway.main()


if __name__ == "__main__":
    main()
