"""The customer's agent for real: a served MDMS, a mosquitto with TLS, and a subscriber that shares no code with it."""

import asyncio
import contextlib
import csv
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import aiomqtt
import pytest
from greenbutton_objects.parse import parse_feed
from logged_process import LoggedProcess, starting
from mosquitto import Mosquitto

from protocol.documents import public_key_bytes, to_base64url

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
PASSWORD = "a word for the agent only"
ACCESS = """\
user agent
topic write homeassistant/#
topic read homeassistant/status
topic write hushmeter/#
user assistant
topic readwrite #
"""


@pytest.fixture
def broker():
    broker = Mosquitto({"agent": PASSWORD, "assistant": "assistant"}, access=ACCESS)
    yield broker
    broker.stop()


def write(served, broker, folder, *, customer=None, key=None, **more):
    """The agent's files as its how-to has them."""
    folder.mkdir(exist_ok=True)
    customer = customer or served.me
    pem = (key or customer).key_file(folder, "a passphrase")
    for name, text in (("passphrase", "a passphrase\n"), ("word", PASSWORD + "\n")):
        (folder / name).write_text(text)
    values = {
        "server": served.url,
        "account": customer.account,
        "key": pem.name,
        "passphrase_file": "passphrase",
        "mqtt_url": f"mqtts://localhost:{broker.port}",
        "mqtt_ca": str(broker.ca),
        "mqtt_username": "agent",
        "mqtt_password_file": "word",
        "poll_s": 2,
        "arrival_file": "arrival",
        **more,
    }
    for path in (pem, folder / "passphrase", folder / "word"):
        path.chmod(0o600)
    config = folder / "agent.toml"
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return config


class Running(LoggedProcess):
    """`python -m scripts.customer_agent run`."""

    def __init__(self, config):
        super().__init__([sys.executable, "-m", "scripts.customer_agent", "run", "--config", str(config)])


@pytest.fixture
def start():
    with starting(Running) as start_one:
        yield start_one


class Assistant:
    """An independent subscriber, as Home Assistant is one: its own client, all topics, in a thread of its own."""

    def __init__(self, broker):
        self.broker = broker
        self.messages, self._news = [], threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._listen())
        with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
            self._loop.run_until_complete(self._task)

    async def _listen(self):
        context = ssl.create_default_context(cafile=self.broker.ca)
        async with aiomqtt.Client(
            "localhost", self.broker.port, username="assistant", password="assistant", tls_context=context
        ) as client:
            self.client = client
            await client.subscribe("#", qos=1)
            self._ready.set()
            async for message in client.messages:
                with self._news:
                    self.messages.append((str(message.topic), message.payload, message.retain))
                    self._news.notify_all()

    def publish(self, topic, payload):
        asyncio.run_coroutine_threadsafe(self.client.publish(topic, payload, qos=1), self._loop).result(PATIENCE_S)

    def wait(self, found):
        """Wait until the messages so far satisfy a function, and return what it returns."""
        with self._news:
            assert self._news.wait_for(lambda: found(self.messages), PATIENCE_S), self.messages
            return found(self.messages)

    def close(self):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(PATIENCE_S)
        self._loop.close()


@pytest.fixture
def assistant(broker):
    assistant = Assistant(broker)
    yield assistant
    assistant.close()


def states(messages):
    return [json.loads(payload, parse_float=Decimal) for topic, payload, _ in messages if topic.endswith("/state")]


def energies(messages):
    """(import, export) of each state in mWh, exactly."""
    return [(int(one["import_kwh"] * 10**6), int(one["export_kwh"] * 10**6)) for one in states(messages)]


def availability(messages):
    return [payload for topic, payload, _ in messages if topic.endswith("/availability")]


def now():
    return int(time.time())


