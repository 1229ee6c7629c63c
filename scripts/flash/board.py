"""What a stopped board is asked and told: small pieces of code for its interpreter, the answers as objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .port import Port, PortError

LEAST_VERSION = (1, 23)
PLATFORMS = ("esp32", "rp2", "linux")  # those that have a file in firmware/board
# Behind MPY_VERSION and its sub-version, sys.implementation._mpy says the processor (py/persistentcode.h).
_MPY_VERSION = 6
_PROCESSORS = (
    "",
    "x86",
    "x64",
    "armv6",
    "armv6m",
    "armv7m",
    "armv7em",
    "armv7emsp",
    "armv7emdp",
    "xtensa",
    "xtensawin",
)
_PROBE = """import json, sys
of = sys.implementation
print(json.dumps({"name": of.name, "version": list(of.version[:3]), "platform": sys.platform,
    "machine": getattr(of, "_machine", sys.platform), "mpy": getattr(of, "_mpy", 0)}))
"""
_LOOK = """try:
    from firmware import console
except ImportError as error:
    print('{"version": null}')
else:
    console.look()
"""


@dataclass(frozen=True)
class Held:
    """What a board keeps: the firmware's version (None: none), whose meter it is, what waits.

    ``keys``: none, whole or damaged. ``waiting``: frames; None: the store cannot be read, or there is no firmware to
    read it. ``registers``: whether any were begun.
    """

    version: str | None
    title: str | None = None
    keys: str = "none"
    waiting: int | None = None
    registers: bool | None = None
    counter: bool = False
    configured: bool = False
    wifi_name: str = ""
    password: bool = False
    trouble: str | None = None

    @property
    def enrolled(self) -> bool:
        """Whether there is an enrolment to lose."""
        return self.keys != "none"


@dataclass(frozen=True)
class Machine:
    """What a board is, for a person, and what its code is compiled for: mpy-cross's name of its processor, or None."""

    said: str
    march: str | None


def probe(port: Port) -> Machine:
    """Return what answers; raises PortError for an interpreter that is too old or another."""
    found = port.told(_PROBE)
    version = tuple(found["version"])
    said = f"{found['name']} {'.'.join(map(str, version))} on {found['machine']}"
    if found["name"] != "micropython" or version < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise PortError(f"{said}: the meter needs MicroPython {least} or later; put a newer one on the board first")
    if found["platform"] not in PLATFORMS:
        raise PortError(f"{said}: there is no board file for {found['platform']} in firmware/board")
    return Machine(said, _march(found["mpy"]))


def _march(mpy: int) -> str | None:
    """Return the processor, or None where this mpy-cross's files are not its own: then it gets the source."""
    processor = mpy >> 10
    if mpy & 0xFF != _MPY_VERSION or not 0 < processor < len(_PROCESSORS):
        return None
    return _PROCESSORS[processor]


def look(port: Port) -> Held:
    """Return what the board keeps, as its own firmware reads it; raises PortError where that fails."""
    found = port.told(_LOOK)
    return Held(**{key: found[key] for key in Held.__dataclass_fields__ if key in found})


def configure(port: Port, values: dict[str, Any], password: str | None) -> None:
    """Store a configuration; raises PortError with the board's reason where it refuses it."""
    said = port.told(f"from firmware import console\nconsole.configure({json.dumps(values)!r}, {password!r})")
    if "refused" in said:
        raise PortError(f"the meter refuses the configuration and keeps what it had: {said['refused']}")


def enrol(port: Port, provisioning: dict[str, Any], replace: bool) -> str:
    """Store an enrolment; returns its system title in hex. Raises PortError with the board's reason."""
    said = port.told(f"from firmware import console\nconsole.enrol({json.dumps(provisioning)!r}, {replace})", 60)
    if "refused" in said:
        raise PortError(f"the meter refuses the enrolment: {said['refused']}")
    return str(said["title"])


def selftest(port: Port) -> dict[str, Any]:
    """Return what the board's self-test saw."""
    return port.told("from firmware import console\nconsole.selftest()", 60)
