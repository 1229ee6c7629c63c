"""Domain time: from the machine, or from a conductor that may come, go and repeat itself."""

import json
import socket
import threading

import pytest

from mdms.clock import ConductedClock, SystemClock
from mdms.config import Address

PATIENCE_S = 60


class Conductor:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE_S)
        self.address = Address(*self.listener.getsockname())

    def accept(self):
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(PATIENCE_S)
        self.lines = self.peer.makefile("rwb")
        return json.loads(self.lines.readline())

    def say(self, *told):
        for item in told:
            self.lines.write(item if isinstance(item, bytes) else json.dumps(item).encode() + b"\n")
        self.lines.flush()

    def hear(self):
        return json.loads(self.lines.readline())

    def hang_up(self):
        self.lines.close()
        self.peer.close()

    def close(self):
        self.listener.close()


@pytest.fixture
def conductor():
    conductor = Conductor()
    yield conductor
    conductor.close()


@pytest.fixture
def clock(conductor):
    clock = ConductedClock(conductor.address, "worker")
    clock.start()
    yield clock
    clock.stop()


def test_time_is_unknown_until_it_is_told(conductor, clock):
    assert conductor.accept() == {"role": "worker"}
    assert clock.now_ms() is None
    conductor.say({"now_ms": 5000})
    assert clock.next_tick() == clock.now_ms() == 5000
    clock.settled(5000)
    assert conductor.hear() == {"settled_ms": 5000}


def test_a_conductor_that_comes_back_repeats_the_time_and_is_answered(conductor, clock):
    conductor.accept()
    conductor.say({"now_ms": 1000})
    assert clock.next_tick() == 1000
    conductor.hang_up()
    clock.settled(1000)
    conductor.accept()
    conductor.say({"now_ms": 1000})
    assert clock.next_tick() == 1000
    clock.settled(1000)
    assert conductor.hear() == {"settled_ms": 1000}


def test_time_never_runs_back(conductor, clock):
    conductor.accept()
    conductor.say({"now_ms": 9000}, {"now_ms": 4000})
    assert [clock.next_tick(), clock.next_tick()] == [9000, 4000]
    assert clock.now_ms() == 9000


def test_nonsense_ends_the_connection_and_not_the_clock(conductor, clock):
    for nonsense in (b"x\n", b"[]\n", b'{"now_ms": "1"}\n', b'{"now_ms": true}\n', b'{"now_ms": -1}\n'):
        conductor.accept()
        conductor.say(nonsense)
    for nonsense in (b"[" * 4000 + b"\n", b"9" * 6000 + b"\n", b"\xff\n"):
        conductor.accept()
        conductor.say(nonsense)
    conductor.accept()
    conductor.say({"now_ms": 7000})
    assert clock.next_tick() == 7000


def test_quit_ends_the_ticks(conductor, clock):
    conductor.accept()
    conductor.say({"quit": True})
    assert clock.next_tick() is None
    assert clock.next_tick() is None


def test_stopping_wakes_whoever_waits(conductor, clock):
    threading.Timer(0.1, clock.stop).start()
    assert clock.next_tick() is None


def test_the_machines_clock_ticks_and_stops():
    clock = SystemClock(every_s=0.01)
    first, second = clock.next_tick(), clock.next_tick()
    assert 0 < first <= second <= clock.now_ms()
    clock.stop()
    assert clock.next_tick() is None
    slow = SystemClock(every_s=PATIENCE_S)
    slow.next_tick()
    threading.Timer(0.1, slow.stop).start()
    assert slow.next_tick() is None
