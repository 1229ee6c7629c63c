"""`python -m gateway` as a process: what cannot start says so in one line; what runs stops in order."""

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from gateway_bench import RATING_W, START, Concentrator, Deployment, Meter
from logged_process import LoggedProcess, starting

from gateway.encryption import PROTECTS
from gateway.holdings import enrolled
from gateway.ledger import Ledger
from protocol import keychain, wire

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


@pytest.fixture
def deployment(tmp_path):
    return Deployment(tmp_path / "deployment", [Meter(0), Meter(1)])


def refusal(deployment, command="run"):
    """Start a daemon that must not start; returns the one line that it said."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", command, "--config", str(deployment.config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # the rest is the log, in JSON
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("gateway: ")
    assert done.returncode == 2
    assert done.stdout == ""
    return lines[0]


class Daemon(LoggedProcess):
    """A running concentrator that listens."""

    def __init__(self, deployment, python=sys.executable):
        super().__init__([python, "-m", "gateway", "run", "--config", str(deployment.config)])
        self.port = self.said('"listening"')["port"]


@pytest.fixture
def start():
    with starting(Daemon) as start_one:
        yield start_one


def test_a_taken_port_is_one_line(deployment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        deployment.write(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        line = refusal(deployment)
    assert "'listen'" in line
    assert "in use" in line


def test_whatever_is_missing_or_wrong_is_one_line(deployment):
    identity = (deployment.folder / "identity.pem").read_bytes()
    roster = (deployment.folder / "rosters" / "north.json").read_bytes()
    (deployment.folder / "identity.pem").unlink()
    assert "identity.pem" in refusal(deployment)
    (deployment.folder / "identity.pem").write_bytes(identity)
    (deployment.folder / "rosters" / "north.json").write_bytes(roster[:-9])
    assert "rosters" in refusal(deployment)
    (deployment.folder / "rosters" / "north.json").write_bytes(roster)
    (deployment.folder / "ledger.sqlite3").write_bytes(b"this is no database, and is long enough to be none" * 50)
    assert "ledger.sqlite3" in refusal(deployment)
    assert "ledger.sqlite3" in refusal(deployment, "confirm-clock")
    (aside,) = deployment.folder.glob("ledger.sqlite3.damaged-*")
    aside.unlink()
    deployment.write(deployment=None)
    assert "'deployment'" in refusal(deployment)
    deployment.config.unlink()
    assert "gateway.toml" in refusal(deployment)


def test_a_second_daemon_on_one_ledger_is_one_line_and_the_first_goes_on(deployment, start):
    daemon = start(deployment)
    assert "in use by another concentrator" in refusal(deployment)
    assert "in use by another concentrator" in refusal(deployment, "confirm-clock")
    assert daemon.process.poll() is None
    assert daemon.stop() == 0


def test_a_daemon_stops_in_order_at_a_signal_and_says_no_more_than_that(deployment, start):
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon = start(deployment)
        with socket.create_connection(("127.0.0.1", daemon.port)) as peer:
            peer.sendall(wire.encode_link(Meter(0).hello()))
            assert peer.recv(1024)
            assert daemon.stop(number) == 0
        assert not [line for line in daemon.lines if not line.startswith("{")]
    ledger = Ledger(deployment.folder / "ledger.sqlite3")
    assert enrolled.titles(ledger) == [Meter(0).title, Meter(1).title]
    ledger.close()


@pytest.mark.parametrize("mode", ["strict", "pool", "fold"])
def test_a_daemon_says_at_its_start_how_it_encrypts_and_then_takes_readings(deployment, start, mode):
    deployment.write(accumulator=mode, table_window_bits=4)
    daemon = start(deployment)
    (said,) = [json.loads(line) for line in daemon.lines if '"encryption"' in line]
    assert (said["neighbourhood"], said["accumulator"], said["table_window_bits"]) == ("north", mode, 4)
    assert said["protects"] == PROTECTS[mode]
    assert said["table_mb"] > 0
    assert said["table_s"] >= 0
    meter = Meter(0)
    now = int(time.time()) // 900 * 900
    frame = meter.reading(now - 900, 5, epoch=keychain.epoch_of(now))
    with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE_S) as peer:
        peer.sendall(wire.encode_link(frame))
        deframer = wire.Deframer()
        deframer.feed(peer.recv(1024))
    assert list(meter.verdicts(list(deframer)).values()) == ["stored"]
    assert daemon.stop() == 0


def test_a_running_daemon_takes_a_meter_in_and_serves_it_at_once(deployment, start):
    daemon = start(deployment)
    new = Meter(2, since=int(time.time()) // 900 * 900 - 1800)
    roster = Concentrator.roster(
        SimpleNamespace(
            meters=[Meter(0), Meter(1), new], settings={"zone": "UTC", "interval_s": 900, "rating_w": RATING_W}
        )
    )
    deployment.write_roster(msgspec.structs.replace(roster, version=2, valid_from=new.since), "north.v2")
    path = deployment.folder / "enrolment" / "new.json"
    path.write_bytes(msgspec.json.encode(new.record()))
    (deployment.folder / "enrolment" / "bad.json").write_bytes(b"\xff")
    ends = time.monotonic() + PATIENCE_S
    # The bad file was written a moment later: it may be looked at a tick later, too.
    while (path.exists() or not any("is refused" in line for line in daemon.lines)) and time.monotonic() < ends:
        time.sleep(0.05)
    with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE_S) as peer:
        peer.sendall(wire.encode_link(new.reading(new.since, 5)))
        deframer = wire.Deframer()
        deframer.feed(peer.recv(1024))
    assert list(new.verdicts(list(deframer)).values()) == ["stored"]
    assert daemon.stop() == 0
    said = [json.loads(line) for line in daemon.lines]
    assert [entry["file"] for entry in said if "a file is refused" in entry["event"]] == ["bad.json"]
    again = start(deployment)  # a bad file is no reason not to start in the street
    assert again.stop() == 0


def test_a_crash_writes_no_core(deployment, start):
    daemon = start(deployment)
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    assert daemon.stop() == 0


def test_a_killed_daemon_starts_again_on_its_ledger(deployment, start):
    daemon = start(deployment)
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    daemon = start(deployment)
    assert daemon.stop() == 0


def test_no_secret_is_in_the_process_list_or_the_log(deployment, start):
    meters = [Meter(0), Meter(1)]
    daemon = start(deployment)
    with socket.create_connection(("127.0.0.1", daemon.port)) as peer:
        for meter in meters:
            peer.sendall(wire.encode_link(meter.hello()) + wire.encode_link(meter.reading(START, 0xC0FFEE)))
        assert peer.recv(1024)
    command = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
    assert daemon.stop() == 0
    said = "".join(daemon.lines).encode() + command
    for meter in meters:
        for secret in (meter.chain.value, meter.hello_key, meter.time_key):
            assert secret not in said
            assert secret.hex().encode() not in said
    assert str(0xC0FFEE).encode() not in said


def test_the_operator_confirms_the_clock_while_the_daemon_is_stopped(deployment):
    deployment.write()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "confirm-clock", "--config", str(deployment.config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "confirmed" in done.stdout


def test_a_ledger_that_fails_while_running_ends_the_daemon_with_one_line(deployment, start):
    """The limit on file sizes stands in for a full disk: the write itself fails."""
    daemon = start(deployment)
    limit = (deployment.folder / "ledger.sqlite3-wal").stat().st_size + 10_000
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    meter = Meter(0)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", daemon.port)) as peer:
        peer.settimeout(PATIENCE_S)
        for _ in range(5_000):
            peer.sendall(wire.encode_link(meter.seal(wire.EVENT, bytes(200), meter.epoch)))
            if daemon.process.poll() is not None:
                break
    assert daemon.process.wait(PATIENCE_S) == 2
    daemon.reader.join()
    plain = [line for line in daemon.lines if not line.startswith("{")]
    assert len(plain) == 1, plain
    assert plain[0].startswith("gateway: the ledger failed")
    ledger = Ledger(deployment.folder / "ledger.sqlite3")
    assert enrolled.titles(ledger)
    ledger.close()
