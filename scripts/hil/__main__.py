"""Builds the emulated boards: `python -m scripts.hil`. `make hil` does it, and runs the tests on them."""

import sys
import time
from pathlib import Path

import click

from .building import boards, recipe
from .needs import Missing, check_machine

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "hil"


@click.command()
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), default=CACHE, help="Where they are kept.")
def main(cache: Path) -> None:
    """Build the emulated boards, unless this recipe's are there."""
    began = time.monotonic()
    try:
        check_machine(ROOT)
        if not (cache / recipe()).exists():
            click.echo("building the emulated boards (once, some minutes)")
        made = boards(cache)
    except Missing as error:
        click.echo(f"hil: {error}", err=True)
        sys.exit(2)
    for path in (made.mps2, made.rp2040):
        click.echo(f"{path.name}: {path.stat().st_size} bytes")
    click.echo(f"ready after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
