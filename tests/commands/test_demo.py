"""`make demo`: a town whose ledger balances, whose folder holds no reading, and which stops what it started."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.demo import town
from scripts.homes import energies, furnish

ROOT = Path(__file__).resolve().parents[2]
FAST = ("--key-bits", "512", "--unsafe-small-key", "--day-takes", "0")


def demo(out, *arguments, port=None):
    port = port or free_port()
    command = [sys.executable, "-m", "scripts.demo", "--out", str(out), "--port", str(port), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pids(out):
    return [int(path.read_text()) for path in (out / "run").glob("*.pid")]


def readings_of_the_day():
    """Yield every interval energy that a meter of the town sealed on the first day, in mWh."""
    for neighbourhood, count in town.HOMES.items():
        for number in range(1, count + 1):
            home = furnish(f"{neighbourhood}-{number:02d}", 1)
            yield from (taken for _, taken, _ in energies(home, town.FIRST_DAY, town.INTERVAL_S, 1))


def test_a_day_balances_and_leaves_no_reading_behind(tmp_path):
    out = tmp_path / "demo"
    process = demo(out, "--days", "1", "--exit", *FAST)
    said, _ = process.communicate(timeout=280)
    assert process.returncode == 0, said
    assert re.search(r"first point on the customer's curve after \d+ s", said)
    assert said.count(": balances") == 2
    for direction in ("import", "export"):
        line = next(line for line in said.splitlines() if f"  {direction}: measured" in line)
        measured = int(re.search(r"measured (\d+)\.(\d{3})", line).group(1))
        assert measured > 10_000
    # The simulated world is gone, and nothing that the system kept holds an energy of a single interval.
    kept = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    # Round ones are left out: of their eight bytes two are not zero, and a database's pages hold such by themselves.
    canaries = [energy for energy in readings_of_the_day() if energy > 100_000 and energy % 256]
    assert len(canaries) > 500
    for energy in canaries:
        wh = f"{energy // 1000}.{energy % 1000:03d}".encode()
        assert wh not in kept
        assert struct.pack(">IIQ", energy, 0, 0)[:8] not in kept
    assert not pids(out)


def test_an_interrupt_stops_every_process(tmp_path):
    out = tmp_path / "demo"
    process = demo(out, *FAST)
    deadline = time.monotonic() + 120
    while len(pids(out)) < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    started = pids(out)
    assert len(started) == 5
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "stopped, every process has ended" in said
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_second_demonstration_in_one_folder_is_refused(tmp_path):
    out = tmp_path / "demo"
    first = demo(out, *FAST)
    deadline = time.monotonic() + 60
    while not (out / "run").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = demo(out, *FAST)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another demonstration runs in" in said
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)


def test_a_taken_port_is_one_clear_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = demo(tmp_path / "demo", *FAST, port=taken.getsockname()[1])
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.count("\n") == 1 and "is taken: stop what uses it" in said


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    process = demo(tmp_path, *FAST)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "holds something else" in said
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("port", ["0", "65536"])
def test_a_port_that_is_none_is_named(tmp_path, port):
    process = demo(tmp_path / "demo", *FAST, port=port)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--port" in said and "Traceback" not in said


def test_exit_needs_to_know_when(tmp_path):
    process = demo(tmp_path / "demo", "--exit")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--exit needs --days" in said