def test_discovery_and_states_that_home_assistant_gets_are_the_sealed_energies(
    served, broker, assistant, start, tmp_path
):
    operator = to_base64url(public_key_bytes(served.bench.operator))
    config = write(served, broker, tmp_path / "home", operator_key=operator, deployment="bench")
    served.ingest(served.me.segment([served.me.row(now() - 120, 123_456, 7)]))
    agent = start(config)
    assistant.wait(states)
    expected = [(123_456, 7)]
    for i in range(3):
        row = served.me.row(now() - 60 + i, 8**i, 3**i)
        served.ingest(served.me.segment([row]))
        expected.append((served.me.import_mwh, served.me.export_mwh))
        assistant.wait(lambda messages, wanted=tuple(expected[-1]): energies(messages)[-1] == wanted)
    assert energies(assistant.messages) == expected
    configs = {topic: json.loads(payload) for topic, payload, _ in assistant.messages if topic.endswith("/config")}
    energy = [one for one in configs.values() if one["device_class"] == "energy"]
    assert {one["value_template"] for one in energy} == {"{{ value_json.import_kwh }}", "{{ value_json.export_kwh }}"}
    assert {(one["state_class"], one["unit_of_measurement"]) for one in energy} == {("total_increasing", "kWh")}
    (state_topic,) = {one["state_topic"] for one in configs.values()}
    assert state_topic in {topic for topic, _, _ in assistant.messages}
    assert availability(assistant.messages)[-1] == b"online"
    assert agent.stop() == 0
    assistant.wait(lambda messages: availability(messages)[-1] == b"offline")
    log = "".join(agent.lines)
    assert PASSWORD not in log and "passphrase" not in log and "123456" not in log


def test_configs_are_kept_by_the_broker_and_states_are_not(served, broker, assistant, start, tmp_path):
    served.ingest(served.me.segment([served.me.row(now(), 5)]))
    start(write(served, broker, tmp_path / "home"))
    assistant.wait(states)
    later = Assistant(broker)
    try:
        later.wait(lambda messages: len([topic for topic, _, _ in messages if topic.endswith("/config")]) == 7)
        later.wait(availability)
        assert all(retain for _, _, retain in later.messages)
        assert states(later.messages) == []
        later.publish("homeassistant/status", "online")
        later.wait(states)
    finally:
        later.close()


def test_a_broker_that_is_killed_and_comes_back_gets_the_newest_register(served, broker, start, tmp_path):
    served.ingest(served.me.segment([served.me.row(now() - 60, 1000)]))
    agent = start(write(served, broker, tmp_path / "home"))
    agent.said("broker connected")
    broker.kill()
    agent.said("broker not usable")
    for i in range(3):
        served.ingest(served.me.segment([served.me.row(now() - 30 + i, 1000)]))
    broker.start()
    assistant = Assistant(broker)
    try:
        agent.said("broker connected", 2)
        assistant.publish("homeassistant/status", "online")  # what was told before we listened is told again
        assistant.wait(lambda messages: energies(messages)[-1:] == [(4000, 0)])
        assert energies(assistant.messages) == sorted(energies(assistant.messages))
    finally:
        assistant.close()
    assert agent.stop() == 0


def test_the_broker_says_it_when_the_agent_is_killed_and_a_restart_goes_on(served, broker, assistant, start, tmp_path):
    config = write(served, broker, tmp_path / "home")
    served.ingest(served.me.segment([served.me.row(now() - 60, 1000)]))
    agent = start(config)
    assistant.wait(states)
    agent.stop(signal.SIGKILL)
    assistant.wait(lambda messages: availability(messages)[-1] == b"offline")
    served.ingest(served.me.segment([served.me.row(now(), 1)]))
    start(config)
    assistant.wait(lambda messages: energies(messages)[-1] == (1001, 0))
    assert energies(assistant.messages) == [(1000, 0), (1001, 0)]


def test_a_row_changed_in_the_middle_costs_that_row_only(served, broker, assistant, start, tmp_path):
    rows = [served.me.row(now() - 120 + 60 * i, 1_000_000) for i in range(3)]
    rows[1] = rows[1][:-1] + bytes([rows[1][-1] ^ 1])
    served.ingest(served.me.segment(rows))
    agent = start(write(served, broker, tmp_path / "home"))
    assistant.wait(states)
    assert energies(assistant.messages) == [(3_000_000, 0)]
    agent.said("rows do not open")


