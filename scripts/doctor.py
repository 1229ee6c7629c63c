"""Says how a meter is: `make doctor PORT=...`. A meter that runs answers without stopping.

One that does not answer is stopped for some seconds, looked at and started again, and that is said. No key and
nothing that was measured is printed, so that the answer can be shown to somebody else; the two cumulative registers,
which a meter shows to whoever stands before it, are printed when they are asked for.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from .flash import board, say
from .flash.port import NoMicroPython, Port, PortError

_ANSWERS_S = 8.0


def examine(port: Port, interrupt: bool, registers: bool) -> dict[str, Any]:
    """Return what there is to know. ``running``: whether the meter answered by itself; else ``stopped`` says more."""
    answer = port.ask("status", _ANSWERS_S)
    if answer is not None:
        found: dict[str, Any] = {"running": True, "status": answer}
        if registers:
            found["registers"] = port.ask("registers", _ANSWERS_S)
        return found
    if not interrupt:
        raise PortError(
            "the meter does not answer at its console; without --no-interrupt it is stopped, looked at and restarted"
        )
    try:
        port.interrupt(fresh=True)
        machine = board.probe(port).said
        held = board.look(port)
        test = board.selftest(port) if held.version else None
    finally:
        port.reset()
    return {"running": False, "machine": machine, "stopped": asdict(held), "selftest": test}


def lines(found: dict[str, Any]) -> list[str]:
    """Return what is said to a person."""
    if found["running"]:
        rows = say.status_lines(found["status"])
        if found.get("registers"):
            rows += [(name, f"{mwh / 1e6:.3f} kWh ({mwh} mWh)") for name, mwh in _registers(found["registers"])]
        return [f"{name:<12} {how}" for name, how in rows]
    held = board.Held(**found["stopped"])
    said = ["it did not answer while it ran: it was stopped, looked at, and started again", found["machine"]]
    said += say.held_lines(held)
    if found["selftest"]:
        said += [f"{name:<12} {how}" for name, how in say.selftest_lines(found["selftest"], held)]
    if held.version and not held.enrolled:
        said.append("next: enrol it (docs/how-to/enrol-a-meter.md)")
    elif held.version is None:
        said.append("next: make flash")
    return said


def _registers(found: dict[str, int]) -> list[tuple[str, int]]:
    return [("import", found["import_mwh"]), ("export", found["export_mwh"])]


@click.command()
@click.option("--port", "device", required=True, help="The meter's serial port, such as /dev/ttyUSB0.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--registers", is_flag=True, help="The two energy registers too: they are the household's.")
@click.option("--no-interrupt", is_flag=True, help="Never stop the meter, even if it does not answer.")
def main(device: str, as_json: bool, registers: bool, no_interrupt: bool) -> None:
    """Say how a meter is, without stopping it where it answers."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        with Port(device) as port:
            found = examine(port, not no_interrupt, registers)
    except NoMicroPython as error:
        console.print(f"doctor: {error}; make flash says how to put it there")
        sys.exit(2)
    except PortError as error:
        console.print(f"doctor: {error}")
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(found))
        return
    for line in lines(found):
        click.echo(line)


if __name__ == "__main__":
    main()
