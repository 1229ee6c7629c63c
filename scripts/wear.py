"""What a reading costs the SD card: bytes that the kernel was told to write, for several lengths of the group commit.

The concentrator's own parts run on a ledger file on the disk to be measured: frames arrive as a street sends them, are
committed in groups as the daemon makes them, intervals and windows close, reports are decided on. Time is simulated;
the bytes are not: they are ``write_bytes`` of /proc/self/io, whole pages on their way to the disk. What comes on top,
a journalling file system's journal and the card's own erase blocks, nobody can count from here.
"""

import hashlib
import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from gateway.bounds import RATE_SQL
from gateway.closing import Closing
from gateway.encryption import Settings
from gateway.enrolment import EnrolmentRecord
from gateway.holdings import enrolled, loads
from gateway.intake import DataDecryption
from gateway.ledger import Ledger
from gateway.neighbourhood import Neighbourhood, build
from gateway.outbox import Outbox
from gateway.reception import Arrival, Reception
from gateway.roll import first_standing
from gateway.segments import HOUR_S
from gateway.service import BATCH_FRAMES
from paillier.private.key import generate_keypair
from protocol import wire
from protocol.documents import generate_signing_key, public_key_bytes, to_base64url
from protocol.reports import ItemVerdict
from protocol.rosters import Member, Roster

from .sealing_meter import SealingMeter

BITS = 3072
START = 1_772_323_200  # 2026-03-01T00:00Z, a window's start
GRACE_S = 300
DELAYS_MS = (0, 20, 200, 1000)
DEPLOYMENT = "wear"
NAME = "street"
TURN_MS = 500
YEAR_S = 365 * 86_400
STORED = ItemVerdict("", "stored")
WIDTH = 120  # where the output is no terminal


class Sent(NamedTuple):
    """A frame and when it arrives, in milliseconds since START."""

    at_ms: int
    frame: bytes


class Cost(NamedTuple):
    """What a run cost."""

    readings: int
    details: int
    commits: int
    written: int
    reports: int  # bytes of them: what waits in the outbox while the MDMS is away


