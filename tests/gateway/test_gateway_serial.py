"""The serial link of a whole service in this process: noise, shared ports, ports that vanish, and a real meter."""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
import tty
from pathlib import Path

import pytest
from gateway_bench import CCM, Deployment, Meter, name_of
from service_bench import Still, served
from structlog.testing import capture_logs

from gateway.config import ConfigError, load
from gateway.links import serial
from gateway.reception import Reception
from protocol import documents, keychain, reports, wire

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
SINCE = 1_772_323_200  # a midnight
NOW = SINCE + 86_400
NOISE = b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\x03\x04\xff\x00\x00boot\x00\x01\x01\x00load:0x3fff"


class Port:
    """A pseudo-terminal under a name that stays while the port comes and goes, as a USB adapter's does."""

    def __init__(self, path):
        self.path = path
        self.master = None

    def plug(self):
        self.master, slave = os.openpty()
        tty.setraw(self.master)
        os.set_blocking(self.master, False)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)
        return self

    def unplug(self):
        if self.master is not None:
            self.path.unlink()
            os.close(self.master)
            self.master = None

    def read(self):
        """Return what has come, nothing while nobody has the port open."""
        try:
            return os.read(self.master, 4096)
        except (OSError, TypeError):
            return b""

    def write(self, data):
        """Write what the port takes now; what a line cannot take is lost."""
        with contextlib.suppress(OSError, TypeError):
            os.write(self.master, data)


@pytest.fixture
def plugs(folder):
    made = []

    def make_port(name):
        made.append(Port(folder / name))
        return made[-1]

    yield make_port
    for port in made:
        port.unplug()


class Fast(Still):
    """Never ticks. ``speed``: domain seconds in a second."""

    def __init__(self, speed):
        super().__init__(NOW)
        self._speed = speed
        self._begun = time.monotonic_ns()

    def now_ms(self):
        return super().now_ms() + (time.monotonic_ns() - self._begun) * self._speed // 1_000_000


def serving(gateway, ports, talk, clock=None):
    """Run a service on these ports, and ``talk(tcp_port)`` with it. Returns (what it returned, the log)."""
    names = [str(port.path) for port in ports]
    with capture_logs() as logs:
        return asyncio.run(served(gateway, talk, clock or Still(NOW), serial=names)), logs


async def verdicts(port, frames_of, between=b""):
    """Send frames until each has its verdict, as meters do; ``frames_of`` is {meter: frames}."""
    deframer = wire.Deframer()
    answers = []
    while True:
        found = {meter: first_verdicts(meter, answers) for meter in frames_of}
        due = [f for meter, frames in frames_of.items() for f in frames if name_of(f) not in found[meter]]
        if not due:
            return {meter: [found[meter][name_of(frame)] for frame in frames] for meter, frames in frames_of.items()}
        for frame in due:
            port.write(between + wire.encode_link(frame))
        for _ in range(40):
            deframer.feed(port.read())
            answers += list(deframer)
            await asyncio.sleep(0.005)


def first_verdicts(meter, answers):
    """Return a meter's verdicts; a frame that was sent again has a second one, which does not count."""
    found = {}
    for frame in answers:
        found = {**meter.verdicts([frame]), **found}
    return found


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


@pytest.fixture
def street(make):
    return make([Meter(i, since=SINCE) for i in range(4)])


def readings(meter, count, first=0):
    return [meter.reading(meter.since + (first + i) * 900, 5) for i in range(count)]


def said(logs, text):
    return [entry for entry in logs if entry["event"].startswith(text)]


def test_several_meters_share_a_port_and_each_gets_its_answers(street, plugs):
    port = plugs("ttyUSB0").plug()
    frames = {meter: [frame] for meter in street.meters for frame in readings(meter, 1)}
    found, logs = serving(street, [port], lambda _: verdicts(port, frames))
    assert set(map(tuple, found.values())) <= {("stored",), ("duplicate",)}
    assert street.ledger.counts()["stored"] == 4
    assert len(said(logs, "serial port open")) == 1


def test_garbage_before_and_between_frames_costs_no_frame(street, plugs):
    port = plugs("ttyUSB0").plug()

    async def talk(_):
        port.write(NOISE)
        frames = {meter: readings(meter, 2) for meter in street.meters}
        return await verdicts(port, frames, b"\x00" + NOISE + b"\x00")

    serving(street, [port], talk)
    counts = street.ledger.counts()
    assert counts["stored"] == 8
    assert counts["corrupt"] >= 8
    assert "conflict" not in counts


