"""The MQTT link of a whole service in this process, and a broker that a test plays: honest, hostile or gone.

A real broker, TLS and passwords are in tests/system/test_system_mqtt.py.
"""

import asyncio
import contextlib
import struct

import pytest
from gateway_bench import Deployment, Meter, name_of
from service_bench import NOW, served
from structlog.testing import capture_logs

from gateway.carriers import read_broker
from gateway.config import ConfigError, load
from gateway.links import mqtt, mqtt_packets
from gateway.links.mqtt import Address, Broker, MqttPeer
from gateway.service import QUEUE_FRAMES
from protocol import keychain, wire

TODAY = keychain.epoch_of(NOW)
TOPIC = "hushmeter/bench"
ACCEPTED = b"\x20\x02\x00\x00"
GRANTED = b"\x90\x03\x00\x01\x01"


class Client:
    """The concentrator as a broker sees it: one connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.unpacker = mqtt_packets.Unpacker()
        self.heard = []
        self.answers = {}  # {topic: [frame]}

    async def hear(self):
        """Take what has come; returns whether anything did."""
        data = await self.reader.read(4096)
        self.unpacker.feed(data)
        for packet in self.unpacker:
            self.heard.append(packet)
            if packet.kind == mqtt_packets.PUBLISH:
                assert packet.head == 0x32  # QoS 1, not retained
                message = mqtt_packets.parse_publish(packet)
                self.answers.setdefault(message.topic.decode(), []).append(message.payload)
                self.writer.write(b"\x40\x02" + struct.pack(">H", message.identifier))
        return bool(data)

    async def welcome(self):
        """Accept the connection and grant its topic."""
        while mqtt_packets.CONNECT not in [packet.head for packet in self.heard]:
            assert await self.hear()
        self.writer.write(ACCEPTED)
        while mqtt_packets.SUBSCRIBE not in [packet.head for packet in self.heard]:
            assert await self.hear()
        self.writer.write(GRANTED)
        return self

    def send(self, topic, payload, head=0x32, identifier=7):
        """Publish to the concentrator."""
        topic = topic.encode()
        number = struct.pack(">H", identifier) if head & 6 else b""
        body = struct.pack(">H", len(topic)) + topic + number + payload
        length, rest = b"", len(body)
        while True:
            rest, low = divmod(rest, 128)
            length += bytes((low | (128 if rest else 0),))
            if not rest:
                break
        self.writer.write(bytes((head,)) + length + body)

    async def verdicts(self, meter, frames, topic=None):
        """Publish a meter's frames and return their verdicts when each has one, from the meter's own topic."""
        for frame in frames:
            self.send(topic or up(meter), frame)
        while True:
            found = meter.verdicts(self.answers.get(down(meter), []))
            if {name_of(frame) for frame in frames} <= set(found):
                return [found[name_of(frame)] for frame in frames]
            assert await self.hear()

    def number(self, kind):
        return len([packet for packet in self.heard if packet.kind == kind])


def up(meter):
    return f"{TOPIC}/up/{meter.title.hex()}"


def down(meter):
    return f"{TOPIC}/down/{meter.title.hex()}"


def serving(gateway, talk, **settings):
    """Run a service whose broker is the test: ``talk(connections, tcp_port)``. Returns (what it returned, the log)."""

    async def run():
        connections = asyncio.Queue()
        server = await asyncio.start_server(lambda *ends: connections.put(Client(*ends)), "127.0.0.1", 0)
        broker = Broker("127.0.0.1", server.sockets[0].getsockname()[1], TOPIC)
        try:
            return await served(gateway, lambda port: talk(connections, port), broker=broker, **settings)
        finally:
            server.close()

    with capture_logs() as logs:
        return asyncio.run(run()), logs


@pytest.fixture
def street(make):
    return make([Meter(i, since=NOW // 10_800 * 10_800 - 86_400) for i in range(4)])


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.0, 0.01))


def readings(meter, count, first=0):
    return [meter.reading(meter.since + (first + i) * 900, 5) for i in range(count)]


def said(logs, text):
    return [entry for entry in logs if entry["event"].startswith(text)]


async def over_tcp(meter, frames, port):
    """Send a meter's frames over TCP and return their verdicts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(wire.encode_link(frame) for frame in frames))
    deframer, answers = wire.Deframer(), []
    while len(found := meter.verdicts(answers)) < len(frames):
        deframer.feed(await reader.read(4096))
        answers += list(deframer)
    writer.close()
    return [found[name_of(frame)] for frame in frames]


