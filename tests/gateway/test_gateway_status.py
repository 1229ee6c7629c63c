"""`python -m gateway status`: what the ledger holds, beside the running daemon, without an energy or a ciphertext."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_bench import GRACE, HOUR, INTERVAL, NAME, START, WINDOW, Deployment, Meter
from rich.console import Console

from gateway.ledger import Ledger, LedgerError
from gateway.operation import status
from gateway.schema import FIRST_SCHEMA, SCHEMA_VERSION
from protocol import keychain, reports, wire
from protocol.reports import ItemVerdict

ROOT = Path(__file__).resolve().parents[2]
ENERGY = 777_123_457  # nothing else here has such digits


@pytest.fixture
def lived(make):
    """A concentrator after four hours of two meters, one of which has sent something impossible."""
    meters = [Meter(0), Meter(1)]
    gateway = make(meters, k=2)
    now = START + 4 * HOUR
    frames = [meter.reading(START + i * INTERVAL, ENERGY, 1) for i in range(15) for meter in meters]
    event = wire.pack_event(wire.Event(wire.STORE_OVERFLOW, START + 5, 9, ""))
    version = wire.pack_event(wire.Event(wire.FIRMWARE_VERSION, wire.TIME_NOT_KNOWN, 0, "1.2.3"))
    epoch = keychain.epoch_of(START)
    frames += [meters[0].seal(wire.EVENT, body, epoch) for body in (event, version)]
    frames.append(meters[1].reading(START + 40 * INTERVAL, ENERGY))
    frames.append(meters[0].detail(epoch))
    gateway.take(frames, now)
    gateway.close(now)
    return gateway


def read(gateway):
    return status.read(gateway.path)


def printed(found, **settings):
    console = Console(width=160, markup=False, highlight=False, record=True, file=open(os.devnull, "w"), **settings)  # noqa: SIM115
    status.show(found, console)
    return console.export_text()


def test_the_status_says_what_the_ledger_holds(lived):
    found = read(lived)
    first, second = (meter.title.hex() for meter in lived.meters)
    assert [(place.name, place.meters) for place in found.neighbourhoods] == [(NAME, 2)]
    assert found.neighbourhoods[0].closed_until == START + 4 * HOUR - INTERVAL  # its grace is not over
    assert [(meter.title, meter.last_reading_end, meter.unsealed_windows) for meter in found.meters] == [
        (first, START + 15 * INTERVAL, 1),
        (second, START + 15 * INTERVAL, 1),
    ]
    assert found.counts == {"stored": 33, "quarantined": 1}
    (reading,) = found.quarantined
    assert (reading.title, reading.interval_start) == (second, START + 40 * INTERVAL)
    assert reading.reason == "interval ends in the future"
    assert [(alarm.what, alarm.number) for alarm in found.alarms] == [("quarantined readings", 1)]
    assert [(e.title, e.event, e.time, e.count, e.text) for e in found.events] == [
        (first, "firmware version", None, 0, "1.2.3"),
        (first, "store overflow", START + 5, 9, ""),
    ]
    assert found.events_by_kind == {"store overflow": 1, "firmware version": 1}
    assert found.outbox.waiting == len(lived.reports(reports.INTERVAL_LOAD)) + 2 + 1
    assert found.outbox.rows == 0


def test_a_meter_that_has_sent_nothing_has_no_last_reading(gateway, meter):
    (found,) = read(gateway).meters
    assert (found.last_reading_end, found.unsealed_windows) == (None, 0)
    assert [place.closed_until for place in read(gateway).neighbourhoods] == [None]
    assert read(gateway).outbox == status.OutboxStatus(0, None, 0, 0, None)


def test_the_oldest_reports_age_counts_from_now_or_in_a_simulation_from_the_newest(lived, monkeypatch):
    monkeypatch.setattr(status.time, "time", lambda: START + 5 * HOUR + 0.7)
    assert read(lived).outbox.oldest_age_s == HOUR
    lived.close(START + 4 * HOUR + INTERVAL + GRACE)
    assert status.read(lived.path, simulated=True).outbox.oldest_age_s == INTERVAL + GRACE


def test_what_the_mdms_did_not_take_is_an_alarm_with_its_reason(lived):
    waiting = lived.outbox.waiting(100)
    pairs = [
        (waiting[0].seq, ItemVerdict(waiting[0].id, "refused", "bad signature")),
        (waiting[1].seq, ItemVerdict(waiting[1].id, "refused", "bad signature")),
        (waiting[2].seq, ItemVerdict(waiting[2].id, "conflict", "")),
        (waiting[3].seq, ItemVerdict(waiting[3].id, "stored", "")),
    ]
    before = read(lived).outbox.waiting
    with lived.ledger.transaction():
        lived.outbox.decide(pairs, lambda *_: None)
    found = read(lived)
    assert found.outbox.waiting == before - 4
    assert [(alarm.what, alarm.number) for alarm in found.alarms][1:] == [
        ("reports that the MDMS did not take: conflict", 1),
        ("reports that the MDMS did not take: refused, bad signature", 2),
    ]


def test_a_conflict_is_an_alarm(gateway, meter):
    frames = [meter.seal(wire.READING, meter.body(START, energy), meter.epoch, counter=9) for energy in (1, 2)]
    gateway.take(frames, START + HOUR)
    assert [alarm.number for alarm in read(gateway).alarms] == [1]


def test_no_energy_ciphertext_or_key_is_in_the_status(lived):
    for text in (status.as_json(read(lived)), printed(read(lived))):
        assert str(ENERGY) not in text
        for meter in lived.meters:
            for secret in (meter.chain.value, meter.hello_key, meter.time_key):
                assert secret.hex() not in text
        # A ciphertext has 171 base64url characters or 256 hex digits here, a title 16.
        assert not re.findall(r"[\w-]{33,}", text)


def test_the_tables_are_plain_text_where_there_is_no_terminal(lived):
    text = printed(read(lived), force_terminal=False)
    assert text.isascii()
    assert "\x1b" not in text
    for word in (NAME, "2026-03-01 03:45:00Z", "store overflow", "interval ends in the future", "quarantined readings"):
        assert word in text


def test_reading_the_status_changes_nothing_and_needs_no_lock(lived):
    before = lived.state(), lived.ledger.counts()
    with lived.ledger.transaction():  # in the middle of the daemon's work
        lived.ledger.add_count("stored", 1000)
        assert read(lived).counts["stored"] == 33
    assert read(lived).counts["stored"] == 1033
    lived.ledger.execute("UPDATE counts SET number = 33 WHERE kind = 'stored'")
    assert (lived.state(), lived.ledger.counts()) == before


def test_the_status_is_there_when_the_daemon_is_not(lived):
    found = read(lived)
    lived.stop()
    assert read(lived).meters == found.meters
    lived.start()
    assert read(lived).meters == found.meters


# --- The command ------------------------------------------------------------------------------------------------


def command(deployment, *options):
    return subprocess.run(
        [sys.executable, "-m", "gateway", "status", "--config", str(deployment.config), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_prints_tables_or_json_while_a_daemon_holds_the_ledger(lived, tmp_path):
    deployment = Deployment(tmp_path / "deployment", lived.meters)
    deployment.write(ledger=str(lived.path))
    done = command(deployment)
    assert (done.returncode, done.stderr) == (0, "")
    assert lived.meters[0].title.hex() in done.stdout
    assert done.stdout.isascii()
    done = command(deployment, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert list(found) == list(status.Status.__struct_fields__)
    assert found["neighbourhoods"][0]["closed_until"] == START + WINDOW + 3 * INTERVAL


def test_what_is_no_ledger_is_refused_in_one_line(tmp_path):
    deployment = Deployment(tmp_path / "deployment", [])
    path = deployment.folder / "ledger.sqlite3"
    other = deployment.folder / "other.sqlite3"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE stamps (country)")
    for content, words in (
        (None, "there is no ledger at"),
        (b"", "is not a ledger"),
        (b"no database" * 100, "is not a ledger"),
        (other.read_bytes(), "is not a ledger"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(LedgerError, match=words) as refusal:
            status.read(path)
        assert "\n" not in str(refusal.value)
    done = command(deployment)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("gateway: ")
    assert "is not a ledger" in done.stderr


def test_a_ledger_of_another_version_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    with sqlite3.connect(path) as db:
        db.executescript(f"{FIRST_SCHEMA} PRAGMA user_version = 1;")
    with pytest.raises(LedgerError, match=f"of version 1: start the daemon once, it makes version {SCHEMA_VERSION}"):
        status.read(path)
    Ledger(path).close()
    assert status.read(path).meters == []
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerError, match=f"of version {SCHEMA_VERSION + 1}, this concentrator keeps {SCHEMA_VERSION}"):
        status.read(path)
