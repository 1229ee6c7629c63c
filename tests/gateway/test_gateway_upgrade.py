"""An upgrade of the daemon: ledgers of earlier versions come forward whole, later ones are refused untouched."""

import hashlib
import shutil
import sqlite3

import pytest
from gateway_bench import DAY, GRACE, INTERVAL, START, Deployment, Meter
from roll_bench import Pole

from gateway import schema
from gateway.holdings import enrolled
from gateway.ledger import Ledger, LedgerError
from protocol import wire

# The number of steps that ledgers in the field have taken.
EARLIER = range(1, schema.SCHEMA_VERSION)


@pytest.fixture
def street():
    return [Meter(i) for i in range(4)]


def at_version(pole, version, tmp_path):
    """Write a ledger file of an earlier version, by that version's own steps, with all that a running one holds."""
    path = tmp_path / f"of version {version}.sqlite3"
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA journal_mode=WAL")
    for number, step in enumerate(schema.STEPS[:version], 1):
        old.executescript(f"BEGIN; {step} PRAGMA user_version={number}; COMMIT;")
    tables = [row[0] for row in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    held = {}
    for table in tables:
        rows = pole.ledger.execute(f"SELECT * FROM {table}").fetchall()
        old.execute(f"DELETE FROM {table}")
        for row in rows:
            old.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
        held[table] = rows
    old.close()
    return path, held


def live(pole, meters):
    """Everything that a ledger holds: a sealed window, open ones, a quarantine, an open load, rows, reports."""
    for at in range(14):
        frames = [meter.reading(START + at * INTERVAL, 4**at) for meter in meters]
        pole.take(frames, START + (at + 1) * INTERVAL)
    meter = meters[0]
    pole.take([meter.reading(START + 14 * INTERVAL, 5, import_register=4)], START + 15 * INTERVAL)
    pole.close(START + 13 * INTERVAL + GRACE)
    pole.take([meter.detail(meter.epoch)], START + 15 * INTERVAL)


@pytest.mark.parametrize("version", EARLIER)
def test_a_ledger_of_an_earlier_version_comes_forward_with_everything(folder, tmp_path, street, version):
    pole = Pole(folder, street)
    live(pole, street)
    replayed = street[1].reading(START + 14 * INTERVAL, 5)
    pole.take([replayed], START + 15 * INTERVAL)
    path, held = at_version(pole, version, tmp_path)
    pole.stop()
    for leftover in pole.path.parent.glob(pole.path.name + "*"):
        leftover.unlink()
    shutil.copy(path, pole.path)
    pole.start()
    assert pole.ledger.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
    for table, rows in held.items():
        if table != "facts":  # the start is counted
            assert pole.ledger.execute(f"SELECT * FROM {table}").fetchall() == rows, table
    key = pole.place.roster.paillier_key
    assert pole.ledger.execute("SELECT since, key FROM paillier_keys").fetchall() == [(0, key)]
    assert pole.ledger.execute("SELECT key FROM quarantine_keys").fetchall() == [(key,)]
    # And it works: what was seen is known, meters go on, what was open is closed, revocations can be kept.
    assert pole.judge(street[1], [replayed], START + 16 * INTERVAL) == ["duplicate"]
    assert pole.judge(street[2], [street[2].reading(START + 14 * INTERVAL, 5)], START + 16 * INTERVAL) == ["stored"]
    pole.put_revocation(street[3])
    assert pole.look() == []
    for day in range(1, 10):
        pole.tick(START + day * DAY)
    for meter in street[1:3]:
        assert pole.billed(meter)[0] == meter.imported - meter.first_import
    assert pole.billed(street[0])[0] == street[0].imported - street[0].first_import - 5
    pole.stop()


@pytest.mark.parametrize("version", EARLIER)
def test_an_upgrade_that_is_interrupted_goes_on_at_the_next_start(folder, tmp_path, street, version, monkeypatch):
    pole = Pole(folder, street)
    path, held = at_version(pole, version, tmp_path)
    pole.stop()
    broken = (*schema.STEPS[:-1], schema.STEPS[-1] + "SELECT no_such_function();")
    monkeypatch.setattr("gateway.ledger.STEPS", broken)
    with pytest.raises(LedgerError):
        Ledger(path)
    monkeypatch.undo()
    ledger = Ledger(path)
    assert ledger.execute("SELECT * FROM meters").fetchall() == held["meters"]
    ledger.close()


def test_a_ledger_of_a_later_version_is_refused_in_one_clear_line_and_left_as_it_is(folder, street):
    pole = Pole(folder, street)
    live(pole, street)
    pole.ledger.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION + 1}")
    pole.stop()
    before = hashlib.sha256(pole.path.read_bytes()).digest()
    with pytest.raises(LedgerError) as refusal:
        pole.start()
    text = str(refusal.value)
    assert f"of version {schema.SCHEMA_VERSION + 1}, this concentrator keeps {schema.SCHEMA_VERSION}" in text
    assert "\n" not in text
    assert hashlib.sha256(pole.path.read_bytes()).digest() == before


def test_the_steps_that_ledgers_in_the_field_have_taken_are_never_changed():
    """A changed step would make ledgers of one version with two schemas."""
    digests = [hashlib.sha256(step.encode()).hexdigest()[:16] for step in schema.STEPS[:2]]
    assert digests == ["eec61ce941596681", "6043218d440c4112"]


# --- Meters -----------------------------------------------------------------------------------------------------


def test_this_is_the_first_version_of_the_protocol():
    """There is no earlier meter to serve. Whoever raises it decides here what becomes of those of version 1."""
    assert wire.VERSION == 1


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("kind", ["reading", "detail", "hello", "event"])
def test_a_frame_of_an_unknown_version_is_refused_and_counted(folder, street, version, kind):
    pole = Pole(folder, street)
    meter = street[0]
    frame = {
        "reading": lambda: meter.reading(START, 5),
        "detail": lambda: meter.detail(meter.epoch),
        "hello": meter.hello,
        "event": lambda: meter.seal(wire.EVENT, wire.pack_event(wire.Event(wire.TAMPER, START, 1, "")), meter.epoch),
    }[kind]()
    before = pole.state()
    assert pole.take([bytes((version,)) + frame[1:]], START + INTERVAL) == []
    assert pole.state() == before
    assert pole.ledger.counts() == {"corrupt": 1}
    answered = pole.take([frame], START + INTERVAL)
    assert len(answered) == 1  # the meter is not held to blame
    pole.stop()


def test_records_and_rosters_of_the_previous_version_are_taken_in(tmp_path, street):
    """A record without the members that a replacement brought."""
    deployment = Deployment(tmp_path / "d", street)
    for path in (deployment.folder / "enrolment").iterdir():
        text = path.read_text()
        for name in ("replaces", "final_import_mwh", "final_export_mwh"):
            text = text.replace(f',"{name}":null', "")
            assert name not in text
        path.write_text(text)
    (tmp_path / "pole").mkdir()
    pole = Pole(tmp_path / "pole", [])
    pole.put_roster(2, START + DAY, street)
    for path in (deployment.folder / "enrolment").iterdir():
        pole.put(path.name, path.read_bytes())
    assert pole.look() == []
    assert enrolled.titles(pole.ledger) == [meter.title for meter in street]
    pole.stop()