# --- Frames and answers -----------------------------------------------------------------------------------------


def test_every_meter_is_answered_on_its_own_topic(street):
    async def talk(connections, _):
        client = await (await connections.get()).welcome()
        found = [await client.verdicts(meter, readings(meter, 20)) for meter in street.meters]
        client.send(up(street.meters[0]), street.meters[0].hello())
        while not any(wire.parse_header(f).type == wire.TIME for f in client.answers[down(street.meters[0])]):
            await client.hear()
        for meter in street.meters:
            assert all(wire.parse_header(frame).system_title == meter.title for frame in client.answers[down(meter)])
        assert set(client.answers) == set(map(down, street.meters))
        return found

    found, logs = serving(street, talk)
    assert found == [["stored"] * 20] * 4
    assert street.ledger.counts() == {"stored": 80}
    assert [entry["topic"] for entry in said(logs, "broker connected")] == [f"{TOPIC}/up/+"]


def test_a_frame_on_anothers_topic_is_judged_by_its_seal_and_answered_to_its_own_meter(street):
    mine, other = street.meters[:2]

    async def talk(connections, _):
        client = await (await connections.get()).welcome()
        frames = readings(mine, 2)
        found = await client.verdicts(mine, frames, topic=up(other))
        client.send(up(other), frames[0])  # replayed by whoever listened
        client.send(up(mine), other.seal(wire.READING, bytes(39), TODAY, key=bytes(32)))
        found += await client.verdicts(other, readings(other, 1))
        assert mine.verdicts(client.answers[down(mine)][-1:]) == {name_of(frames[0]): "duplicate"}
        assert all(wire.parse_header(frame).system_title == other.title for frame in client.answers[down(other)])
        assert len(client.answers[down(other)]) == 1
        return found

    assert serving(street, talk)[0] == ["stored"] * 3
    assert street.ledger.counts() == {"stored": 3, "duplicate": 1, "wrong key or forged": 1}


def test_retained_messages_and_wrong_topics_are_ignored_and_confirmed_to_the_broker(street):
    meter = street.meters[0]

    async def talk(connections, _):
        client = await (await connections.get()).welcome()
        frame = readings(meter, 1)[0]
        client.send(up(meter), frame, head=0x33, identifier=11)
        title = meter.title.hex()
        wrong = ["", "x", f"{TOPIC}/up/", f"{TOPIC}/up/{title}0", f"{TOPIC}/up/{title}/x", f"{TOPIC}/down/{title}"]
        wrong += [f"x{TOPIC}/up/{title}", f"{TOPIC}/up/{title.upper()}", f"{TOPIC}/up/{title}\n"]
        for topic in wrong:
            client.send(topic, frame, identifier=12)
        assert street.ledger.counts() == {}
        found = await client.verdicts(meter, [frame])
        assert client.number(mqtt_packets.PUBACK) >= 1 + len(wrong)
        return found

    assert serving(street, talk)[0] == ["stored"]
    assert street.ledger.counts() == {"stored": 1}


def test_oversized_and_empty_messages_are_counted_and_confirmed_and_the_next_frame_is_taken(street):
    meter = street.meters[0]

    async def talk(connections, _):
        client = await (await connections.get()).welcome()
        for size in (251, 5000, 1_000_000):
            client.send(up(meter), bytes(size))
            await client.writer.drain()
        client.send(up(meter), b"")
        found = await client.verdicts(meter, readings(meter, 1))
        while client.number(mqtt_packets.PUBACK) < 5:
            await client.hear()
        return found

    assert serving(street, talk)[0] == ["stored"]
    assert street.ledger.counts() == {"stored": 1, "corrupt": 4}


