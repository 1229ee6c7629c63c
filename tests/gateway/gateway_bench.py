"""A street for the concentrator's tests: meters that seal as the specification says, and a concentrator to restart.

Energies testify: reading i holds 8**i mWh, so a digit 0 of a sum in base 8 says lost and a 2 says doubled.
"""

import functools
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import msgspec

from gateway.closing import Closing
from gateway.encryption import Settings
from gateway.enrolment import EnrolmentRecord
from gateway.holdings import enrolled
from gateway.intake import Ccm, DataDecryption
from gateway.ledger import Ledger
from gateway.neighbourhood import build
from gateway.outbox import Outbox
from gateway.reception import Arrival, Reception
from gateway.roll import first_standing
from paillier import ENERGY_SLOTS, from_base64url
from paillier.private.decryption import Decryptor
from paillier.private.key import generate_keypair
from protocol import documents, keychain, reports, rosters, wire

DEPLOYMENT = "bench"
NAME = "north"
INTERVAL = 900
HOUR = 3600
WINDOW = 3 * HOUR
DAY = 86_400
GRACE = 300
K = 3
RATING_W = (1 << 31) - 1  # any u32 of mWh is possible
START = 1_772_323_200  # 2026-03-01T00:00Z
CCM = Ccm()

PRIVATE = generate_keypair(512, unsafe_small_key=True)
IDENTITY = documents.generate_signing_key()
OPERATOR = documents.generate_signing_key()
DECRYPTOR = Decryptor(PRIVATE)


def decrypt(text):
    """What the test alone may do: (import_mwh, export_mwh) of a ciphertext that left."""
    return ENERGY_SLOTS.unpack(DECRYPTOR.decrypt(from_base64url(PRIVATE.public, text)))


def public_key(key):
    return documents.to_base64url(documents.public_key_bytes(key))


@functools.lru_cache
def built(roster, accumulator):
    """A neighbourhood of a roster in JSON; the check of its zone takes a while."""
    settings = Settings(accumulator=accumulator, table_window_bits=4, pool_size=8)
    return build(documents.parse(roster, rosters.Roster), unsafe_small_key=True, settings=settings)


class CarelessCcm(Ccm):
    """A planted bug: the last byte of a tag is not compared."""

    def open(self, key, nonce, sealed, aad):
        for last in range(256):
            try:
                return super().open(key, nonce, sealed[:-1] + bytes((last,)), aad)
            except ValueError:
                continue
        raise ValueError("the tag does not verify")


