"""The three processes as an operator runs them: from signed report to released sum, and how each refuses to start."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest
from database_bench import database_url
from mdms_bench import MARCH, METERS, energy

from mdms.records.bills import decided_bills
from mdms.records.loads import decided_loads
from mdms.records.windows import unbilled_windows
from mdms.store import Store
from protocol.reports import Batch

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


class Process:
    """One `python -m mdms` with its stderr in a file."""

    def __init__(self, command, config):
        self.errors = config.with_name(f"{command}.{time.monotonic_ns()}.stderr")
        self.run = subprocess.Popen(
            [sys.executable, "-m", "mdms", command, "--config", str(config)],
            cwd=ROOT,
            stderr=self.errors.open("wb"),
            stdout=subprocess.DEVNULL,
        )

    def said(self, event):
        """Wait for a log line and return it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for line in self.errors.read_bytes().splitlines():
                if line.startswith(b"{") and json.loads(line).get("event") == event:
                    return json.loads(line)
            assert self.run.poll() is None, self.errors.read_text()
            time.sleep(0.02)
        raise AssertionError(f"never said: {event}")

    def stop(self):
        self.run.send_signal(signal.SIGTERM)
        return self.run.wait(PATIENCE_S)

    def kill(self):
        if self.run.poll() is None:
            self.run.kill()
            self.run.wait()


@pytest.fixture
def start():
    started = []

    def starter(command, config):
        started.append(Process(command, config))
        return started[-1]

    yield starter
    for process in started:
        process.kill()


