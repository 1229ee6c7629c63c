"""The concentrator on 64-bit ARM, emulated: Debian's own Python there, the locked wheels, the daemon and its tests."""

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from gateway_bench import Deployment, Meter, name_of
from test_gateway_daemon import Daemon
from test_gateway_live import rows_in
from uploads_bench import Mdms, honest

from protocol.documents import to_base64url
from protocol.wire import Deframer, encode_link
from scripts.install_gateway import packages

ROOT = Path(__file__).resolve().parents[2]
DAY_S = 86_400
PATIENCE_S = 900  # an emulated machine on a busy one
# What is of the machine: ciphers, SQLite, signatures and sockets, great integers.
TESTS = (
    "tests/gateway/test_gateway_ccm_vectors.py",
    "tests/gateway/test_gateway_uploader.py",
    "tests/paillier/test_paillier_encryption.py",
)


def run(python, *words, **environment):
    done = subprocess.run(
        [python, "-B", *words], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_it_is_the_machine_and_every_package_is_of_it(python):
    said = run(python, "-c", "import platform, sys; print(platform.machine(), *sys.version_info[:2])")
    assert said.split() == ["aarch64", "3", "11"]
    names = run(python, "-c", FOUND, *packages()).split()
    assert len(names) == len(packages()) > 10
    assert all("/build/arm64/site" in name for name in names)


FOUND = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    print(importlib.metadata.distribution(name).locate_file(""))
import cryptography.hazmat.bindings._rust, gmpy2, msgspec._core, Crypto.Util._raw_api
"""


def test_the_command_says_what_it_can(python):
    assert "forwards only sums" in run(python, "-m", "gateway", "--help")


@pytest.fixture
def mdms():
    served = Mdms(honest)
    yield served
    served.close()


@pytest.mark.timeout(PATIENCE_S)
def test_the_daemon_takes_frames_answers_after_the_commit_and_passes_a_row_on(python, tmp_path, mdms):
    midnight = int(time.time()) // DAY_S * DAY_S
    meter = Meter(0, since=midnight - DAY_S)
    deployment = Deployment(tmp_path / "deployment", [meter])
    (deployment.folder / "identity.pem").chmod(0o600)
    deployment.write(mdms_url=mdms.url, table_window_bits=4)
    daemon = Daemon(deployment, python)
    try:
        frames = [meter.reading(midnight - DAY_S + at * 900, 5) for at in range(4)]
        frames.append(meter.detail(meter.epoch))
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE_S / 3) as line:
            line.settimeout(PATIENCE_S / 3)
            line.sendall(b"".join(encode_link(frame) for frame in frames))
            deframer, verdicts = Deframer(), {}
            while len(verdicts) < len(frames):
                deframer.feed(line.recv(4096))
                verdicts.update(meter.verdicts(list(deframer)))
        assert [verdicts[name_of(frame)] for frame in frames] == ["stored"] * 5
        deadline = time.monotonic() + PATIENCE_S / 3
        while not rows_in(mdms.bodies):
            assert time.monotonic() < deadline, daemon.lines
            time.sleep(0.1)
        [(pseudonym, row)] = rows_in(mdms.bodies)
        assert pseudonym == meter.pseudonym and row.startswith(to_base64url(frames[-1][:24]))
    finally:
        assert daemon.stop() == 0


@pytest.mark.timeout(PATIENCE_S)
def test_the_concentrators_own_tests_hold_there(python):
    """pytest is this machine's, and pure Python; what is compiled comes from the userland's wheels."""
    here = Path(pytest.__file__).parents[1]
    said = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *TESTS,
        PYTHONPATH=f"{Path(python).parent / 'site-of-tests'}:{here}", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )  # fmt: skip
    found = re.search(r"(\d+) passed", said)
    assert found and int(found[1]) > 20, said
    assert "failed" not in said
