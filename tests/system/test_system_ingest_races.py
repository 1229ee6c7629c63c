"""Two MDMS instances on one PostgreSQL: racing duplicates count once, and a database that is killed loses nothing.

HUSHMETER_RACING_DELIVERIES says how many reports are delivered in the race.
"""

import http.client
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from mdms_bench import MARCH, METERS, pseudonym
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from mdms.errors import CannotStart
from mdms.store import Store
from mdms.tables import billing_windows, conflicts, reports
from protocol.reports import Batch, BatchAnswer
from protocol.windows import WINDOW_S
from scripts.bench_mdms.server import Server
from scripts.postgres import Postgres

DELIVERIES = int(os.environ.get("HUSHMETER_RACING_DELIVERIES", "100000"))
EACH = 20  # times that each report is delivered
BATCH = 20
SENDERS = 4
KILLS = 20
AGAIN_S = 0.05
PATIENCE_S = 120


@pytest.fixture(scope="module")
def database():
    database = Postgres(durable=True)
    yield database
    database.stop()


@pytest.fixture
def instances(bench, tmp_path, database):
    """Two servers over the one database, which is made empty first."""
    store = Store(database.url)
    store.write(lambda it: [it.execute(table.delete()) for table in (billing_windows, conflicts, reports)])
    store.close()
    config, _ = bench.write(tmp_path)
    lines = [line for line in config.read_text().splitlines() if not line.startswith("database")]
    config.write_text("\n".join([*lines, f'database = "{database.url}"']) + "\n")
    servers = [Server(config), Server(config)]
    yield servers
    for server in servers:
        server.stop()


def windows_of(street, number):
    return [street.window(MARCH + at // METERS * WINDOW_S, at % METERS) for at in range(number)]


def key_of(number):
    """Return (pseudonym, start) of one of those windows."""
    return pseudonym("north", number % METERS), MARCH + number // METERS * WINDOW_S


def post(connections, port, batch):
    """Deliver a batch on a connection that stays open; returns the verdicts, None where it is to be sent again."""
    connection = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S))
    try:
        connection.request(
            "POST", "/api/v1/reports", msgspec.json.encode(Batch(batch)), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None
    assert response.status in (200, 503), (response.status, body)
    if response.status == 503:
        return None
    return [item.verdict for item in msgspec.json.decode(body, type=BatchAnswer).verdicts]


def deliver(ports, batches, seed):
    """Deliver batches until each was answered, each time to one instance or the other; returns the verdicts."""
    chosen, connections, verdicts, again = random.Random(seed), {}, Counter(), 0
    for batch in batches:
        while (found := post(connections, chosen.choice(ports), batch)) is None:
            again += 1
            time.sleep(AGAIN_S)
        verdicts.update(found)
    for connection in connections.values():
        connection.close()
    return verdicts, again


def kept(url):
    """Return how many reports and windows there are, how many of them different, and how many were set aside."""
    store = Store(url)
    questions = (
        select(func.count()).select_from(reports),
        select(func.count()).select_from(billing_windows),
        select(func.count(func.distinct(billing_windows.c.report))),
        select(func.count()).select_from(conflicts),
    )
    found = tuple(store.ask(question)[0][0] for question in questions)
    store.close()
    return found


@pytest.mark.timeout(3600)
def test_racing_duplicate_deliveries_to_two_instances_count_once(bench, database, instances):
    sent = windows_of(bench.north, max(BATCH, DELIVERIES // EACH))
    ports = [server.port for server in instances]

    def orders(seed):
        """Each sender's own order, cut into batches that overlap those of the others."""
        mixed = sent * (EACH // SENDERS)
        random.Random(seed).shuffle(mixed)
        return [mixed[at : at + BATCH] for at in range(0, len(mixed), BATCH)]

    with ThreadPoolExecutor(SENDERS) as senders:
        told = list(senders.map(lambda seed: deliver(ports, orders(seed), seed), range(SENDERS)))
    verdicts = sum((each for each, _ in told), Counter())
    print(f"races: {verdicts.total():,} deliveries of {len(sent):,} reports to two instances: {dict(verdicts)}")
    assert verdicts == {"stored": len(sent), "duplicate": len(sent) * (EACH - 1)}
    assert kept(database.url) == (len(sent), len(sent), len(sent), 0)


@pytest.mark.timeout(1800)
def test_a_postgresql_that_is_killed_under_load_loses_and_doubles_nothing(bench, database, instances):
    sent = windows_of(bench.north, 4000)
    ports = [server.port for server in instances]
    batches = [sent[at : at + BATCH] for at in range(0, len(sent), BATCH)]
    stop, stored, sendings = threading.Event(), set(), Counter()

    def sender(seed):
        """Deliver every batch for as long as the killing goes on, in an order of its own, and then once more."""
        chosen, connections = random.Random(seed), {}
        last = False
        while True:
            for at in chosen.sample(range(len(batches)), len(batches)):
                if stop.is_set() and not last:
                    break
                while (found := post(connections, chosen.choice(ports), batches[at])) is None:
                    sendings["again"] += 1
                    time.sleep(AGAIN_S)
                sendings.update(found)
                stored.add(at)
            if last:
                return
            last = stop.is_set()

    senders = [threading.Thread(target=sender, args=(seed,)) for seed in range(SENDERS)]
    for thread in senders:
        thread.start()
    pause = random.Random(1)
    for _ in range(KILLS):
        time.sleep(pause.uniform(0.2, 1.0))
        acknowledged = set(stored)
        database.kill()
        database.start()
        assert_kept(database.url, {key_of(at * BATCH + each) for at in acknowledged for each in range(BATCH)})
    stop.set()
    for thread in senders:
        thread.join()
    print(f"kills: PostgreSQL killed {KILLS} times, {len(sent):,} reports, answers {dict(sendings)}")
    assert sendings["again"] > 0, "no kill was noticed: it was no load"
    assert sendings["conflict"] == sendings["refused"] == 0
    assert kept(database.url) == (len(sent), len(sent), len(sent), 0)


def assert_kept(url, acknowledged):
    """What was answered before a kill is there after it."""
    query = select(billing_windows.c.pseudonym, billing_windows.c.window_start)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            store = Store(url, migrate=False)
            found = {tuple(row) for row in store.ask(query)}
            store.close()
            break
        except (SQLAlchemyError, CannotStart) as error:
            assert time.monotonic() < deadline, error
            time.sleep(AGAIN_S)
    assert acknowledged <= found
