"""What Prometheus sees: the concentrator's numbers, no meter, no energy; and a dashboard of metrics that exist."""

import asyncio
import contextlib
import json
import re
import sqlite3
import time
import urllib.request
from pathlib import Path

import pytest
from gateway_bench import DEPLOYMENT, HOUR, IDENTITY, INTERVAL, NAME, START, Deployment, Meter
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from service_bench import PATIENCE_S
from test_gateway_daemon import Daemon

from gateway.operation.looking import holder, open_read_only
from gateway.operation.metrics import Metrics
from gateway.outbox import Outbox
from gateway.reception import Arrival
from gateway.service import Service
from gateway.uploader import Uploader, UploadFailed
from protocol import keychain, reports

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "gateway" / "operation" / "packaging" / "grafana.json"
ENERGY = 777_123_457  # nothing else here has such digits
LABELS = {"kind", "type", "outcome", "neighbourhood", "le"}


def scraped(metrics):
    """Return {(name, labels): value} as a scrape would have it."""
    text = generate_latest(metrics.registry).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(metrics, name, **labels):
    return scraped(metrics)[f"hushmeter_{name}", tuple(sorted(labels.items()))]


def observed(gateway, now=START + 4 * HOUR):
    metrics = Metrics()
    metrics.observe(gateway.path, {NAME: gateway.place}, lambda: 7, lambda: now * 1000)
    return metrics


@pytest.fixture
def lived(make):
    """Four hours of two meters, one of which has sent something impossible."""
    meters = [Meter(0), Meter(1)]
    gateway = make(meters, k=2, accumulator="pool")
    gateway.metrics = observed(gateway)
    gateway.outbox._closed = gateway.metrics.closed
    frames = [meter.reading(START + i * INTERVAL, ENERGY, 1) for i in range(15) for meter in meters]
    frames += [meters[1].reading(START + 40 * INTERVAL, ENERGY), meters[0].detail(keychain.epoch_of(START))]
    gateway.take(frames, START + 4 * HOUR)
    gateway.close(START + 4 * HOUR)
    gateway.metrics.committed(len(frames), gateway.reception.readings, 0.013)
    gateway.metrics.uploaded("stored")
    return gateway


def test_a_scrape_says_what_the_ledger_and_the_parts_hold(lived):
    metrics = lived.metrics
    assert value(metrics, "readings_total") == 30
    assert value(metrics, "frames_total", kind="stored") == 31
    assert value(metrics, "frames_total", kind="quarantined") == 1
    for kind in (reports.INTERVAL_LOAD, reports.BILLING_WINDOW, reports.DETAIL_SEGMENT):
        assert value(metrics, "reports_closed_total", type=kind) == len(lived.reports(kind)) > 0
    assert value(metrics, "outbox_reports") == len(lived.outbox.waiting(100))
    assert value(metrics, "outbox_oldest_seconds") == 0
    assert value(metrics, "outbox_rows") == 0
    assert value(metrics, "quarantined_readings") == 1
    assert value(metrics, "meters") == 2
    assert value(metrics, "oldest_unsealed_window_seconds") == HOUR
    assert value(metrics, "connections") == 7
    assert value(metrics, "ledger_readable") == 1
    assert value(metrics, "ledger_bytes") > 4096
    assert value(metrics, "batch_frames_sum") == 32
    assert value(metrics, "commit_seconds_bucket", le="0.01") == 0
    assert value(metrics, "commit_seconds_bucket", le="0.02") == 1
    assert value(metrics, "uploads_total", outcome="stored") == 1
    state = lived.place.era(START).encryption.pool_state()
    assert value(metrics, "pool_randomisers", neighbourhood=NAME) == state.waiting
    assert value(metrics, "pool_misses_total", neighbourhood=NAME) == state.misses > 0
    assert scraped(metrics)["process_resident_memory_bytes", ()] > 1e6


def test_the_oldest_reports_age_grows_with_time(lived):
    assert value(observed(lived, START + 6 * HOUR), "outbox_oldest_seconds") == 2 * HOUR


def test_a_batch_that_is_rolled_back_counts_no_reading(gateway, meter):
    gateway.take(meter.readings(2), START + HOUR)
    gateway.ledger.add_count = lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O error"))
    with pytest.raises(sqlite3.OperationalError):
        gateway.take(meter.readings(2, START + 2 * INTERVAL), START + HOUR)
    assert gateway.reception.readings == 2


# --- Nothing of a meter, nothing of an energy -------------------------------------------------------------------


def personal(text, meters):
    """Return what a scrape says that is about one meter: a name, a label of another kind than those, an energy."""
    found = [str(ENERGY)] * (str(ENERGY) in text or f"{ENERGY:.5e}"[:6] in text)
    for meter in meters:
        found += [name for name in (meter.title.hex(), meter.pseudonym) if name in text]
        found += [key.hex() for key in (meter.chain.value, meter.hello_key, meter.time_key) if key.hex() in text]
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("hushmeter_"):
                found += sorted(set(sample.labels) - LABELS)
    return found


def test_no_scrape_names_a_meter_or_holds_an_energy(lived):
    assert personal(generate_latest(lived.metrics.registry).decode(), lived.meters) == []


def test_a_planted_label_of_a_meter_and_a_planted_energy_are_found(lived):
    class Careless:
        def collect(self):
            family = GaugeMetricFamily("hushmeter_last_reading_mwh", "planted", labels=["meter"])
            family.add_metric([lived.meters[1].title.hex()], ENERGY)
            yield family

    lived.metrics.registry.register(Careless())
    found = personal(generate_latest(lived.metrics.registry).decode(), lived.meters)
    assert set(found) == {"meter", lived.meters[1].title.hex(), str(ENERGY)}


