"""Installs the concentrator on the machine that runs it: its code, an environment of its own, the systemd unit.

It runs before there is an environment, so it needs Python's standard library alone.
"""

import argparse
import compileall
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "gateway" / "operation" / "packaging"
LOCK = ROOT / "requirements.lock"
UNIT = "hushmeter-gateway.service"
ROOMS = ("protocol", "paillier", "gateway")
# What a concentrator must not have or does not need: the half of Paillier that decrypts, and what is installed here.
LEFT_OUT = shutil.ignore_patterns("__pycache__", "private", "packaging")
WRITTEN_PREFIX = "/opt/hushmeter"  # in the unit as it stands in the repository


class InstallError(Exception):
    """It cannot be installed; the message says why and what to do."""


def locked(lock: Path, names: list[str]) -> str:
    """Return the lines of a lock that are for these packages, hashes included; raises InstallError where one lacks."""
    blocks = {
        re.sub(r"[-_.]+", "-", block.split("==")[0]).lower(): block
        for block in re.findall(r"^[A-Za-z0-9][^\n]*(?:\n[ \t]+[^\n]*)*", lock.read_text(), re.M)
    }
    missing = [name for name in names if name not in blocks]
    if missing:
        raise InstallError(f"{lock.name} does not hold {', '.join(missing)}: run `make lock` where there is a network")
    return "".join(f"{blocks[name]}\n" for name in names)


def packages() -> list[str]:
    """Return the names of what the concentrator needs, and what that needs."""
    return (PACKAGING / "packages.txt").read_text().split()


def install_code(at: Path) -> None:
    """Put the rooms of the concentrator into ``at``; what was there before is replaced as a whole."""
    new = at.with_name(f"{at.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for room in ROOMS:
        shutil.copytree(ROOT / room, new / room, ignore=LEFT_OUT)
    shutil.copy2(ROOT / "LICENSE", new)
    compileall.compile_dir(new, quiet=1, stripdir=str(new))  # the service may not write here
    shutil.rmtree(at, ignore_errors=True)
    new.rename(at)


def install_packages(at: Path, wheels: Path | None) -> None:
    """Make a virtual environment of the locked packages; ``wheels``: from that folder, without a network."""
    requirements = locked(LOCK, packages())
    venv.create(at, with_pip=True, clear=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        source = ["--no-index", "--find-links", str(wheels)] if wheels else []
        command = [str(at / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        command += ["--require-hashes", "--only-binary=:all:", "--no-deps", *source, "-r", file.name]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            raise InstallError("the packages could not be installed: is there a network, or a folder for --wheels?")


def install_command(at: Path, prefix: str) -> None:
    """Put a command there that runs the installed code from any folder, and nothing of that folder."""
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(f'#!/bin/sh\nPYTHONPATH={prefix}/lib exec {prefix}/venv/bin/python -P -B -m gateway "$@"\n')
    at.chmod(0o755)


def install_unit(destination: Path, prefix: str) -> None:
    """Put the unit where systemd looks, and an example of the configuration where the unit expects one."""
    unit = (PACKAGING / UNIT).read_text().replace(WRITTEN_PREFIX, prefix)
    for place, name, text in (
        ("etc/systemd/system", UNIT, unit),
        ("etc/hushmeter", "gateway.toml.example", (PACKAGING / "gateway.toml").read_text()),
    ):
        folder = destination / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)


def make_parser() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", default=WRITTEN_PREFIX, help="where it goes (default: %(default)s)")
    parser.add_argument("--destdir", default="", help="a folder that stands for /, to make a package of")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels to install from, without a network")
    parser.add_argument("--without-packages", action="store_true", help="code, unit and example only")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    destination = Path(options.destdir or "/")
    home = destination / options.prefix.lstrip("/")
    try:
        if not options.prefix.startswith("/") or re.search(r"[\s%\\\"']", options.prefix):
            raise InstallError("--prefix must be an absolute path without spaces, quotes and %")
        home.mkdir(parents=True, exist_ok=True)
        if not options.without_packages:
            install_packages(home / "venv", options.wheels)
        install_code(home / "lib")
        prefix = options.prefix.rstrip("/")
        install_command(home / "bin" / "hushmeter-gateway", prefix)
        install_unit(destination, prefix)
    except (InstallError, OSError) as error:
        sys.exit(f"install_gateway: {error}")
    print(f"installed in {home}")
    print("next: write /etc/hushmeter/gateway.toml from the example beside it, encrypt the identity key as the unit")
    print(f"says, then systemctl daemon-reload && systemctl enable --now {UNIT.removesuffix('.service')}")


if __name__ == "__main__":
    main()
