"""Makes the userland of a 64-bit Raspberry Pi OS in a folder: Debian's Python, the concentrator's wheels, an emulator.

Everything comes by package: Debian 12 for arm64 from where this machine's apt gets its own, resolved in a view of apt
that knows nothing of what is installed here; the wheels by the lock, with their hashes; Debian's QEMU. Nothing is
installed and no root is needed. A program is run by ``FOLDER/python``; what it starts itself is not emulated. Needs
Debian 12 and a network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from .arm64_wheels import PLATFORMS
from .install_gateway import LOCK, InstallError, locked, packages

SETTINGS = """\
APT::Architecture "{architecture}"; APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false"; Debug::NoLocking "true"; APT::Sandbox::User "";
Dir::State "{at}/state"; Dir::State::status "{at}/status"; Dir::Cache "{at}/cache";
"""
WRAPPER = """\
#!/bin/sh
# Python 3.11 of Debian for arm64, with the concentrator's packages.
export PYTHONPATH="{at}/site${{PYTHONPATH:+:$PYTHONPATH}}"
exec "{at}/emulator/usr/bin/qemu-aarch64-static" -L "{at}/userland" "{at}/userland/usr/bin/python3.11" "$@"
"""


def run(command: list[str], **environment: str) -> None:
    """Run a command; raises InstallError with its words where it fails."""
    done = subprocess.run(  # noqa: S603
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InstallError(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip()[-500:]}")


def unpack(names: list[str], architecture: str, at: Path, into: Path) -> None:
    """Fetch packages of an architecture with all that they need, and unpack them into a folder."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (at / folder).mkdir(parents=True, exist_ok=True)
    (at / "status").touch()  # nothing is installed, so everything is needed
    settings = at / "apt.conf"
    settings.write_text(SETTINGS.format(architecture=architecture, at=at))
    run(["apt-get", "-qq", "update"], APT_CONFIG=str(settings))
    run(["apt-get", "-qq", "-y", "--download-only", "install", *names], APT_CONFIG=str(settings))
    into.mkdir(exist_ok=True)
    for package in sorted((at / "cache" / "archives").glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(into)])


def install_wheels(names: list[str], into: Path) -> None:
    """Put locked packages into a folder, as wheels for 64-bit ARM."""
    wanted = into.with_suffix(".txt")
    wanted.write_text(locked(LOCK, names))
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--implementation", "cp", "--python-version", "3.11"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    run([*command, "--no-compile", "--target", str(into), "-r", str(wanted)])


def make(at: Path) -> Path:
    """Make the userland in a folder, unless it is there; returns the command that runs its Python."""
    python = at / "python"
    if python.exists():
        return python
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    unpack(["python3.11", "ca-certificates", "tzdata"], "arm64", at / "apt-arm64", at / "userland")
    unpack(["qemu-user-static"], "amd64", at / "apt-amd64", at / "emulator")
    install_wheels(packages(), at / "site")
    install_wheels(["hypothesis"], at / "site-of-tests")  # of what the tests need, the only one that is compiled
    whole = at / "python.new"
    whole.write_text(WRAPPER.format(at=at))
    whole.chmod(0o755)
    whole.rename(python)
    return python


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Make the userland in FOLDER and say what runs its Python."""
    try:
        click.echo(make(folder.resolve()))
    except (InstallError, OSError) as error:
        click.echo(f"arm64_userland: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
