"""QEMU's mps2-an385 as a process: the console and the second UART as ptys, files in its memory."""

import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROMFS_ADDRESS = 0x21000000  # the board's PSRAM, 16 MiB, which MicroPython leaves alone
BLOB_ADDRESS = 0x21800000
TICK_NS = 40  # of its timer, and so of time.ticks_cpu
START_S = 60


class QemuFailed(Exception):
    """QEMU ended or said nothing; the message holds what it said last."""


class Mps2:
    """A board that runs from construction to ``stop``.

    ``memory``: {address: file}. ``icount_shift``: virtual time is the number of instructions times 2**shift ns; None:
    it is the host's time.
    """

    def __init__(
        self, firmware: Path, folder: Path, memory: Mapping[int, Path], icount_shift: int | None = None
    ) -> None:
        self._log = folder / "qemu.log"
        icount = ["-icount", f"shift={icount_shift},sleep=off"] if icount_shift is not None else []
        loads = [
            part
            for address, file in memory.items()
            for part in ("-device", f"loader,file={file},addr={address:#x},force-raw=on")
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - QEMU and our own firmware
                [
                    *("qemu-system-arm", "-machine", "mps2-an385", "-display", "none", "-monitor", "none"),
                    *("-semihosting", "-serial", "pty", "-serial", "pty"),
                    *icount,
                    *loads,
                    *("-kernel", str(firmware)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.console, self.line = self._await_ptys()

    def __enter__(self) -> "Mps2":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def lives(self) -> bool:
        """Say whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it."""
        if self.lives():
            self._process.terminate()
        self._process.wait()

    def _await_ptys(self) -> tuple[str, str]:
        began = time.monotonic()
        while time.monotonic() - began < START_S and self.lives():
            found = re.findall(r"redirected to (/dev/pts/\d+) \(label serial(\d)\)", self._log.read_text())
            if len(found) == 2:
                places = {number: path for path, number in found}
                return places["0"], places["1"]
            time.sleep(0.05)
        self.stop()
        raise QemuFailed(f"QEMU does not start the mps2-an385: {self._log.read_text().strip()[-500:]}")
