"""Where the ledgers of a run lie."""

from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there has a name that nobody can guess


def memory() -> str | None:
    """Return a folder in memory where there is one: what a disk would hold is worked out here, not left to one."""
    return str(MEMORY) if MEMORY.is_dir() else None
