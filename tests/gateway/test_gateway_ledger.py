"""The ledger: one transaction, then the acknowledgement, whatever fails and whenever the power goes."""

import contextlib
import re
import shutil
import sqlite3

import pytest
from gateway_bench import DAY, GRACE, HOUR, INTERVAL, START, WINDOW, Meter, name_of

from gateway.holdings import enrolled, seen
from gateway.ledger import Ledger, LedgerError
from gateway.schema import SCHEMA_VERSION
from protocol.reports import BILLING_WINDOW, INTERVAL_LOAD

NOW = START + HOUR


class Failing:
    """A connection whose n-th statement fails (1 is the next), or whose every COMMIT does."""

    def __init__(self, db):
        self.db = db
        self.left = None
        self.commits = True
        self.count = 0

    def __getattr__(self, name):
        return getattr(self.db, name)

    def execute(self, sql, parameters=()):
        if sql != "ROLLBACK":
            self.count += 1
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise sqlite3.OperationalError("disk I/O error")
        if sql == "COMMIT" and not self.commits:
            raise sqlite3.OperationalError("disk I/O error")
        return self.db.execute(sql, parameters)


@contextlib.contextmanager
def failing(gateway):
    db = gateway.ledger._db
    gateway.ledger._db = Failing(db)
    yield gateway.ledger._db
    gateway.ledger._db = db


def batch(meter):
    """Whatever a batch may hold: readings with and without a gap, late, impossible, a row, what is not understood."""
    frames = [*meter.readings(2), meter.detail(meter.epoch), meter.hello()]
    meter.reading(START + 2 * INTERVAL, 8)  # lost
    return [*frames, meter.reading(START + 3 * INTERVAL, 8), meter.reading(START + 90 * INTERVAL, 8), b"nonsense"]


# --- Durable ----------------------------------------------------------------------------------------------------


