"""What Prometheus is told: numbers of the whole concentrator, of neighbourhoods at most, and never of a meter.

Who sent when is personal, so no label names a meter, and no number depends on an energy. What the ledger counts is
read from it when somebody asks, beside the daemon; what passes by in memory is counted here.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ..neighbourhood import Neighbourhood
from .looking import open_read_only
from .status import UNDECIDED

COMMIT_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BATCH_FRAMES = (1, 2, 4, 8, 16, 32, 64, 256, 1024)


class Metrics:
    """What passes by, counted since the start. The daemon's parts call these; they never call back."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._readings = self._counter("readings", "Readings that were counted")
        self._closed = self._counter("reports_closed", "Reports that were signed", "type")
        self._uploads = self._counter("uploads", "Reports by the MDMS's verdict, and uploads that failed", "outcome")
        self._live_rows = self._counter("live_rows", "Sealed rows by what became of their live relay", "outcome")
        self._commit_s = self._histogram("commit_seconds", "From a frame's batch to its durable commit", COMMIT_S)
        self._batch = self._histogram("batch_frames", "Frames that shared a commit", BATCH_FRAMES)
        ProcessCollector(registry=self.registry)

    def committed(self, frames: int, readings: int, took_s: float) -> None:
        """Count a batch that is on disk; ``took_s`` is machine time."""
        self._batch.observe(frames)
        self._commit_s.observe(took_s)
        self._readings.inc(readings)

    def closed(self, kind: str) -> None:
        """Count a report that was signed."""
        self._closed.labels(kind).inc()

    def uploaded(self, outcome: str) -> None:
        """Count a report's verdict, or an upload that failed."""
        self._uploads.labels(outcome).inc()

    def relayed(self, outcome: str, rows: int) -> None:
        """Count rows that were sent on live, or could not be; they go with their hour as well."""
        self._live_rows.labels(outcome).inc(rows)

    def observe(
        self,
        ledger: Path,
        neighbourhoods: Mapping[str, Neighbourhood],
        connections: Callable[[], int],
        now_ms: Callable[[], int],
    ) -> None:
        """Have the ledger, the pools and the links looked at whenever somebody asks."""
        self.registry.register(_Looking(ledger, neighbourhoods, connections, now_ms))

    def listen(self, host: str, port: int) -> WSGIServer:
        """Answer scrapes in threads of their own; raises OSError where the address is taken."""
        return start_http_server(port, host, self.registry)[0]

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"hushmeter_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"hushmeter_{name}", what, buckets=buckets, registry=self.registry)


class _Looking(Collector):
    """Reads what is kept elsewhere, at each scrape, in the scrape's own thread."""

    def __init__(
        self,
        ledger: Path,
        neighbourhoods: Mapping[str, Neighbourhood],
        connections: Callable[[], int],
        now_ms: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._neighbourhoods = neighbourhoods
        self._connections = connections
        self._now_ms = now_ms

    def describe(self) -> list[Metric]:
        """Say nothing ahead: registering must not read the ledger."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield _gauge("connections", "Meters connected over TCP", self._connections())
        fill = _family("pool_randomisers", "Randomisers made ahead (pool mode)", "neighbourhood")
        misses = CounterMetricFamily(
            "hushmeter_pool_misses", "Randomisers wanted when none was left (pool mode)", labels=["neighbourhood"]
        )
        for name, place in self._neighbourhoods.items():
            states = [state for encryption in place.made() if (state := encryption.pool_state()) is not None]
            if states:
                fill.add_metric([name], sum(state.waiting for state in states))
                misses.add_metric([name], sum(state.misses for state in states))
        yield fill
        yield misses
        try:
            with closing(open_read_only(self._ledger)) as db:
                yield from self._of_ledger(db)
        except sqlite3.Error:
            yield _gauge("ledger_readable", "Whether the ledger could be read for this answer", 0)
        else:
            yield _gauge("ledger_readable", "Whether the ledger could be read for this answer", 1)

    def _of_ledger(self, db: sqlite3.Connection) -> Iterator[Metric]:
        now = self._now_ms() // 1000
        db.execute("BEGIN")  # one moment of it
        frames = CounterMetricFamily("hushmeter_frames", "Frames by kind, over every start", labels=["kind"])
        for kind, number in db.execute("SELECT kind, number FROM counts"):
            frames.add_metric([kind], number)
        yield frames
        # By the index of what waits: a scrape must not read a week of accepted reports.
        (waiting,) = db.execute("SELECT count(*) FROM outbox WHERE verdict IS NULL").fetchone()
        yield _gauge("outbox_reports", "Reports without a verdict", waiting)
        oldest = db.execute("SELECT created FROM outbox WHERE verdict IS NULL ORDER BY seq LIMIT 1").fetchone()
        age = max(0, now - oldest[0]) if oldest else 0
        yield _gauge("outbox_oldest_seconds", "Age of the oldest of them", age)
        (rows,) = db.execute("SELECT count(*) FROM details").fetchone()
        yield _gauge("outbox_rows", "Sealed rows that are in no report yet", rows)
        (quarantined,) = db.execute(f"SELECT count(*) FROM quarantine WHERE {UNDECIDED}").fetchone()  # noqa: S608
        yield _gauge("quarantined_readings", "Readings set aside that nobody has decided about", quarantined)
        meters, window = db.execute("SELECT count(*), min(next_window) FROM meters").fetchone()
        yield _gauge("meters", "Meters enrolled", meters)
        age = 0 if window is None else max(0, now - window)
        yield _gauge("oldest_unsealed_window_seconds", "Time since the start of the oldest unsealed window", age)
        yield _gauge("ledger_bytes", "Size of the ledger's file and its write-ahead log", self._bytes())

    def _bytes(self) -> int:
        wal = self._ledger.with_name(self._ledger.name + "-wal")
        return sum(path.stat().st_size for path in (self._ledger, wal) if path.exists())


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"hushmeter_{name}", what, value=value)


def _family(name: str, what: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"hushmeter_{name}", what, labels=[label])


def stopwatch() -> Callable[[], float]:
    """Return what says how many seconds of machine time have passed."""
    started = time.perf_counter()
    return lambda: time.perf_counter() - started
