"""Hands an enrolment to the meter on a port: its keys go over the line, and into no file and no argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import board, say
from .port import Port, PortError

_STARTS_S = 25.0


@contextmanager
def meter_on(device: str, replace: bool, tell: Callable[[str], None]) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Stop the meter on a port for an enrolment; yields what stores it there, and starts the meter again behind it.

    Raises PortError before anything is stored where there is no firmware, or another enrolment without ``replace``.
    What is raised once the keys are in says that they are.
    """
    with Port(device) as port:
        port.interrupt(fresh=True)
        stored = False
        try:
            board.probe(port)
            _check(board.look(port), replace)

            def deliver(provisioning: dict[str, Any]) -> None:
                nonlocal stored
                title = board.enrol(port, provisioning, replace)
                stored = True
                held = board.look(port)
                if held.title != title or held.keys != "whole":
                    raise PortError("the meter does not hold what it was given: run the same command again")

            yield deliver
        except Exception:
            if stored:
                tell(
                    "the meter holds keys that nobody else has: enrol it again with --replace-enrolment, once what "
                    "follows is put right"
                )
            raise
        finally:
            port.reset()
        answer = port.ask("status", _STARTS_S)
        if answer is None:
            raise PortError("the enrolment is complete, and the meter does not answer after its restart: make doctor")
        tell(f"meter {answer['title']} runs firmware {answer['version']}")


def _check(held: board.Held, replace: bool) -> None:
    if held.version is None:
        raise PortError("there is no Hushmeter on this board yet: make flash first")
    if held.enrolled and not replace:
        raise PortError(
            f"this is an enrolled meter, and nothing was changed. A new enrolment would lose\n  {say.lost(held)}\n"
            "To do that, say --replace-enrolment"
        )
