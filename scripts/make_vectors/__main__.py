"""Writes the agreement's test vectors: `python -m scripts.make_vectors`."""

from pathlib import Path

import click

from .files import render

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "vectors"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=FOLDER)
def main(folder: Path) -> None:
    """Write the vectors into FOLDER (tests/vectors)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render():
        (folder / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
