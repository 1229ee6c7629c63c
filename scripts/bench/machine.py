"""What the run was made on: a ratio holds for the machine and the versions that stand beside it."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import gmpy2
from phe import util

from .timing import ALLOWED

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """The processor and the versions."""

    processor: str
    cores: int
    versions: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions)
        return f"{self.processor}, {self.cores} cores; {versions}"


def this_machine(peers: list[tuple[str, str]]) -> Machine:
    """Return what this process runs on; ``peers``: names and versions."""
    versions = [
        ("Python", platform.python_version()),
        ("gmpy2", gmpy2.version()),
        ("GMP", gmpy2.mp_version().removeprefix("GMP ")),
        ("cryptography", metadata.version("cryptography")),
        *((name, version + ("" if name != "phe" or util.HAVE_GMP else " without gmpy2")) for name, version in peers),
    ]
    return Machine(_processor(), len(ALLOWED) or 1, tuple(versions))


def _processor() -> str:
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    # "Model" is what a Raspberry Pi calls itself; there is no "model name" on ARM.
    names = (re.search(rf"^{name}\s*:\s*(.+)$", text, re.M) for name in ("model name", "Model"))
    found = next((match[1].strip() for match in names if match), None)
    return found or platform.processor() or platform.machine()