class Meter:
    """A working meter's end. It keeps its registers, and opens the answers that are for it."""

    def __init__(self, index=0, since=START, interval_s=INTERVAL, series=1):
        root = hashlib.sha256(b"hop root of meter %d" % index).digest()
        self.title = b"HSM" + index.to_bytes(5, "big")
        self.pseudonym = documents.to_base64url(hashlib.sha256(b"tenancy %d" % index).digest()[:16])
        self.since = since
        self.interval_s = interval_s
        self.series = series
        self.epoch = keychain.epoch_of(since)
        self.chain = keychain.Chain(self.epoch, keychain.first_chain(root))
        self.hello_key, self.time_key = keychain.clock_keys(root)
        self.salt = b"boot"
        self.counter = 0
        self.imported = self.first_import = 1_000
        self.exported = self.first_export = 50

    def record(self):
        return EnrolmentRecord(
            system_title=self.title.hex(),
            pseudonym=self.pseudonym,
            neighbourhood=NAME,
            since=self.since,
            series=self.series,
            first_import_mwh=self.first_import,
            first_export_mwh=self.first_export,
            epoch=self.epoch,
            hop_chain=self.chain.value.hex(),
            hello_key=self.hello_key.hex(),
            time_key=self.time_key.hex(),
        )

    @functools.cache  # noqa: B019 - a test's meter does not live long
    def key(self, epoch, label):
        return self.chain.at(epoch).key(label)

    def seal(self, kind, body, epoch, salt=None, counter=None, key=None):
        if counter is None:
            counter = self.counter
            self.counter += 1
        header = wire.Header(kind, self.title, epoch, salt or self.salt, counter)
        key = key or self.key(epoch, keychain.UP)
        return wire.seal_uplink(CCM, key, header, body)

    def body(self, start, import_mwh, export_mwh=0, **changes):
        """A READING's body; the registers grow by its energies."""
        self.imported += import_mwh
        self.exported += export_mwh
        end = start + self.interval_s
        reading = wire.Reading(
            self.series,
            start // self.interval_s,
            end,
            self.interval_s,
            import_mwh,
            export_mwh,
            self.imported,
            self.exported,
            0,
        )
        return wire.pack_reading(reading._replace(**changes))

    def reading(self, start, import_mwh, export_mwh=0, epoch=None, **changes):
        body = self.body(start, import_mwh, export_mwh, **changes)
        return self.seal(wire.READING, body, keychain.epoch_of(start + self.interval_s) if epoch is None else epoch)

    def readings(self, count, start=START, first=0):
        """``count`` readings in a row, the i-th of 8**i mWh."""
        return [self.reading(start + i * self.interval_s, 8 ** (first + i), i) for i in range(count)]

    def detail(self, epoch, blob=None):
        header = wire.Header(wire.DETAIL, self.title, epoch, self.salt, self.counter)
        nonce = wire.uplink_nonce(wire.LAYER_CUSTOMER, header.salt, header.counter)
        return self.seal(wire.DETAIL, blob or nonce + hashlib.sha512(nonce).digest()[: 66 - len(nonce)], epoch)

    def hello(self, challenge=b"sixteen bytes, C"):
        body = wire.pack_hello(wire.BOOT, challenge)
        return self.seal(wire.HELLO, body, wire.EPOCH_NONE, key=self.hello_key)

    def verdicts(self, frames):
        """Return {(salt, counter): verdict's name} of the ACKs among frames, opened with this meter's keys."""
        found = {}
        for frame in frames:
            header = wire.parse_header(frame)
            if (header.type, header.system_title) != (wire.ACK, self.title):
                continue
            body = wire.open_downlink(CCM, self.key(header.epoch, keychain.DOWN), frame)[1]
            ranges = wire.parse_ack(body)
            assert (header.salt, header.counter) == (ranges[0].salt, ranges[0].first)
            for item in ranges:
                for counter in range(item.first, item.first + item.count):
                    assert (item.salt, counter) not in found
                    found[item.salt, counter] = wire.VERDICTS[item.verdict]
        return found


def name_of(frame):
    header = wire.parse_header(frame)
    return header.salt, header.counter


