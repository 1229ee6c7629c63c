"""`gateway doctor`: each thing that can be wrong with an installation is found, named, and told what to do about."""

import contextlib
import datetime
import http.client
import http.server
import ipaddress
import json
import re
import socket
import sqlite3
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_bench import DAY, HOUR, INTERVAL, START, Deployment, K, Meter
from structlog.testing import capture_logs
from test_gateway_check import command, everything

from gateway import damage, uploader
from gateway.config import load
from gateway.operation import advice, doctor
from gateway.operation.doctor import FAIL, OK, WARN
from gateway.uploader import UploadFailed, post
from protocol.reports import ItemVerdict

ROOT = Path(__file__).resolve().parents[2]
ENERGY = 777_123_457  # nothing else here has such digits
NOW = datetime.datetime.now(datetime.UTC)
A_DAY = datetime.timedelta(days=1)


@pytest.fixture
def lived(make):
    """A concentrator after four hours of two meters."""
    meters = [Meter(0), Meter(1)]
    gateway = make(meters, k=2)
    gateway.take([meter.reading(START + i * INTERVAL, ENERGY) for i in range(15) for meter in meters], START + 4 * HOUR)
    gateway.close(START + 4 * HOUR)
    return gateway


@pytest.fixture
def deployment(lived, tmp_path):
    made = Deployment(tmp_path / "deployment", lived.meters)
    made.write(ledger=str(lived.path))
    (made.folder / "identity.pem").chmod(0o600)
    return made


def kept(deployment, now=START + 4 * HOUR):
    return {finding.what: finding for finding in doctor.kept(load(deployment.config), now)}


# --- The machine ------------------------------------------------------------------------------------------------


def test_an_identity_key_that_others_can_read_fails_and_says_what_to_do(tmp_path):
    path = tmp_path / "identity.pem"
    assert doctor.identity(path).level == FAIL
    path.write_text("secret words")
    for mode, level in ((0o600, OK), (0o400, OK), (0o640, FAIL), (0o604, FAIL), (0o602, FAIL), (0o644, FAIL)):
        path.chmod(mode)
        found = doctor.identity(path)
        assert found.level == level, oct(mode)
        assert ("chmod 600" in found.said) == (level == FAIL)
        assert "secret" not in str(found)
    path.chmod(0o600)
    tmp_path.chmod(0o777)
    assert doctor.identity(path).level == FAIL
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(("free", "level"), [(10e9, OK), (400e6, WARN), (10e6, FAIL)])
def test_little_room_on_the_disk_is_a_warning_and_none_a_failure(tmp_path, monkeypatch, free, level):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": int(free)}))
    assert doctor.disk_space(tmp_path / "ledger.sqlite3", int(200e6)).level == level


def test_the_wear_of_a_disk_is_told_where_it_is_known(tmp_path):
    ledger = tmp_path / "ledger.sqlite3"
    assert "unknown" in doctor.disk_wear(ledger, tmp_path / "nothing").said
    device = tmp_path.stat().st_dev
    block = tmp_path / "sys" / "dev" / "block" / f"{device >> 8 & 0xFFF}:{device & 0xFF}"
    (block / "device").mkdir(parents=True)
    (block / "stat").write_text("1 2 3 4 5 6 2000000000 8 9 10 11\n")
    assert "1024.0 GB written" in doctor.disk_wear(ledger, tmp_path / "sys").said
    for text, level in (("0x01 0x03\n", OK), ("0x01 0x09\n", WARN), ("0x00 0x00\n", OK), ("rubbish\n", OK)):
        (block / "device" / "life_time").write_text(text)
        assert doctor.disk_wear(ledger, tmp_path / "sys").level == level, text


@pytest.mark.parametrize(
    ("chronyc", "timedatectl", "kernel", "level", "words"),
    [
        ("Leap status     : Normal\n", None, False, OK, "chrony"),
        ("Leap status     : Not synchronised\n", "yes\n", True, WARN, "not synchronised"),
        (None, "yes\n", False, OK, "timedatectl"),
        (None, "no\n", True, WARN, "not synchronised"),
        (None, None, True, OK, "kernel"),
        (None, None, False, WARN, "unknown"),
        ("506 Cannot talk to daemon\n", "\n", False, WARN, "unknown"),
    ],
)
def test_the_clock_is_synchronised_or_not_or_unknown(chronyc, timedatectl, kernel, level, words):
    found = doctor.clock(lambda command: chronyc if command[0] == "chronyc" else timedatectl, lambda: kernel)
    assert found.level == level
    assert words in found.said


def test_a_command_that_is_not_there_or_fails_says_nothing():
    assert doctor.run(("no-such-command-anywhere",)) is None
    assert doctor.run(("false",)) is None
    assert doctor.run(("echo", "yes")) == "yes\n"


# --- The ledger -------------------------------------------------------------------------------------------------


