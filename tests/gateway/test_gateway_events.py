"""EVENTs are kept and logged by code, CONFIGs follow a HELLO, and a ledger of version 1 is brought up to date."""

import sqlite3

import pytest
from gateway_bench import CCM, DAY, HOUR, IDENTITY, INTERVAL, NAME, START, WINDOW, Deployment, Meter, name_of
from structlog.testing import capture_logs

from gateway.config import ConfigError, load
from gateway.holdings import events
from gateway.intake import DataDecryption
from gateway.ledger import Ledger, LedgerError
from gateway.reception import Reception
from gateway.roll import read_neighbourhoods
from gateway.schema import FIRST_SCHEMA, SCHEMA_VERSION
from gateway.serving import check_lengths
from protocol import keychain, windows, wire
from protocol.documents import key_id

NOW = START + HOUR


def event_frame(meter, event, epoch=None):
    body = event if isinstance(event, bytes) else wire.pack_event(event)
    return meter.seal(wire.EVENT, body, keychain.epoch_of(NOW) if epoch is None else epoch)


def kept(gateway):
    return gateway.ledger.execute("SELECT title, code, time, count, text, received FROM events ORDER BY seq").fetchall()


# --- EVENT ------------------------------------------------------------------------------------------------------


def test_an_event_of_every_code_is_stored_with_its_time_count_and_text(gateway, meter):
    events = [
        wire.Event(code, NOW - code, code, "1.2.3" if code in wire.EVENTS_WITH_TEXT else "") for code in wire.EVENTS
    ]
    assert gateway.judge(meter, [event_frame(meter, event) for event in events], NOW) == ["stored"] * 7
    assert kept(gateway) == [(meter.title, *event, NOW) for event in events]


def test_an_event_without_a_time_is_kept_without_one(gateway, meter):
    frame = event_frame(meter, wire.Event(wire.POWER_LOST, wire.TIME_NOT_KNOWN, 3, ""))
    assert gateway.judge(meter, [frame], NOW) == ["stored"]
    assert kept(gateway) == [(meter.title, wire.POWER_LOST, None, 3, "", NOW)]


def test_an_event_that_comes_again_is_a_duplicate_and_kept_once(gateway, meter):
    frame = event_frame(meter, wire.Event(wire.TAMPER, NOW, 1, ""))
    assert gateway.judge(meter, [frame], NOW) == ["stored"]
    assert gateway.judge(meter, [frame], NOW + 60) == ["duplicate"]
    gateway.restart()
    assert gateway.judge(meter, [frame], NOW + 120) == ["duplicate"]
    assert len(kept(gateway)) == 1


def test_an_event_that_the_specification_does_not_know_is_quarantined_and_not_kept(gateway, meter):
    good = wire.pack_event(wire.Event(wire.FIRMWARE_VERSION, NOW, 0, "1.2.3"))
    bodies = (b"", good[:-1], good + b"\x00", b"\x00" + good[1:], b"\x08" + good[1:], good[:-1] + b"x")
    assert gateway.judge(meter, [event_frame(meter, body) for body in bodies], NOW) == ["quarantined"] * len(bodies)
    assert kept(gateway) == []


def test_two_events_under_one_nonce_are_a_conflict(gateway, meter):
    first, second = (
        meter.seal(wire.EVENT, wire.pack_event(wire.Event(code, NOW, 1, "")), keychain.epoch_of(NOW), counter=900)
        for code in (wire.POWER_LOST, wire.TAMPER)
    )
    assert gateway.judge(meter, [first], NOW) == ["stored"]
    assert gateway.judge(meter, [second], NOW) == ["conflict"]
    assert [row[1] for row in kept(gateway)] == [wire.POWER_LOST]


def test_an_event_is_logged_by_its_code_and_count_and_nothing_else(gateway, meter):
    with capture_logs() as logs:
        gateway.take([event_frame(meter, wire.Event(wire.FIRMWARE_VERSION, NOW, 0, "9.8.7"))], NOW)
        gateway.take([event_frame(meter, wire.Event(wire.STORE_OVERFLOW, NOW, 17, ""))], NOW)
    found = [entry for entry in logs if entry["event"] == "event"]
    assert [(entry["code"], entry["number"]) for entry in found] == [("firmware version", 0), ("store overflow", 17)]
    assert all(set(entry) == {"event", "log_level", "meter", "code", "number"} for entry in found)
    assert "9.8.7" not in str(logs)


def test_an_event_changes_no_window_load_or_report(gateway, meter):
    before = gateway.state()
    gateway.take([event_frame(meter, wire.Event(wire.TAMPER, NOW, 1, ""))], NOW)
    after = gateway.state()
    assert {name for name in after if after[name] != before[name]} <= {"events", "frames", "meters", "sqlite_sequence"}


def test_events_are_forgotten_by_the_time_at_which_they_were_received(gateway, meter):
    gateway.close(NOW)
    gateway.take([event_frame(meter, wire.Event(wire.TAMPER, NOW, 1, ""))], NOW)
    events.prune(gateway.ledger, NOW)
    assert len(kept(gateway)) == 1
    events.prune(gateway.ledger, NOW + 1)
    assert kept(gateway) == []


# --- CONFIG -----------------------------------------------------------------------------------------------------