def wait_for(what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


def post(port, documents):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/reports",
        msgspec.json.encode(Batch(documents)),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return [item["verdict"] for item in json.load(answer)["verdicts"]]


class Conductor:
    """The far end of conducted clocks: says a time to whoever asks, and hears what is settled."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.peers = {}

    def meet(self, *roles):
        self.listener.settimeout(PATIENCE_S)
        while set(self.peers) != set(roles):
            peer, _ = self.listener.accept()
            lines = peer.makefile("rwb")
            self.peers[json.loads(lines.readline())["role"]] = lines

    def say(self, role, told):
        self.peers[role].write(json.dumps(told).encode() + b"\n")
        self.peers[role].flush()

    def settle(self, role, now):
        self.say(role, {"now_ms": now * 1000})
        return json.loads(self.peers[role].readline()) == {"settled_ms": now * 1000}


@pytest.mark.timeout(180)
def test_a_signed_report_becomes_a_released_sum(bench, north, tmp_path, start):
    conductor = Conductor()
    clock = {"clock": f"conducted:127.0.0.1:{conductor.port}", "unsafe_simulated_clock": True}
    mdms, keyholder = bench.write(tmp_path, period="day", unsafe_short_periods=True, **clock)
    with mdms.open("a") as file:
        file.write(f'clock = "{clock["clock"]}"\nunsafe_simulated_clock = true\n')
    holder, web, worker = (start(*it) for it in (("keyholder", keyholder), ("serve", mdms), ("worker", mdms)))
    port = web.said("listening")["port"]
    holder.said("key holder ready")
    conductor.meet("keyholder", "worker")
    day = MARCH + 86_400
    sent = [north.load(MARCH), *north.windows(MARCH, day, meter=3)]
    assert post(port, sent) == ["stored"] * len(sent)
    assert conductor.settle("keyholder", day)
    assert conductor.settle("worker", day)
    store = Store(database_url(tmp_path))
    [load] = decided_loads(store)
    assert (load.status, load.contributors, load.expected) == ("released", METERS, METERS)
    assert (load.import_mwh, load.export_mwh) == (sum(map(energy, range(METERS))), 7)
    [bill] = decided_bills(store)
    assert (bill.status, bill.windows, bill.import_mwh) == ("released", 8, 8)
    assert list(unbilled_windows(store)) == []
    store.close()
    conductor.say("worker", {"quit": True})
    conductor.say("keyholder", {"quit": True})
    assert worker.run.wait(PATIENCE_S) == holder.run.wait(PATIENCE_S) == web.stop() == 0


@pytest.mark.timeout(180)
def test_a_worker_that_waits_for_a_key_holder_still_stops(bench, north, tmp_path, start):
    conductor = Conductor()
    mdms, _ = bench.write(tmp_path)
    empty = database_url(tmp_path, "empty", empty=True)
    before = mdms.read_text().replace(database_url(tmp_path), empty)
    mdms.write_text(before)
    worker = start("worker", mdms)
    worker.said("worker waits")
    assert worker.stop() == 0
    Store(empty).close()
    worker = start("worker", mdms)
    worker.said("releases wait")
    assert worker.stop() == 0
    mdms.write_text(before + f'clock = "conducted:127.0.0.1:{conductor.port}"\nunsafe_simulated_clock = true\n')
    worker = start("worker", mdms)
    conductor.meet("worker")
    conductor.say("worker", {"now_ms": MARCH * 1000})
    worker.said("releases wait")
    conductor.say("worker", {"quit": True})
    assert worker.run.wait(PATIENCE_S) == 0


@pytest.mark.timeout(180)
def test_a_key_holder_that_is_killed_delays_and_loses_nothing(bench, north, tmp_path, start):
    mdms, keyholder = bench.write(tmp_path)
    web, worker = start("serve", mdms), start("worker", mdms)
    port = web.said("listening")["port"]
    now = int(time.time()) // 900 * 900
    late, early = now - 72 * 3600, now - 900
    assert post(port, [north.load(late), north.load(early)]) == ["stored", "stored"]
    worker.said("releases wait")
    start("keyholder", keyholder).said("key holder ready")
    store = Store(database_url(tmp_path))
    wait_for(lambda: len(list(decided_loads(store))) == 2)
    assert [load.status for load in decided_loads(store)] == ["too_late", "released"]
    store.close()
    assert worker.stop() == web.stop() == 0


def refusal(command, config):
    """Start a process that must not start; returns its exit code and the one line that it said."""
    done = subprocess.run(
        [sys.executable, "-m", "mdms", command, "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "CREDENTIALS_DIRECTORY"},
    )
    said = [line for line in done.stderr.decode().splitlines() if not line.startswith("warning: ")]
    assert len(said) == 1, said
    assert done.stdout == b""
    return done.returncode, said[0]


def test_a_missing_configuration_is_one_line(tmp_path):
    code, said = refusal("serve", tmp_path / "none.toml")
    assert code == 2
    assert "none.toml" in said


def test_a_taken_port_is_one_line(bench, tmp_path):
    mdms, _ = bench.write(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mdms.write_text(mdms.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        code, said = refusal("serve", mdms)
    assert (code, str(port) in said) == (1, True)


@pytest.mark.sqlite
def test_an_unreadable_database_is_one_line(bench, tmp_path):
    mdms, keyholder = bench.write(tmp_path)
    (tmp_path / "mdms.sqlite3").write_bytes(b"this is no database, and long enough to be seen as none" * 100)
    (tmp_path / "keyholder.sqlite3").write_bytes(b"nor is this, and long enough to be seen as none" * 100)
    for command, config in (("serve", mdms), ("worker", mdms), ("keyholder", keyholder)):
        code, said = refusal(command, config)
        assert (code, "database" in said) == (1, True)


def test_a_wrong_passphrase_is_one_line(bench, tmp_path):
    _, keyholder = bench.write(tmp_path)
    (tmp_path / "passphrase").write_text("incorrect horse")
    code, said = refusal("keyholder", keyholder)
    assert (code, "wrong passphrase" in said) == (1, True)


def test_a_small_key_is_refused_without_its_flag(bench, tmp_path):
    _, keyholder = bench.write(tmp_path, unsafe_small_key=False)
    code, said = refusal("keyholder", keyholder)
    assert (code, "2048" in said) == (1, True)


def test_a_key_holder_behind_the_published_head_refuses_to_start(bench, north, tmp_path, start):
    head = tmp_path / "head.json"
    _, keyholder = bench.write(tmp_path, published_head="head.json")
    head.write_text(json.dumps({"seq": 1, "hash": "ab" * 32}))
    code, said = refusal("keyholder", keyholder)
    assert (code, "published entry 1" in said) == (1, True)
    head.write_text(json.dumps({"seq": 0, "hash": "0" * 64}))
    assert start("keyholder", keyholder).said("key holder ready")


def test_a_second_key_holder_on_the_same_memory_refuses_to_start(bench, tmp_path, start):
    _, keyholder = bench.write(tmp_path)
    first = start("keyholder", keyholder)
    first.said("key holder ready")
    code, said = refusal("keyholder", keyholder)
    assert (code, "another key holder" in said) == (1, True)
    assert first.stop() == 0


def raw(port, head, body=b""):
    """Send bytes as they are and return the status line; empty where the server just hangs up."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as peer:
        try:
            peer.sendall(head + body)
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:
            return peer.makefile("rb").readline()
        except OSError:
            return b""


@pytest.mark.timeout(180)
def test_raw_nonsense_makes_no_5xx_and_no_traceback(bench, north, tmp_path, start):
    mdms, _ = bench.write(tmp_path)
    web = start("serve", mdms)
    port = web.said("listening")["port"]
    line = b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n" % (1 << 16) + b" " * (1 << 16) + b"\r\n"
    heads = {
        "not HTTP": (b"\x00\xff\x16\x03\r\n\r\n", b""),
        "no length": (line + b"\r\n", b""),
        "a length that is none": (line + b"Content-Length: x\r\n\r\n", b""),
        "5,000 digits of length": (line + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b""),
        "a length that is a lie": (line + b"Content-Length: 99\r\n\r\n", b"{}"),
        "too long by its length": (line + b"Content-Length: 1048577\r\n\r\n", b" " * 1_048_577),
        "much too long": (line + b"Content-Length: 999999999\r\n\r\n", b" " * 100_000),
        "too long in chunks": (line + b"Transfer-Encoding: chunked\r\n\r\n", chunk * 40 + b"0\r\n\r\n"),
        "chunks that are none": (line + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n"),
        "both length and chunks": (line + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
        "a header without end": (line + b"X: " + b"y" * (1 << 19), b""),
        "two lengths": (line + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", b"{}"),
    }
    for name, (head, body) in heads.items():
        said = raw(port, head, body)
        assert said == b"" or said.split()[1][:1] == b"4", (name, said)
    assert post(port, [north.load()]) == ["stored"]
    assert web.stop() == 0
    assert b"Traceback" not in web.errors.read_bytes()


def test_the_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "mdms", "--help"], cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_S
    )
    for command in ("serve", "worker", "keyholder"):
        assert command in done.stdout.decode()


def test_the_web_server_loads_no_private_half_and_the_key_holder_no_web_framework(bench, tmp_path):
    program = (
        "import sys, mdms, pathlib; from mdms.config import load_mdms_config;"
        "mdms.create_app(load_mdms_config(pathlib.Path(sys.argv[1])));"
        "import mdms.releases;"
        "assert not [name for name in sys.modules if name.startswith('paillier.private')]"
    )
    other = "import sys, mdms.keyholder.process; assert not {'flask', 'sqlalchemy'} & set(sys.modules)"
    mdms, _ = bench.write(tmp_path)
    for code in (program, other):
        subprocess.run([sys.executable, "-c", code, str(mdms)], cwd=ROOT, check=True, timeout=PATIENCE_S)