def test_ports_are_served_beside_each_other_and_beside_tcp(street, plugs):
    ports = [plugs(f"ttyUSB{n}").plug() for n in range(2)]
    meters = street.meters

    async def talk(tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
        (frame,) = readings(meters[2], 1)
        writer.write(wire.encode_link(frame))
        found = await asyncio.gather(
            *(verdicts(port, {meter: readings(meter, 2)}) for port, meter in zip(ports, meters[:2], strict=True)),
            reader.readuntil(b"\x00"),
        )
        writer.close()
        return found

    serving(street, ports, talk)
    assert street.ledger.counts()["stored"] == 5


def test_a_port_that_is_missing_is_logged_once_and_served_when_it_comes(street, plugs, monkeypatch):
    monkeypatch.setattr(serial, "BACK_OFF_S", (0.01, 0.02))
    port = plugs("ttyUSB0")
    meter = street.meters[0]

    async def talk(_):
        await asyncio.sleep(0.3)
        port.plug()
        return await verdicts(port, {meter: readings(meter, 2)})

    _, logs = serving(street, [port], talk)
    (entry,) = said(logs, "serial port not usable")
    assert (entry["port"], entry["reason"]) == (str(port.path), "No such file or directory")
    assert street.ledger.counts()["stored"] == 2


def test_a_port_that_vanishes_and_comes_back_is_served_again(street, plugs, monkeypatch):
    monkeypatch.setattr(serial, "BACK_OFF_S", (0.01, 0.02))
    port = plugs("ttyUSB0").plug()
    meter = street.meters[0]

    async def talk(_):
        for turn in range(3):
            await verdicts(port, {meter: readings(meter, 2, 2 * turn)})
            half = wire.encode_link(readings(meter, 1, 2 * turn + 1)[0])[:40]
            port.write(half)  # a piece of a frame goes with the port
            await asyncio.sleep(0.05)
            port.unplug()
            await asyncio.sleep(0.2)
            port.plug()
        await verdicts(port, {meter: readings(meter, 2, 6)})

    _, logs = serving(street, [port], talk)
    assert street.ledger.counts()["stored"] == 8
    assert len(said(logs, "serial port not usable")) == 3
    assert len(said(logs, "serial port open")) == 4


def test_a_port_that_takes_no_answers_does_not_hold_up_the_others(street, plugs):
    deaf, good = plugs("ttyUSB0").plug(), plugs("ttyUSB1").plug()
    meters = street.meters

    async def talk(_):
        frames = [meters[0].hello(bytes((n, 0)) * 8) for n in range(200)]
        for frame in frames:
            deaf.write(wire.encode_link(frame))
            await asyncio.sleep(0.001)
        return await verdicts(good, {meters[1]: readings(meters[1], 3)})

    found, _ = serving(street, [deaf, good], talk)
    assert len(found[meters[1]]) == 3


def test_what_is_no_serial_port_is_logged_once_and_tried_again(street, folder, monkeypatch):
    monkeypatch.setattr(serial, "BACK_OFF_S", (0.01,))
    port = Port(folder / "file")
    port.path.write_text("no port")
    _, logs = serving(street, [port], lambda _: asyncio.sleep(0.2))
    assert len(said(logs, "serial port not usable")) == 1
    assert port.path.read_text() == "no port"


def test_the_ports_of_the_configuration_are_checked(tmp_path):
    deployment = Deployment(tmp_path / "deployment", [Meter()])
    config = load(deployment.write(serial=["/dev/ttyUSB0", "/dev/ttyUSB1"], baud=57600))
    assert (config.serial, config.baud) == (("/dev/ttyUSB0", "/dev/ttyUSB1"), 57600)
    assert load(deployment.write()).serial == ()
    for name, value in (
        ("serial", "/dev/ttyUSB0"),
        ("serial", [1]),
        ("serial", [""]),
        ("serial", ["/dev/ttyUSB0", "/dev/ttyUSB0"]),
        ("baud", 0),
        ("baud", "115200"),
        ("detail_s", -1),
    ):
        with pytest.raises(ConfigError, match=f"'{name}'"):
            load(deployment.write(**{name: value}))


# --- The real firmware ------------------------------------------------------------------------------------------

SPEED = 1800  # an interval of 900 s in half a second
LIVE = """
import asyncio, json, sys
sys.path.insert(0, ".")
from firmware.board import unix
from firmware.main import build, run_serial

class Steady:
    def take(self, start_s, end_s):
        return 7 * (end_s - start_s), 0

place, port, speed = sys.argv[1:]
ticks = unix.Ticks()
board = unix.Board(place + "/meter", lambda: ticks() * int(speed))
meter = build(board, Steady(), 900, 900, json.loads(unix.read_file(place + "/meter.json")))
asyncio.run(run_serial(meter, board, port, 115200))
"""


def provisioning(meter):
    customer = keychain.first_chain(hashlib.sha256(meter.title).digest())
    return {
        "system_title": meter.title.hex(),
        "epoch": meter.epoch,
        "hop_chain": meter.chain.value.hex(),
        "customer_chain": customer.hex(),
        "hello_key": meter.hello_key.hex(),
        "time_key": meter.time_key.hex(),
        "salt_secret": "5a" * 32,
        "series": meter.series,
    }


def details(gateway, meter):
    """Return every DETAIL that arrived, opened as only the customer can."""
    customer = keychain.Chain(meter.epoch, keychain.first_chain(hashlib.sha256(meter.title).digest()))
    with gateway.ledger.transaction():
        while gateway.outbox.close_segments(0, everything=True):
            pass
    rows = [
        documents.from_base64url(row, "row")
        for segment in gateway.reports(reports.DETAIL_SEGMENT)
        for row in segment.rows
    ]
    keys = {epoch: customer.at(epoch).key(keychain.DETAIL) for epoch in {wire.parse_header(r).epoch for r in rows}}
    return [wire.open_row(CCM, keys[wire.parse_header(row).epoch], row)[1] for row in rows]


async def carry(source, sink, noise):
    """Carry bytes from port to port; ``noise`` is put in behind whatever passes."""
    while True:
        data = source.read()
        if data:
            sink.write(data + noise)
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def firmware(folder, meter, near, far):
    """Run the real firmware at ``far``, on a noisy line to ``near``."""
    (folder / "meter.json").write_text(json.dumps(provisioning(meter)))
    (folder / "live.py").write_text(LIVE)
    command = [MICROPYTHON, folder / "live.py", folder, far.path, str(SPEED)]
    near.write(NOISE)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    lines = [asyncio.create_task(carry(far, near, b"\x07\xff" + NOISE + b"\x00"))]
    lines.append(asyncio.create_task(carry(near, far, b"\x00noise\x00")))
    try:
        yield process
    finally:
        process.kill()
        await process.wait()
        for line in lines:
            line.cancel()


async def replug(port):
    port.unplug()
    await asyncio.sleep(0.5)
    port.plug()


def test_a_real_meter_reports_over_a_noisy_serial_line_that_breaks_and_comes_back(make, plugs, folder):
    meter = Meter(7, since=SINCE)
    gateway = make([meter])
    places = gateway.reception._neighbourhoods
    gateway.reception = Reception(gateway.ledger, gateway.outbox, places, gateway.decryption, detail_s=300)
    near, far = plugs("gateway-port").plug(), plugs("meter-port").plug()

    def stored():
        rows = gateway.ledger.execute("SELECT interval_number FROM readings ORDER BY interval_number")
        return [row[0] for row in rows.fetchall()]

    async def more(count):
        wanted = len(stored()) + count
        await until(lambda: len(stored()) >= wanted)

    async def talk(_):
        async with firmware(folder, meter, near, far) as process:
            await more(2)
            await replug(near)
            await more(2)
            await replug(far)
            await more(12)  # over the start of a billing window: the CONFIG has taken effect
            assert process.returncode is None

    _, logs = serving(gateway, [near], talk, Fast(SPEED))
    numbers = stored()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    counts = gateway.ledger.counts()
    assert not {"conflict", "quarantined", "wrong key or forged"} & set(counts)
    assert counts["corrupt"] > 0
    assert len(said(logs, "serial port open")) == 2
    events = gateway.ledger.execute("SELECT title, code, count, text FROM events").fetchall()
    assert events == [(meter.title, wire.FIRMWARE_VERSION, 0, "0.1.0")]
    found = sorted(details(gateway, meter))
    assert all(detail.import_mwh == 7 * detail.length_s for detail in found)
    changes = [detail.end - detail.length_s for detail in found if detail.length_s == 300]
    assert {detail.length_s for detail in found} == {900, 300}
    assert min(changes) % 10_800 == 0
    assert max(detail.end for detail in found if detail.length_s == 900) <= min(changes)
