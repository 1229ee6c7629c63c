"""Meters and the concentrator on a real mosquitto: TLS, passwords, access rules. The meters' client is aiomqtt."""

import asyncio
import contextlib
import json
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt
import pytest
from gateway_bench import Deployment, Meter, name_of
from logged_process import LoggedProcess, starting
from mosquitto import Mosquitto

from protocol import wire

ROOT = Path(__file__).resolve().parents[2]

TOPIC = "hushmeter/bench"
PATIENCE_S = 60
TODAY = int(time.time()) // 86_400 * 86_400
YESTERDAY = TODAY - 86_400
PASSWORD = "a word for the concentrator only"


@pytest.fixture
def meters():
    return [Meter(index, since=YESTERDAY) for index in range(3)]


@pytest.fixture
def broker(meters):
    broker = Mosquitto({"concentrator": PASSWORD, **{meter.title.hex(): meter.title.hex()[::-1] for meter in meters}})
    yield broker
    broker.stop()


@pytest.fixture
def deployment(meters, broker, tmp_path):
    deployment = Deployment(tmp_path / "deployment", meters)
    (deployment.folder / "word").write_text(PASSWORD + "\n")
    settle(deployment, broker)
    return deployment


def settle(deployment, broker, **changes):
    return deployment.write(
        **{
            "mqtt_url": f"mqtts://localhost:{broker.port}",
            "mqtt_ca": str(broker.ca),
            "mqtt_username": "concentrator",
            "mqtt_password_file": "word",
            **changes,
        }
    )


class Daemon(LoggedProcess):
    """A running concentrator."""

    def __init__(self, deployment):
        super().__init__([sys.executable, "-m", "gateway", "run", "--config", str(deployment.config)])


@pytest.fixture
def start():
    with starting(Daemon) as start_one:
        yield start_one


@contextlib.asynccontextmanager
async def line(meter, broker, **settings):
    """A meter's connection to the broker, with its own user's rights."""
    title = meter.title.hex()
    async with aiomqtt.Client(
        "localhost",
        broker.port,
        username=title,
        password=title[::-1],
        tls_context=ssl.create_default_context(cafile=broker.ca),
        **settings,
    ) as client:
        await client.subscribe(f"{TOPIC}/down/{title}", qos=1)
        yield client


async def verdicts(meter, broker, frames, topic=None):
    """Publish frames until each has its verdict, as meters do; returns the first verdict of each."""
    found = {}
    async with line(meter, broker) as client:
        async with asyncio.timeout(PATIENCE_S):
            while due := [frame for frame in frames if name_of(frame) not in found]:
                for frame in due:
                    await client.publish(topic or f"{TOPIC}/up/{meter.title.hex()}", frame, qos=1)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        async for message in client.messages:
                            assert str(message.topic) == f"{TOPIC}/down/{meter.title.hex()}"
                            found = {**meter.verdicts([message.payload]), **found}
                            if all(name_of(frame) in found for frame in due):
                                break
    return [found[name_of(frame)] for frame in frames]


def readings(meter, count, first=0):
    return [meter.reading(YESTERDAY + (first + i) * 900, 5) for i in range(count)]


