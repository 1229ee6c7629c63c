"""The store: durable settings, tables of one version, and SQL that PostgreSQL takes as well."""

import threading

import pytest
from database_bench import database_url
from mdms_bench import DEPLOYMENT, INTERVAL, MARCH, pseudonym
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from mdms.errors import CannotStart
from mdms.ingest.admission import admit
from mdms.ingest.judgement import judge
from mdms.records.sealed import envelope_of, keep_envelopes
from mdms.store import Store
from mdms.tables import metadata
from protocol.documents import sign
from protocol.envelopes import ENVELOPE


@pytest.fixture
def url(tmp_path):
    return database_url(tmp_path)


@pytest.fixture
def store(url):
    store = Store(url)
    yield store
    store.close()


@pytest.mark.sqlite
def test_what_was_acknowledged_is_durable(store):
    with store._engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_every_table_is_one_that_postgresql_takes():
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=postgresql.dialect()))


def test_tables_of_another_version_are_refused(store, url):
    store.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '99'")))
    with pytest.raises(CannotStart, match="version 99"):
        Store(url)


def test_a_url_that_is_none_is_refused_without_its_password():
    for url in ("", "x", "nosuch://a:secret@b/c", "sqlite:////no/such/folder/file"):
        with pytest.raises(CannotStart, match="database") as refused:
            Store(url)
        assert "secret" not in str(refused.value)


def test_an_envelope_is_given_back_as_it_was_signed(store, bench):
    me = pseudonym("north", 0)
    first = sign(bench.operator, ENVELOPE, DEPLOYMENT, b"sealed")
    newer = sign(bench.operator, ENVELOPE, DEPLOYMENT, b"sealed anew")
    assert envelope_of(store, me) is None
    for document in (first, newer):
        keep_envelopes(store, {me: document})
        assert envelope_of(store, me) == document


def test_uploads_at_the_same_time_are_each_decided_once(store, url, bench, north):
    documents = [north.load(MARCH + at * INTERVAL) for at in range(8)]
    judged = [judge(document, bench.book, DEPLOYMENT) for document in documents]
    stores = [Store(url) for _ in range(4)]
    verdicts = []

    def upload(own):
        for item in judged:
            verdicts.extend(admit(own, [item]))

    threads = [threading.Thread(target=upload, args=(own,)) for own in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdict.verdict for verdict in verdicts) == ["duplicate"] * 24 + ["stored"] * 8
    for own in stores:
        own.close()