def test_the_number_of_series_does_not_grow_with_the_meters(make):
    few, many = (make([Meter(i) for i in range(number)], name=f"of-{number}") for number in (1, 30))
    for gateway in (few, many):
        gateway.take([meter.reading(START, 5) for meter in gateway.meters], START + HOUR)
    assert set(scraped(observed(few))) == set(scraped(observed(many)))


# --- Beside the daemon ------------------------------------------------------------------------------------------


def test_a_scrape_in_the_middle_of_a_transaction_neither_waits_nor_sees_it(lived):
    with lived.ledger.transaction():
        lived.ledger.add_count("stored", 1000)
        assert value(lived.metrics, "frames_total", kind="stored") == 31
    assert value(lived.metrics, "frames_total", kind="stored") == 1031


def test_a_ledger_that_cannot_be_read_is_said_and_the_rest_answers(lived, tmp_path):
    metrics = Metrics()
    metrics.observe(tmp_path / "none.sqlite3", {}, lambda: 3, lambda: 0)
    assert value(metrics, "ledger_readable") == 0
    assert value(metrics, "connections") == 3


def test_looking_at_a_ledger_that_nobody_has_open_leaves_no_file(lived):
    lived.stop()
    before = sorted(lived.path.parent.iterdir()), lived.path.read_bytes()
    assert holder(lived.path) is None
    with contextlib.closing(open_read_only(lived.path)) as db:
        assert db.execute("SELECT count(*) FROM meters").fetchone() == (2,)
        with pytest.raises(sqlite3.OperationalError):
            db.execute("DELETE FROM meters")
    assert (sorted(lived.path.parent.iterdir()), lived.path.read_bytes()) == before


def test_a_daemon_answers_scrapes_and_counts_what_passes(tmp_path):
    meter = Meter(0)
    deployment = Deployment(tmp_path / "deployment", [meter])
    deployment.write(table_window_bits=4, metrics_listen="127.0.0.1:0", mdms_url="http://127.0.0.1:9")
    daemon = Daemon(deployment)
    try:
        port = next(json.loads(line)["port"] for line in daemon.lines if '"metrics"' in line)
        deadline = time.monotonic() + PATIENCE_S  # the first look at the clock closes every interval until today
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                text = answer.read().decode()
            if 'hushmeter_uploads_total{outcome="failed"}' in text:
                break
            time.sleep(0.05)
        else:
            pytest.fail(text)
    finally:
        assert daemon.stop() == 0
    assert "hushmeter_meters 1.0" in text
    assert personal(text, [meter]) == []


def test_the_service_times_a_batch(lived):
    metrics = Metrics()
    service = Service(
        None, lived.ledger, lived.outbox, lived.reception, lived.closing,
        mdms_url="http://127.0.0.1:9", commit_delay_ms=0, max_connections=1, metrics=metrics,
    )  # fmt: skip
    service._clock = type("Clock", (), {"now_ms": lambda self: (START + 5 * HOUR) * 1000})()
    frame = lived.meters[0].reading(START + 15 * INTERVAL, 5, epoch=keychain.epoch_of(START))
    answered = []
    peer = type("Peer", (), {"send": lambda self, frame: answered.append(frame)})()

    async def run():
        await service._arrivals.put(Arrival(frame, peer))
        task = asyncio.create_task(service._receive())
        while not answered:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    assert (value(metrics, "batch_frames_sum"), value(metrics, "readings_total")) == (1, 1)
    assert value(metrics, "commit_seconds_count") == 1
    service._ledger_thread.shutdown()
    service._background.shutdown()


def test_the_uploader_says_each_outcome(lived, monkeypatch):
    said = []

    def post(url, waiting):
        if not said:
            raise UploadFailed("away")
        return [reports.ItemVerdict(item.id, "stored", "") for item in waiting]

    async def called(call, *arguments):
        return call(*arguments)

    async def in_transaction(call, *arguments):
        with lived.ledger.transaction():
            call(*arguments)

    monkeypatch.setattr("gateway.uploader.post", post)
    waiting = len(lived.outbox.waiting(100))
    uploader = Uploader("http://127.0.0.1:9", lived.outbox, in_transaction, called, called, said.append)

    async def upload():
        task = asyncio.create_task(uploader.run())
        uploader.wake()
        await asyncio.wait_for(uploader.drained(), 30)
        task.cancel()

    asyncio.run(upload())
    assert said == ["failed", *["stored"] * waiting]


def test_an_outbox_tells_the_type_of_what_it_signs(lived):
    said = []
    outbox = Outbox(lived.ledger, IDENTITY, DEPLOYMENT, said.append)
    with lived.ledger.transaction():
        outbox.add_row(lived.meters[0].title, bytes(90))
        while outbox.close_segments(0, everything=True):
            pass
    assert said == [reports.DETAIL_SEGMENT]


# --- The dashboard ----------------------------------------------------------------------------------------------


def names_in(expression):
    """Return the metrics that a PromQL expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", "", expression)
    return {word for word in re.findall(r"[a-z_][a-z0-9_]*", bare) if "_" in word} - {"histogram_quantile"}


def expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_expression_of_the_dashboard_names_a_metric_that_exists(lived):
    there = {name for name, _ in scraped(lived.metrics)}
    assert len(expressions()) > 15
    for expression in expressions():
        assert names_in(expression), expression
        assert names_in(expression) <= there, expression
    assert names_in("rate(hushmeter_none_total[5m])") - there == {"hushmeter_none_total"}  # planted


def test_every_metric_of_ours_is_on_the_dashboard(lived):
    shown = {name for expression in expressions() for name in names_in(expression)}
    for name, _ in scraped(lived.metrics):
        if name.startswith("hushmeter_") and not name.endswith("_created"):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert any(other.startswith(base) for other in shown), name