def telling(gateway, detail_s):
    """The concentrator's reception, with this detail length to tell."""
    gateway.reception = Reception(
        gateway.ledger, gateway.outbox, {NAME: gateway.place}, DataDecryption(7), detail_s=detail_s
    )
    return gateway


def configs(meter, frames):
    """Return (header, Config) of the CONFIGs among frames, opened with this meter's keys."""
    found = []
    for frame in frames:
        if wire.parse_header(frame).type == wire.CONFIG:
            epoch = wire.parse_header(frame).epoch
            header, body = wire.open_downlink(CCM, meter.key(epoch, keychain.DOWN), frame)
            found.append((header, wire.parse_config(body)))
    return found


def test_a_config_follows_the_time_that_answers_a_hello_and_names_it(gateway, meter):
    hello = meter.hello()
    answers = telling(gateway, 60).take([hello], NOW)
    assert [wire.parse_header(frame).type for frame in answers] == [wire.TIME, wire.CONFIG]
    ((header, config),) = configs(meter, answers)
    assert (header.salt, header.counter) == name_of(hello)
    assert config == wire.Config(INTERVAL, 60, START + WINDOW)


def test_nothing_is_told_where_no_detail_length_is_configured(gateway, meter):
    assert [wire.parse_header(frame).type for frame in gateway.take([meter.hello()], NOW)] == [wire.TIME]


def test_a_config_is_sealed_under_the_newest_epoch_of_which_a_frame_was_opened(gateway, meter):
    telling(gateway, 60)
    now = START + 2 * DAY + HOUR
    ((header, _),) = configs(meter, gateway.take([meter.hello()], now))
    assert header.epoch == meter.epoch
    gateway.take([meter.reading(now - 2 * INTERVAL, 1)], now)
    ((header, _),) = configs(meter, gateway.take([meter.hello()], now))
    assert header.epoch == keychain.epoch_of(now)


def test_a_config_begins_with_a_window_that_lies_ahead_even_just_before_one(gateway, meter):
    telling(gateway, 60)
    for now in (START, START + 1, START + WINDOW - 61, START + WINDOW - 60, START + WINDOW - 1, START + WINDOW):
        ((_, config),) = configs(meter, gateway.take([meter.hello()], now))
        assert now + 60 < config.effective_from <= now + WINDOW + 60
        assert windows.window_of(config.effective_from, gateway.place.zone).start == config.effective_from


def test_the_beginning_follows_the_neighbourhoods_wall_clock(make, meter):
    gateway = telling(make([meter], zone="Asia/Kathmandu"), 300)  # 5:45 ahead of UTC
    ((_, config),) = configs(meter, gateway.take([meter.hello()], NOW))
    assert config.effective_from % WINDOW
    assert windows.window_of(config.effective_from, gateway.place.zone).start == config.effective_from


def test_a_detail_length_that_does_not_divide_the_interval_is_refused_by_name(tmp_path):
    deployment = Deployment(tmp_path / "deployment", [Meter()])
    config = load(deployment.write(detail_s=700))
    places = read_neighbourhoods(config, key_id(IDENTITY))
    with pytest.raises(ConfigError, match=f"'detail_s' must divide the interval of {NAME}, 900 s"):
        check_lengths(config, places)
    check_lengths(load(deployment.write(detail_s=60)), places)
    check_lengths(load(deployment.write()), places)


# --- The ledger's versions --------------------------------------------------------------------------------------


def version_1(path, rows=()):
    """A ledger as version 1 made it: its tables, its rows, its number."""
    db = sqlite3.connect(path)
    db.executescript(f"BEGIN; {FIRST_SCHEMA} PRAGMA user_version=1; COMMIT;")
    for table, row in rows:
        db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    db.commit()
    db.close()


def test_a_ledger_of_version_1_keeps_its_rows_and_takes_events(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    title = b"HSM\x00\x00\x00\x00\x01"
    rows = [
        ("facts", ("starts", 4)),
        ("counts", ("stored", 12)),
        ("meters", (title, "p" * 22, NAME, 1, 2, 3, b"c" * 32, b"h" * 32, b"t" * 32, 5, 6, None, 7, b"base", 8)),
        ("neighbourhoods", (NAME, START)),
        ("outbox", (1, "id", b"document", title, 1, 2, START, None, None)),
    ]
    version_1(path, rows)
    for _ in range(2):  # the second time there is nothing to do
        ledger = Ledger(path)
        assert ledger.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        for table, row in rows[1:]:
            assert ledger.execute(f"SELECT * FROM {table}").fetchall() == [row], table
        ledger.close()
    ledger = Ledger(path)
    assert ledger.start == 7
    with ledger.transaction():
        events.add(ledger, title, wire.Event(wire.TAMPER, 1, 2, ""), START)
    assert ledger.execute("SELECT count(*) FROM events").fetchone() == (1,)
    ledger.close()


def test_an_old_ledger_that_was_brought_up_to_date_has_the_tables_of_a_new_one(tmp_path):
    version_1(tmp_path / "old.sqlite3")
    found = []
    for name in ("old", "new"):
        ledger = Ledger(tmp_path / f"{name}.sqlite3")
        found.append(ledger.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall())
        ledger.close()
    assert found[0] == found[1]


def test_a_newer_ledger_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerError, match=f"of version {SCHEMA_VERSION + 1}, this concentrator keeps {SCHEMA_VERSION}"):
        Ledger(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
