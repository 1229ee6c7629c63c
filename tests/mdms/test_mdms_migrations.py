"""Tables come forward with everything in them, and are never used by a program that does not know them."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from database_bench import database_url
from mdms_bench import MARCH
from migration_bench import ME, OTHER, fill_first_version, rows_of_the_first_version, run, tables, upgrade_to
from sqlalchemy import create_engine

from mdms import migrations, waiting
from mdms.errors import CannotStart
from mdms.portal.questions import rows_behind
from mdms.records.bills import decided_bills
from mdms.records.loads import undecided_loads
from mdms.store import Store
from mdms.tables import metadata
from mdms.waiting import open_when_ready

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def url(tmp_path):
    return database_url(tmp_path, empty=True)


def test_the_migrations_make_exactly_the_tables_of_today(url):
    Store(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_first_version_comes_forward_with_its_rows(url):
    fill_first_version(url)
    store = Store(url)
    [bill] = decided_bills(store)
    assert (bill.import_mwh, bill.tariff, bill.adjusted) == (7, None, 0)
    # A bill of before there were bands is one sum of all its windows.
    assert [(one.bands, one.windows, one.import_mwh) for one in bill.sums] == [((), bill.windows, 7)]
    assert [load.document.content_bytes() for load in undecided_loads(store, MARCH)] == [b"content"]
    mine = sorted((epoch, counter) for name, epoch, counter in rows_of_the_first_version() if name == ME)
    found = rows_behind(store, ME, 0)
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [(int.from_bytes(row[10:12], "big"), row[23]) for _, row in found] == mine
    assert [number for number, _ in rows_behind(store, OTHER, 0)] == [1]
    store.close()
    assert "schema_version" not in tables(url)


def test_tables_of_before_the_migrations_are_taken_over(url):
    fill_first_version(url)
    run(url, ("DROP TABLE alembic_version", {}))
    store = Store(url)
    assert len(rows_behind(store, ME, 0)) == 4
    store.close()


def test_a_second_start_changes_nothing(url):
    for _ in range(2):
        Store(url).close()
    assert run(url, ("SELECT version_num FROM alembic_version", {})) == [("0008",)]


def test_a_step_that_fails_leaves_the_version_before(url):
    fill_first_version(url)
    run(url, ("CREATE TABLE challenges (x INTEGER)", {}))
    with pytest.raises(CannotStart, match="database"):
        Store(url)
    assert run(url, ("SELECT version_num FROM alembic_version", {})) == [("0001",)]
    assert "users" not in tables(url)
    assert "schema_version" in tables(url)


def test_tables_of_a_newer_program_are_refused_in_one_line(url):
    Store(url).close()
    run(url, ("UPDATE alembic_version SET version_num = '9999'", {}))
    for migrate in (True, False):
        with pytest.raises(CannotStart, match=r"version 9999.*a newer one") as refused:
            Store(url, migrate)
        assert not isinstance(refused.value, migrations.SchemaBehind)
        assert "\n" not in str(refused.value)


def test_servers_that_start_at_once_migrate_once(url):
    fill_first_version(url)
    failed = []

    def start():
        try:
            Store(url).close()
        except CannotStart as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(rows_behind(Store(url, migrate=False), ME, 0)) == 4


@pytest.mark.sqlite
def test_a_start_waits_for_whoever_writes_a_database_that_has_no_write_ahead_log_yet(url):
    path = url.removeprefix("sqlite:///")
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        # What a driver's own patience does here: nothing.
        sqlite3.connect(path, timeout=60).execute("PRAGMA journal_mode = WAL")
    ends = threading.Timer(0.3, lambda: writer.execute("COMMIT"))
    ends.start()
    Store(url).close()
    ends.join()
    writer.close()


def test_a_worker_waits_for_its_tables(url, monkeypatch):
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    upgrade_to(url, "0001")
    stopped, found = threading.Event(), []
    worker = threading.Thread(target=lambda: found.append(open_when_ready(url, stopped)))
    worker.start()
    worker.join(0.1)
    assert worker.is_alive()
    Store(url).close()
    worker.join(20)
    assert isinstance(found[0], Store)
    found[0].close()


def test_a_worker_that_waits_can_be_stopped(url):
    stopped = threading.Event()
    stopped.set()
    assert open_when_ready(url, stopped) is None
    assert tables(url) == set()


def command(config, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "mdms", *arguments, "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_migrate_brings_a_database_forward(bench, tmp_path, url):
    config, _ = bench.write(tmp_path)
    fill_first_version(url)
    done = command(config, "migrate")
    assert (done.returncode, done.stderr) == (0, "mdms: the tables are of this program's version\n")
    assert "users" in tables(url)
    run(url, ("UPDATE alembic_version SET version_num = '9999'", {}))
    done = command(config, "migrate")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_add_user_takes_a_password_from_a_file(bench, tmp_path):
    config, _ = bench.write(tmp_path)
    (tmp_path / "password").write_text("a long enough password\nand a second line\n")
    done = command(config, "add-user", "--role", "supplier", "--password-file", str(tmp_path / "password"), "sue")
    assert (done.returncode, done.stderr) == (0, "mdms: supplier sue may log in\n")
    for role, name, text, code in (
        ("supplier", "a b", "a long enough password", 1),
        ("auditor", "x", "short", 1),
        ("king", "x", "a long enough password", 2),
    ):
        (tmp_path / "password").write_text(text)
        assert (
            command(config, "add-user", "--role", role, "--password-file", str(tmp_path / "password"), name).returncode
            == code
        )
    assert (
        command(config, "add-user", "--role", "auditor", "--password-file", str(tmp_path / "none"), "x").returncode == 1
    )
