"""The town under chaos: three simulated days, processes killed and links cut, and not a milliwatt-hour off."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEDS = [int(seed) for seed in os.environ.get("HUSHMETER_CHAOS_SEEDS", "1").split(",")]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", SEEDS)
def test_three_days_of_chaos_balance(tmp_path, seed):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "scripts.demo", "--out", str(tmp_path / "demo"), "--port", str(port)]
    arguments = ["--days", "3", "--exit", "--chaos", "--seed", str(seed), "--day-takes", "0"]
    done = subprocess.run(
        [*command, *arguments, "--key-bits", "512", "--unsafe-small-key"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1400,
    )
    assert done.returncode == 0, done.stderr
    ledgers = re.findall(r"midnight of day (\d)  (import|export): .*: (balances|DOES NOT BALANCE)", done.stderr)
    assert len(ledgers) == 6
    assert {verdict for _, _, verdict in ledgers} == {"balances"}
    assert done.stderr.count("started again") >= 3
    print(done.stderr)
