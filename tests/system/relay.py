"""A TCP line of loopback that is listened in on."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod

PIECE = 4096


class Relay(ABC):
    """Passes connections on to another port of loopback. Who is called with a piece has it before it is passed on."""

    def __init__(self, port):
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def close(self):
        # A close alone does not wake an accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @abstractmethod
    def listeners(self):
        """Return what is called with the pieces of a new connection, of those there and of those back."""

    def _take(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                there, back = self.listeners()
                for ends in ((near, far, there), (far, near, back)):
                    threading.Thread(target=copy, args=ends, daemon=True).start()


def copy(source, target, note):
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            note(piece)
            target.sendall(piece)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
