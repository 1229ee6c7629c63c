"""What an installation is made of: a hardened unit, an example that can be used, code and packages of the lock only."""

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pip
import pytest
from gateway_bench import OPERATOR, Deployment, Meter, public_key
from packaging.requirements import Requirement
from test_gateway_daemon import Daemon

from gateway.carriers import SPARE_FILES
from gateway.config import Config, load
from scripts import arm64_wheels, install_gateway
from scripts.install_gateway import InstallError, locked, packages

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "gateway" / "operation" / "packaging"
UNIT = PACKAGING / "hushmeter-gateway.service"
SET_MDWE, REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h


class Unit(dict):
    """Settings of a unit: {section: {name: [every value]}}."""

    def __init__(self, text):
        section = None
        for line in text.replace("\\\n", " ").splitlines():
            if match := re.fullmatch(r"\[(\w+)\]", line.strip()):
                section = self.setdefault(match[1], {})
            elif line.strip() and not line.startswith(("#", ";")):
                name, _, value = line.partition("=")
                section.setdefault(name.strip(), []).append(value.strip())


MUST = {
    "Type": ["notify"],
    "Restart": ["always"],
    "LimitCORE": ["0"],
    "MemorySwapMax": ["0"],
    "NoNewPrivileges": ["yes"],
    "CapabilityBoundingSet": [""],
    "AmbientCapabilities": [""],
    "ProtectSystem": ["strict"],
    "ProtectHome": ["yes"],
    "PrivateTmp": ["yes"],
    "DevicePolicy": ["closed"],
    "DynamicUser": ["yes"],
    "StateDirectory": ["hushmeter"],
    "StateDirectoryMode": ["0700"],
    "UMask": ["0077"],
    "MemoryDenyWriteExecute": ["yes"],
    "LockPersonality": ["yes"],
    "RestrictAddressFamilies": ["AF_INET AF_INET6 AF_UNIX"],
    "RestrictNamespaces": ["yes"],
    "RestrictRealtime": ["yes"],
    "RestrictSUIDSGID": ["yes"],
    "SystemCallArchitectures": ["native"],
    "ProtectControlGroups": ["yes"],
    "ProtectHostname": ["yes"],
    "ProtectKernelLogs": ["yes"],
    "ProtectKernelModules": ["yes"],
    "ProtectKernelTunables": ["yes"],
    "ProtectProc": ["invisible"],
    "PrivateMounts": ["yes"],
    "PrivateUsers": ["yes"],
    "RemoveIPC": ["yes"],
}


def softened(unit):
    """Return what a unit's service leaves out of what it must say."""
    service = unit["Service"]
    found = [name for name, values in MUST.items() if service.get(name) != values]
    filters = service.get("SystemCallFilter", [])
    found += [] if filters[:2] == ["@system-service", "~@privileged @resources"] else ["SystemCallFilter"]
    found += [] if 0 < int(service.get("WatchdogSec", ["0"])[0]) <= 600 else ["WatchdogSec"]
    sealed = service.get("LoadCredentialEncrypted", [])
    found += [] if sealed == ["identity.pem:/etc/hushmeter/identity.pem.cred"] else ["LoadCredentialEncrypted"]
    found += [name for name in ("LoadCredential", "SetCredential", "EnvironmentFile", "User") if name in service]
    return found


def test_the_unit_is_hardened():
    unit = Unit(UNIT.read_text())
    assert softened(unit) == []
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]  # it never gives up
    assert unit["Install"]["WantedBy"] == ["multi-user.target"]
    assert "systemd-creds encrypt" in UNIT.read_text()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("NoNewPrivileges=yes\n", ""), "NoNewPrivileges"),
        (("ProtectSystem=strict", "ProtectSystem=full"), "ProtectSystem"),
        (("LoadCredentialEncrypted=", "LoadCredential="), "LoadCredential"),
        (("WatchdogSec=600\n", ""), "WatchdogSec"),
        (("SystemCallFilter=~@privileged", "SystemCallFilter=@privileged"), "SystemCallFilter"),
    ],
)
def test_a_planted_softening_is_found(change, named):
    assert UNIT.read_text().count(change[0]) == 1
    assert named in softened(Unit(UNIT.read_text().replace(*change)))


