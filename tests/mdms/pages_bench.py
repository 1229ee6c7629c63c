"""A deployment with pages: users, customers whose meters sealed known energies, and a client that signs in."""

import json
import re
import secrets
from pathlib import Path

import msgspec
from Crypto.Cipher import AES
from Crypto.PublicKey import ECC
from mdms_bench import DEPLOYMENT, MARCH, pseudonym
from tariff_bench import flat, write_tariffs

from mdms import create_app
from mdms.accounts.users import add_user
from mdms.config import load_mdms_config
from mdms.tables import users
from protocol import documents, keychain, logins, reports, wire
from protocol.documents import canonical_json, public_key_bytes, sign
from protocol.envelopes import ENVELOPE, seal_root

PASSWORD = "correct horse battery"
TOKEN = re.compile(r'(?:name="csrf_token" value|name="csrf-token" content)="([^"]+)"')


class Ccm:
    """AES-256-CCM as the concentrator has it."""

    def seal(self, key, nonce, plaintext, aad):
        cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=16)
        cipher.update(aad)
        return b"".join(cipher.encrypt_and_digest(plaintext))


class Customer:
    """One customer's key and meter. The root is kept to seal rows; the key alone opens them."""

    def __init__(self, street, meter):
        self.street = street
        self.meter = meter
        self.account = pseudonym(street.name, meter)
        self.key = ECC.generate(curve="Curve25519")
        self.title = b"METER%03d" % meter
        self.epoch = keychain.epoch_of(MARCH)
        self.counter = 0
        self.import_mwh = self.export_mwh = 0
        self._root = secrets.token_bytes(32)

    def envelope(self, operator):
        sealed = seal_root(self.key, self._root, self.title, self.account, self.epoch)
        return sign(operator, ENVELOPE, DEPLOYMENT, canonical_json(sealed))

    def row(self, end, import_mwh, export_mwh=0, length=60, quality=0, electric=(2301, 145, 987)):
        """A sealed row as the meter would make it; ``electric``: decivolts, centiamperes, power factor x 1000."""
        self.counter += 1
        self.import_mwh += import_mwh
        self.export_mwh += export_mwh
        epoch = keychain.epoch_of(end)
        header = wire.Header(wire.DETAIL, self.title, epoch, b"salt", self.counter)
        registers = (self.import_mwh, self.export_mwh)
        detail = wire.Detail(end, length, import_mwh, export_mwh, *registers, *electric, quality)
        chain = keychain.Chain(self.epoch, keychain.first_chain(self._root)).at(epoch)
        blob = wire.seal_detail(Ccm(), chain.key(keychain.DETAIL), header, wire.pack_detail(detail))
        return wire.pack_header(header) + blob

    def segment(self, rows):
        return self.street.segment(rows, self.meter)

    def key_file(self, folder, passphrase=None):
        """The private key as scripts.customer_key writes it, sealed or not."""
        options = {}
        if passphrase:
            rounds = {"iteration_count": 210_000}
            options = {
                "passphrase": passphrase,
                "protection": "PBKDF2WithHMAC-SHA512AndAES256-CBC",
                "prot_params": rounds,
            }
        path = Path(folder) / f"{self.account}{'.sealed' if passphrase else ''}.pem"
        path.write_text(self.key.export_key(format="PEM", **options))
        return path


def configure_pages(bench, folder, config, customers, before=(), **more):
    """Add what the pages need to a deployment that the bench wrote; ``before`` had meters that were replaced."""
    (folder / "envelopes" / "before").mkdir(parents=True, exist_ok=True)
    places = [(folder / "envelopes", one) for one in customers] + [
        (folder / "envelopes" / "before", one) for one in before
    ]
    for place, customer in places:
        signed = msgspec.json.encode(customer.envelope(bench.operator))
        (place / f"{customer.account}.json").write_bytes(signed)
    key = folder / "session.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    (folder / "release-log.jsonl").touch()
    write_tariffs(folder / "tariffs", bench.operator, flat())
    values = {
        "session_key": "session.key",
        "envelopes": "envelopes",
        "release_log": "release-log.jsonl",
        "log_key": documents.to_base64url(public_key_bytes(bench.log_key)),
        "tariffs": "tariffs",
        **more,
    }
    written = [line for line in config.read_text().splitlines() if line.partition(" = ")[0] not in values]
    config.write_text("\n".join(written) + "\n")
    with config.open("a") as file:
        file.write("".join(f"{name} = {in_toml(value)}\n" for name, value in values.items()))


def in_toml(value):
    """A value as a TOML file has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {in_toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)


_hashed = []


def add_users(store):
    """Make a user of each role, and two operators. Hashing a password is slow on purpose: it is done once."""
    if _hashed:
        store.write(lambda connection: connection.execute(users.insert(), _hashed))
        return
    for name, role in (("sue", "supplier"), ("aud", "auditor"), ("ope", "operator"), ("una", "operator")):
        add_user(store, name, role, PASSWORD)
    _hashed.extend(row._asdict() for row in store.ask(users.select()))


class BenchPages:
    """The web application with pages, in this process."""

    def __init__(self, bench, folder, **more):
        self.bench = bench
        self.me, self.other = (Customer(bench.north, meter) for meter in (0, 1))
        config, _ = bench.write(folder)
        configure_pages(bench, folder, config, (self.me, self.other), **more)
        self.app = create_app(load_mdms_config(config))
        self.store = self.app.extensions["hushmeter_store"]
        add_users(self.store)

    def close(self):
        self.store.close()

    def client(self):
        return self.app.test_client()

    def ingest(self, *items):
        body = msgspec.json.encode(reports.Batch(list(items)))
        answer = self.client().post("/api/v1/reports", data=body, content_type="application/json")
        assert {item["verdict"] for item in answer.get_json()["verdicts"]} == {"stored"}, answer.get_json()

    def signed_in(self, name):
        """A client of one of the utility's users."""
        client = self.client()
        form = {"csrf_token": token_of(client, "/login"), "name": name, "password": PASSWORD}
        assert client.post("/login", data=form).status_code == 303
        return client

    def ask_challenge(self, client, account):
        """A customer's first step; returns the response."""
        return post_json(client, "/portal/challenge.json", {"account": account}, token_of(client, "/portal/"))

    def as_customer(self, customer):
        """A client of a customer, who answered with the key."""
        client = self.client()
        challenge = logins.Challenge(**self.ask_challenge(client, customer.account).get_json())
        answer = logins.answer_challenge(customer.key, challenge, "http://localhost", customer.account)
        answered = post_json(client, "/portal/answer.json", answer, token_of(client, "/portal/"))
        assert answered.status_code == 200, answered.get_data()
        return client


def token_of(client, page):
    return TOKEN.search(client.get(page).text)[1]


def post_json(client, url, body, token):
    headers = {"X-CSRFToken": token} if token else {}
    return client.post(url, data=msgspec.json.encode(body), content_type="application/json", headers=headers)
