"""`gateway check`: says everything that is wrong, starts nothing, changes nothing."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from gateway_bench import DAY, IDENTITY, OPERATOR, START, Deployment, Meter, public_key
from test_gateway_daemon import Daemon

from gateway.config import ConfigError, load
from gateway.encryption import PROTECTS, Settings
from gateway.ledger import Ledger
from gateway.operation import doctor
from gateway.operation.check import check, table_bytes
from gateway.operation.looking import holder
from gateway.schema import FIRST_SCHEMA, SCHEMA_VERSION
from paillier.table import HalfSizeTable
from protocol import documents, rosters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def deployment(tmp_path):
    made = Deployment(tmp_path / "deployment", [Meter(0), Meter(1)])
    (made.folder / "identity.pem").chmod(0o600)
    return made


def command(deployment, name="check"):
    return subprocess.run(
        [sys.executable, "-m", "gateway", name, "--config", str(deployment.config)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def everything(folder):
    """Every file with its bytes, mode and time of change."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        state = path.stat()
        found[path] = state.st_mode, state.st_mtime_ns, path.read_bytes() if path.is_file() else None
    return found


def problem(deployment, **changes):
    deployment.write(**changes)
    (found,) = check(deployment.config, START).problems
    assert "\n" not in found
    return found


def test_a_good_configuration_is_told_in_full_and_nothing_changes(deployment):
    deployment.write(min_contributors=3, metrics_listen="127.0.0.1:0", serial=["/dev/none"], table_window_bits=8)
    before = everything(deployment.folder)
    done = command(deployment)
    assert (done.returncode, done.stderr) == (0, "")
    assert everything(deployment.folder) == before
    for words in (
        "serves north: 2 meters on roster version 1, intervals of 900 s, a key of 512 bits",
        f"accumulator strict: {PROTECTS['strict']}",
        "MB for tables",
        "takes 2 enrolment records and 0 revocations",
        "makes a ledger at",
        "listens on 127.0.0.1, port any, for meters",
        "for Prometheus",
        "uploads to http://127.0.0.1:9",
        "WARNING: north has fewer than 3 meters",
        "WARNING: the serial port /dev/none",
        "UNSAFE",
    ):
        assert words in done.stdout, words
    for meter in (Meter(0), Meter(1)):
        assert meter.chain.value.hex() not in done.stdout


