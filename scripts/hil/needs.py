"""What a machine needs to build and run the emulated boards, and what to type where something is missing."""

import shutil
from pathlib import Path

# program -> the Debian package that has it
PROGRAMS = {
    "make": "build-essential",
    "gcc": "build-essential",
    "cmake": "cmake",
    "dpkg-source": "dpkg-dev",
    "apt-get": "apt",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-g++": "gcc-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "node": "nodejs",
    "npm": "npm",
}
# Libraries for the bare ARM: the compiler is there without them, and fails late.
FILES = {
    "/usr/include/newlib/stdio.h": "libnewlib-arm-none-eabi",
    "/usr/include/newlib/c++": "libstdc++-arm-none-eabi-newlib",
}
EMULATOR = Path("node_modules/rp2040js/package.json")


class Missing(Exception):
    """A board cannot be had here; the message says what is missing and how to get it."""


def missing_packages() -> dict[str, str]:
    """Return {what is missing: the Debian package that has it}."""
    programs = {name: package for name, package in PROGRAMS.items() if shutil.which(name) is None}
    return programs | {name: package for name, package in FILES.items() if not Path(name).exists()}


def check_machine(root: Path) -> None:
    """Raise Missing unless everything is there; ``root`` is the project's folder."""
    missing = missing_packages()
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise Missing(
            f"the emulated boards need {', '.join(missing)};"
            f" as root: apt-get install --no-install-recommends {packages}"
        )
    if not (root / EMULATOR).exists():
        raise Missing("the emulated RP2040 needs npm's package rp2040js; in the project's folder: npm ci")