def test_the_unit_allows_as_many_files_as_the_daemon_wants():
    (limit,) = Unit(UNIT.read_text())["Service"]["LimitNOFILE"]
    assert int(limit) >= Config.max_connections + SPARE_FILES


def test_the_dynamic_user_finds_every_path_of_the_example(tmp_path):
    text = (PACKAGING / "gateway.toml").read_text()
    (tmp_path / "gateway.toml").write_text(text.replace("REPLACE", public_key(OPERATOR)))
    config = load(tmp_path / "gateway.toml")
    unit = Unit(UNIT.read_text())["Service"]
    credential = unit["LoadCredentialEncrypted"][0].partition(":")[0]
    assert str(config.identity_key) == f"/run/credentials/{UNIT.name}/{credential}"
    state = Path("/var/lib") / unit["StateDirectory"][0]
    assert config.ledger.parent == state
    assert config.enrolment.parent == state  # what is erased there must be writable
    assert config.metrics_address()[0] == "127.0.0.1"
    assert not config.unsafe_small_key


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/hushmeter/venv/bin/python", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    if "Failed to" in done.stderr and UNIT.name not in done.stderr:
        pytest.skip("systemd-analyze cannot work here")
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []
    assert done.returncode == 0, done.stderr
    unit.write_text(unit.read_text().replace("Type=notify", "Type=notice\nNoSuchSetting=1"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "NoSuchSetting" in done.stderr  # planted


def test_the_daemon_works_where_memory_is_never_both_written_and_executed(tmp_path):
    """MemoryDenyWriteExecute=yes: the kernel's own form of it, which a process asks of itself and its children keep."""
    probe = "import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0)"
    if subprocess.run([sys.executable, "-c", probe], check=False).returncode:
        pytest.skip("this kernel does not have PR_SET_MDWE")
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f"#!{sys.executable}\nimport ctypes, os, sys\n"
        f"ctypes.CDLL(None).prctl({SET_MDWE}, {REFUSE_EXEC_GAIN}, 0, 0, 0)\n"
        f"os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n"
    )
    wrapper.chmod(0o700)
    planted = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)"
    assert subprocess.run([wrapper, "-c", planted], capture_output=True, check=False).returncode != 0
    deployment = Deployment(tmp_path / "deployment", [Meter(0)])
    deployment.write(table_window_bits=4, metrics_listen="127.0.0.1:0")
    daemon = Daemon(deployment, python=str(wrapper))
    assert daemon.stop() == 0


# --- The installation -------------------------------------------------------------------------------------------


