"""A billing run against a real key holder: its gate, opening, proofs and durable commits, in this process."""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mdms.asking import portions
from mdms.keyholder.gate import Gate, Policy
from mdms.keyholder.holder import KeyHolder
from mdms.keyholder.keyring import hold
from mdms.keyholder.log_file import LogFile
from mdms.keyholder.messages import Item, items_request, parse_answers
from mdms.keyholder.state import State
from mdms.keyholder.verifying import Verifier, cores, verifying_processes
from mdms.periods import parse_periods
from paillier.private.key import PrivateKey
from protocol.documents import generate_signing_key

from .street import DAYS, DEPLOYMENT, MONTH, WINDOWS, Street

CLIENTS = 2  # connections that ask at once
ROUND = 8  # requests that are made beforehand: the rest would fill the memory
AFTER = MONTH + (DAYS + 1) * 86_400
BANDS = 3
K = 10


class WrongAnswer(Exception):
    """The key holder did not open what was encrypted."""


class _Afterwards:
    """The day after the month."""

    def now_ms(self) -> int:
        return AFTER * 1000


@dataclass(frozen=True)
class Measurement:
    """A run over so many bills and requests: seconds on the wall, and of CPU time on all cores together."""

    bills: int
    windows: int
    sums: int
    requests: int
    seconds: float
    cpu_s: float


def measure(key: PrivateKey, street: Street, done: Callable[[int], None]) -> Measurement:
    """Have every bill of a street opened, a request after the other; ``done`` is told how many.

    What is timed: from a request's bytes to its answer's. Making requests and checking answers are not.
    Raises WrongAnswer.
    """
    sums = requests = bills = 0
    seconds = own_s = 0.0
    before = _cpu_of(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_:
        holder = _holder(Path(folder), key, street, open_)
        clients = open_.enter_context(ThreadPoolExecutor(CLIENTS))
        asked = portions(street.bills(), _content)
        while several := list(islice(asked, ROUND)):
            messages = [items_request([item for item, _ in one]) for one in several]
            started, cpu = time.perf_counter(), _cpu_of(resource.RUSAGE_SELF)
            answers = list(clients.map(holder.answer, messages))
            seconds += time.perf_counter() - started
            own_s += _cpu_of(resource.RUSAGE_SELF) - cpu
            for answer, one in zip(answers, several, strict=True):
                sums += sum(_checked(answer, one))
                bills += len(one)
                done(len(one))
            requests += len(several)
    # The verifying processes have ended; starting them is in it.
    cpu_s = own_s + _cpu_of(resource.RUSAGE_CHILDREN) - before
    return Measurement(bills, bills * WINDOWS, sums, requests, seconds, cpu_s)


def _holder(folder: Path, key: PrivateKey, street: Street, open_: ExitStack) -> KeyHolder:
    state = State(folder / "keyholder.sqlite3")
    open_.callback(state.close)
    tariffs = street.tariffs()
    book = street.book()
    gate = Gate(Policy(K, parse_periods("month")), book, DEPLOYMENT, tariffs)
    workers = open_.enter_context(verifying_processes(cores()))
    verifier = Verifier(book, DEPLOYMENT, workers)
    keyring = {key.public.fingerprint: hold(key)}
    log_file = LogFile(folder / "release-log.jsonl", state)
    clock: Any = _Afterwards()
    return KeyHolder(gate, keyring, state, log_file, generate_signing_key(), DEPLOYMENT, clock, verifier)


def _checked(message: bytes, several: list[tuple[Item, tuple[int, int]]]) -> Iterator[int]:
    """Yield how many sums each answer has, all of them right."""
    for answer, (_, energies) in zip(parse_answers(message, len(several)), several, strict=True):
        told = json.loads(answer)
        if told["status"] != "released" or (told["import_mwh"], told["export_mwh"]) != energies:
            raise WrongAnswer(f"a bill was answered {told['status']}, or with other energies than were encrypted")
        if len(told["sums"]) != BANDS or not all(one.get("root") for one in told["sums"]):
            raise WrongAnswer("a bill is not of three proved sums")
        yield len(told["sums"])


def _content(bill: tuple[Item, tuple[int, int]]) -> int:
    assert bill[0].bill is not None, "every item is a bill"
    return sum(len(document.content) for document in bill[0].bill.windows)


def _cpu_of(whom: int) -> float:
    used = resource.getrusage(whom)
    return used.ru_utime + used.ru_stime