def test_the_brokers_confirmation_of_an_answer_changes_nothing(street):
    meter = street.meters[0]

    async def talk(connections, _):
        client = await (await connections.get()).welcome()
        client.writer.write(b"\x40\x02\x00\x00" + b"\x40\x02\xff\xff" * 3)
        return await client.verdicts(meter, readings(meter, 1))

    assert serving(street, talk)[0] == ["stored"]


# --- A broker that is away, or worse ----------------------------------------------------------------------------


def test_what_a_lost_connection_swallowed_is_sent_again_and_counted_once(street, quick):
    meter = street.meters[0]

    async def talk(connections, _):
        frames = readings(meter, 6)
        for sent in range(3):
            client = await (await connections.get()).welcome()
            for frame in frames[: 2 * sent + 2]:
                client.send(up(meter), frame)
            await client.hear()
            client.writer.transport.abort()  # with or without the answers
        client = await (await connections.get()).welcome()
        return await client.verdicts(meter, frames)

    found, logs = serving(street, talk)
    assert set(found) <= {"stored", "duplicate"}
    assert street.ledger.counts()["stored"] == 6
    assert len(said(logs, "broker connected")) == 4


HOSTILE = {
    "garbage": b"\xff" * 5000,
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "another answer": GRANTED,
    "a refusal": b"\x20\x02\x00\x05",
    "no right to read": ACCEPTED + b"\x90\x03\x00\x01\x80",
    "a message at QoS 2": ACCEPTED + GRANTED + b"\x34\x05\x00\x01x\x00\x01",
    "its own SUBSCRIBE": ACCEPTED + GRANTED + mqtt_packets.subscribe(1, "x"),
    "a long PINGRESP": ACCEPTED + GRANTED + b"\xd0\x7f",
    "nothing": b"",
}


def test_a_hostile_broker_is_left_and_tried_again_and_no_other_link_notices(street, quick):
    async def talk(connections, port):
        for place, nonsense in enumerate(HOSTILE.values()):
            client = await connections.get()
            client.writer.write(nonsense)
            while len(client.heard) < (2 if nonsense.startswith(ACCEPTED) else 1):
                await client.hear()
            if not nonsense:
                client.writer.close()
            with contextlib.suppress(OSError):
                while await client.hear():
                    pass
            assert await over_tcp(street.meters[1], readings(street.meters[1], 1, place), port) == ["stored"]
        client = await (await connections.get()).welcome()
        return await client.verdicts(street.meters[0], readings(street.meters[0], 1))

    found, logs = serving(street, talk)
    assert found == ["stored"]
    reasons = [entry["reason"] for entry in said(logs, "broker not usable")]
    assert any("may not connect" in reason for reason in reasons)
    assert any("may not read" in reason for reason in reasons)
    assert len(said(logs, "broker connected")) == 4


def test_an_outage_is_logged_once_however_often_it_is_tried(street, quick, monkeypatch):
    tries, enough = [], asyncio.Event()

    async def refused(*_, **__):
        tries.append(1)
        if len(tries) == 20:
            enough.set()
        raise ConnectionRefusedError(111, "Connection refused")

    async def talk(connections, port):
        monkeypatch.setattr(mqtt.asyncio, "open_connection", refused)
        (await connections.get()).writer.close()
        await enough.wait()

    _, logs = serving(street, talk)
    reasons = [entry["reason"] for entry in said(logs, "broker not usable")]
    assert reasons[1:] == ["Connection refused"]  # behind the first, which is how the connection ended


@pytest.mark.parametrize("host", ["x" * 70 + ".example", "broker.invalid", "127.0.0.1"])
def test_a_host_that_cannot_be_reached_or_cannot_be_is_said_and_tried_again(host, quick, monkeypatch):
    async def run():
        link = mqtt.MqttLink(None, None, Broker(host, 9, TOPIC))
        running = asyncio.create_task(link.run())
        while not logs:
            await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()

    with capture_logs() as logs:
        asyncio.run(run())
    assert logs[0]["event"] == "broker not usable; it is tried again"
    assert logs[0]["reason"]


