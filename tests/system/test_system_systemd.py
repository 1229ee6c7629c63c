"""The unit under the real systemd: its own tools judge it, and a booted one runs it as it would on a pole."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from booted import PATIENCE_S, Machine
from gateway_bench import IDENTITY, Deployment, Meter, name_of

from scripts.install_gateway import UNIT, packages

ROOT = Path(__file__).resolve().parents[2]
THRESHOLD = 19  # tenths: systemd calls up to 4.9 OK, and a web server as it comes 9 or more
DAY_S = 86_400


@pytest.fixture
def installed(tmp_path):
    """A folder that `make install-gateway` has filled, but for the packages."""
    at = tmp_path / "installed"
    command = ["make", "-s", "install-gateway", f"DESTDIR={at}", "ARGS=--without-packages"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_S)
    return at


def verify(installed, unit=None):
    """Return what systemd says of a unit; it looks for the unit's program, so the installed one's stands in for it."""
    path = installed / "etc" / "systemd" / "system" / UNIT
    text = unit or path.read_text()
    path.write_text(text.replace("/opt/hushmeter/venv/bin/python", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, [line for line in done.stderr.splitlines() if UNIT in line]


def test_systemd_finds_nothing_wrong_with_the_installed_unit(installed):
    assert verify(installed) == (0, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("ProtectHome=yes", "ProtectHom=yes"), "Unknown key 'ProtectHom'"),
        (("Type=notify", "Type=notifier"), "Failed to parse"),
        (("@system-service", "@no-such-group"), "no-such-group"),
        (("-m gateway", "-m 'gateway"), "unbalanced|ignoring"),
    ],
)
def test_a_planted_mistake_in_the_unit_is_found(installed, change, words):
    text = (installed / "etc" / "systemd" / "system" / UNIT).read_text()
    assert change[0] in text
    _, said = verify(installed, text.replace(*change))
    assert re.search(words, "\n".join(said)), said


def exposure(path, threshold=THRESHOLD):
    """Return systemd's own judgement of a unit: (whether it is within the threshold, the level)."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={threshold}", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stderr
    return done.returncode == 0, float(level[1])


def test_systemd_finds_the_unit_little_exposed(installed, capsys):
    path = installed / "etc" / "systemd" / "system" / UNIT
    good, level = exposure(path)
    with capsys.disabled():
        print(f"\nsystemd-analyze security: exposure level {level}, asked for {THRESHOLD / 10} or less")
    assert good and level <= THRESHOLD / 10


@pytest.mark.parametrize(
    "line", ["ProtectKernelModules=yes", "RestrictNamespaces=yes", "CapabilityBoundingSet=", "DynamicUser=yes"]
)
def test_a_planted_softening_exposes_it(installed, line):
    path = installed / "etc" / "systemd" / "system" / UNIT
    text = path.read_text()
    assert f"\n{line}\n" in text
    path.write_text(text.replace(f"\n{line}\n", "\n"))
    good, level = exposure(path)
    assert not good and level > THRESHOLD / 10


# --- Booted -------------------------------------------------------------------------------------------------------

# As the how-to page has it: installed, configured, its identity encrypted, no key in clear left.
PREPARE = """
set -e
python=$(readlink -f /usr/bin/python3)
cd /srv/code && $python -m scripts.install_gateway --without-packages
$python -m venv --without-pip /opt/hushmeter/venv
cp -a /srv/given/packages/. /opt/hushmeter/venv/lib/python3.11/site-packages/
mkdir -p /etc/hushmeter /var/lib/hushmeter
cp /srv/given/deployment/gateway.toml /etc/hushmeter/
cp -r /srv/given/deployment/rosters /etc/hushmeter/
cp -r /srv/given/deployment/enrolment /var/lib/hushmeter/
cd /etc/hushmeter
systemd-creds --with-key=host --name=identity.pem encrypt /srv/given/deployment/identity.pem identity.pem.cred
# No serial lines, but ports with the owners of such: one of the group that the unit names, one of nobody's.
for port in 0 1; do mknod /dev/ttyUSB$port c 1 3; chmod 660 /dev/ttyUSB$port; done; chgrp dialout /dev/ttyUSB0
mkdir -p /etc/systemd/system/{unit}.d
printf '[Service]\\nWatchdogSec={watchdog_s}\\nRestartSec=1\\nStandardError=append:/run/gateway.log\\n' \\
  > /etc/systemd/system/{unit}.d/test.conf
printf '[Unit]\\nWants={unit}\\n' > /etc/systemd/system/pole.target
"""
WATCHDOG_S = 6


