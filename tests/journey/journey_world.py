"""The whole path in one thread: the firmware's meters, a bad line, the concentrator, the MDMS and the key holder.

Virtual time, one seed, one run. The line loses, doubles, delays, reorders and damages frames; meters lose their power
and their line; the concentrator is killed before and behind its commits; the MDMS is away, and its answers get lost.
``tame`` ends the faults, so that a run can come to rest.
"""

import hashlib
import json
import random
import threading
from contextlib import contextmanager
from pathlib import Path

import msgspec
from flask import Flask

import firmware.main
from firmware.meter.seal import Ccm as MeterCcm
from gateway import answers as answers_module
from gateway.closing import Closing
from gateway.enrolment import EnrolmentRecord
from gateway.holdings import enrolled
from gateway.intake import CCM, DataDecryption
from gateway.ledger import Ledger
from gateway.neighbourhood import build
from gateway.outbox import Outbox
from gateway.reception import Arrival, Reception
from gateway.roll import first_standing
from mdms.ingest.routes import ingest_routes
from mdms.keyholder.gate import Gate, Policy
from mdms.keyholder.holder import KeyHolder
from mdms.keyholder.keyring import hold
from mdms.keyholder.log_file import LogFile
from mdms.keyholder.state import State
from mdms.periods import parse_periods
from mdms.releases import ReleaseWorker
from mdms.rosters import load_rosters
from mdms.store import Store
from paillier.private.decryption import Decryptor
from paillier.private.key import generate_keypair
from protocol import documents, keychain, rosters, wire
from protocol.reports import MAX_BATCH, Batch, BatchAnswer

DEPLOYMENT = "journey"
NAME = "north"
INTERVAL = 900
DAY = 86_400
GRACE = 300
K = 10
METERS = 12
DELAY_DAYS = 2
RATING_W = 69_000
LIMIT = RATING_W * INTERVAL * 1000 // 3600
START = 1_772_323_200  # 2026-03-01T00:00Z

PRIVATE = generate_keypair(512, unsafe_small_key=True)
DECRYPTOR = Decryptor(PRIVATE)
IDENTITY = documents.generate_signing_key()
OPERATOR = documents.generate_signing_key()
LOG_KEY = documents.generate_signing_key()


class PowerCut(Exception):
    """The concentrator's process ends here."""


class Witness:
    """Notices every (key, nonce) that seals twice, whether or not the frame ever leaves."""

    def __init__(self):
        self.seals = set()
        self.repeated = []

    def __call__(self, key, nonce):
        use = (bytes(key), bytes(nonce))
        if use in self.seals:
            self.repeated.append(bytes(nonce).hex())
        self.seals.add(use)

    def meters_ccm(witness):
        class Witnessed(MeterCcm):
            def seal(self, key, nonce, plaintext, aad=b""):
                witness(key, nonce)
                return MeterCcm.seal(self, key, nonce, plaintext, aad)

        return Witnessed

    def seal(self, key, nonce, plaintext, aad):
        """The concentrator's seal."""
        self(key, nonce)
        return CCM.seal(key, nonce, plaintext, aad)


class Flash:
    """A meter's storage; it outlives the power."""

    def __init__(self):
        self.pieces = {}

    def read(self, name):
        return self.pieces.get(name)

    def replace(self, name, data):
        self.pieces[name] = bytes(data)

    def append(self, name, data):
        self.pieces[name] = self.pieces.get(name, b"") + bytes(data)


class Board:
    """``monotonic_ms`` starts anew at every boot; ``random`` gives the same at every boot, so as to hide nothing."""

    def __init__(self, world, flash):
        self.storage = flash
        self._world = world
        self._booted_ms = world.now * 1000 - 12_345
        self._drawn = 0

    def monotonic_ms(self):
        return self._world.now * 1000 - self._booted_ms

    def machine_ms(self):
        return self._world.machine_ms

    def random(self, count):
        self._drawn += 1
        return bytes((self._drawn & 0xFF,)) * count


