"""One run: batches sent over several connections at once, every verdict looked at."""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.reports import BatchAnswer

from .server import Server
from .street import Street

TIMEOUT_S = 120
WARM = 2  # batches before the clock runs: the first of everything


class WrongAnswer(Exception):
    """A report was not stored: the run's time would mean nothing."""


@dataclass(frozen=True)
class Measurement:
    """What a server did. Seconds of the clock on the wall and of its CPU; ``stages``: CPU seconds by name."""

    database: str
    reports: int
    seconds: float
    cpu_s: float
    peak_mb: float
    stages: dict[str, float]

    @property
    def per_second(self) -> float:
        """Reports a second as it ran."""
        return self.reports / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Reports of one second of the server's CPU time."""
        return self.reports / self.cpu_s if self.cpu_s else 0.0


def measure(
    street: Street,
    database: str,
    url: Callable[[Path], str],
    batches: Sequence[bytes],
    size: int,
    connections: int,
    *,
    profile: bool,
) -> Measurement:
    """Run a server and send it everything. Raises ServerFailed, WrongAnswer, OSError."""
    with tempfile.TemporaryDirectory(prefix="hushmeter-bench-") as folder:
        config = street.write(Path(folder), url(Path(folder)))
        server = Server(config, profile=profile)
        try:
            send(server.port, batches[:WARM])
            cpu, began = server.cpu_s(), time.monotonic()
            with ThreadPoolExecutor(connections) as pool:
                parts = [batches[WARM + at :: connections] for at in range(connections)]
                done = sum(pool.map(lambda part: send(server.port, part), parts))
            seconds, cpu = time.monotonic() - began, server.cpu_s() - cpu
            peak = server.peak_mb()
        finally:
            stages = server.stop()
    sent = done + min(WARM, len(batches)) * size
    scaled = {name: spent * done / sent for name, spent in stages.items()}
    return Measurement(database, done, seconds, cpu, peak, scaled)


def send(port: int, batches: Sequence[bytes]) -> int:
    """Post batches one after the other on one connection; returns how many reports were stored, which is all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    stored = 0
    try:
        for body in batches:
            connection.request("POST", "/api/v1/reports", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise WrongAnswer(f"a batch was answered {response.status}: {answer[:200]!r}")
            verdicts = msgspec.json.decode(answer, type=BatchAnswer).verdicts
            wrong = next((each for each in verdicts if each.verdict != "stored"), None)
            if wrong is not None:
                raise WrongAnswer(f"a report was {wrong.verdict}: {wrong.reason}")
            stored += len(verdicts)
    finally:
        connection.close()
    return stored
