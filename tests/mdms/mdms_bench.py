"""A small deployment for the MDMS's tests: one operator, two streets, keys that are factored in minutes.

North has twelve meters and k = 10; South has its own concentrator and its own Paillier key. Energies testify: meter
i uses 4^i mWh, so a digit of a sum in base 4 says whose energy is missing (0) or counted twice (2).
"""

import hashlib
import json
from pathlib import Path

import msgspec
from database_bench import database_url

from mdms import create_app
from mdms.config import load_mdms_config
from mdms.errors import CannotStart
from mdms.keyholder.gate import Gate, Policy
from mdms.keyholder.holder import KeyHolder
from mdms.keyholder.keyring import hold, seal_log_key, seal_private_key
from mdms.keyholder.log_file import LogFile
from mdms.keyholder.messages import bill_request, items_request, load_request
from mdms.keyholder.process import take_tariffs
from mdms.keyholder.state import State
from mdms.keyholder.vault import Scrypt
from mdms.periods import parse_periods
from mdms.rosters import RosterBook
from mdms.tariffs import NO_TARIFFS
from paillier import ENERGY_SLOTS, Encryptor, add, to_base64url
from paillier.private.key import generate_keypair
from protocol import documents, reports, windows, wire
from protocol.documents import canonical_json, generate_signing_key, public_key_bytes
from protocol.rosters import Member, Roster, sign_roster

DEPLOYMENT = "bench"
PASSPHRASE = "correct horse battery staple"
FAST = Scrypt(n=16, r=1, p=1)
K = 10
METERS = 12
INTERVAL = 900
RATING_W = 20_000
DAY = 86_400
# 2026-03-01T00:00Z, a month's start; the streets live in UTC.
MARCH = 1_772_323_200
APRIL = MARCH + 31 * DAY


def energy(meter):
    """The mWh that a meter uses in anything: one digit in base 4 of every sum."""
    return 4**meter