class Home:
    """A meter with its customer. It is dark while its line is down."""

    def __init__(self, world, index):
        seed = b"home %d" % index
        self.world = world
        self.title = b"HSJ" + index.to_bytes(5, "big")
        self.pseudonym = documents.to_base64url(hashlib.sha256(b"tenancy" + seed).digest()[:16])
        self.epoch = keychain.epoch_of(START) - 1  # it is put up a minute before midnight
        hop, customer, self.secret = (hashlib.sha256(p + seed).digest() for p in (b"hop", b"customer", b"salt"))
        self.hop = keychain.Chain(self.epoch, keychain.first_chain(hop))
        self.customer = keychain.Chain(self.epoch, keychain.first_chain(customer))
        self.hello_key, self.time_key = keychain.clock_keys(hop)
        self.flash = Flash()
        self.dark_until = 0
        self.boot()

    def provisioning(self):
        """What an enrolment gives the meter, once."""
        return {
            "system_title": self.title.hex(),
            "epoch": self.epoch,
            "hop_chain": self.hop.value.hex(),
            "customer_chain": self.customer.value.hex(),
            "hello_key": self.hello_key.hex(),
            "time_key": self.time_key.hex(),
            "salt_secret": self.secret.hex(),
            "series": 1,
        }

    def boot(self):
        self.board = Board(self.world, self.flash)
        first = self.provisioning() if self.flash.read("keys") is None else None
        self.meter = firmware.main.build(self.board, self, INTERVAL, INTERVAL, first)

    def record(self):
        return EnrolmentRecord(
            system_title=self.title.hex(),
            pseudonym=self.pseudonym,
            neighbourhood=NAME,
            since=START,
            series=1,
            first_import_mwh=0,
            first_export_mwh=0,
            epoch=self.epoch,
            hop_chain=self.hop.value.hex(),
            hello_key=self.hello_key.hex(),
            time_key=self.time_key.hex(),
        )

    def take(self, start_s, end_s):
        """The sensor: what is measured is known to the world as well."""
        energies = self.world.energies(self, start_s)
        if energies is not None:
            self.world.measured[self.title.hex(), start_s] = energies
        return energies

    def key(self, epoch):
        return self.hop.at(epoch).key(keychain.DOWN)


class MortalLedger(Ledger):
    """A ledger whose process may be killed before and behind every commit."""

    def cut(self, _where):
        """Raise PowerCut, or not."""

    @contextmanager
    def transaction(self):
        with super().transaction():
            yield
            self.cut("before the commit")
        self.cut("behind the commit")


