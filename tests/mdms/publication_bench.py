"""A published day of two small streets, and the hands of whoever would change it afterwards."""

import csv
import json
import shutil
import threading
from datetime import UTC, datetime

import msgspec
from mdms_bench import DAY, DEPLOYMENT, INTERVAL, MARCH, Bench, pseudonym

from mdms.config import load_mdms_config
from mdms.ingest.admission import admit
from mdms.ingest.judgement import judge
from mdms.publication import publish
from mdms.releases import ReleaseWorker
from mdms.rosters import RosterBook
from mdms.store import Store
from protocol import releases
from protocol.documents import Document, public_key_bytes, to_base64url
from protocol.rosters import sign_roster
from scripts.verify_release import Options, check

TODAY = datetime.fromtimestamp(MARCH, UTC).date()
LOADS = 4
METERS = 3


class Line:
    """The key holder's socket without a socket."""

    def __init__(self, holder):
        self.holder = holder

    def ask(self, message):
        answer = self.holder.answer(message)
        return answer, json.loads(answer)


class Utility:
    """Both streets' day, received and released: four loads each, and the bills of three of North's meters."""

    def __init__(self, folder, more=lambda north: []):
        """``more`` makes further versions of North's roster; who has gone by then has no window later."""
        self.bench = bench = Bench()
        self.folder = folder
        config, _ = bench.write(folder)
        further = more(bench.north)
        bench.book = RosterBook([bench.north.roster, bench.south.roster, *further])
        for roster in further:
            document = sign_roster(bench.operator, DEPLOYMENT, roster)
            (folder / "rosters" / f"north-{roster.version}.json").write_bytes(msgspec.json.encode(document))
        with config.open("a") as file:
            file.write('release_log = "release-log.jsonl"\n')
            file.write(f'log_key = "{public(bench.log_key)}"\n')
        self.config_path = config
        self.config = load_mdms_config(config)
        self.store = Store(self.config.database)
        self.holder = bench.holder(folder, MARCH, bench.policy("day", ["unsafe_short_periods"]))
        self.worker = ReleaseWorker(self.store, bench.book, Line(self.holder), threading.Event())
        for street in (bench.north, bench.south):
            self.receive(*(street.load(MARCH + at * INTERVAL) for at in range(LOADS)))
        for meter in range(METERS):
            until = bench.book.tenancy(pseudonym("north", meter)).until or MARCH + DAY
            self.receive(*bench.north.windows(MARCH, until, meter, empty=[MARCH]))
        self.settle(MARCH + DAY)

    def receive(self, *documents):
        verdicts = admit(self.store, [judge(item, self.bench.book, DEPLOYMENT) for item in documents])
        assert {item.verdict for item in verdicts} == {"stored"}, verdicts

    def settle(self, now):
        self.holder.clock.now = now
        assert self.worker.settle(now)

    def publish(self, out, day=TODAY, bills_of=TODAY, key_proofs=None):
        return publish(self.config, self.store, self.bench.book, out, day=day, bills_of=bills_of, key_proofs=key_proofs)

    def verified(self, out):
        """What a reader finds who has both public keys."""
        keys = public(self.bench.operator), public(self.bench.log_key)
        return check(Options(out, *keys, unsafe_small_key=True), lambda _: None)

    def close(self):
        self.store.close()
        self.holder.close()


class Forger:
    """One copy of a publication, to be changed by whoever holds some key."""

    def __init__(self, published, folder, bench):
        self.folder = folder
        self.bench = bench
        shutil.copytree(published, folder)

    def table(self, name):
        with (self.folder / name).open(newline="") as file:
            return list(csv.reader(file))

    def write_table(self, name, rows):
        with (self.folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def batches(self):
        return batches_in(self.folder)

    def write_batches(self, batches):
        """Sign batches with the log's key, as a key holder would that lies."""
        documents = [releases.sign_batch(self.bench.log_key, batch) for batch in batches]
        lines = b"".join(msgspec.json.encode(document) + b"\n" for document in documents)
        (self.folder / releases.BATCHES_FILE).write_bytes(lines)

    def change_batch(self, at, change):
        batches = self.batches()
        batches[at] = change(batches[at])
        self.write_batches(batches)

    def change_item(self, at, item, **changes):
        def change(batch):
            items = list(batch.items)
            items[item] = msgspec.structs.replace(items[item], **changes)
            return msgspec.structs.replace(batch, items=items)

        self.change_batch(at, change)

    def change_table(self, name, row, column, change):
        rows = self.table(name)
        rows[row][column] = str(change(int(rows[row][column])))
        self.write_table(name, rows)

    def reports(self):
        return (self.folder / releases.REPORTS_FILE).read_bytes().splitlines(keepends=True)

    def write_reports(self, lines):
        (self.folder / releases.REPORTS_FILE).write_bytes(b"".join(lines))

    def write_roster(self, roster, key=None, name=None, folder=None):
        document = sign_roster(key or self.bench.operator, DEPLOYMENT, roster)
        path = (folder or self.folder / "rosters") / f"{name or roster.neighbourhood}.json"
        path.write_bytes(msgspec.json.encode(document))


def batches_in(folder):
    lines = (folder / releases.BATCHES_FILE).read_bytes().splitlines()
    return [releases.parse_batch(msgspec.json.decode(line, type=Document).content_bytes()) for line in lines]


def public(key):
    return to_base64url(public_key_bytes(key))


def line(document):
    return msgspec.json.encode(document) + b"\n"
