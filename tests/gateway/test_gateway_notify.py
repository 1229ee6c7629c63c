"""What systemd hears: on a real datagram socket, ready and stopping once, and pings only while the ledger answers."""

import asyncio
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_bench import Deployment, Meter
from test_gateway_daemon import Daemon

from gateway.operation.notify import Notifier, from_environment, watch
from gateway.service import Service

PATIENCE_S = 30


class Listener:
    """The far end: systemd's socket."""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE_S)

    def hear(self):
        return self.socket.recv(4096).decode().splitlines()

    def heard(self):
        """Everything that waits."""
        self.socket.setblocking(False)
        found = []
        while True:
            try:
                found += self.hear()
            except BlockingIOError:
                return found


@pytest.fixture
def listen(tmp_path):
    made = []

    def one(address=None):
        made.append(Listener(address or str(tmp_path / "notify")))
        return made[-1]

    yield one
    for listener in made:
        listener.socket.close()


def test_a_message_arrives_by_path_and_by_abstract_name(listen):
    for address in (None, f"@hushmeter-{os.getpid()}"):
        listener = listen(address)
        Notifier(listener.address).say("READY=1", "STATUS=listening")
        assert listener.hear() == ["READY=1", "STATUS=listening"]


def test_nobody_to_tell_is_no_error(tmp_path):
    Notifier(None).say("READY=1")
    Notifier(str(tmp_path / "nobody")).say("READY=1")
    asyncio.run(watch(Notifier(None, 0.001), lambda: pytest.fail("nobody asked")))


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "2000000"}, 0),  # and nobody to tell
        ({"NOTIFY_SOCKET": "/x"}, 0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000"}, 2),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "7"}, 2),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "8"}, 0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdog_is_served_where_systemd_asked_this_process(environment, watchdog_s):
    assert from_environment(environment, pid=7).watchdog_s == watchdog_s


class LedgerThread:
    """The one thing of a Service that the watchdog asks: its thread, which can be made to hang."""

    def __init__(self):
        self._ledger_thread = ThreadPoolExecutor(1)
        self.released = threading.Event()
        self.hanging = threading.Event()

    _in_ledger = Service._in_ledger
    answers = Service.answers

    def hang(self):
        self.hanging.set()
        self.released.wait(PATIENCE_S)


async def careless(notifier, answers):
    """The planted bug: it pings because the event loop turns."""
    while True:
        notifier.say("WATCHDOG=1")
        await asyncio.sleep(notifier.watchdog_s / 2)


@pytest.mark.parametrize(("watching", "goes_quiet"), [(watch, True), (careless, False)])
def test_a_ledger_that_hangs_is_not_vouched_for(listen, watching, goes_quiet):
    listener, thread = listen(), LedgerThread()

    async def run():
        task = asyncio.create_task(watching(Notifier(listener.address, 0.01), thread.answers))
        assert await asyncio.to_thread(listener.hear) == ["WATCHDOG=1"]
        stuck = thread._ledger_thread.submit(thread.hang)
        await asyncio.to_thread(thread.hanging.wait, PATIENCE_S)
        listener.heard()
        for _ in range(30):
            await asyncio.sleep(0.005)
        pings = listener.heard()
        thread.released.set()
        await asyncio.wrap_future(stuck)
        listener.socket.settimeout(PATIENCE_S)
        assert await asyncio.to_thread(listener.hear) == ["WATCHDOG=1"]  # it answers again
        task.cancel()
        return pings

    try:
        # One ping may have been on its way while the thread began to hang.
        assert (len(asyncio.run(run())) <= 1) == goes_quiet
    finally:
        thread.released.set()
        thread._ledger_thread.shutdown()


def test_a_daemon_says_ready_alive_and_stopping_and_nothing_of_its_work(listen, tmp_path, monkeypatch):
    listener = listen()
    monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")  # few pings: the socket holds only some unread
    deployment = Deployment(tmp_path / "deployment", [Meter(0)])
    deployment.write(table_window_bits=4)
    daemon = Daemon(deployment)
    said = listener.hear()
    while "READY=1" not in said:
        said += listener.hear()
    while said.count("WATCHDOG=1") < 2:
        said += listener.hear()
    assert daemon.stop() == 0
    said += listener.heard()
    assert said.count("READY=1") == said.count("STOPPING=1") == 1
    assert said.index("READY=1") < said.index("STOPPING=1")
    assert {line.split("=")[0] for line in said} == {"READY", "STATUS", "WATCHDOG", "STOPPING"}
    assert not [line for line in said if Meter(0).title.hex() in line]
