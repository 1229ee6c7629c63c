"""The units: each process walled in, the key holder as a user of its own that no network reaches."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mdms.__main__ import cli

PACKAGING = Path(__file__).resolve().parents[2] / "mdms" / "operation" / "packaging"
UNITS = sorted(PACKAGING.glob("*.service"))
WALLS = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallFilter=@system-service",
    "LimitCORE=0",
)


def lines(name):
    return (PACKAGING / f"hushmeter-mdms-{name}.service").read_text().splitlines()


def value(name, key):
    return [line.partition("=")[2] for line in lines(name) if line.startswith(f"{key}=")]


@pytest.mark.parametrize("unit", UNITS, ids=lambda it: it.name)
def test_every_process_is_walled_in_and_runs_a_command_that_there_is(unit):
    text = unit.read_text().splitlines()
    for wall in WALLS:
        assert wall in text, wall
    [command] = re.findall(r"^ExecStart=\S+ -m mdms (\S+) --config /etc/hushmeter/\w+\.toml$", "\n".join(text), re.M)
    assert command in cli.commands
    assert "User=root" not in text
    assert any(line.startswith("User=hushmeter-") for line in text)


def test_there_is_a_unit_for_every_process():
    assert {unit.stem.removeprefix("hushmeter-mdms-") for unit in UNITS} == {
        "serve",
        "worker",
        "keyholder",
        "prune",
        "watch",
    }


def test_the_key_holder_is_another_user_than_the_web_server_and_nothing_reaches_it_by_network():
    assert value("keyholder", "User") == value("worker", "User") != value("serve", "User")
    assert value("keyholder", "PrivateNetwork") == ["yes"]
    assert value("keyholder", "RestrictAddressFamilies") == ["AF_UNIX"]
    assert value("keyholder", "RuntimeDirectoryMode") == value("keyholder", "StateDirectoryMode") == ["0700"]
    for other in ("serve", "prune", "watch"):
        assert "/run/hushmeter-keyholder" in value(other, "InaccessiblePaths")[0]
    for other in ("serve", "worker", "prune", "watch"):
        assert "/var/lib/hushmeter-keyholder" in value(other, "InaccessiblePaths")[0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for unit in [*UNITS, *PACKAGING.glob("*.timer")]:
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.M)
        (tmp_path / unit.name).write_text(text.replace("/opt/hushmeter/lib", "/"))

    def verify():
        command = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    done = verify()
    if done.returncode and "hushmeter" not in done.stderr:
        pytest.skip("systemd-analyze cannot work here")
    assert (done.returncode, done.stderr) == (0, "")
    broken = tmp_path / UNITS[0].name
    broken.write_text(broken.read_text().replace("ProtectHome=yes", "ProtectHome=perhaps"))
    assert "perhaps" in verify().stderr


def test_the_users_of_the_units_are_made():
    made = set(re.findall(r"^u (\S+) ", (PACKAGING / "hushmeter-mdms.sysusers.conf").read_text(), re.M))
    assert made == {user for unit in ("serve", "worker", "keyholder", "prune", "watch") for user in value(unit, "User")}
