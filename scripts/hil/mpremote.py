"""mpremote as a person types it, against a board's console."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "mpremote"


class MpremoteFailed(Exception):
    """A command ended badly; the message holds what it said."""


def mpremote(*arguments: str, console: str = "", timeout_s: int = 300, folder: Path | None = None) -> str:
    """Run a command in ``folder``, against the board at ``console`` where one is given; returns what it printed."""
    shown = " ".join(("mpremote", *arguments))
    command = [str(PROGRAM), *(("connect", console) if console else ()), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the environment's own
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise MpremoteFailed(f"`{shown}` takes longer than {timeout_s} s: {late.stdout!r}") from None
    if done.returncode:
        raise MpremoteFailed(f"`{shown}` ended with status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