def test_a_whole_ledger_is_ok_while_a_daemon_has_it_and_after(lived):
    assert doctor.integrity(lived.path).level == OK
    lived.stop()
    before = everything(lived.path.parent)
    assert doctor.integrity(lived.path).level == OK
    assert everything(lived.path.parent) == before


def test_a_damaged_ledger_fails_without_quoting_it(lived):
    lived.stop()
    data = bytearray(lived.path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xee" * 64
    lived.path.write_bytes(data)
    found = doctor.integrity(lived.path)
    assert found.level == FAIL
    assert "keep the file" in found.said
    lived.path.write_bytes(b"no database" * 1000)
    assert doctor.integrity(lived.path).level == FAIL
    lived.path.unlink()
    assert doctor.integrity(lived.path).level == WARN


def test_a_ledger_that_was_set_aside_is_not_forgotten(lived):
    aside = lived.path.with_name(f"{lived.path.name}{damage.ASIDE}2026-03-01")
    aside.write_bytes(b"")
    found = doctor.integrity(lived.path)
    assert (found.level, aside.name in found.said) == (WARN, True)


def test_an_old_outbox_warns_and_one_beyond_the_accepted_delay_fails(lived, deployment, monkeypatch):
    for age, level in ((60, OK), (2 * HOUR, WARN), (8 * DAY, FAIL)):
        monkeypatch.setattr("gateway.operation.status.time.time", lambda age=age: START + 4 * HOUR + age)
        found = kept(deployment)["outbox"]
        assert (found.level, f"{len(lived.outbox.waiting(100))} reports wait" in found.said) == (level, True)
    monkeypatch.setattr("gateway.operation.status.time.time", lambda: START + 4 * HOUR)
    size = sum(len(row[0]) for row in lived.ledger.execute("SELECT document FROM outbox WHERE verdict IS NULL"))
    for share, level in ((0.4, OK), (0.6, WARN), (1.1, FAIL)):
        monkeypatch.setattr(doctor, "MB", size / share / load(deployment.config).outbox_max_mb)
        assert kept(deployment)["outbox"].level == level
    with lived.ledger.transaction():
        lived.ledger.execute("UPDATE outbox SET verdict = 'stored'")
    assert kept(deployment)["outbox"] == doctor.Finding(OK, "outbox", "empty")


def test_a_window_that_should_be_sealed_fails(deployment):
    assert kept(deployment)["windows"].level == OK
    assert kept(deployment, START + 7 * DAY)["windows"].level == OK
    assert kept(deployment, START + 9 * DAY)["windows"].level == FAIL


def test_quarantine_and_alarms_are_warnings(lived, deployment):
    assert (kept(deployment)["quarantine"].level, kept(deployment)["alarms"].level) == (OK, OK)
    lived.take([lived.meters[1].reading(START + 40 * INTERVAL, ENERGY)], START + 4 * HOUR)
    with lived.ledger.transaction():
        lived.ledger.add_count("conflict")
    found = kept(deployment)
    assert (found["quarantine"].level, found["alarm"].level) == (WARN, WARN)
    assert "1 readings are held back" in found["quarantine"].said


# --- The way to the MDMS ----------------------------------------------------------------------------------------


def certificate(folder, name="127.0.0.1", start=NOW - A_DAY, end=NOW + A_DAY, issuer=None, authority=False):
    """Write a certificate with its key; returns (path, certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority" if authority else name)])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(issuer[2] if issuer else key, hashes.SHA256())
    )
    path = folder / f"{made.serial_number}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path, made, key


@pytest.fixture
def authority(tmp_path, monkeypatch):
    made = certificate(tmp_path, authority=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    return made


@contextlib.contextmanager
def mdms(path=None, status=200):
    """An MDMS that answers every request with one status, over TLS where there is a certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    if path:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'https' if path else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_mdms_with_a_good_certificate_is_ok(tmp_path, authority):
    with mdms(certificate(tmp_path, issuer=authority)[0]) as url:
        assert doctor.reach(url) == doctor.Finding(OK, "MDMS", f"{url} answers")


@pytest.mark.parametrize(
    ("changes", "trusted", "words"),
    [
        ({"start": NOW - 2 * A_DAY, "end": NOW - A_DAY}, True, "has expired"),
        ({"start": NOW + A_DAY, "end": NOW + 2 * A_DAY}, True, "not valid yet"),
        ({"name": "127.0.0.2"}, True, "for another address"),
        ({}, False, "does not know|does not trust|signed by itself"),
    ],
)
def test_a_wrong_certificate_is_said_plainly_by_doctor_and_by_an_upload(tmp_path, authority, changes, trusted, words):
    path = certificate(tmp_path, issuer=authority if trusted else None, **changes)[0]
    with mdms(path) as url:
        found = doctor.reach(url)
        with pytest.raises(UploadFailed, match=words):
            post(url, [])
    assert found.level == FAIL
    assert re.search(words, found.said)
    assert ": " in found.said.split(words.split("|")[0])[-1]  # what to do next follows


def test_a_name_that_is_another_is_said(tmp_path, authority):
    with mdms(certificate(tmp_path, issuer=authority)[0]) as url:
        assert "for another name" in doctor.reach(url.replace("127.0.0.1", "localhost")).said


def test_what_speaks_no_tls_or_nothing_is_said():
    with mdms() as url:
        assert "no TLS is spoken" in doctor.reach(url.replace("http:", "https:")).said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert "nothing listens" in doctor.reach(f"http://127.0.0.1:{free}").said


@pytest.mark.parametrize("status", [*advice.STATUS, 418, 302, 599])
def test_every_status_means_something_and_nothing_is_lost(status):
    assert ": " in advice.answered(status) or "?" in advice.answered(status)
    with mdms(status=status) as url:
        found = doctor.reach(url)
        assert (found.level, f"answered {status}: " in found.said) == (FAIL, True)
        with pytest.raises(UploadFailed, match=f"answered {status}: "):
            post(url, [])


def test_a_verdict_against_a_report_says_what_it_means():
    with capture_logs() as logs:
        uploader._alarm("conflict", "another window")
        uploader._alarm("refused", "unknown concentrator")
        uploader._alarm("refused", "something new")
    assert "two concentrators" in logs[0]["means"]
    assert "it was revoked" in logs[1]["means"]
    assert logs[2]["means"] == advice.REFUSED


def test_the_reasons_that_have_advice_are_the_ones_that_the_mdms_gives():
    ingest = "".join(path.read_text() for path in (ROOT / "mdms" / "ingest").glob("*.py"))
    for reason in advice.REASONS:
        assert f'"{reason}"' in ingest, reason


def test_an_error_of_any_kind_has_words_without_what_the_peer_sent():
    for error in (
        http.client.BadStatusLine("peer's words"),
        http.client.RemoteDisconnected("peer's words"),
        ConnectionResetError(),
        TimeoutError(),
        OSError(101, "Network is unreachable"),
        socket.gaierror(-2, "Name or service not known"),
        ValueError("peer's words"),
        ssl.SSLError(1, "peer's words"),
    ):
        assert "peer" not in advice.unreachable(error)
        assert ": " in advice.unreachable(error)


# --- The command ------------------------------------------------------------------------------------------------


def test_the_command_says_all_of_it_and_no_reading_and_no_key(lived, deployment):
    with lived.ledger.transaction():
        lived.outbox.decide([(lived.outbox.waiting(1)[0].seq, ItemVerdict("x", "refused", "bad signature"))], print)
    done = command(deployment, "doctor")
    assert (done.returncode, done.stderr) == (1, "")  # there is no MDMS
    lines = done.stdout.splitlines()
    assert all(re.match(r"(ok  |warn|fail)  [\w ]+: ", line) for line in lines)
    for what in ("daemon", "identity key", "disk space", "disk wear", "clock", "ledger", "outbox", "windows", "MDMS"):
        assert [line for line in lines if f"  {what}: " in line], what
    assert [line for line in lines if line.startswith("fail")] == [lines[-1]] or "outbox" in done.stdout
    assert str(ENERGY) not in done.stdout
    for meter in lived.meters:
        for secret in (meter.chain.value, meter.hello_key, meter.time_key):
            assert secret.hex() not in done.stdout
    assert not re.findall(r"[\w-]{64,}", done.stdout)


def test_an_installation_in_order_ends_with_0(tmp_path):
    deployment = Deployment(tmp_path / "deployment", [Meter(i) for i in range(K)])
    (deployment.folder / "identity.pem").chmod(0o600)
    with mdms() as url:
        deployment.write(mdms_url=url)
        done = command(deployment, "doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "there is none at" in done.stdout


def test_a_simulated_installation_is_measured_by_its_own_time(deployment, lived):
    config = load(deployment.write(ledger=str(lived.path), clock="conducted:127.0.0.1:1", unsafe_simulated_clock=True))
    found = {finding.what: finding for finding in doctor.kept(config, START + 900 * DAY)}
    assert (found["windows"].level, found["outbox"].level) == (OK, OK)


def test_an_unusable_configuration_is_one_line(deployment):
    deployment.config.write_text("deployment = \n")
    done = command(deployment, "doctor")
    assert (done.returncode, done.stdout) == (2, "")
    assert "at line 1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_ledger_that_is_none_is_a_finding_and_no_traceback(deployment, tmp_path):
    other = tmp_path / "other.sqlite3"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE stamps (country)")
    deployment.write(ledger=str(other))
    assert [finding.level for finding in doctor.kept(load(deployment.config), START)] == [WARN]
    assert json.dumps(str(next(doctor.kept(load(deployment.config), START))))
