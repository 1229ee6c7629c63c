"""The same tables, questions and pages on PostgreSQL."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from database_bench import SERVER
from mdms_bench import DAY, MARCH
from migration_bench import ME, OTHER, fill_first_version, rows_of_the_first_version, run, tables
from pages_bench import BenchPages
from sqlalchemy import create_engine

from mdms.accounts.tokens import add_token
from mdms.billing.money import BillSum
from mdms.errors import CannotStart
from mdms.operation.prune import prune
from mdms.portal.questions import rows_behind
from mdms.records.bills import Bill, decided_bills, keep_bill
from mdms.store import Store
from mdms.tables import metadata
from scripts.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
# They ask no database of the MDMS's, or ask it nothing that others do not, for minutes.
ELSEWHERE = ("api_schema", "bill_cluster", "forecast", "gate_*", "key_memory", "leakage", "production_key", "vault")


@pytest.fixture(scope="module")
def server():
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def url(server):
    run(server.url, ("DROP SCHEMA public CASCADE", {}), ("CREATE SCHEMA public", {}))
    return server.url


def test_the_migrations_make_exactly_the_tables_of_today(url):
    Store(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_first_version_comes_forward_with_its_rows(url):
    fill_first_version(url)
    store = Store(url)
    assert [bill.import_mwh for bill in decided_bills(store)] == [7]
    mine = sorted((epoch, counter) for name, epoch, counter in rows_of_the_first_version() if name == ME)
    found = rows_behind(store, ME, 0)
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [(int.from_bytes(row[10:12], "big"), row[23]) for _, row in found] == mine
    assert len(rows_behind(store, OTHER, 0)) == 1
    store.close()


def test_a_step_that_fails_leaves_the_version_before(url):
    fill_first_version(url)
    run(url, ("CREATE TABLE challenges (x INTEGER)", {}))
    with pytest.raises(CannotStart, match="database"):
        Store(url)
    assert run(url, ("SELECT version_num FROM alembic_version", {})) == [("0001",)]
    assert "users" not in tables(url)


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


def test_the_pages_answer_alike(bench, tmp_path, url):
    pages = BenchPages(bench, tmp_path, database=url)
    sums = (BillSum(0, (), 8, 8, 10**9, 1),)
    keep_bill(pages.store, Bill(pages.me.account, MARCH, MARCH + DAY, 10**9, 1, 8, 1, "released", sums=sums), [], b"x")
    segments = [pages.me.segment([pages.me.row(MARCH + at * 60, at)]) for at in range(1, 13)]
    with ThreadPoolExecutor(4) as many:
        list(many.map(pages.ingest, segments))
    client = pages.as_customer(pages.me)
    answer = client.get(f"/portal/accounts/{pages.me.account}/rows.json").get_json()
    assert (answer["next"], len(answer["rows"])) == (12, 12 * 120)
    assert "EUR 312.50" in client.get(f"/portal/accounts/{pages.me.account}/bills.json").text
    pages.ingest(bench.north.load(MARCH))
    supplier = pages.signed_in("sue")
    for address in ("/supplier/", "/supplier/bills", "/supplier/neighbourhoods/north/loads.json"):
        assert supplier.get(address).status_code == 200
    assert "EUR 312.50" in supplier.get("/supplier/bills", query_string={"after": "\0"}).text
    for address in ("loads", "completeness"):
        assert supplier.get(f"/api/v1/neighbourhoods/north/{address}").status_code == 200
    bills = supplier.get("/api/v1/bills", query_string={"start": MARCH}).get_json()["bills"]
    assert [(bill["amount"], bill["import_mwh"]) for bill in bills] == [("EUR 312.50", 10**9)]
    token = add_token(pages.store, "t", "third-party", 1)
    headers = {"Authorization": f"Bearer {token}"}
    assert pages.client().get("/api/v1/neighbourhoods", headers=headers).status_code == 200
    assert pages.client().get("/readyz").status_code == 200
    assert prune(pages.store, bench.book, 1 << 16) == 12
    assert client.get(f"/portal/accounts/{pages.me.account}/rows.json").get_json()["rows"] == ""
    pages.close()


@pytest.mark.timeout(1800)
def test_the_mdms_own_tests_hold_on_it_as_well(server, say):
    """Every test of tests/mdms but those that are about SQLite, each with a database of its own."""
    command = [sys.executable, "-m", "pytest", "tests/mdms", "-n", "2", "-m", "not system and not hil and not sqlite"]
    left_out = [f"--ignore-glob=*/test_mdms_{name}.py" for name in ELSEWHERE]
    given = os.environ | {SERVER: server.url}
    done = subprocess.run([*command, *left_out, "--tb=short"], cwd=ROOT, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    made = run(
        server.url, ("SELECT count(*) FROM pg_database WHERE datname LIKE 't________________________________'", {})
    )
    say(f"tests of the MDMS on PostgreSQL, in {made[0][0]} databases of their own")
    assert made[0][0] > 100