def words_of(lines):
    """Return every key, number and word of JSON lines as text, whole ones, what is signed opened.

    Whole, since the base64url of a random signature holds any short number now and then.
    """
    found = set()

    def walk(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                found.add(key)
                walk(json.loads(documents.from_base64url(inner, key)) if key == "content" else inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            found.add(str(value))

    for line in lines:
        walk(json.loads(line))
    return found


def pseudonym(street, meter):
    return documents.to_base64url(hashlib.sha256(f"{street} {meter}".encode()).digest()[:16])


class ManualClock:
    """Domain time in the test's hand."""

    def __init__(self, now=None):
        self.now = now

    def now_ms(self):
        return None if self.now is None else self.now * 1000


class Street:
    """One neighbourhood with its concentrator, able to sign whatever a test wants signed."""

    def __init__(self, name, meters=METERS, since=MARCH):
        self.name = name
        self.key = generate_signing_key()
        self.private = generate_keypair(512, unsafe_small_key=True)
        self.public = self.private.public
        self.encryptor = Encryptor(self.public)
        self.members = [Member(pseudonym(name, i), since) for i in range(meters)]
        self.roster = self.make_roster(1, since, self.members)

    def make_roster(self, version, valid_from, members, **changes):
        facts = {
            "neighbourhood": self.name,
            "version": version,
            "valid_from": valid_from,
            "zone": "UTC",
            "interval_s": INTERVAL,
            "rating_w": RATING_W,
            "concentrator": documents.to_base64url(public_key_bytes(self.key)),
            "paillier_key": self.public.fingerprint,
            "paillier_n": self.public.to_jwk()["n"],
            "members": members,
        }
        return Roster(**{**facts, **changes})

    def seal(self, import_mwh, export_mwh=0):
        """A fresh ciphertext of two energies."""
        return self.encryptor.encrypt(ENERGY_SLOTS.pack((import_mwh, export_mwh)))

    def text(self, c):
        return to_base64url(self.public, c)

    def raw(self, c):
        """Any integer as a ciphertext would be written, checks or none."""
        return documents.to_base64url(c.to_bytes(self.public.ciphertext_bytes, "big"))

    def sign(self, kind, content, key=None):
        body = content if isinstance(content, bytes) else canonical_json(content)
        return documents.sign(key or self.key, kind, DEPLOYMENT, body)

    def load(self, start=MARCH, contributors=range(METERS), key=None, size=METERS, **changes):
        """A signed interval-load whose sum is that of its contributors."""
        contributors = set(contributors)
        sealed = self.seal(sum(energy(i) for i in contributors), 7)
        facts = {
            "neighbourhood": self.name,
            "roster_version": 1,
            "interval_start": start,
            "interval_s": INTERVAL,
            "contributors": reports.pack_bitmap(contributors, size),
            "paillier_key": self.public.fingerprint,
            "ciphertext": self.text(sealed),
        }
        return self.sign(reports.INTERVAL_LOAD, reports.IntervalLoad(**{**facts, **changes}), key)

    def window(self, start=MARCH, meter=0, import_mwh=1, key=None, empty=False, **changes):
        """A signed billing-window of three hours, whole unless changed."""
        whole = windows.WINDOW_S // INTERVAL
        end = start + windows.WINDOW_S
        facts = {
            "neighbourhood": self.name,
            "pseudonym": pseudonym(self.name, meter),
            "window_start": start,
            "window_end": end,
            "interval_s": INTERVAL,
            "present": 0 if empty else whole,
            "expected": whole,
            "quality": 0,
            "register_from": start,
            "register_to": start if empty else end,
            "paillier_key": self.public.fingerprint,
            "energy": None if empty else self.text(self.seal(import_mwh)),
            "closing_register": None if empty else self.text(self.seal(import_mwh)),
        }
        return self.sign(reports.BILLING_WINDOW, reports.BillingWindow(**{**facts, **changes}), key)

    def windows(self, first, last, meter=0, empty=()):
        """Every window of a meter that starts in first <= t < last, one mWh each."""
        return [self.window(start, meter, empty=start in empty) for start in range(first, last, windows.WINDOW_S)]

    def segment(self, rows, meter=0, key=None, **changes):
        facts = {
            "neighbourhood": self.name,
            "pseudonym": pseudonym(self.name, meter),
            "rows": [documents.to_base64url(row) for row in rows],
        }
        return self.sign(reports.DETAIL_SEGMENT, reports.DetailSegment(**{**facts, **changes}), key)

    def split(self, total, parts):
        """Ciphertexts that add up to a total."""
        c = self.seal(total)
        for _ in range(parts):
            c = add(self.public, c, self.encryptor.encrypt(0))
        return c


def row(counter, title=b"METER--1", salt=b"salt", blob=None, kind=wire.DETAIL, epoch=20_513):
    """A sealed row of 90 bytes; what is inside is nobody's business."""
    header = wire.pack_header(wire.Header(kind, title, epoch, salt, counter))
    return header + (blob or hashlib.sha512(b"%d" % counter).digest() + b"--")


class Bench:
    """Both streets, their rosters, and key holders made of them."""

    def __init__(self):
        self.operator = generate_signing_key()
        self.log_key = generate_signing_key()
        self.north = Street("north")
        self.south = Street("south")
        self.book = RosterBook([self.north.roster, self.south.roster])
        self.keyring = {s.public.fingerprint: hold(s.private) for s in (self.north, self.south)}

    def policy(self, period="month", unsafe=(), k=K):
        return Policy(k, parse_periods(period), tuple(unsafe))

    def holder(self, folder, now=MARCH + DAY, policy=None, book=None, tariffs=NO_TARIFFS, keyring=None):
        """A key holder with its memory in a folder; making it again there is a restart."""
        return BenchHolder(
            Path(folder),
            now,
            policy or self.policy(),
            book or self.book,
            tariffs,
            keyring or self.keyring,
            self.log_key,
        )

    def write(self, folder, **keyholder):
        """Write a whole deployment with its two configurations; returns (mdms.toml, keyholder.toml)."""
        folder = Path(folder)
        for name in ("rosters", "keys"):
            (folder / name).mkdir()
        for street in (self.north, self.south):
            document = sign_roster(self.operator, DEPLOYMENT, street.roster)
            (folder / "rosters" / f"{street.name}.json").write_bytes(msgspec.json.encode(document))
            seal_private_key(folder / "keys", street.name, street.private, PASSPHRASE, FAST)
        seal_log_key(folder / "log.key.json", DEPLOYMENT, self.log_key, PASSPHRASE, FAST)
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        common = {
            "deployment": DEPLOYMENT,
            "operator_key": documents.to_base64url(public_key_bytes(self.operator)),
            "rosters": "rosters",
        }
        mdms = {
            **common,
            "database": database_url(folder),
            "listen": "127.0.0.1:0",
            "keyholder_socket": "keyholder.socket",
        }
        holder = {
            **common,
            "keys": "keys",
            "log_key": "log.key.json",
            "passphrase_file": "passphrase",
            "database": "keyholder.sqlite3",
            "socket": "keyholder.socket",
            "log_file": "release-log.jsonl",
            "unsafe_small_key": True,
            **keyholder,
        }
        return write_toml(folder / "mdms.toml", mdms), write_toml(folder / "keyholder.toml", holder)


class BenchHolder:
    """A key holder in this process, asked in documents and answering in dictionaries."""

    def __init__(self, folder, now, policy, book, tariffs, keyring, log_key):
        self.clock = ManualClock(now)
        self.state = State(folder / "keyholder.sqlite3")
        self.log_path = folder / "release-log.jsonl"
        self.log_file = LogFile(self.log_path, self.state)
        try:
            take_tariffs(self.state, tariffs, None if now is None else now * 1000)
        except CannotStart:
            self.state.close()
            raise
        gate = Gate(policy, book, DEPLOYMENT, tariffs)
        self.holder = KeyHolder(gate, keyring, self.state, self.log_file, log_key, DEPLOYMENT, self.clock)

    def answer(self, message):
        return self.holder.answer(message)

    def load(self, document):
        return json.loads(self.answer(load_request(document)))

    def items(self, *items):
        return json.loads(self.answer(items_request(items)))["answers"]

    def bill(self, windows_, name, period_start=MARCH):
        return json.loads(self.answer(bill_request(name, period_start, windows_)))

    def log_lines(self):
        return self.log_path.read_bytes().splitlines()

    def close(self):
        self.state.close()


def write_toml(path, values):
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return path


class BenchWeb:
    """The web application in this process."""

    def __init__(self, bench, folder):
        mdms, _ = bench.write(folder)
        self.app = create_app(load_mdms_config(mdms))
        self.client = self.app.test_client()
        self.store = self.app.extensions["hushmeter_store"]

    def post(self, documents_):
        body = msgspec.json.encode(reports.Batch(documents_))
        return self.client.post("/api/v1/reports", data=body, content_type="application/json")

    def _answers(self, documents_, member):
        answer = self.post(documents_)
        assert answer.status_code == 200, answer.get_data()
        return [item[member] for item in answer.get_json()["verdicts"]]

    def verdicts(self, documents_):
        return self._answers(documents_, "verdict")

    def reasons(self, documents_):
        assert set(self.verdicts(documents_)) == {"refused"}
        return self._answers(documents_, "reason")
