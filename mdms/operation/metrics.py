"""What Prometheus is told: numbers of the whole MDMS. No label names a meter, an account or a neighbourhood.

Where two instances share a database, the numbers that are read from it are the same at both.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from ..alarms.ledger import count
from ..config import MdmsConfig
from ..errors import CannotStart
from ..store import Store
from ..tables import chores, conflicts, interval_loads

BATCH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

log = structlog.get_logger()


class Metrics:
    """What passes by, counted since the start, and what the database says when somebody asks."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self._reports = Counter("hushmeter_mdms_reports", "Reports by verdict", ["verdict"], registry=self.registry)
        self._batch_s = Histogram(
            "hushmeter_mdms_batch_seconds",
            "From a batch's last byte to its commit",
            buckets=BATCH_S,
            registry=self.registry,
        )
        self._responses = Counter(
            "hushmeter_mdms_responses", "Answers by the first digit of their status", ["class"], registry=self.registry
        )
        self.registry.register(_Looking(store))
        ProcessCollector(registry=self.registry)

    def answered(self, verdicts: list[str], took_s: float) -> None:
        """Count a batch whose verdicts are durable."""
        for verdict, number in Tally(verdicts).items():
            self._reports.labels(verdict).inc(number)
        self._batch_s.observe(took_s)

    def count_responses(self, app: Flask) -> None:
        """Have an application count what it answers."""

        @app.after_request
        def count(response: Any) -> Any:
            self._responses.labels(f"{response.status_code // 100}xx").inc()
            return response


class _Looking(Collector):
    """Reads the database at each scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Say nothing ahead: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            aside = self._one(select(func.count()).select_from(conflicts))
            waiting = self._one(
                select(func.count()).select_from(interval_loads).where(interval_loads.c.decided.is_(False))
            )
            newest = self._one(select(func.max(interval_loads.c.interval_end)))
            raised, messages, failing = count(self._store)
            watched = self._one(select(func.max(chores.c.at)).where(chores.c.name == "watch"))
        except SQLAlchemyError:
            yield _gauge("database_answers", "Whether the database answered for this scrape", 0)
            return
        yield _gauge("database_answers", "Whether the database answered for this scrape", 1)
        yield _gauge("conflicts", "Reports that contradict a stored one and were set aside", aside)
        yield _gauge("loads_undecided", "Loads that the key holder has not decided", waiting)
        yield _gauge("newest_load_end_seconds", "End of the newest interval that was reported, UTC", newest)
        yield _gauge("alarms", "Alarms that are raised", raised)
        yield _gauge("alarm_messages_waiting", "Messages of alarms that no channel has taken yet", messages)
        yield _gauge("alarm_messages_failing", "Those of them that were tried and failed", failing)
        yield _gauge("watched_seconds", "When the fleet was last looked at by `mdms watch`, UTC; 0: never", watched)

    def _one(self, query: Any) -> int:
        return int(self._store.ask(query)[0][0] or 0)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"hushmeter_mdms_{name}", what, value)


def listen_for_scrapes(config: MdmsConfig, app: Flask) -> WSGIServer | None:
    """Answer Prometheus where the configuration says so, in threads of its own; raises CannotStart."""
    address = config.metrics_listen
    if address is None:
        return None
    metrics: Metrics = app.extensions["hushmeter_metrics"]
    try:
        server = start_http_server(address.port, address.host, metrics.registry)[0]
    except OSError as error:
        raise CannotStart(f"metrics_listen {address.host}:{address.port}: {error.strerror}") from None
    log.info("metrics", host=address.host, port=server.server_port)
    return server