def test_a_broker_that_says_nothing_is_left(street, quick, monkeypatch):
    monkeypatch.setattr(mqtt, "SILENT_S", 0.05)
    monkeypatch.setattr(mqtt, "CONNECT_S", 0.05)

    async def talk(connections, port):
        silent = await connections.get()  # never accepts
        while await silent.hear():
            pass
        for _ in range(50):  # a machine that is too busy to accept in time tries again
            with contextlib.suppress(AssertionError, OSError):
                accepted = await (await connections.get()).welcome()
                while await accepted.hear():
                    pass
                if accepted.number(mqtt_packets.SUBSCRIBE & 0xF0):
                    break
        return await over_tcp(street.meters[0], readings(street.meters[0], 1), port)

    found, logs = serving(street, talk)
    assert found == ["stored"]
    assert "it does not answer" in [entry["reason"] for entry in said(logs, "broker not usable")]


def test_pings_go_out_while_nothing_comes_in(street, monkeypatch):
    monkeypatch.setattr(mqtt, "KEEP_ALIVE_S", 0)

    async def talk(connections, port):
        client = await (await connections.get()).welcome()
        while client.number(mqtt_packets.PINGREQ) < 3:
            assert await client.hear()
        client.writer.write(b"\xd0\x00" * 3)
        return await client.verdicts(street.meters[0], readings(street.meters[0], 1))

    assert serving(street, talk)[0] == ["stored"]


def test_a_flood_from_the_broker_leaves_a_place_for_everyone_else(street):
    forged = Meter(0, since=NOW).seal(wire.READING, bytes(39), TODAY, key=bytes(32))

    async def talk(connections, port):
        client = await (await connections.get()).welcome()

        async def flood():
            while True:
                for _ in range(50):
                    client.send(up(street.meters[0]), forged, head=0x30)
                await client.writer.drain()

        flooding = asyncio.create_task(flood())
        meter = street.meters[1]
        found = [await over_tcp(meter, readings(meter, 2, i), port) for i in range(0, 10, 2)]
        flooding.cancel()
        return found

    assert serving(street, talk)[0] == [["stored", "stored"]] * 5
    assert street.ledger.counts()["wrong key or forged"] > 100


def test_while_the_concentrator_is_busy_nothing_is_read_from_the_broker(street, monkeypatch):
    meter = street.meters[0]
    take, batches, full = street.reception.take, [], []

    async def talk(connections, _):
        loop = asyncio.get_running_loop()
        started, released = asyncio.Event(), asyncio.Event()

        def slowly(batch, now_ms):
            batches.append(len(batch))
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
            return take(batch, now_ms)

        monkeypatch.setattr(street.reception, "take", slowly)
        client = await (await connections.get()).welcome()
        client.writer.transport.set_write_buffer_limits(high=0)
        frame = meter.hello()
        client.send(up(meter), frame)
        await started.wait()
        for _ in range(QUEUE_FRAMES + 10):
            client.send(up(meter), frame, head=0x30)
        for sent in range(2000):  # until the line is full, which it never would be if it were read
            client.send("x", bytes(60_000), head=0x30)
            try:
                await asyncio.wait_for(client.writer.drain(), 0.5)
            except TimeoutError:
                full.append(sent)
                break
        assert batches == [1]
        released.set()
        await client.writer.drain()
        return await client.verdicts(meter, readings(meter, 1))

    assert serving(street, talk)[0] == ["stored"]
    assert full


def test_answers_that_the_broker_does_not_take_are_dropped_and_bounded():
    class Writer:
        """A writer that keeps everything."""

        def __init__(self):
            self.transport, self.written, self.size = self, [], 0

        def is_closing(self):
            return False

        def get_write_buffer_size(self):
            return self.size

        def write(self, data):
            self.written.append(data)

    meter, writer = Meter(1), Writer()
    peer = MqttPeer(writer, Address(TOPIC))
    frame = meter.seal(wire.READING, bytes(39), TODAY)
    for _ in range(2 * mqtt.MAX_IN_FLIGHT):
        peer.send(frame)
    assert len(writer.written) == mqtt.MAX_IN_FLIGHT
    numbers = [mqtt_packets.parse_publish(next(iter(fed(data)))).identifier for data in writer.written]
    assert numbers == list(range(2, mqtt.MAX_IN_FLIGHT + 2))  # 1 is the subscription's
    peer.confirmed(5)
    peer.send(frame)
    assert len(writer.written) == mqtt.MAX_IN_FLIGHT + 1
    writer.size = mqtt.MAX_UNSENT + 1
    peer.confirmed(6)
    peer.send(frame)
    assert len(writer.written) == mqtt.MAX_IN_FLIGHT + 1
    with pytest.raises(mqtt_packets.PacketError, match="takes nothing"):
        peer.write(mqtt_packets.pingreq())


