"""The key holder's socket: several clients, none of which can hold the others up or make the server fail."""

import json
import socket
import stat
import struct
import threading
import time

import pytest

from mdms.errors import CannotStart
from mdms.keyholder.client import KeyHolderClient, KeyHolderUnavailable
from mdms.keyholder.messages import MAX_MESSAGE
from mdms.keyholder.server import SocketServer

PATIENCE_S = 60


def echo(message):
    return json.dumps({"status": "echo", "bytes": len(message)}).encode()


class Served:
    """A server in a thread, on a short path."""

    def __init__(self, path, answer=echo, **limits):
        self.path = path
        self.stopped = threading.Event()
        self.server = SocketServer(path, answer, **{"message_s": 0.3, "most_clients": 3, **limits})
        self.thread = threading.Thread(target=self.server.serve, args=(self.stopped,))
        self.thread.start()

    def connect(self):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE_S)
        peer.connect(str(self.path))
        return peer

    def stop(self):
        self.stopped.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path / "s")
    yield served
    served.stop()


def read(peer):
    """Return one answer, or None where the server ended the connection."""
    try:
        head = peer.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            return None
        return json.loads(peer.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL))
    except ConnectionError:
        return None


def framed(message):
    return struct.pack(">I", len(message)) + message


def test_a_client_asks_as_often_as_it_likes(tmp_path):
    served = Served(tmp_path / "s", message_s=PATIENCE_S)  # the longest message may take its time
    client = KeyHolderClient(served.path)
    for size in (0, 1, 70_000, MAX_MESSAGE):
        _, told = client.ask(b"x" * size)
        assert told == {"status": "echo", "bytes": size}
    client.close()
    served.stop()


def test_only_the_owner_may_connect(served):
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600


def test_a_message_that_is_too_long_is_refused_before_it_is_read(served):
    with served.connect() as peer:
        peer.sendall(struct.pack(">I", MAX_MESSAGE + 1))
        assert read(peer) == {"status": "bad_frame", "reason": "the message is too long"}
        assert read(peer) is None


def test_a_slow_peer_is_told_and_dropped_while_others_are_served(served):
    with served.connect() as slow, served.connect() as other:
        slow.sendall(b"\x00\x00")
        other.sendall(framed(b"hello"))
        assert read(other) == {"status": "echo", "bytes": 5}
        assert read(slow) == {"status": "bad_frame", "reason": "the peer is too slow"}
        assert read(slow) is None


def test_a_peer_that_drips_bytes_has_no_more_time_than_one_that_stops(served):
    with served.connect() as slow:
        slow.sendall(struct.pack(">I", 1000))
        started = time.monotonic()
        dripping = threading.Event()

        def drip():
            while not dripping.wait(0.05):
                try:
                    slow.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        assert read(slow)["status"] == "bad_frame"
        dripping.set()
        thread.join()
        assert time.monotonic() - started < PATIENCE_S


def test_a_peer_that_never_reads_its_answer_is_dropped(tmp_path):
    served = Served(
        tmp_path / "s", lambda message: b'{"status":"' + b"x" * (4_000_000 if message == b"x" else 1) + b'"}'
    )
    with served.connect() as deaf:
        deaf.sendall(framed(b"x"))
        client = KeyHolderClient(served.path)
        assert client.ask(b"y")[1]["status"].startswith("x")
        client.close()
    served.stop()


def test_a_peer_that_goes_away_in_the_middle_harms_nobody(served):
    for piece in (b"\x00", b"\x00\x00\x00\x05ab", struct.pack(">I", 1 << 20) + b"x" * 1000):
        with served.connect() as peer:
            peer.sendall(piece)
    client = KeyHolderClient(served.path)
    assert client.ask(b"still here")[1]["status"] == "echo"
    client.close()


def test_more_clients_than_places_are_told_to_come_again(served):
    peers = [served.connect() for _ in range(3)]
    for peer in peers:
        peer.sendall(framed(b"x"))
        assert read(peer)["status"] == "echo"
    with served.connect() as fourth:
        assert read(fourth) == {"status": "busy"}
    client = KeyHolderClient(served.path)
    with pytest.raises(KeyHolderUnavailable):
        client.ask(b"x")
    for peer in peers:
        peer.close()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert client.ask(b"x")[1]["status"] == "echo"
            break
        except KeyHolderUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    client.close()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    served = Served(path)
    with pytest.raises(CannotStart, match="another key holder"):
        SocketServer(path, echo)
    served.stop()
    assert not path.exists()


def test_a_socket_that_cannot_be_made_is_one_clear_reason(tmp_path):
    for path in (tmp_path / "no" / "such" / "folder", tmp_path / ("x" * 200)):
        with pytest.raises(CannotStart, match="socket"):
            SocketServer(path, echo)
    taken = tmp_path / "file"
    taken.write_text("a file of somebody's")
    with pytest.raises(CannotStart, match="in use"):
        SocketServer(taken, echo)
    assert taken.read_text() == "a file of somebody's"


def test_stopping_finishes_the_answer_under_way(tmp_path):
    started, go_on = threading.Event(), threading.Event()

    def slow(message):
        started.set()
        go_on.wait(PATIENCE_S)
        return echo(message)

    served = Served(tmp_path / "s", slow)
    idle = served.connect()
    with served.connect() as peer:
        peer.sendall(framed(b"x"))
        started.wait(PATIENCE_S)
        served.stopped.set()
        go_on.set()
        assert read(peer) == {"status": "echo", "bytes": 1}
    assert read(idle) is None
    idle.close()
    served.stop()


def test_a_client_without_a_server_says_so(tmp_path):
    with pytest.raises(KeyHolderUnavailable):
        KeyHolderClient(tmp_path / "nobody").ask(b"x")
    for answer in (b"[]", b"{}", b'{"status": 1}', b"\xff", b'{"status": "unavailable"}'):
        served = Served(tmp_path / "s", lambda _, answer=answer: answer)
        client = KeyHolderClient(served.path)
        with pytest.raises(KeyHolderUnavailable):
            client.ask(b"x")
        served.stop()
