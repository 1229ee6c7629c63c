"""The meter at the other end of a port: its bench commands, run there, their lines of JSON read here.

A real board is reached by mpremote, whose raw REPL stops the meter's program until its restart. The unix port has no
raw REPL: it is started anew for each command, on the same storage.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]


class PortError(Exception):
    """The meter does not answer, or not as a meter does; the text says what to do."""


class Port(Protocol):
    """Something that runs MicroPython code where ``board`` is the meter's board."""

    def run(self, code: str) -> str:
        """Return what the code printed; raises PortError."""

    def close(self) -> None:
        """Let the meter go on with its own program."""


class Serial:
    """A board on a serial port, by mpremote."""

    PRELUDE = (
        "from firmware import configuration\nfrom firmware.board import boards\n"
        "values = dict(configuration.load(boards.storage()).values, watchdog_ms=0)\nboard = boards.here(values, '')\n"
    )

    def __init__(self, device: str) -> None:
        try:
            from mpremote.transport import TransportError  # noqa: PLC0415 - needed for a real board only
            from mpremote.transport_serial import SerialTransport  # noqa: PLC0415
        except ImportError:
            raise PortError("mpremote is not installed: make setup") from None
        self._failures = (TransportError, OSError)
        try:
            self._transport = SerialTransport(device)
            self._transport.enter_raw_repl()
        except self._failures as error:
            raise PortError(f"{device}: no MicroPython answers there ({error})") from error

    def run(self, code: str) -> str:
        try:
            return bytes(self._transport.exec(self.PRELUDE + code)).decode()
        except self._failures as error:
            said = getattr(error, "error_output", None) or str(error)
            raise PortError(f"the meter failed: {said.strip().splitlines()[-1]}") from error

    def close(self) -> None:
        with suppress(*self._failures):  # one that is gone already starts with its power
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
        self._transport.close()


class Unix:
    """The firmware on MicroPython's unix port, its converter a file of counts."""

    def __init__(self, micropython: Path, state: Path, channels: int, rate_hz: int) -> None:
        self._micropython = micropython
        self._state = state
        self._channels = channels
        self._rate_hz = rate_hz
        self.waveform: Path | None = None
        self.microvolts: Path | None = None

    def run(self, code: str) -> str:
        own = repr(str(self.microvolts)) if self.microvolts else None
        waveform = f"Waveform({str(self.waveform)!r}, {self._channels}, {self._rate_hz}, None, {own})"
        prelude = (
            f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "from firmware.board.unix import Board\nfrom firmware.board.waveform import Waveform\n"
            f"board = Board({str(self._state)!r}, None, {waveform})\n"
        )
        done = subprocess.run(  # noqa: S603 - our own firmware
            [self._micropython, "-c", prelude + code], capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise PortError(f"the meter failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        return done.stdout

    def close(self) -> None:
        pass


class Meter:
    """The bench commands of a meter behind a port."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def show(self) -> dict[str, Any]:
        """Return the calibration that holds, what is wrong with it, and what the converter is."""
        return self._one("bench.show(board)")

    def observe(self, seconds: int, adc: list[list[int]] | None = None) -> list[dict[str, Any]]:
        """Return what the meter sees, block by block."""
        return self._lines(f"bench.observe(board, {seconds}, {adc!r})")

    def pairs(self, number: int) -> list[tuple[float, float, int]]:
        """Return what the chip's own calibration says: mean count, mean microvolts, how often."""
        return [(count, uv, often) for count, uv, often in self._lines(f"bench.pairs(board, {number})")[0]]

    def write(self, values: dict[str, Any]) -> dict[str, Any]:
        """Store a calibration and return what then holds; raises PortError where the meter refuses it."""
        answer = self._one(f"bench.write(board, {json.dumps(values)!r})")
        if "refused" in answer:
            raise PortError(f"the meter refused the calibration and kept the one before: {answer['refused']}")
        return answer

    def _one(self, call: str) -> dict[str, Any]:
        found: dict[str, Any] = self._lines(call)[0]
        return found

    def _lines(self, call: str) -> list[Any]:
        said = self._port.run(f"from firmware.meter import bench\n{call}\n").splitlines()
        try:
            found = [json.loads(line) for line in said if line.strip()]
        except ValueError:
            raise PortError("the meter answered with something else than JSON: is its firmware another?") from None
        if not found:
            raise PortError("the meter answered nothing")
        return found
