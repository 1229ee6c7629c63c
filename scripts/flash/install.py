"""Puts the firmware onto a stopped board, as `mpremote mip install firmware/package.json` does, and checks every file.

Rule: a board never runs a mixture. Its main.py is taken away first, and comes back last, when every file is the one
that it should be; what the meter keeps lies elsewhere and is not touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from mpremote.commands import CommandError
from mpremote.mip import do_mip
from mpremote.transport import TransportError

from ..firmware_package import Uncompilable, build
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


def files(package: Path = PACKAGE) -> dict[str, Path]:
    """Return what a board receives: place below LIB, local file."""
    return {target: package.parent / source for target, source in json.loads(package.read_text())["urls"]}


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


def install(port: Port, march: str | None, progress: Callable[[str], None]) -> None:
    """Install every file, compiled for ``march`` (None: the source), and check it. Raises PortError.

    A chip could compile the source by itself, and would need more memory for it than for everything later.
    ``progress`` is told each file's place.
    """
    if march is None:
        _install(port, PACKAGE, progress)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            package = build(Path(folder) / "package", march)
        except Uncompilable as error:
            raise PortError(str(error)) from None
        _install(port, package, progress)


def _install(port: Port, package: Path, progress: Callable[[str], None]) -> None:
    state = SimpleNamespace(transport=port.transport, did_action=lambda: None, ensure_raw_repl=lambda: None)
    arguments = SimpleNamespace(command=["install"], packages=[str(package)], index=None, target=LIB, mpy=None)
    try:
        with contextlib.redirect_stdout(_Lines(progress)):
            do_mip(state, arguments)
        wrong = [target for target, path in files(package).items() if not _is_there(port, target, path)]
        _drop_twins(port, list(files(package)))
    except (CommandError, TransportError, OSError) as error:
        raise PortError(f"the files could not be written: {_last_line(error)}") from None
    if wrong:
        raise PortError(f"{len(wrong)} files arrived damaged, the first is {wrong[0]}: run the same command again")
    place = port.run("import firmware\nprint(firmware.__file__)").strip()
    if not place.startswith(LIB + "/"):
        raise PortError(f"the board takes another copy of the firmware first, {place}: remove it and run this again")


def release(port: Port) -> None:
    """Give the board its main.py: from its next start on it is a meter."""
    try:
        port.transport.fs_writefile(MAIN, STARTER.read_bytes())
        if not _is_there(port, MAIN, STARTER, folder=""):
            raise PortError("main.py arrived damaged: run the same command again")
    except (TransportError, OSError) as error:
        raise PortError(f"main.py could not be written: {_last_line(error)}") from None


def _drop_twins(port: Port, targets: list[str]) -> None:
    """Remove what an installation of the other kind left: the interpreter takes a .py before a .mpy."""
    for target in targets:
        twin = target.removesuffix(".mpy") + ".py" if target.endswith(".mpy") else target.removesuffix(".py") + ".mpy"
        if port.transport.fs_exists(f"{LIB}/{twin}"):
            port.transport.fs_rmfile(f"{LIB}/{twin}")


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
