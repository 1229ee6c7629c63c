"""The daemon with a bug: `python oracle_plants.py PLANT run --config FILE`. The wire oracle must turn red."""

import sqlite3
import sys
from contextlib import suppress
from dataclasses import replace

import msgspec
import structlog
from prometheus_client import Gauge

from gateway import __main__ as daemon
from gateway.aggregate import DataAggregator
from gateway.closing import Closing
from gateway.counting import Counting
from gateway.holdings import loads
from gateway.operation.metrics import Metrics
from gateway.outbox import Outbox
from protocol import wire

SEEN = {}  # title -> what its newest reading was


def below_k():
    """A load is sent with one contributor fewer than k."""
    load = Closing._load

    def careless(self, *arguments):
        k, self._k = self._k, self._k - 1
        try:
            return load(self, *arguments)
        finally:
            self._k = k

    Closing._load = careless


def single_interval():
    """A window's report carries the ciphertext of its meter's newest interval."""
    advance, report = Counting._advance, Closing._report

    def remembered(self, meter, *arguments, **named):
        span, encrypted = advance(self, meter, *arguments, **named)
        SEEN[meter.title] = encrypted.energy
        return span, encrypted

    def telling(self, meter, place, sealed):
        return report(self, meter, place, replace(sealed, energy=SEEN.get(meter.title, sealed.energy)))

    Counting._advance, Closing._report = remembered, telling


def one_meters_load():
    """A load names all of its contributors and holds the last of them alone."""
    DataAggregator.add_to_load = lambda self, total, energy: energy


def revised_load():
    """A load that is closed is sent again, with what was late."""
    late, add = Counting._is_late, Outbox.add

    def reopening(self, meter, start):
        if late(self, meter, start):
            loads.set_next_interval(self._ledger, meter.neighbourhood, start)
        return False

    def once(self, *arguments):
        with suppress(sqlite3.IntegrityError):  # the loads behind it are closed again as they were
            add(self, *arguments)

    Counting._is_late, Outbox.add = reopening, once


def one_randomiser():
    """A window's two ciphertexts share a randomiser: everybody can read their difference."""
    report = Closing._report

    def telling(self, *arguments):
        said = report(self, *arguments)
        return msgspec.structs.replace(said, closing_register=said.energy)

    Closing._report = telling


def told(tell):
    """Tell of every reading that is counted."""
    count = Counting.count

    def telling(self, meter, place, reading):
        tell(self, reading)
        return count(self, meter, place, reading)

    Counting.count = telling


def logged():
    """A log line holds a reading."""
    told(lambda _, reading: structlog.get_logger().info("counted", energy=reading.import_mwh))


def kept():
    """The ledger holds a reading in clear."""
    told(lambda self, reading: self._ledger.set_fact("the last reading", reading.import_mwh))


def measured():
    """A metric holds a register."""
    gauges = []
    made = Metrics.__init__

    def with_gauge(self, *arguments):
        made(self, *arguments)
        gauges.append(Gauge("hushmeter_last_register_mwh", "planted", registry=self.registry))

    Metrics.__init__ = with_gauge
    told(lambda _, reading: gauges[-1].set(reading.import_register))


def acknowledged():
    """An ACK's counter is an energy."""
    seen = []
    told(lambda _, reading: seen.append(reading.import_mwh))
    pack = wire.pack_ack

    def telling(ranges):
        return pack(ranges) if not seen else pack([*ranges, wire.Range(b"boot", seen[-1], 1, 0)])

    wire.pack_ack = telling


PLANTS = {
    plant.__name__: plant
    for plant in (
        below_k,
        single_interval,
        one_meters_load,
        revised_load,
        one_randomiser,
        logged,
        kept,
        measured,
        acknowledged,
    )
}

if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    daemon.main()
