"""The one number that the agent keeps over a restart: behind which arrival the newest reading stands. No energy."""

import os
from pathlib import Path

MOST = (1 << 63) - 1


def read_arrival(path: Path | None) -> int:
    """Return the number, or 0 where there is none or it cannot be read: then everything is fetched again."""
    if path is None:
        return 0
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() and len(text) < 20 and int(text) <= MOST else 0


def write_arrival(path: Path | None, arrival: int) -> None:
    """Keep the number, whole or not at all; raises OSError."""
    if path is None:
        return
    beside = path.with_name(path.name + ".new")
    beside.write_text(f"{arrival}\n", encoding="ascii")
    os.replace(beside, path)