def test_every_problem_is_named_at_once(deployment):
    (deployment.folder / "enrolment" / "torn.json").write_bytes(b'{"hop_chain": "00ff')
    stranger = msgspec.structs.replace(Meter(2).record(), neighbourhood="south")
    (deployment.folder / "enrolment" / "zz.json").write_bytes(msgspec.json.encode(stranger))
    unlisted = Meter(3).record()
    (deployment.folder / "enrolment" / "yy.json").write_bytes(msgspec.json.encode(unlisted))
    (deployment.folder / "rosters" / "torn.json").write_bytes(b"{}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        deployment.write(listen=f"127.0.0.1:{taken.getsockname()[1]}", detail_s=7)
        done = command(deployment)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert all(line.startswith("gateway: ") for line in lines)
    for words in (
        "rosters/torn.json",
        "enrolment/torn.json",
        "south is not served",
        "yy.json",
        "'listen'",
        "'detail_s'",
    ):
        assert len([line for line in lines if words in line]) == 1, (words, lines)
    assert len(lines) == 6
    assert "00ff" not in done.stderr
    assert unlisted.hop_chain not in done.stderr


def test_what_is_missing_is_named(deployment):
    (deployment.folder / "identity.pem").unlink()
    assert "'identity_key'" in problem(deployment)
    deployment.config.unlink()
    (found,) = check(deployment.config, START).problems
    assert "cannot read the configuration" in found


def test_a_key_that_others_can_read_is_warned_of(deployment):
    (deployment.folder / "identity.pem").chmod(0o644)
    assert [line for line in check(deployment.config, START).plan if "chmod 600" in line]
    (deployment.folder / "identity.pem").chmod(0o600)
    assert not [line for line in check(deployment.config, START).plan if "chmod 600" in line]


def test_a_ledger_is_told_by_its_meters_and_its_version(deployment):
    path = deployment.folder / "ledger.sqlite3"
    Ledger(path).close()
    before = everything(deployment.folder)
    assert f"opens the ledger {path} with 0 meters" in check(deployment.config, START).plan
    assert everything(deployment.folder) == before
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    assert "is of version 99" in problem(deployment)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.executescript(f"{FIRST_SCHEMA} PRAGMA user_version = 1;")
    assert [line for line in check(deployment.config, START).plan if f"from version 1 to {SCHEMA_VERSION}" in line]
    path.write_bytes(b"this is no database, and is long enough to be none" * 50)
    assert "keep the file" in problem(deployment)


def test_a_running_daemon_is_named_and_its_port_is_no_problem(deployment):
    deployment.write(table_window_bits=4)
    daemon = Daemon(deployment)
    try:
        deployment.write(table_window_bits=4, listen=f"127.0.0.1:{daemon.port}")
        assert holder(deployment.folder / "ledger.sqlite3") == daemon.process.pid
        found = check(deployment.config, START)
        assert found.problems == []
        assert [line for line in found.plan if f"in use by process {daemon.process.pid}" in line]
        assert [line for line in found.plan if "opens the ledger" in line and "2 meters" in line]
    finally:
        assert daemon.stop() == 0
    assert holder(deployment.folder / "ledger.sqlite3") is None


@pytest.mark.parametrize("settings", [Settings(table_window_bits=4), Settings(table_window_bits=8, exponent_bits=320)])
def test_the_estimate_of_a_tables_memory_is_within_a_tenth(settings):
    key = generate_key()
    table = HalfSizeTable(key, window_bits=settings.table_window_bits, exponent_bits=settings.exponent_bits or None)
    assert abs(table_bytes(key.bits, settings) / table.memory_bytes - 1) < 0.1
    assert table_bytes(key.bits, replace(settings, table_window_bits=0)) == 0
    assert 38e6 < table_bytes(3072, Settings()) < 46e6  # 42 MB, as paillier/table.py has it


def generate_key():
    from paillier.private.key import generate_keypair

    return generate_keypair(1024, unsafe_small_key=True).public


# --- What a person compares ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["check", "doctor"])
def test_the_operators_fingerprint_and_the_own_key_are_said(deployment, name):
    said = command(deployment, name).stdout
    assert documents.key_id(OPERATOR) in said, "what the ceremony prints as the operator's fingerprint"
    assert f"concentrator {documents.key_id(IDENTITY)}" in said
    deployment.write(operator_key=public_key(documents.generate_signing_key()))
    assert documents.key_id(OPERATOR) not in command(deployment, name).stdout


def test_a_doctor_who_may_not_read_the_identity_still_says_the_operators(deployment):
    (deployment.folder / "identity.pem").unlink()
    found = doctor.keys(load(deployment.config))
    assert documents.key_id(OPERATOR) in found.said
    assert "not readable" in found.said


# --- Rosters and their time -------------------------------------------------------------------------------------


def dates(deployment, now):
    return [line for line in check(deployment.config, now).plan if re.search(r"roster version \d+ of north \(", line)]


def another_version(deployment, version, valid_from, **changes):
    document = msgspec.json.decode((deployment.folder / "rosters" / "north.json").read_bytes(), type=documents.Document)
    roster = documents.parse(document.content_bytes(), rosters.Roster)
    deployment.write_roster(
        msgspec.structs.replace(roster, version=version, valid_from=valid_from, **changes), f"north.v{version}"
    )


def test_a_roster_that_is_in_force_needs_no_word(deployment):
    assert dates(deployment, START) == []


def test_a_roster_that_is_not_in_force_yet_is_named_with_its_day(deployment):
    [line] = dates(deployment, START - 1)
    assert line.startswith(
        "WARNING: roster version 1 of north (north.json) is not in force yet: it is from 2026-03-01T00:00Z"
    )
    another_version(deployment, 2, START + DAY)
    [line] = dates(deployment, START)
    assert line == (
        "roster version 2 of north (north.v2.json) is not in force yet: it is from 2026-03-02T00:00Z on; until then"
        " version 1 counts"
    )


def test_a_roster_that_is_not_in_force_any_more_is_named_with_what_follows_it(deployment):
    another_version(deployment, 2, START + DAY)
    [line] = dates(deployment, START + DAY)
    assert line == (
        "roster version 1 of north (north.json) is not in force any more: version 2 follows it since 2026-03-02T00:00Z"
    )


def test_a_roster_that_never_comes_into_force_is_warned_of(deployment):
    another_version(deployment, 2, START + 2 * DAY)
    another_version(deployment, 3, START + DAY)
    assert [line for line in dates(deployment, START) if "version 2" in line and "never in force" in line]


def test_a_roster_that_names_another_concentrator_now_is_warned_of(deployment):
    other = documents.generate_signing_key()
    another_version(deployment, 2, START + DAY, concentrator=public_key(other))
    assert dates(deployment, START + DAY - 1) == []
    line = dates(deployment, START + DAY)[-1]
    assert "names another concentrator since 2026-03-02T00:00Z: stop this one" in line


def test_in_a_simulation_nothing_is_said_of_the_present(deployment):
    deployment.write(clock="conducted:127.0.0.1:1", unsafe_simulated_clock=True)
    assert dates(deployment, START - DAY) == []


# --- A configuration that cannot be read names the line ---------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("min", "min = = ", 1), "at line 3"),
        (lambda text: text.replace("7", '"seven"', 1), "line 4: 'accepted_delay_days' must be of type int"),
        (lambda text: text.replace("grace_s", "grace_period"), "line 5: unknown key 'grace_period'"),
        (lambda text: text.replace("300", "-1"), "line 5: 'grace_s' must be 0 or more"),
        (lambda text: text.replace("127.0.0.1:9469", "0.0.0.0:9469"), "line 6: 'metrics_listen' must be on loopback"),
        (lambda text: text.replace("127.0.0.1:9469", "nowhere"), "line 6: 'metrics_listen' must be HOST:PORT"),
        (lambda text: text.replace("bench", "b\udcff"), r"not UTF-8 \(at line 2\)"),
    ],
)
def test_an_unreadable_configuration_names_the_line(deployment, change, words):
    text = (
        '# a comment\ndeployment = "bench"\nmin_contributors = 2\naccepted_delay_days = 7\ngrace_s = 300\n'
        'metrics_listen = "127.0.0.1:9469"\n'
    )
    rest = [line for line in deployment.write(deployment=None).read_text().splitlines(True)]
    deployment.config.write_bytes(change(text).encode(errors="surrogateescape") + "".join(rest).encode())
    with pytest.raises(ConfigError, match=words) as refusal:
        load(deployment.config)
    assert str(deployment.config) in str(refusal.value)
    assert check(deployment.config, START).problems == [str(refusal.value)]


def test_a_key_that_is_none_is_named_with_its_line(deployment):
    lines = deployment.write(operator_key="AAAA").read_text().splitlines()
    [at] = [number for number, line in enumerate(lines, 1) if line.startswith("operator_key")]
    with pytest.raises(ConfigError, match=f"line {at}: 'operator_key': .*deployment.json"):
        load(deployment.config)


def test_metrics_leave_loopback_only_where_that_is_said(deployment):
    config = load(deployment.write(metrics_listen="0.0.0.0:9469", metrics_beyond_loopback=True))
    assert config.metrics_address() == ("0.0.0.0", 9469)
    assert load(deployment.write()).metrics_address() is None


def test_the_lock_is_not_taken_to_see_who_has_it(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    assert holder(tmp_path / "ledger.sqlite3") == os.getpid()
    ledger.close()
    assert holder(tmp_path / "ledger.sqlite3") is None
    assert holder(tmp_path / "none.sqlite3") is None
    assert holder(tmp_path / "ledger.sqlite3", tmp_path / "no-proc") is None
