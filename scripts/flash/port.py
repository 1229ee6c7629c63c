"""A board's console on a serial port, by mpremote: questions to a meter that runs, code on one that is stopped."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from serial.tools.list_ports import comports

MARK = b"hushmeter "
_READ_S = 1
_BOOT_S = 1.0  # a board's USB goes away and comes back
_BACK_S = 20.0
_ATTEMPTS = 3
_FAILURES = (TransportError, OSError, struct.error)


class PortError(Exception):
    """The board cannot be reached, or failed at what it was told; the text says what to do."""


class NoMicroPython(PortError):
    """The port opens and nothing at it speaks MicroPython."""


class _Transport(SerialTransport):  # type: ignore[misc]
    """mpremote's transport, writing files in larger pieces: four times fewer turns of the line."""

    def fs_writefile(self, dest: str, data: bytes, chunk_size: int = 1024, progress_callback: Any = None) -> None:
        super().fs_writefile(dest, data, chunk_size, progress_callback)


class Port:
    """An open console. Nothing that is sent or received is printed or logged: secrets pass through here."""

    def __init__(self, device: str) -> None:
        """Open it; what runs there goes on. Raises PortError."""
        self.device = device
        self._transport = self._open()

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the port, without touching what runs."""
        with contextlib.suppress(*_FAILURES):
            self._transport.close()

    # --- A meter that runs ----------------------------------------------------------------------------------------

    def ask(self, question: str, wait_s: float) -> dict[str, Any] | None:
        """Ask a running meter, without stopping it; None where no answer comes in time."""
        line = self._transport.serial
        heard = b""
        began = asked = time.monotonic()
        try:
            line.timeout = 0.1
            line.write(b"\r\n" + question.encode() + b"\r\n")
            while time.monotonic() - began < wait_s:
                heard += line.read(line.in_waiting or 1)
                *lines, heard = heard.split(b"\n")
                for each in lines:
                    if each.startswith(MARK):
                        return _object(each[len(MARK) :])
                if time.monotonic() - asked > 2:  # it may have been starting
                    asked = time.monotonic()
                    line.write(b"\r\n" + question.encode() + b"\r\n")
        except OSError as error:
            raise PortError(f"{self.device}: the line broke: {error}") from None
        finally:
            with contextlib.suppress(OSError):
                line.timeout = _READ_S
        return None

    # --- A board that is stopped ----------------------------------------------------------------------------------

    def interrupt(self, fresh: bool = False) -> None:
        """Stop what runs and wait for code; ``fresh`` clears the interpreter. Raises NoMicroPython."""
        for attempt in range(_ATTEMPTS):
            try:
                with _quiet():
                    self._transport.enter_raw_repl(soft_reset=fresh, timeout_overall=5)
                return
            except _FAILURES:
                if attempt < _ATTEMPTS - 1:
                    time.sleep(0.3)
        raise NoMicroPython(f"{self.device}: the port opens, and no MicroPython answers at it")

    def run(self, code: str, wait_s: float = 30) -> str:
        """Run code on a stopped board; returns what it printed. Raises PortError with the last line of its error."""
        try:
            with _quiet():
                said, failed = self._transport.exec_raw(code, timeout=wait_s)
        except _FAILURES as error:
            raise PortError(f"{self.device}: the board stopped answering ({type(error).__name__})") from None
        if failed:
            raise PortError(f"the board failed: {failed.decode(errors='replace').strip().splitlines()[-1]}")
        return bytes(said).decode(errors="replace")

    def told(self, code: str, wait_s: float = 30) -> dict[str, Any]:
        """Run code that prints one line of JSON; returns it."""
        found = None
        for line in self.run(code, wait_s).splitlines():
            if line.startswith("{"):
                found = _object(line.encode())
        if found is None:
            raise PortError("the board answered with something else than was asked: is its firmware another?")
        return found

    def reset(self) -> None:
        """Start the board anew, as the button does, and find its port again. Raises PortError."""
        with contextlib.suppress(*_FAILURES), _quiet():
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
        self.close()
        began = time.monotonic()
        time.sleep(_BOOT_S)
        while True:
            try:
                self._transport = self._open()
                return
            except PortError:
                if time.monotonic() - began > _BACK_S:
                    raise PortError(f"{self.device}: the board does not come back after its reset") from None
                time.sleep(0.3)

    @property
    def transport(self) -> SerialTransport:
        """mpremote's transport, for its own commands."""
        return self._transport

    def _open(self) -> SerialTransport:
        try:
            return _Transport(self.device, timeout=_READ_S)
        except TransportError:
            raise PortError(_why_not(self.device)) from None
        except (OSError, ValueError) as error:
            raise PortError(f"{self.device} cannot be opened: {error}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # mpremote prints what it did not expect: perhaps a piece of what was sent.
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise PortError("the board's answer is damaged: another program may be reading the same port") from None
    if not isinstance(found, dict):
        raise PortError("the board's answer is no object")
    return found


def _why_not(device: str) -> str:
    path = Path(device)
    if not path.exists():
        ports = ", ".join(sorted(port.device for port in comports() if port.vid is not None)) or "no USB serial port"
        return f"{device} is not there; there is: {ports}. Is the cable one for data, and plugged in?"
    try:
        path.open("rb", buffering=0).close()
    except PermissionError:
        return f"{device} may not be opened by you: add yourself to its group (on Debian: dialout) and log in again"
    except OSError as error:
        if error.errno != errno.EBUSY:
            return f"{device} cannot be opened: {error.strerror}"
    return f"{device} is in use by another program: close it (a serial monitor, another mpremote)"