def fed(data):
    unpacker = mqtt_packets.Unpacker()
    unpacker.feed(data)
    return unpacker


# --- Configuration ----------------------------------------------------------------------------------------------


@pytest.fixture
def deployment(tmp_path):
    return Deployment(tmp_path / "deployment", [Meter()])


def test_without_a_broker_there_is_none(deployment):
    assert read_broker(load(deployment.write())) is None


def test_a_broker_is_read_with_its_password_and_never_shown_with_it(deployment):
    (deployment.folder / "word").write_text("very secret\n")
    config = load(deployment.write(mqtt_url="mqtts://broker.example", mqtt_username="north", mqtt_password_file="word"))
    broker = read_broker(config)
    assert (broker.host, broker.port, broker.topic) == ("broker.example", 8883, "hushmeter/bench")
    assert (broker.username, broker.password) == ("north", "very secret")
    assert broker.tls.check_hostname
    assert "secret" not in repr(broker) + repr(config)
    config = load(deployment.write(mqtt_url="mqtt://[::1]:1999", mqtt_topic="street/north"))
    broker = read_broker(config)
    assert (broker.host, broker.port, broker.topic, broker.tls) == ("::1", 1999, "street/north", None)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("mqtt_url", {"mqtt_url": "mqtt://broker.example"}),  # in clear beyond loopback
        ("mqtt_url", {"mqtt_url": "broker.example:8883"}),
        ("mqtt_url", {"mqtt_url": "https://broker.example"}),
        ("mqtt_url", {"mqtt_url": "mqtts://broker.example:99999"}),
        ("mqtt_url", {"mqtt_url": "mqtts://"}),
        ("mqtt_url", {"mqtt_url": "mqtts://user:word@broker.example"}),  # a password belongs into a file
        ("mqtt_ca", {"mqtt_url": "mqtt://localhost", "mqtt_ca": "ca.pem"}),
        ("mqtt_ca", {"mqtt_ca": "ca.pem"}),
        ("mqtt_topic", {"mqtt_topic": "x"}),
        ("mqtt_topic", {"mqtt_url": "mqtt://localhost", "mqtt_topic": "a/+"}),
        ("mqtt_topic", {"mqtt_url": "mqtt://localhost", "mqtt_topic": "a/#"}),
        ("mqtt_topic", {"mqtt_url": "mqtt://localhost", "mqtt_topic": "$SYS"}),
        ("mqtt_topic", {"mqtt_url": "mqtt://localhost", "mqtt_topic": "a/"}),
        ("mqtt_password_file", {"mqtt_url": "mqtt://localhost", "mqtt_password_file": "word"}),
        ("mqtt_username", {"mqtt_url": "mqtt://localhost", "mqtt_username": "x" * 2000}),
    ],
)
def test_settings_of_a_broker_that_cannot_be_are_refused_by_name(deployment, key, values):
    with pytest.raises(ConfigError, match=f"'{key}'"):
        load(deployment.write(**values))


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("no certificate", "holds no certificate")])
def test_a_file_of_certificates_without_any_is_refused(deployment, text, why):
    if text:
        (deployment.folder / "ca.pem").write_text(text)
    config = load(deployment.write(mqtt_url="mqtts://broker.example", mqtt_ca="ca.pem"))
    with pytest.raises(ConfigError, match=f"'mqtt_ca'.*{why}"):
        read_broker(config)


def test_a_password_that_cannot_be_read_is_refused(deployment):
    config = load(deployment.write(mqtt_url="mqtt://localhost", mqtt_username="north", mqtt_password_file="nowhere"))
    with pytest.raises(ConfigError, match=r"'mqtt_password_file'.*nowhere"):
        read_broker(config)