class Meter(SealingMeter):
    """A working meter's end of the protocol."""

    def __init__(self, index: int) -> None:
        title = b"WEAR" + index.to_bytes(4, "big")
        super().__init__(
            title=title,
            pseudonym=to_base64url(hashlib.sha256(b"tenancy" + title).digest()[:16]),
            root=hashlib.sha256(b"wear %d" % index).digest(),
            salt=b"boot",
            start=START,
        )
        self._counter = 0
        self._register = 0

    def record(self) -> EnrolmentRecord:
        """Return the meter's enrolment."""
        return self.record_of(NAME, START)

    def reading(self, end: int, interval_s: int, energy_mwh: int) -> bytes:
        """Seal the interval that ends then (UTC seconds)."""
        self._register += energy_mwh
        reading = wire.Reading(1, end // interval_s - 1, end, interval_s, energy_mwh, 0, self._register, 0, 0)
        return self._seal(wire.READING, wire.pack_reading(reading))

    def detail(self) -> bytes:
        """Seal a customer's row; noise for all that the concentrator sees of it."""
        nonce = wire.uplink_nonce(wire.LAYER_CUSTOMER, self.salt, self._counter)
        noise = hashlib.shake_128(self.title + nonce).digest(wire.DETAIL_BLOB_BYTES - len(nonce))
        return self._seal(wire.DETAIL, nonce + noise)

    def _seal(self, kind: int, body: bytes) -> bytes:
        frame = self.seal_frame(kind, body, self.keys.chain.epoch, self._counter)
        self._counter += 1
        return frame


def neighbourhood(meters: list[Meter], interval_s: int) -> Neighbourhood:
    """Return a street under a fresh key of the length that is used in earnest."""
    key = generate_keypair(BITS).public
    roster = Roster(
        neighbourhood=NAME,
        version=1,
        valid_from=START,
        zone="UTC",
        interval_s=interval_s,
        rating_w=100_000,
        concentrator=to_base64url(public_key_bytes(generate_signing_key())),
        paillier_key=key.fingerprint,
        paillier_n=key.to_jwk()["n"],
        members=[Member(meter.pseudonym, START) for meter in meters],
    )
    return build(roster, unsafe_small_key=False, settings=Settings())


def street(meters: list[Meter], intervals: int, interval_s: int, detail_s: int, seed: int) -> list[Sent]:
    """Return everything that a street sends, by arrival: each meter has a moment of its own, as real ones do."""
    chance = random.Random(seed)  # noqa: S311 - moments and energies of a measurement
    found = []
    for meter in meters:
        phase = chance.random()
        step = detail_s or interval_s
        for end in range(START + step, START + intervals * interval_s + 1, step):
            after = (end - START) * 1000
            if detail_s:
                found.append(Sent(after + int(phase * min(detail_s, GRACE_S) * 1000), meter.detail()))
            if end % interval_s == 0:
                frame = meter.reading(end, interval_s, chance.randrange(100_000))
                found.append(Sent(after + int(phase * GRACE_S * 900), frame))
    return sorted(found)


def groups(sent: list[Sent], delay_ms: int) -> Iterator[tuple[int, list[Sent]]]:
    """Yield (moment of the commit, its frames): what arrives within the delay of the first, at most a batch."""
    batch: list[Sent] = []
    for item in sent:
        if batch and (item.at_ms > batch[0].at_ms + delay_ms or len(batch) == BATCH_FRAMES):
            yield batch[0].at_ms + delay_ms, batch
            batch = []
        batch.append(item)
    if batch:
        yield batch[0].at_ms + delay_ms, batch


def written_bytes() -> int:
    """Return what this process has had written to disks so far; raises OSError where the kernel does not say."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    raise OSError("no write_bytes in /proc/self/io")


def measure(folder: Path, place: Neighbourhood, meters: list[Meter], sent: list[Sent], delay_ms: int) -> Cost:
    """Run a street's frames through the concentrator's parts on a fresh ledger in a folder."""
    ledger = Ledger(folder / "ledger.sqlite3")
    outbox = Outbox(ledger, generate_signing_key(), DEPLOYMENT)
    decryption = DataDecryption(7)
    reception = Reception(ledger, outbox, {NAME: place}, decryption)
    closing = Closing(
        ledger, outbox, {NAME: place}, decryption, min_contributors=10, grace_s=GRACE_S, accepted_delay_days=7
    )
    with ledger.transaction():
        for meter in meters:
            enrolled.add(ledger, meter.record(), *first_standing(meter.record(), place))
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before, commits = written_bytes(), 0
    interval_s = place.roster.interval_s
    # A group belongs to the turn of closing and deciding in which it is committed. The live relay writes nothing.
    for turn, batches in groupby(groups(sent, delay_ms), key=lambda each: each[0] // TURN_MS):
        for at_ms, batch in batches:
            reception.take([Arrival(item.frame, None) for item in batch], START * 1000 + at_ms)
            commits += 1
        now_ms = START * 1000 + (turn + 1) * TURN_MS
        commits += _close_segments(closing, now_ms)
        if loads.next_interval(ledger, NAME) is None or _due(ledger, now_ms // 1000, interval_s):
            closing.close(now_ms)
        commits += _decide(ledger, outbox)
    end_ms = START * 1000 + sent[-1].at_ms + (interval_s + GRACE_S) * 1000
    closing.close(end_ms)
    commits += _close_segments(closing, end_ms + HOUR_S * 1000)
    _decide(ledger, outbox)
    counts = ledger.counts()
    details = ledger.execute("SELECT count(*) FROM frames").fetchone()[0]
    readings = ledger.execute("SELECT count(*) FROM readings").fetchone()[0]
    reports = ledger.execute(RATE_SQL, (0,)).fetchone()[0]
    ledger.close()
    if counts.get("stored") != len(sent):
        raise AssertionError(f"the concentrator has not taken everything: {counts}")
    return Cost(readings, details - readings, commits, written_bytes() - before, reports)


def _due(ledger: Ledger, now: int, interval_s: int) -> bool:
    return (loads.next_interval(ledger, NAME) or 0) + interval_s + GRACE_S <= now


def _close_segments(closing: Closing, now_ms: int) -> int:
    """Close the hour's sealed rows where it has ended; returns how many commits that took."""
    commits = 0
    while closing.close_segments(now_ms):
        commits += 1
    return commits


def _decide(ledger: Ledger, outbox: Outbox) -> int:
    """Let the MDMS accept what waits, as uploads do; returns how many commits that took."""
    commits = 0
    while waiting := outbox.waiting(100):
        with ledger.transaction():
            outbox.decide([(item.seq, STORED) for item in waiting], lambda *_: None)
        commits += 1
    return commits


def show(costs: dict[int, Cost], span_s: int) -> None:
    """Print the table."""
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(width=width, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    headings = ("commit_delay_ms", "readings", "rows", "commits", "MB written", "KB a reading", "GB a year")
    for heading in (*headings, "MB of reports a day"):
        table.add_column(heading, justify="right")
    for delay_ms, cost in costs.items():
        table.add_row(
            str(delay_ms),
            str(cost.readings),
            str(cost.details),
            str(cost.commits),
            f"{cost.written / 1e6:.1f}",
            f"{cost.written / cost.readings / 1e3:.1f}",
            f"{cost.written / span_s * YEAR_S / 1e9:.0f}",
            f"{cost.reports / span_s * 86_400 / 1e6:.1f}",
        )
    console.print(table)


@click.command()
@click.option("--meters", default=50, show_default=True, type=click.IntRange(1), help="How many meters the street has.")
@click.option(
    "--intervals", default=12, show_default=True, type=click.IntRange(1), help="How many intervals they send."
)
@click.option("--interval-s", default=900, show_default=True, type=click.IntRange(300), help="An interval's length.")
@click.option(
    "--detail-s", default=0, show_default=True, type=click.IntRange(0), help="A sealed row every so often; 0: none."
)
@click.option(
    "--delay-ms", "delays", multiple=True, type=click.IntRange(0), help="A commit_delay_ms to measure; repeat it."
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="On the disk to measure; the system's."
)
@click.option("--seed", default=1, show_default=True, help="Of the meters' moments.")
def main(
    meters: int, intervals: int, interval_s: int, detail_s: int, delays: tuple[int, ...], folder: Path | None, seed: int
) -> None:
    """Measure the bytes that a concentrator writes for a reading, and for a street in a year."""
    try:
        written_bytes()
    except OSError as error:
        click.echo(f"wear: the kernel does not say what is written ({error}): run it on Linux", err=True)
        sys.exit(2)
    costs: dict[int, Cost] = {}
    homes = [Meter(index) for index in range(meters)]
    place = neighbourhood(homes, interval_s)
    for delay_ms in delays or DELAYS_MS:
        fresh = [Meter(index) for index in range(meters)]
        sent = street(fresh, intervals, interval_s, detail_s, seed)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            costs[delay_ms] = measure(Path(name), place, fresh, sent, delay_ms)
    if not any(cost.written for cost in costs.values()):
        click.echo("wear: nothing was written to a disk: this folder is in memory; say --folder on the card", err=True)
        sys.exit(2)
    click.echo(
        f"{meters} meters, {intervals} intervals of {interval_s} s, a row every {detail_s or '-'} s, {BITS} bits"
    )
    show(costs, intervals * interval_s)


if __name__ == "__main__":
    main()
