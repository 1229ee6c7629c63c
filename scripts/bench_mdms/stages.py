"""The server under timers: `python -m scripts.bench_mdms.stages FILE serve --config ...`.

A stage's time is its thread's CPU time. What the stages leave of the whole process is HTTP and JSON. A function that
is not there any more stops the server at its start: a profile must not lie.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from mdms.__main__ import cli
from mdms.ingest import judgement, routes

SIGNATURE = "signature"
VALIDATION = "validation"
DATABASE = "database"
# By module and name: its stage, and the stage that it runs inside of.
FUNCTIONS: tuple[tuple[ModuleType, str, str, str | None], ...] = (
    (judgement, "verified_content", SIGNATURE, VALIDATION),
    (routes, "judge", VALIDATION, None),
    (routes, "admit", DATABASE, None),
)

_lock = threading.Lock()
_spent: dict[str, float] = {}


def timed(name: str, function: Callable[..., Any], inside: str | None = None) -> Callable[..., Any]:
    """Return a function that adds what it takes to a stage, and takes it out of the stage around it."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            took = time.thread_time() - began
            with _lock:
                _spent[name] = _spent.get(name, 0.0) + took
                if inside is not None:
                    _spent[inside] = _spent.get(inside, 0.0) - took

    return run


def main() -> None:
    """Run `mdms` under timers and write {stage: CPU seconds} when it ends."""
    file = Path(sys.argv[1])
    for module, name, stage, inside in FUNCTIONS:
        setattr(module, name, timed(stage, getattr(module, name), inside))
    try:
        cli(sys.argv[2:], standalone_mode=False)
    finally:
        file.write_bytes(msgspec.json.encode(_spent))


if __name__ == "__main__":
    main()