def install(*options):
    return subprocess.run(
        [sys.executable, "-m", "scripts.install_gateway", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_installation_holds_what_the_unit_names_and_no_half_that_decrypts(tmp_path):
    options = ("--destdir", str(tmp_path), "--prefix", "/srv/meters", "--without-packages")
    done = install(*options)
    assert (done.returncode, done.stderr) == (0, "")
    unit = Unit((tmp_path / "etc/systemd/system/hushmeter-gateway.service").read_text())["Service"]
    assert unit["WorkingDirectory"] == ["/srv/meters/lib"]
    assert unit["ExecStart"][0].startswith("/srv/meters/venv/bin/python -m gateway run ")
    assert (tmp_path / "etc/hushmeter/gateway.toml.example").exists()
    lib = tmp_path / "srv/meters/lib"
    assert sorted(path.name for path in lib.iterdir()) == ["LICENSE", "gateway", "paillier", "protocol"]
    assert not list(lib.rglob("private"))
    # The code stands on its own: it checks a configuration without the repository.
    deployment = Deployment(tmp_path / "deployment", [Meter(0)])
    check = [sys.executable, "-B", "-m", "gateway", "check", "--config", str(deployment.config)]
    command = (tmp_path / "srv/meters/bin/hushmeter-gateway").read_text()
    assert 'PYTHONPATH=/srv/meters/lib exec /srv/meters/venv/bin/python -P -B -m gateway "$@"' in command
    found = subprocess.run(check, cwd=lib, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    # An upgrade leaves nothing of what was there, and the operator's configuration alone.
    (lib / "gateway" / "gone.py").write_text("")
    (tmp_path / "etc/hushmeter/gateway.toml").write_text("mine")
    assert install(*options).returncode == 0
    assert not (lib / "gateway" / "gone.py").exists()
    assert (tmp_path / "etc/hushmeter/gateway.toml").read_text() == "mine"


@pytest.mark.parametrize("prefix", ["relative", "/with space", "/with%h", "/with'quote"])
def test_a_prefix_that_the_unit_could_not_say_is_refused(tmp_path, prefix):
    done = install("--destdir", str(tmp_path), "--prefix", prefix, "--without-packages")
    assert done.returncode == 1
    assert done.stderr.startswith("install_gateway: --prefix")
    assert list(tmp_path.iterdir()) == []


def wheel(folder, name="probe"):
    """Write a wheel by hand; returns its line in a lock."""
    files = {
        f"{name}.py": "VALUE = 42\n",
        f"{name}-1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{name}-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},\n"
        for path, text in files.items()
    )
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_, text in {**files, f"{name}-1.dist-info/RECORD": record}.items():
            archive.writestr(name_, text)
    return f"{name}==1 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_packages_come_from_a_folder_without_a_network_and_only_as_the_lock_has_them(tmp_path, monkeypatch):
    make = install_gateway.venv.create

    def with_this_pip(at, **_):  # not a fresh one, which takes long to unpack
        make(at)
        found = next((at / "lib").glob("python*/site-packages"))
        (found / "pip.pth").write_text(str(Path(pip.__file__).parents[1]))

    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(install_gateway, "LOCK", lock)
    monkeypatch.setattr(install_gateway.venv, "create", with_this_pip)
    for name, right in (("probe", True), ("forged", False)):
        line = wheel(tmp_path, name)
        lock.write_text(line if right else re.sub(r"sha256:..", "sha256:00", line))
        monkeypatch.setattr(install_gateway, "packages", lambda name=name: [name])
        if right:
            install_gateway.install_packages(tmp_path / name, tmp_path)
        else:
            with pytest.raises(InstallError, match="could not be installed"):
                install_gateway.install_packages(tmp_path / name, tmp_path)
        assert bool(list((tmp_path / name / "lib").glob(f"*/site-packages/{name}.py"))) == right


def test_the_packages_are_what_the_gateway_needs_and_what_those_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["gateway"]]
    found = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        machine = {"extra": "", "platform_machine": "aarch64", "sys_platform": "linux"}
        if requirement.marker and not requirement.marker.evaluate(machine):
            continue
        if requirement.name.lower() not in found:
            found.add(requirement.name.lower())
            wanted += requires(requirement.name) or []
    assert packages() == sorted(found)


def test_the_lock_of_a_concentrator_is_lines_of_the_whole_lock():
    lock = ROOT / "requirements.lock"
    names = [name for name in packages() if f"\n{name}==" in f"\n{lock.read_text()}"]
    assert {"cryptography", "gmpy2", "msgspec"} <= set(names)
    found = locked(lock, names)
    assert re.findall(r"^(\S+)==", found, re.M) == names
    assert set(found.splitlines()) <= set(lock.read_text().splitlines())
    assert "jonnor" not in found
    assert found.count("--hash=sha256:") >= 2 * len(names)
    with pytest.raises(InstallError, match="does not hold nothing-like-it"):
        locked(lock, ["nothing-like-it"])


def test_a_package_without_an_arm64_wheel_would_be_named(monkeypatch, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("probe==1 \\\n    --hash=sha256:00\n")
    monkeypatch.setattr(
        arm64_wheels.subprocess, "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, "", "No matching distribution for probe==1\n"),
    )  # fmt: skip
    with pytest.raises(InstallError, match="No matching distribution for probe"):
        arm64_wheels.resolve(locked(lock, ["probe"]), "3.11")
    assert "manylinux_2_28_aarch64" in arm64_wheels.PLATFORMS
