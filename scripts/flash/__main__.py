"""Puts the firmware onto a board: `make flash PORT=...`. What a meter keeps, it keeps.

A board without an enrolment becomes one that waits for it; an enrolled meter is updated and goes on: keys, registers,
counters and frames stay. Secrets (an enrolment, a Wi-Fi password) go over the serial line only: not into arguments,
not into output.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from . import board, install, say
from .board import Held
from .port import NoMicroPython, Port, PortError

_STARTS_S = 25.0  # until a meter that was restarted answers at its console


@dataclass(frozen=True)
class Plan:
    """What to do besides installing. ``enrolment``: a file that is erased once the meter holds it."""

    configuration: dict[str, Any] | None = None
    password: Callable[[], str] | str | None = None
    enrolment: Path | None = None
    replace: bool = False


def flash(port: Port, plan: Plan, tell: Callable[[str], None]) -> bool:
    """Install, check and start. Returns whether all is well; raises PortError, and then says what state it is in."""
    enrolment = read_enrolment(plan.enrolment) if plan.enrolment else None
    port.interrupt(fresh=True)
    machine = board.probe(port)
    tell(machine.said)
    before = board.look(port)
    for line in say.held_lines(before):
        tell(line)
    _refuse_to_lose(port, before, enrolment, plan.replace)
    kept = install.park(port)
    if kept:
        tell(f"another program's main.py was there: it is kept as {kept}")
    try:
        install.install(port, machine.march, lambda place: tell(f"  {place}"))
        after = _configured_and_enrolled(port, plan, enrolment, before, tell)
        sound = _tested(port, after, tell)
        if sound:
            install.release(port)
    except PortError as error:
        raise PortError(
            f"{error}\nthe meter is stopped and starts no half-installed firmware; what it keeps is untouched. "
            "Run the same command again"
        ) from None
    if not sound:
        tell("the meter is NOT started: what is marked WRONG above must be right first")
        return False
    return _started(port, after, tell)


def read_enrolment(path: Path) -> dict[str, Any]:
    """Return a meter's file as scripts.enrol wrote it; raises PortError without a word of what is in it."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise PortError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise PortError(f"{path} is no enrolment: it is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("system_title"), str):
        raise PortError(f"{path} is no enrolment: it names no system_title")
    return found


def erase(path: Path) -> None:
    """Overwrite a file and remove it. What a journal or an SSD keeps of it is out of reach."""
    length = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(length))
        file.flush()
    path.unlink()


def _refuse_to_lose(port: Port, held: Held, enrolment: dict[str, Any] | None, replace: bool) -> None:
    if enrolment is None or not held.enrolled or held.title == enrolment["system_title"].lower() or replace:
        return
    port.reset()
    raise PortError(
        f"this is an enrolled meter, and nothing was changed. A new enrolment would lose\n  {say.lost(held)}\n"
        "To do that, say --replace-enrolment. To update its firmware only, leave the enrolment out"
    )


def _configured_and_enrolled(
    port: Port, plan: Plan, enrolment: dict[str, Any] | None, before: Held, tell: Callable[[str], None]
) -> Held:
    if plan.configuration is not None:
        board.configure(port, plan.configuration, _password(plan, before))
        tell("the configuration is stored")
    if enrolment is not None and plan.enrolment is not None:
        title = board.enrol(port, enrolment, plan.replace)
        erase(plan.enrolment)
        tell(f"it holds the keys of meter {title}; {plan.enrolment} is erased")
    after = board.look(port)
    if before.enrolled and not plan.replace:
        _check_kept(before, after)
        tell(f"kept: the keys of {after.title}, its registers and counters, {after.waiting} frames")
    return after


def _password(plan: Plan, before: Held) -> str | None:
    """Return the Wi-Fi password to store, or None: the one that is there stays."""
    if plan.configuration is None or not plan.configuration.get("wifi_name"):
        return None
    if not callable(plan.password):
        return plan.password
    known = before.password and before.wifi_name == plan.configuration["wifi_name"]
    return None if known else plan.password()


def _check_kept(before: Held, after: Held) -> None:
    for name in ("title", "keys", "waiting", "registers", "counter"):
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            raise PortError(f"the update changed what the meter keeps: {name} was {was} and is {now}; do not start it")


def _tested(port: Port, held: Held, tell: Callable[[str], None]) -> bool:
    found = board.selftest(port)
    for name, how in say.selftest_lines(found, held):
        tell(f"  {name:<12} {how}")
    return bool(found["sealing"] and found["storage"])


def _started(port: Port, held: Held, tell: Callable[[str], None]) -> bool:
    port.reset()
    if not held.enrolled:
        tell("the firmware is on the board. It is no meter yet: enrol it (docs/how-to/enrol-a-meter.md)")
        return True
    answer = port.ask("status", _STARTS_S)
    if answer is None:
        tell("the meter was restarted and does not answer: make doctor says more")
        return False
    tell(f"meter {answer['title']} runs firmware {answer['version']}")
    if not held.configured:
        tell("it is not configured: it keeps what it has to report until --configuration gives it a line")
    return True


def _read_configuration(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PortError(f"{path} cannot be read as TOML: {error}") from None


def _ask_password() -> str:
    return str(click.prompt("Wi-Fi password (not shown)", hide_input=True))


@click.command()
@click.option("--port", "device", required=True, help="The board's serial port, such as /dev/ttyUSB0.")
@click.option("--configuration", type=click.Path(path_type=Path, exists=True), help="TOML; else what it has stays.")
@click.option("--wifi-password-file", type=click.Path(path_type=Path, exists=True), help="Otherwise it is asked for.")
@click.option("--enrolment", type=click.Path(path_type=Path, exists=True), help="A meter's file; erased when it is in.")
@click.option("--replace-enrolment", is_flag=True, help="Give up the meter that it is: keys, registers, frames.")
def main(
    device: str,
    configuration: Path | None,
    wifi_password_file: Path | None,
    enrolment: Path | None,
    replace_enrolment: bool,
) -> None:
    """Install the firmware on a board, test it and start it; an enrolled meter keeps all that is its own."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        if replace_enrolment and enrolment is None:
            raise PortError("--replace-enrolment needs --enrolment: what takes the old one's place")
        password = wifi_password_file.read_text().rstrip("\n") if wifi_password_file else _ask_password
        values = _read_configuration(configuration) if configuration else None
        with Port(device) as port:
            sound = flash(port, Plan(values, password, enrolment, replace_enrolment), console.print)
    except NoMicroPython:
        least = ".".join(map(str, board.LEAST_VERSION))
        console.print("flash: " + say.NO_MICROPYTHON.format(device=device, least=least))
        sys.exit(2)
    except (PortError, OSError) as error:
        console.print(f"flash: {error}")
        sys.exit(2)
    if not sound:
        sys.exit(1)


if __name__ == "__main__":
    main()
