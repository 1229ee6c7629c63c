"""Proves by pip's own resolution that everything a concentrator needs is there as a wheel for 64-bit ARM.

Metadata alone is asked for; nothing is installed and no file is kept. Needs a network.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from .install_gateway import LOCK, InstallError, locked, packages

# What the C libraries of Debian 12 (glibc 2.36) and later take; pip does not derive the older names from the newer.
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (36, 35, 34, 31, 28, 27, 26, 24, 17)] + [
    "manylinux2014_aarch64"
]


def resolve(requirements: str, python_version: str) -> dict[str, str]:
    """Return {package and version: wheel's file name}; raises InstallError with pip's words."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder, "wanted.txt"), Path(folder, "report.json")
        wanted.write_text(requirements)
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-q"]
        command += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command += ["--implementation", "cp", "--python-version", python_version]
        command += [word for platform in PLATFORMS for word in ("--platform", platform)]
        command += ["--target", str(Path(folder, "never")), "--report", str(report), "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise InstallError(done.stderr.strip())
        found = json.loads(report.read_text())["install"]
    return {
        f"{each['metadata']['name']} {each['metadata']['version']}": each["download_info"]["url"].rsplit("/", 1)[-1]
        for each in found
    }


@click.command()
@click.option("--python-version", default="3.11", show_default=True, help="that machine's Python.")
@click.option(
    "--lock",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=LOCK,
    show_default="requirements.lock",
    help="the lock file to read.",
)
def main(python_version: str, lock: Path) -> None:
    """Name the wheel for 64-bit ARM of each package that the concentrator needs."""
    names = packages()
    try:
        found = resolve(locked(lock, names), python_version)
    except InstallError as error:
        click.echo(f"arm64_wheels: {error}", err=True)
        sys.exit(1)
    for package, wheel in sorted(found.items()):
        click.echo(f"{package}: {wheel}")
    click.echo(f"{len(found)} of {len(names)} packages have a wheel for 64-bit ARM and Python {python_version}")
    if len(found) != len(names):
        sys.exit(1)


if __name__ == "__main__":
    main()