def stored(deployment):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "status", "--json", "--config", str(deployment.config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    counts = json.loads(done.stdout)["counts"]
    counts.pop("late for its load", None)  # these meters report yesterday
    return counts


def test_meters_are_answered_over_a_broker_with_tls_and_passwords(meters, broker, deployment, start):
    daemon = start(deployment)
    assert daemon.said("broker connected")["topic"] == f"{TOPIC}/up/+"

    async def talk():
        return await asyncio.gather(*(verdicts(meter, broker, readings(meter, 20)) for meter in meters))

    assert asyncio.run(talk()) == [["stored"] * 20] * 3
    assert daemon.stop() == 0
    assert stored(deployment)["stored"] == 60
    assert PASSWORD not in "".join(daemon.lines)


def test_a_user_writes_and_reads_its_own_meters_topics_only(meters, broker, deployment, start):
    mine, other = meters[:2]
    start(deployment).said("broker connected")

    async def talk():
        (frame,) = readings(mine, 1)
        async with line(mine, broker) as client:
            await client.publish(f"{TOPIC}/up/{other.title.hex()}", frame, qos=1)  # which the broker swallows
            await client.subscribe(f"{TOPIC}/#", qos=1)
            await verdicts(other, broker, readings(other, 1))
            await client.publish(f"{TOPIC}/up/{mine.title.hex()}", frame, qos=1)
            async with asyncio.timeout(PATIENCE_S):
                async for message in client.messages:
                    assert wire.parse_header(message.payload).system_title == mine.title
                    return mine.verdicts([message.payload])

    assert set(asyncio.run(talk()).values()) == {"stored"}


def test_a_broker_that_is_killed_and_comes_back_costs_no_reading(meters, broker, deployment, start):
    meter = meters[0]
    daemon = start(deployment)
    daemon.said("broker connected")
    frames = readings(meter, 12)
    for turn in range(3):
        assert set(asyncio.run(verdicts(meter, broker, frames[: 4 * turn + 4]))) <= {"stored", "duplicate"}
        if turn < 2:
            broker.kill()
            daemon.said("broker not usable", turn + 1)
            broker.start()
            daemon.said("broker connected", turn + 2)
    assert daemon.stop() == 0
    assert stored(deployment)["stored"] == 12


def test_a_daemon_that_is_killed_counts_once_what_it_acknowledged(meters, broker, deployment, start):
    meter = meters[0]
    frames = readings(meter, 8)
    for until in (4, 8):
        daemon = start(deployment)
        daemon.said("broker connected")
        found = asyncio.run(verdicts(meter, broker, frames[:until]))
        assert set(found[until - 4 :]) == {"stored"}
        daemon.stop(signal.SIGKILL)
    assert stored(deployment)["stored"] == 8


def test_what_the_broker_has_retained_is_not_taken(meters, broker, deployment, start):
    meter = meters[0]
    frame, later = readings(meter, 2)

    async def retain():
        async with line(meter, broker) as client:
            await client.publish(f"{TOPIC}/up/{meter.title.hex()}", frame, qos=1, retain=True)

    asyncio.run(retain())
    daemon = start(deployment)
    daemon.said("broker connected")
    assert asyncio.run(verdicts(meter, broker, [later])) == ["stored"]
    assert daemon.stop() == 0
    assert stored(deployment) == {"stored": 1}


def test_messages_that_are_no_frames_leave_the_line_to_those_that_are(meters, broker, deployment, start):
    meter = meters[0]
    daemon = start(deployment)
    daemon.said("broker connected")

    async def talk():
        async with line(meter, broker, max_inflight_messages=1000) as client:
            for size in (0, 251, 100_000, 2_000_000):
                for _ in range(10):
                    await client.publish(f"{TOPIC}/up/{meter.title.hex()}", bytes(size), qos=1)
        return await verdicts(meter, broker, readings(meter, 2))

    assert asyncio.run(talk()) == ["stored"] * 2
    assert daemon.stop() == 0
    assert stored(deployment) == {"stored": 2, "corrupt": 40}


def test_a_broker_of_another_authority_or_name_is_not_spoken_to(meters, broker, deployment, start):
    another = Mosquitto({"concentrator": PASSWORD})
    elsewhere = Mosquitto({"concentrator": PASSWORD}, host="elsewhere.example")
    try:
        for changes in (
            {"mqtt_ca": str(another.ca)},
            {"mqtt_ca": str(elsewhere.ca), "mqtt_url": f"mqtts://localhost:{elsewhere.port}"},
        ):
            settle(deployment, broker, **changes)
            daemon = start(deployment)
            assert "its certificate is not accepted" in daemon.said("broker not usable")["reason"]
            assert daemon.stop() == 0
        assert "connected" not in "".join(daemon.lines)
        assert "concentrator" not in (elsewhere.folder / "log").read_text()
    finally:
        another.stop()
        elsewhere.stop()


def test_a_wrong_password_is_said_and_tcp_goes_on(meters, broker, deployment, start):
    meter = meters[0]
    (deployment.folder / "word").write_text("another word")
    daemon = start(deployment)
    assert "the broker refuses" in daemon.said("broker not usable")["reason"]
    port = daemon.said('"listening"')["port"]

    async def over_tcp():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        (frame,) = readings(meter, 1)
        writer.write(wire.encode_link(frame))
        deframer, answers = wire.Deframer(), []
        while not answers:
            deframer.feed(await asyncio.wait_for(reader.read(4096), PATIENCE_S))
            answers += list(deframer)
        writer.close()
        return meter.verdicts(answers)

    assert set(asyncio.run(over_tcp()).values()) == {"stored"}
    assert daemon.stop() == 0
    assert "another word" not in "".join(daemon.lines)