def run(command, config):
    return subprocess.run(
        [sys.executable, "-m", "scripts.customer_agent", *command, "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_another_customers_key_ends_with_2_and_publishes_nothing(served, broker, assistant, tmp_path):
    served.ingest(served.me.segment([served.me.row(now(), 5)]))
    config = write(served, broker, tmp_path / "home", key=served.other)
    for command in (["run"], ["check"]):
        done = run(command, config)
        assert done.returncode == 2
        assert "do not belong together" in done.stderr
        assert "Traceback" not in done.stderr
    assert states(assistant.messages) == []


def test_check_says_what_would_be_done_and_publishes_nothing(served, broker, assistant, start, tmp_path):
    served.ingest(served.me.segment([served.me.row(now(), 123_456_789)]))
    config = write(served, broker, tmp_path / "home")
    done = run(["check"], config)
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("1 rows open, 0 do not", served.me.title.hex(), "the broker takes the connection", "after 900 s"):
        assert text in done.stdout, text
    assert "123" not in done.stdout.replace(str(broker.port), "").replace(served.url, "")
    assert assistant.messages == []
    assert not (tmp_path / "home" / "arrival").exists()


def test_the_customers_data_can_be_taken_along(served, broker, tmp_path):
    served.ingest(served.me.segment([served.me.row(now() - 60 + i, 8**i, 3**i) for i in range(5)]))
    config = write(served, broker, tmp_path / "home", mqtt_url="")
    table, feed = tmp_path / "mine.csv", tmp_path / "mine.xml"
    done = run(["export", "--csv", str(table), "--green-button", str(feed)], config)
    assert (done.returncode, done.stdout) == (0, "5 readings written, 0 rows do not open\n"), done.stderr
    energies_of = [Decimal(row["import_kwh"]) * 10**6 for row in csv.DictReader(table.open(newline=""))]
    assert energies_of == [8**i for i in range(5)]
    (point,) = parse_feed(feed)
    flows = {reading.readingType.flowDirection.value: reading for reading in point.meterReadings}
    assert [round(one.value * 1000) for one in flows[19].intervalReadings] == [3**i for i in range(5)]
    again = run(["export", "--csv", str(table)], config)
    assert (again.returncode, "not overwritten" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"mqtt_ca": "another.pem"}, "certificate is not accepted"),
        ({"mqtt_password_file": "passphrase"}, "refuses"),
        ({"mqtt_url": "mqtts://localhost:1"}, "cannot be reached"),
        ({"mqtt_url": "mqtt://utility.example"}, "mqtt_without_tls"),
    ],
)
def test_a_broker_that_is_not_the_homes_is_told_nothing(served, broker, assistant, tmp_path, changes, word):
    folder = tmp_path / "home"
    config = write(served, broker, folder, **changes)
    another = Mosquitto({"agent": "x"}, access=ACCESS)
    try:
        (folder / "another.pem").write_bytes(another.ca.read_bytes())
    finally:
        another.stop()
    done = run(["check"], config)
    assert done.returncode == 2
    assert word in done.stderr
    assert PASSWORD not in done.stderr + done.stdout


UNIT = ROOT / "scripts" / "customer_agent" / "hushmeter-home.service"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [(("", ""), 0), (("ProtectHome=yes", "ProtectHom=yes"), 1), (("@system-service", "@no-such-group"), 1)],
)
def test_systemd_finds_nothing_wrong_with_the_unit_and_finds_planted_mistakes(tmp_path, change, wrong):
    text = UNIT.read_text().replace("/opt/hushmeter/home/bin/python", sys.executable).replace(*change)
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)], capture_output=True, text=True, timeout=60
    )
    assert len([line for line in done.stderr.splitlines() if UNIT.name in line]) == wrong, done.stderr