class Concentrator:
    """The concentrator's parts on one ledger file; ``restart`` is a new process."""

    def __init__(self, folder, meters=(), **settings):
        self.path = Path(folder) / "ledger.sqlite3"
        self.settings = {"zone": "UTC", "interval_s": INTERVAL, "rating_w": RATING_W, "k": K, "days": 7, **settings}
        self.settings.setdefault("accumulator", "strict")
        self.meters = list(meters)
        self.ledger = None
        self.start()
        with self.ledger.transaction():
            for meter in self.meters:
                enrolled.add(self.ledger, meter.record(), *first_standing(meter.record(), self.place))

    def roster(self):
        return rosters.Roster(
            neighbourhood=NAME,
            version=1,
            valid_from=self.settings.get("valid_from", START),
            zone=self.settings["zone"],
            interval_s=self.settings["interval_s"],
            rating_w=self.settings["rating_w"],
            concentrator=public_key(IDENTITY),
            paillier_key=PRIVATE.public.fingerprint,
            paillier_n=PRIVATE.public.to_jwk()["n"],
            members=[rosters.Member(meter.pseudonym, meter.since) for meter in self.meters],
        )

    def start(self):
        self.place = built(documents.canonical_json(self.roster()), self.settings["accumulator"])
        self.ledger = self.settings.get("ledger", Ledger)(self.path)
        self.decryption = DataDecryption(self.settings["days"])
        self.outbox = Outbox(self.ledger, IDENTITY, DEPLOYMENT)
        places = {NAME: self.place}
        self.reception = Reception(self.ledger, self.outbox, places, self.decryption)
        self.closing = Closing(
            self.ledger,
            self.outbox,
            places,
            self.decryption,
            min_contributors=self.settings["k"],
            grace_s=GRACE,
            accepted_delay_days=self.settings["days"],
        )

    def stop(self):
        if self.ledger is not None:
            self.ledger.close()
            self.ledger = None

    def restart(self):
        self.stop()
        self.start()

    def take(self, frames, now):
        """Return the answering frames of one batch; ``now`` in UTC seconds."""
        replies = self.reception.take([Arrival(frame, "line") for frame in frames], now * 1000)
        assert all(reply.peer == "line" for reply in replies)
        return [reply.frame for reply in replies]

    def judge(self, meter, frames, now):
        """Return the verdicts' names in the order of the frames (None: not answered)."""
        found = meter.verdicts(self.take(frames, now))
        return [found.get(name_of(frame)) for frame in frames]

    def close(self, now):
        self.closing.close(now * 1000)
        while self.closing.close_segments(now * 1000):
            pass

    def reports(self, kind):
        """Every report of a type that was ever closed and is still kept, verified and parsed, in order."""
        rows = self.ledger.execute("SELECT document FROM outbox ORDER BY seq").fetchall()
        found = [msgspec.json.decode(row[0], type=documents.Document) for row in rows]
        key = IDENTITY.public_key()
        return [
            reports.parse_report(kind, documents.verify(document, DEPLOYMENT, key))
            for document in found
            if document.type == kind
        ]

    def loads(self):
        return {load.interval_start: load for load in self.reports(reports.INTERVAL_LOAD)}

    def windows(self, meter):
        found = self.reports(reports.BILLING_WINDOW)
        return [window for window in found if window.pseudonym == meter.pseudonym]

    def billed(self, meter):
        """The sum of a meter's sealed windows, import and export."""
        sums = [decrypt(window.energy) for window in self.windows(meter) if window.energy is not None]
        return sum(each[0] for each in sums), sum(each[1] for each in sums)

    def state(self):
        """Everything in the ledger but the counts, to see whether it moved."""
        tables = self.ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'counts'")
        return {name: self.ledger.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables.fetchall()}

    def files(self):
        """The bytes of the ledger's files, its write-ahead log among them."""
        return {path.name: path.read_bytes() for path in self.path.parent.glob(self.path.name + "*")}


class Deployment:
    """The files that the daemon is started with: identity, signed rosters, enrolment records, configuration."""

    def __init__(self, folder, meters=()):
        self.folder = Path(folder)
        self.config = self.folder / "gateway.toml"
        for name in ("rosters", "enrolment"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "identity.pem").write_text(IDENTITY.export_key(format="PEM"))
        roster = Concentrator.roster(
            SimpleNamespace(meters=meters, settings={"zone": "UTC", "interval_s": INTERVAL, "rating_w": RATING_W})
        )
        self.write_roster(roster)
        for meter in meters:
            path = self.folder / "enrolment" / f"{meter.title.hex()}.json"
            path.write_bytes(msgspec.json.encode(meter.record()))
        self.write()

    def write_roster(self, roster, name="north"):
        document = rosters.sign_roster(OPERATOR, DEPLOYMENT, roster)
        (self.folder / "rosters" / f"{name}.json").write_bytes(msgspec.json.encode(document))

    def write(self, **changes):
        """Write the configuration; a change to None leaves the key out."""
        values = {
            "deployment": DEPLOYMENT,
            "operator_key": public_key(OPERATOR),
            "identity_key": "identity.pem",
            "rosters": "rosters",
            "enrolment": "enrolment",
            "ledger": "ledger.sqlite3",
            "listen": "127.0.0.1:0",
            "mdms_url": "http://127.0.0.1:9",
            "unsafe_small_key": True,
            **changes,
        }
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items() if value is not None]
        self.config.write_text("".join(lines))
        return self.config
