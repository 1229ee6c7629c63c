"""Messages on a stream: u32 length, big-endian, then so many bytes, 16 MiB at most (protocol, chapter 9)."""

import socket
import struct
import time

from .messages import MAX_MESSAGE

_LENGTH = struct.Struct(">I")
CHUNK = 1 << 16


class FrameError(Exception):
    """The peer broke the framing, was too slow, or went away in the middle; the message says which."""


def send_message(peer: socket.socket, message: bytes, within_s: float) -> None:
    """Send one message; raises FrameError."""
    if len(message) > MAX_MESSAGE:
        raise FrameError("the message is too long")
    peer.settimeout(within_s)
    try:
        peer.sendall(_LENGTH.pack(len(message)) + message)
    except TimeoutError:
        raise FrameError("the peer is too slow") from None
    except OSError as error:
        raise FrameError(f"the peer went away: {type(error).__name__}") from None


def receive_message(peer: socket.socket, idle_s: float, within_s: float) -> bytes | None:
    """Return the next message; None where the peer ends or is idle for ``idle_s`` between two messages.

    From its first byte on, a whole message must arrive ``within_s``. Raises FrameError.
    """
    try:
        peer.settimeout(idle_s)
        try:
            first = peer.recv(1)
        except TimeoutError:
            return None
        if not first:
            return None
        deadline = time.monotonic() + within_s
        (length,) = _LENGTH.unpack(first + _receive(peer, _LENGTH.size - 1, deadline))
        if length > MAX_MESSAGE:
            # Refused before anything is set aside for it.
            raise FrameError("the message is too long")
        return _receive(peer, length, deadline)
    except TimeoutError:
        raise FrameError("the peer is too slow") from None
    except OSError as error:
        raise FrameError(f"the peer went away: {type(error).__name__}") from None


def _receive(peer: socket.socket, count: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        peer.settimeout(left)
        piece = peer.recv(min(count - len(data), CHUNK))
        if not piece:
            raise FrameError("the peer went away in the middle of a message")
        data += piece
    return bytes(data)
