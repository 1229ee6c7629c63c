"""The release worker's end of the key holder's socket. Loads no key."""

import socket
from pathlib import Path
from typing import Any

from protocol.documents import DocumentError, parse

from .frames import FrameError, receive_message, send_message
from .messages import BAD_FRAME, BUSY, UNAVAILABLE

ANSWER_S = 120.0  # machine time: a bill of some years' windows is verified in seconds


class KeyHolderUnavailable(Exception):
    """No decision was got: ask again later. The message is the reason."""


class KeyHolderClient:
    """One connection, made when it is needed and made again after a failure. For one thread."""

    def __init__(self, path: Path, answer_s: float = ANSWER_S) -> None:
        self._path = path
        self._answer_s = answer_s
        self._peer: socket.socket | None = None

    def ask(self, message: bytes) -> tuple[bytes, dict[str, Any]]:
        """Return the answer to a request, as bytes and parsed, with its ``status``.

        Raises KeyHolderUnavailable.
        """
        if self._peer is not None:
            # A connection that stood idle may have ended; asking twice is harmless, the answer is the same.
            try:
                return self._ask(self._peer, message)
            except KeyHolderUnavailable:
                self.close()
        try:
            self._peer = self._connect()
        except OSError as error:
            raise KeyHolderUnavailable(error.strerror or type(error).__name__) from None
        return self._ask(self._peer, message)

    def _ask(self, peer: socket.socket, message: bytes) -> tuple[bytes, dict[str, Any]]:
        try:
            send_message(peer, message, self._answer_s)
            answer = receive_message(peer, self._answer_s, self._answer_s)
            if answer is None:
                raise FrameError("no answer")
            told: dict[str, Any] = parse(answer, dict[str, Any])
        except (FrameError, DocumentError) as error:
            self.close()
            raise KeyHolderUnavailable(str(error)) from None
        status = told.get("status")
        if not isinstance(status, str) or status in (UNAVAILABLE, BUSY, BAD_FRAME):
            self.close()
            raise KeyHolderUnavailable(f"the key holder says {status}")
        return answer, told

    def _connect(self) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.settimeout(self._answer_s)
            peer.connect(str(self._path))
        except OSError:
            peer.close()
            raise
        return peer

    def close(self) -> None:
        """End the connection; the next question makes another."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None
