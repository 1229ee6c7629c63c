"""Puts the firmware onto a stopped board, as `mpremote mip install firmware/package.json` does, and checks every file.

Rule: a board never runs a mixture. Its main.py is taken away first, and comes back last, when every file is the one
that it should be; what the meter keeps lies elsewhere and is not touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from mpremote.commands import CommandError
from mpremote.mip import do_mip
from mpremote.transport import TransportError

from .port import Port, PortError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "firmware" / "package.json"
STARTER = ROOT / "firmware" / "starter.py"
LIB = "/lib"
MAIN = "main.py"
KEPT = "main.before.py"


def version() -> str:
    """Return the version of the firmware that would be installed."""
    return str(json.loads(PACKAGE.read_text())["version"])


def files() -> dict[str, Path]:
    """Return what a board receives: place below LIB, local file."""
    return {target: PACKAGE.parent / source for target, source in json.loads(PACKAGE.read_text())["urls"]}


def park(port: Port) -> str | None:
    """Take main.py away and start the board without it: no watchdog runs, the memory is whole, nothing is half done.

    Returns the name under which another program's main.py was kept, or None.
    """
    kept = None
    transport = port.transport
    if transport.fs_exists(MAIN):
        if b"firmware.start" in transport.fs_readfile(MAIN):
            transport.fs_rmfile(MAIN)
        else:
            port.run(f"import os\nos.rename({MAIN!r}, {KEPT!r})")
            kept = KEPT
    port.reset()
    port.interrupt(fresh=True)
    return kept


def install(port: Port, progress: Callable[[str], None]) -> None:
    """Install every file and check it; ``progress`` is told each one's place. Raises PortError."""
    state = SimpleNamespace(transport=port.transport, did_action=lambda: None, ensure_raw_repl=lambda: None)
    arguments = SimpleNamespace(command=["install"], packages=[str(PACKAGE)], index=None, target=LIB, mpy=None)
    try:
        with contextlib.redirect_stdout(_Lines(progress)):
            do_mip(state, arguments)
        wrong = [target for target, path in files().items() if not _is_there(port, target, path)]
    except (CommandError, TransportError, OSError) as error:
        raise PortError(f"the files could not be written: {_last_line(error)}") from None
    if wrong:
        raise PortError(f"{len(wrong)} files arrived damaged, the first is {wrong[0]}: run the same command again")


def release(port: Port) -> None:
    """Give the board its main.py: from its next start on it is a meter."""
    try:
        port.transport.fs_writefile(MAIN, STARTER.read_bytes())
        if not _is_there(port, MAIN, STARTER, folder=""):
            raise PortError("main.py arrived damaged: run the same command again")
    except (TransportError, OSError) as error:
        raise PortError(f"main.py could not be written: {_last_line(error)}") from None


def _is_there(port: Port, target: str, path: Path, folder: str = LIB + "/") -> bool:
    found = port.transport.fs_hashfile(folder + target, "sha256")
    return bool(found == hashlib.sha256(path.read_bytes()).digest())


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


class _Lines(io.StringIO):
    """Hears what mip prints, for its progress."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        super().__init__()
        self._progress = progress

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.startswith(LIB + "/"):
                self._progress(line)
        return len(text)
