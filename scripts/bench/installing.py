"""Installs the peers into a folder of their own: `python -m scripts.bench.installing FOLDER`, as `make bench` does.

They are not part of the environment: pypaillier's module has our library's name, and nobody who only runs the tests or
the demonstration should wait for numpy. Where the lock cannot be installed as a whole (sf-heu has wheels for few
machines), each package is tried alone, and what pip says of those that fail is kept for the run to print.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .peers import FAILED

LOCK = Path("requirements-bench.lock")


def requirements(lock: str) -> Iterator[tuple[str, str]]:
    """Yield (name, the requirement with its hashes) of a lock file."""
    for block in re.split(r"\n(?=\S)", lock):
        name = re.match(r"[A-Za-z0-9._-]+(?===)", block)
        if name:
            yield name[0], block


def install(lock: Path, folder: Path) -> list[str]:
    """Install a lock file; returns a line for each package that could not be: "name: reason"."""
    if not pip(lock, folder):
        return []
    failed = []
    for name, requirement in requirements(lock.read_text()):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(requirement + "\n")
            file.flush()
            reason = pip(Path(file.name), folder)
        if reason:
            failed.append(f"{name}: {reason}")
    return failed


def pip(lock: Path, folder: Path) -> str:
    """Install what a file says and nothing else; returns what went wrong in one line, or ""."""
    quietly = ["-qq", "--disable-pip-version-check", "--retries", "1"]
    as_locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    target = ["--upgrade", "--target", str(folder), "-r", str(lock)]
    command = [sys.executable, "-m", "pip", "install", *quietly, *as_locked, *target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip and our lock
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return (said or [f"pip ended with status {done.returncode}"])[-1].removeprefix("ERROR: ") if done.returncode else ""


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    lines = install(LOCK, place)
    (place / FAILED).write_text("".join(f"{line}\n" for line in lines))
    for line in lines:
        print(f"bench: without {line}", file=sys.stderr)