def pragmas(ledger):
    names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
    return {name: ledger.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def test_the_ledger_is_written_ahead_and_synced_at_every_commit(gateway):
    assert pragmas(gateway.ledger) == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    gateway.restart()
    assert pragmas(gateway.ledger) == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


def test_the_ledger_belongs_to_its_owner_alone(gateway, meter):
    gateway.take(meter.readings(2), NOW)
    for path in gateway.path.parent.glob("ledger.sqlite3*"):
        assert path.name.endswith(".lock") or path.stat().st_mode & 0o077 == 0, path


def stolen_copy(gateway, tmp_path):
    """A concentrator on what the disk holds at this moment, as if the process had been killed."""
    folder = tmp_path / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("ledger.sqlite3", "ledger.sqlite3-wal"):
        if (gateway.path.parent / name).exists():
            shutil.copyfile(gateway.path.parent / name, folder / name)
    return Ledger(folder / "ledger.sqlite3")


def test_what_was_acknowledged_is_there_after_a_kill(gateway, meter, tmp_path):
    frames = meter.readings(5)
    acknowledged = meter.verdicts(gateway.take(frames, NOW))
    ledger = stolen_copy(gateway, tmp_path)
    kept = {(row[0], int.from_bytes(row[1], "big")) for row in ledger.execute("SELECT salt, counter FROM frames")}
    assert kept == set(acknowledged) == {name_of(frame) for frame in frames}
    assert ledger.execute("SELECT count(*) FROM readings").fetchone() == (5,)
    ledger.close()


def test_a_kill_before_the_commit_leaves_nothing(gateway, meter, tmp_path):
    gateway.take(meter.readings(1), NOW)
    gateway.ledger.execute("PRAGMA cache_spill = 1")
    with gateway.ledger.transaction():
        seen.add_frame(gateway.ledger, meter.title, b"boot", 99, meter.epoch, bytes(16))
        ledger = stolen_copy(gateway, tmp_path)
    assert ledger.execute("SELECT count(*) FROM frames").fetchone() == (1,)
    ledger.close()


# --- Nothing half done ------------------------------------------------------------------------------------------


def test_a_commit_that_fails_gives_no_answer_and_moves_nothing(gateway, meter):
    frames = batch(meter)
    before, counts = gateway.state(), gateway.ledger.counts()
    with failing(gateway) as db:
        db.commits = False
        with pytest.raises(sqlite3.OperationalError):
            gateway.take(frames, NOW)
    assert (gateway.state(), gateway.ledger.counts()) == (before, counts)
    stored = ["stored", "stored", "stored", None, "stored", "quarantined", None]
    found = meter.verdicts(gateway.take(frames, NOW))
    assert [found.get(name_of(frame)) if len(frame) > 24 else None for frame in frames] == stored


def test_a_batch_of_which_any_statement_fails_was_never_there(gateway, meter):
    frames = batch(meter)
    before, counts = gateway.state(), gateway.ledger.counts()
    for nth in range(1, 1000):
        with failing(gateway) as db:
            db.left = nth
            try:
                gateway.take(frames, NOW)
            except sqlite3.OperationalError:
                pass
            else:
                break
        if gateway.state() != before:
            # The statement behind the commit: the answers were not sealed, and nothing else is missing.
            assert db.count == nth
            break
        assert gateway.ledger.counts() == counts
    assert nth > 40
    found = meter.verdicts(gateway.take(frames, NOW))
    assert set(found.values()) == {"duplicate"}


def closed(gateway):
    windows = [(w.pseudonym, w.window_start) for w in gateway.reports(BILLING_WINDOW)]
    return windows, [load.interval_start for load in gateway.reports(INTERVAL_LOAD)]


def test_a_closing_of_which_any_statement_fails_closes_everything_once(make):
    meters = [Meter(i) for i in range(3)]
    gateway = make(meters)
    for meter in meters:
        gateway.take([*meter.readings(11), meter.detail(meter.epoch)], START + WINDOW)
    gateway.take([meter.reading(START + WINDOW - INTERVAL, 1) for meter in meters[:2]], START + WINDOW)
    now = START + WINDOW + INTERVAL + GRACE
    failures = 0
    while True:
        with failing(gateway) as db:
            db.left = 3 + 5 * failures
            try:
                gateway.close(now)
            except sqlite3.OperationalError:
                failures += 1
            else:
                break
        if failures % 3 == 0:
            gateway.restart()
        windows, loads = closed(gateway)
        assert len(set(windows)) == len(windows)
        assert loads == [START + i * INTERVAL for i in range(len(loads))]
    assert failures > 10
    windows, loads = closed(gateway)
    assert windows == [(meter.pseudonym, START) for meter in meters[:2]]
    assert len(loads) == 13
    assert len(gateway.reports("detail-segment")) == 3


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_the_ledger_works_again_behind_it(gateway, meter):
    pages = gateway.ledger.execute("PRAGMA page_count").fetchone()[0]
    gateway.ledger.execute(f"PRAGMA max_page_count = {pages + 2}")
    frames = [meter.reading(START + i * INTERVAL, 1) for i in range(60)]
    acknowledged = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for frame in frames:
            gateway.take([frame], START + DAY)
            acknowledged += 1
    gateway.ledger.execute("PRAGMA max_page_count = 100000")
    assert gateway.judge(meter, frames[:acknowledged], START + DAY) == ["duplicate"] * acknowledged
    assert set(gateway.judge(meter, frames[acknowledged:], START + DAY)) == {"stored"}
    gateway.close(START + 9 * DAY)
    assert gateway.billed(meter)[0] == 60


# --- One owner, one schema --------------------------------------------------------------------------------------


def test_a_second_concentrator_on_one_ledger_is_refused_in_one_line(gateway):
    with pytest.raises(LedgerError, match="in use by another concentrator") as refusal:
        Ledger(gateway.path)
    assert "\n" not in str(refusal.value)
    gateway.stop()
    Ledger(gateway.path).close()


def test_a_ledger_of_another_version_is_refused_in_one_line(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match=f"is of version 99, this concentrator keeps {SCHEMA_VERSION}"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_refused_in_one_line(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"this is no database, and long enough to be seen as none" * 100)
    with pytest.raises(LedgerError, match="cannot be read"):
        Ledger(path)
    with pytest.raises(LedgerError, match="cannot"):
        Ledger(tmp_path)


def test_a_meter_is_enrolled_once(gateway, meter):
    other = Meter(0)
    other.pseudonym = Meter(9).pseudonym
    for record in (meter.record(), other.record()):
        with pytest.raises(LedgerError, match="enrolled already"):
            enrolled.add(gateway.ledger, record, START, bytes(128))
    assert enrolled.holds(gateway.ledger, meter.record())
    assert not enrolled.holds(gateway.ledger, other.record())


# --- Nothing in clear -------------------------------------------------------------------------------------------

CANARIES = [(0xC0FFEE11, 0xBEEFCAFE), (0xDEC0DE22, 0xFACADE33), (0xA11CE044, 0x5EEDF00D), (0x0DDBA115, 0xB0BB1E66)]


def spellings(import_mwh, export_mwh, registers):
    """Every way in which a reading could have been written down."""
    for order in ("big", "little"):
        yield import_mwh.to_bytes(4, order) + export_mwh.to_bytes(4, order)
        for register in registers:
            yield register.to_bytes(8, order)
    for value in (import_mwh, export_mwh, *registers):
        yield str(value).encode()
        yield b"%x" % value
        yield b"%X" % value


def canaries(meter):
    """Return (frames of readings with unmistakable values, what must be found nowhere)."""
    meter.imported = meter.first_import = 0x1D3A57C9_00000000
    meter.exported = meter.first_export = 0x2B4C68EA_00000000
    frames, spelt = [], []
    places = (0, 1, 4, 90)  # in order, behind a gap, and quarantined: in the future
    for place, (import_mwh, export_mwh) in zip(places, CANARIES, strict=True):
        frames.append(meter.reading(START + place * INTERVAL, import_mwh, export_mwh, epoch=meter.epoch))
        spelt += spellings(import_mwh, export_mwh, (meter.imported, meter.exported))
    return frames, spelt


def found_in(gateway, spelt):
    files = b"".join(gateway.files().values())
    cells = {cell for rows in gateway.state().values() for row in rows for cell in row}
    integers = {str(cell).encode() for cell in cells if isinstance(cell, int)}
    return [each for each in spelt if each in files or each in integers]


def test_no_energy_and_no_register_is_in_the_ledgers_files(make):
    meter = Meter()
    frames, spelt = canaries(meter)
    gateway = make([meter])
    gateway.take(frames, START + 2 * HOUR)
    gateway.take(frames, START + 2 * HOUR)
    assert found_in(gateway, spelt) == []
    gateway.close(START + 9 * DAY)
    assert len(gateway.reports(BILLING_WINDOW)) > 0
    assert found_in(gateway, spelt) == []
    gateway.restart()
    assert found_in(gateway, spelt) == []


def test_the_scan_notices_a_ledger_that_keeps_a_reading_in_clear(make):
    meter = Meter()
    frames, spelt = canaries(meter)
    gateway = make([meter])
    gateway.take(frames, START + 2 * HOUR)
    with gateway.ledger.transaction():
        gateway.ledger.set_fact("the last reading", CANARIES[2][0])
    assert found_in(gateway, spelt) == [str(CANARIES[2][0]).encode()]
    with gateway.ledger.transaction():
        seen.add_frame(gateway.ledger, meter.title, b"boot", 999, 1, b"..." + meter.imported.to_bytes(8, "big"))
    assert meter.imported.to_bytes(8, "big") in found_in(gateway, spelt)


def test_the_comparison_tags_on_disk_differ_at_every_start_and_are_no_digests(make):
    body, tags = None, set()
    for start in range(3):
        meter = Meter()
        gateway = make([meter], f"gateway {start}")
        body = meter.body(START, 5)
        gateway.take([meter.seal(1, body, meter.epoch)], NOW)
        tags |= {
            row[0] for table in ("frames", "readings") for row in gateway.ledger.execute(f"SELECT tag FROM {table}")
        }
        assert seen.tag(gateway.ledger, b"x") == seen.tag(gateway.ledger, b"x") != seen.tag(gateway.ledger, b"y")
        before = seen.tag(gateway.ledger, b"x")
        gateway.restart()
        assert seen.tag(gateway.ledger, b"x") != before
    assert len(tags) == 6
    assert all(len(tag) == 16 for tag in tags)


def test_logs_and_errors_of_the_ledger_name_no_value(gateway, meter):
    gateway.take(meter.readings(1), NOW)
    with pytest.raises(sqlite3.IntegrityError) as error, gateway.ledger.transaction():
        seen.add_reading(gateway.ledger, meter.title, 1, START // INTERVAL, START, None, 1, b"secret tag")
    assert not re.search(r"secret|\d", str(error.value))
