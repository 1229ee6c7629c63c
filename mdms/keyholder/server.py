"""The Unix socket: several clients, each in a thread, none of which can hold the others up for long.

The socket's file mode (0600) is the access control: whoever runs as the same user, or as root, may ask. What they
may learn is the gate's business, not the socket's.
"""

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from protocol.documents import canonical_json

from ..errors import CannotStart
from .frames import FrameError, receive_message, send_message
from .messages import BAD_FRAME, BUSY

MOST_CLIENTS = 8
IDLE_S = 300.0
MESSAGE_S = 10.0
LOOK_UP_S = 0.2
LEAVE_S = 10.0

log = structlog.get_logger()


class SocketServer:
    """Serves ``answer`` on a Unix socket. Raises CannotStart if the socket is taken or cannot be made."""

    def __init__(
        self,
        path: Path,
        answer: Callable[[bytes], bytes],
        *,
        idle_s: float = IDLE_S,
        message_s: float = MESSAGE_S,
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        self._path = path
        self._answer = answer
        self._idle_s = idle_s
        self._message_s = message_s
        self._places = threading.BoundedSemaphore(most_clients)
        self._peers: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = _listen(path)

    def serve(self, stopped: threading.Event) -> None:
        """Accept clients until ``stopped`` is set; then finish the answers under way and remove the socket."""
        self._listener.settimeout(LOOK_UP_S)
        try:
            while not stopped.is_set():
                try:
                    peer, _ = self._listener.accept()
                except TimeoutError:
                    continue
                except OSError as error:
                    # Out of file descriptors, for one: clients that leave give some back.
                    log.error("no client accepted", reason=error.strerror)
                    stopped.wait(LOOK_UP_S)
                    continue
                self._welcome(peer)
        finally:
            self._listener.close()
            self._path.unlink(missing_ok=True)
            self._leave()

    def _welcome(self, peer: socket.socket) -> None:
        if not self._places.acquire(blocking=False):
            with peer, contextlib.suppress(FrameError):
                send_message(peer, canonical_json({"status": BUSY}), LOOK_UP_S)
            return
        thread = threading.Thread(target=self._attend, args=(peer,), name="client", daemon=True)
        self._peers.add(peer)
        self._threads.add(thread)
        thread.start()

    def _attend(self, peer: socket.socket) -> None:
        try:
            with peer:
                self._converse(peer)
        finally:
            self._peers.discard(peer)
            self._threads.discard(threading.current_thread())
            self._places.release()

    def _converse(self, peer: socket.socket) -> None:
        try:
            while (message := receive_message(peer, self._idle_s, self._message_s)) is not None:
                send_message(peer, self._answer(message), self._message_s)
        except FrameError as error:
            log.warning("client dropped", reason=str(error))
            with contextlib.suppress(FrameError):
                send_message(peer, canonical_json({"status": BAD_FRAME, "reason": str(error)}), LOOK_UP_S)

    def _leave(self) -> None:
        for peer in list(self._peers):
            # Whoever waits for a request sees an end; an answer under way is still sent.
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RD)
        for thread in list(self._threads):
            thread.join(LEAVE_S)


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        _remove_stale(path)
        listener.bind(str(path))
        listener.listen(MOST_CLIENTS)
    except (OSError, CannotStart) as error:
        listener.close()
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise CannotStart(f"socket {path}: {reason}") from None
    finally:
        os.umask(before)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a key holder that was killed; leave one that still answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(1.0)
            probe.connect(str(path))
        except OSError as error:
            # A file that is no socket refuses as well: it is somebody's, and stays.
            if error.errno == errno.ECONNREFUSED and path.is_socket():
                path.unlink(missing_ok=True)
            return
    raise CannotStart("another key holder listens on it")