class World:
    """See the module. ``ledger``, ``random_bytes`` and ``k`` are where bugs can be planted."""

    home = Home

    def __init__(self, folder, seed, monkeypatch, logs, *, hours=24, ledger=MortalLedger, random_bytes=None, k=K):
        self.folder = Path(folder)
        self.rng = random.Random(seed)
        self.logs = logs
        self.hours = hours
        self.k = k
        self.ledger_class = ledger
        self.random_bytes = random_bytes
        self.now = START - 60
        self.machine_ms = 0
        self.measured = {}
        self.planned = {}
        self.acknowledged = set()
        self.forged = 0  # frames of which the concentrator has committed that they are
        self.forgeries = set()
        self.left = {}  # id -> Document: everything that the concentrator has ever sent
        self.parsed = {}  # the same, verified and parsed by the checks
        self.looked_at = set()
        self.delayed = []
        self.faults = True
        self.mdms_away_until = 0
        self.kills = 0
        self.witness = Witness()
        monkeypatch.setattr(firmware.main, "Ccm", self.witness.meters_ccm())
        monkeypatch.setattr(answers_module, "CCM", self.witness)
        self.homes = [self.home(self, i) for i in range(METERS)]
        self.by_title = {home.title: home for home in self.homes}
        self._set_up_roster()
        self._start_concentrator()
        with self.ledger.transaction():
            for home in self.homes:
                enrolled.add(self.ledger, home.record(), *first_standing(home.record(), self.place))
        self._start_mdms()
        self._start_key_holder()

    def chance(self, probability):
        return self.faults and self.rng.random() < probability

    def energies(self, home, start):
        """What a home uses in an interval, mWh: seven or eight digits, now and then more than is possible."""
        if not START <= start < START + self.hours * 3600:
            return None
        key = (home.title, start)
        if key not in self.planned:
            import_mwh = self.rng.randrange(1_000_000, LIMIT)
            if self.rng.random() < 0.005:
                import_mwh += LIMIT
            self.planned[key] = (import_mwh, self.rng.randrange(1_000_000, LIMIT))
        return self.planned[key]

    # --- Parts --------------------------------------------------------------------------------------------------

    def _set_up_roster(self):
        self.roster = rosters.Roster(
            neighbourhood=NAME,
            version=1,
            valid_from=START,
            zone="UTC",
            interval_s=INTERVAL,
            rating_w=RATING_W,
            concentrator=documents.to_base64url(documents.public_key_bytes(IDENTITY)),
            paillier_key=PRIVATE.public.fingerprint,
            paillier_n=PRIVATE.public.to_jwk()["n"],
            members=[rosters.Member(home.pseudonym, START) for home in self.homes],
        )
        self.place = build(self.roster, unsafe_small_key=True)
        for name in ("rosters", "gateway", "mdms", "keyholder"):
            (self.folder / name).mkdir(parents=True)
        signed = rosters.sign_roster(OPERATOR, DEPLOYMENT, self.roster)
        (self.folder / "rosters" / "north.json").write_bytes(msgspec.json.encode(signed))
        self.book = load_rosters(self.folder / "rosters", DEPLOYMENT, OPERATOR.public_key())

    def _start_concentrator(self):
        self.ledger = self.ledger_class(self.folder / "gateway" / "ledger.sqlite3")
        self.ledger.cut = self._cut
        decryption = DataDecryption(DELAY_DAYS)
        self.outbox = Outbox(self.ledger, IDENTITY, DEPLOYMENT)
        places = {NAME: self.place}
        extra = {"random": self.random_bytes} if self.random_bytes else {}
        self.reception = Reception(self.ledger, self.outbox, places, decryption, **extra)
        self.closing = Closing(
            self.ledger,
            self.outbox,
            places,
            decryption,
            min_contributors=self.k,
            grace_s=GRACE,
            accepted_delay_days=DELAY_DAYS,
        )

    def _cut(self, where):
        if self.chance(0.004):
            raise PowerCut(where)

    def restart_concentrator(self):
        self.kills += 1
        # No checkpoint and no good-bye.
        self.ledger._db.close()
        self.ledger._lock.close()
        self._start_concentrator()

    def _start_mdms(self):
        self.store = Store(f"sqlite:///{self.folder / 'mdms' / 'mdms.sqlite3'}")
        app = Flask("mdms")
        app.register_blueprint(ingest_routes(self.store, self.book, DEPLOYMENT))
        self.client = app.test_client()

    def _start_key_holder(self):
        folder = self.folder / "keyholder"
        self.state = State(folder / "keyholder.sqlite3")
        gate = Gate(Policy(K, parse_periods("day"), ("unsafe_short_periods",)), self.book, DEPLOYMENT)
        keyring = {PRIVATE.public.fingerprint: hold(PRIVATE)}
        log_file = LogFile(folder / "release-log.jsonl", self.state)
        self.holder = KeyHolder(gate, keyring, self.state, log_file, LOG_KEY, DEPLOYMENT, self)

    def now_ms(self):
        return self.now * 1000

    def ask(self, message):
        """The key holder's client."""
        answer = self.holder.answer(message)
        return answer, json.loads(answer)

    # --- The line -----------------------------------------------------------------------------------------------

    def _collect(self):
        arrivals, self.delayed = self.delayed, []
        for home in self.homes:
            if self.faults and self.now < home.dark_until:
                continue
            deframer = wire.Deframer()
            deframer.feed(home.meter.link.to_send(home.board.monotonic_ms(), self.machine_ms))
            for frame in deframer:
                if self.chance(0.1):
                    continue
                if self.chance(0.02):
                    # Only the last byte of the tag: what a careless comparison would let through.
                    arrivals.append(frame[:-1] + bytes((frame[-1] ^ 1,)))
                    self.forgeries.add(arrivals[-1])
                copies = 2 if self.chance(0.1) else 1
                later = self.chance(0.1) and wire.parse_header(frame).type != wire.HELLO
                (self.delayed if later else arrivals).extend([frame] * copies)
        if self.faults:
            self.rng.shuffle(arrivals)
        return arrivals

    def exchange(self):
        """One turn of the line: what is due leaves, what comes through is taken, the answers go back."""
        self.machine_ms += 3000
        arrivals = self._collect()
        for at in range(0, len(arrivals), 32):
            batch = [Arrival(frame, "line") for frame in arrivals[at : at + 32]]
            forged = sum(arrival.frame in self.forgeries for arrival in batch)
            try:
                replies = self.reception.take(batch, self.now_ms())
            except PowerCut as cut:
                if str(cut) == "behind the commit":
                    self.forged += forged
                self.restart_concentrator()
                continue
            self.forged += forged
            for reply in replies:
                self._note(reply.frame)
                if not self.chance(0.1):
                    home = self.by_title[wire.parse_header(reply.frame).system_title]
                    link = home.meter.link
                    link.receive(wire.encode_link(reply.frame), home.board.monotonic_ms(), self.machine_ms)

    def _note(self, frame):
        header = wire.parse_header(frame)
        if header.type != wire.ACK:
            return
        key = self.by_title[header.system_title].key(header.epoch)
        for item in wire.parse_ack(wire.open_downlink(CCM, key, frame)[1]):
            for counter in range(item.first, item.first + item.count):
                self.acknowledged.add((header.system_title, item.salt, counter))

    def measure(self):
        for home in self.homes:
            if self.chance(0.01):
                home.boot()
            if self.chance(0.01):
                home.dark_until = self.now + self.rng.randrange(3600, 5 * 3600)
            while home.meter.instrument.tick(home.board.monotonic_ms()):
                pass

    # --- Behind the line ----------------------------------------------------------------------------------------

    def close_due(self):
        try:
            self.closing.close(self.now_ms())
            while self.closing.close_segments(self.now_ms()):
                pass
        except PowerCut:
            self.restart_concentrator()

    def post(self, waiting):
        """Upload a batch; None where nothing is known of what became of it."""
        for item in waiting:
            self.left[item.id] = item.document
        if self.chance(0.1) or self.now < self.mdms_away_until:
            return None
        body = msgspec.json.encode(Batch([item.document for item in waiting]))
        response = self.client.post("/api/v1/reports", data=body, content_type="application/json")
        assert response.status_code == 200, response.status_code
        verdicts = msgspec.json.decode(response.data, type=BatchAnswer).verdicts
        return None if self.chance(0.1) else verdicts

    def carry(self):
        """Empty the outbox as far as it goes."""
        for _ in range(100):
            waiting = self.outbox.waiting(MAX_BATCH)
            if not waiting:
                return
            verdicts = self.post(waiting)
            if verdicts is None:
                if self.now < self.mdms_away_until:
                    return
                continue
            pairs = [(item.seq, verdict) for item, verdict in zip(waiting, verdicts, strict=True)]
            try:
                with self.ledger.transaction():
                    self.outbox.decide(pairs, lambda *_: None)
            except PowerCut:
                self.restart_concentrator()

    def settle(self):
        """The release worker asks for what is due; it and the key holder are started anew now and then."""
        if self.chance(0.05):
            self.state.close()
            self._start_key_holder()
        ReleaseWorker(self.store, self.book, self, threading.Event()).settle(self.now)

    # --- Time ---------------------------------------------------------------------------------------------------

    def begin(self):
        """A minute before midnight every meter learns the time."""
        faults, self.faults = self.faults, False
        self.close_due()
        self.exchange()
        self.measure()
        self.faults = faults

    def interval(self, number):
        """Pass one interval."""
        self.now = START + (number + 1) * INTERVAL
        if self.chance(0.01):
            self.restart_concentrator()
        if self.chance(0.02):
            self.mdms_away_until = self.now + self.rng.randrange(7200)
        for _ in range(3):
            self.measure()
            self.exchange()
        self.now += GRACE if not self.chance(0.05) else GRACE - 10
        self.close_due()
        if self.chance(0.3):
            self.exchange()  # late for the load
        self.carry()
        self.settle()

    def run(self, checks=None, every=8):
        """Pass the measured hours, checking every few intervals, then come to rest and bill."""
        self.begin()
        for number in range(self.hours * 4):
            self.interval(number)
            if checks and number % every == every - 1:
                checks(self)
        self.rest()

    def tame(self):
        """No more faults; everything that waits gets through."""
        self.faults = False
        self.mdms_away_until = 0
        for _ in range(400):
            self.measure()
            self.exchange()
            if not self.delayed and all(home.meter.link.idle(home.board.monotonic_ms()) for home in self.homes):
                return
        raise AssertionError("the street does not come to rest")

    def rest(self):
        """Pass the days until every window is sealed, every report carried and every period billed."""
        self.tame()
        for day in range(DELAY_DAYS + 2):
            self.now = max(self.now, START + (day + 1) * DAY + 600)
            self.close_due()
            self.carry()
            self.settle()
        self.tame()

    def close(self):
        self.ledger.close()
        self.state.close()
        self.store.close()