def site_packages(folder):
    """Copy what the concentrator needs, and nothing else, out of the environment of these tests."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_FILES, *packages()], capture_output=True, text=True, check=True, timeout=60
    )
    for line in json.loads(done.stdout):
        source, name = Path(line[0]), Path(line[1])
        if ".." not in name.parts:  # scripts: nobody calls them
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


LIST_FILES = """
import importlib.metadata, json, sys
files = [each for name in sys.argv[1:] for each in importlib.metadata.files(name)]
print(json.dumps([[str(each.locate()), str(each)] for each in files if each.locate().is_file()]))
"""


@pytest.fixture
def pole(tmp_path):
    """A machine that has booted into the service, and the meter that it knows."""
    given = tmp_path / "given"
    given.mkdir()
    site_packages(given / "packages")
    midnight = int(time.time()) // DAY_S * DAY_S
    meter = Meter(0, since=midnight - DAY_S)
    deployment = Deployment(given / "deployment", [meter])
    deployment.write(
        identity_key=f"/run/credentials/{UNIT}/identity.pem",
        rosters="/etc/hushmeter/rosters",
        enrolment="/var/lib/hushmeter/enrolment",
        ledger="/var/lib/hushmeter/ledger.sqlite3",
        listen="127.0.0.1:8765",
        metrics_listen="127.0.0.1:9469",
        table_window_bits=4,
        serial=["/dev/ttyUSB0", "/dev/ttyUSB1"],
    )
    words = {
        "unit": UNIT,
        "watchdog_s": WATCHDOG_S,
    }
    machine = Machine(tmp_path, "pole.target", PREPARE.format(**words), given)
    machine.meter, machine.midnight = meter, midnight
    try:
        yield machine
    finally:
        machine.stop()


# Sends frames and prints what comes back, until as many answers have come as it was told.
TALK = """
import socket, sys
from protocol.wire import Deframer, encode_link
line = socket.create_connection(("127.0.0.1", 8765), 30)
line.settimeout(30)
frames = [bytes.fromhex(each) for each in sys.argv[2:]]
line.sendall(b"".join(encode_link(frame) for frame in frames))
deframer, found = Deframer(), []
while len(found) < int(sys.argv[1]):
    data = line.recv(4096)
    assert data, "hung up"
    deframer.feed(data)
    found += list(deframer)
print(" ".join(frame.hex() for frame in found))
"""


def judged(pole, frames):
    """Return the verdicts of frames that a meter sends over TCP, in one piece."""
    done = pole.beside(sys.executable, "-c", TALK, "1", *(frame.hex() for frame in frames), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = pole.meter.verdicts([bytes.fromhex(each) for each in done.stdout.split()])
    return [found.get(name_of(frame)) for frame in frames]


def status_of(process):
    lines = (process / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_a_booted_systemd_runs_the_unit_in_its_sandbox_and_again_whatever_ends_it(pole, capsys):
    pole.until(UNIT, "ActiveState", "active", "failed")
    said = pole.run("sh", "-c", "cat /run/gateway.log").stdout
    assert pole.show(UNIT, "SubState") == "running", said
    assert pole.show(UNIT, "StatusText").startswith("listening on 127.0.0.1, port 8765, for north")
    frames = [pole.meter.reading(pole.midnight - DAY_S + at * 900, 5) for at in range(3)]
    assert judged(pole, frames) == ["stored"] * 3

    process = pole.main_process(UNIT)
    status = status_of(process)
    assert int(status["Uid"].split()[0]) >= 61184, "a user that systemd has made up"
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    limits = (process / "limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    mounts = (process / "mounts").read_text().splitlines()
    options = {line.split()[1]: line.split()[3].split(",") for line in mounts}
    assert "ro" in options["/"] and "ro" in options["/etc" if "/etc" in options else "/"]
    assert "rw" in options["/var/lib/private/hushmeter"]
    assert "hidepid=invisible" in options["/proc"]
    events = [json.loads(line) for line in said.splitlines()]
    ports = {event["port"]: event["reason"] for event in events if "port not usable" in event["event"]}
    assert ports["/dev/ttyUSB1"] == os.strerror(errno.EACCES)
    assert os.strerror(errno.ENOTTY) in ports["/dev/ttyUSB0"], "opened, and found to be no serial line"

    # The identity: sealed on the disk, in clear in the service's memory only.
    secret = IDENTITY.export_key(format="PEM").splitlines()[1]
    kept = pole.run("grep", "-rlF", secret, "/etc/hushmeter", "/var/lib", "/opt/hushmeter", check=False)
    assert kept.stdout == ""
    credential = f"/run/credentials/{UNIT}/identity.pem"
    assert secret in pole.run("cat", credential).stdout, "root sees it; it is a file in memory"
    assert pole.run("stat", "-f", "-c", "%T", credential).stdout.strip() in ("ramfs", "tmpfs")
    scraped = pole.beside(sys.executable, "-c", SCRAPE).stdout
    assert "hushmeter_readings_total 3.0" in scraped and "process_resident_memory_bytes" in scraped

    # Killed, and hung: it comes again, and what it acknowledged is there.
    for number, wanted in ((signal.SIGKILL, "1"), (signal.SIGSTOP, "2")):
        started = time.monotonic()
        os.kill(int(pole.main_process(UNIT).name), number)
        pole.until(UNIT, "NRestarts", wanted)
        pole.until(UNIT, "ActiveState", "active")
        with capsys.disabled():
            print(f"\nafter {number.name} it ran again in {time.monotonic() - started:.1f} s")
        assert judged(pole, frames) == ["duplicate"] * 3

    pole.run("systemctl", "stop", UNIT)
    assert (pole.show(UNIT, "Result"), pole.show(UNIT, "ExecMainStatus")) == ("success", "0")
    said = pole.run("cat", "/run/gateway.log").stdout
    assert "stopping at a signal" in said and "Traceback" not in said
    assert frames[0].hex() not in said


SCRAPE = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=30).read().decode())
"""
