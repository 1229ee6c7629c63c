"""A real concentrator for a board: keys from the real ceremony and enrolment, `python -m gateway run` as a process."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
from Crypto.PublicKey import ECC

from gateway.intake import Ccm
from protocol import documents, keychain, reports, wire
from scripts.ceremony import Ceremony, perform
from scripts.deployment import Deployment, toml, write_private
from scripts.enrol import NewMeter, Terms, enrol, open_operator_key

ROOT = Path(__file__).resolve().parents[2]
NAME, STREET = "hil", "street-1"
TITLE = b"HSMhil01"
START_S = 120
STOP_S = 120  # it hands in what it holds, on a machine that emulates boards


class Concentrator:
    """One meter's concentrator. ``serial``: ports beside its TCP link; ``interval_s`` divides three hours.

    Without an MDMS its reports wait in the ledger, where they are read.
    """

    def __init__(self, folder, interval_s, serial=(), mdms_url="http://127.0.0.1:9"):
        self.deployment = Deployment(folder)
        self.interval_s = interval_s
        since = int(time.time()) // 86400 * 86400
        facts = perform(self.deployment, Ceremony(NAME, [STREET], key_bits=2048), "a passphrase for a test")
        operator = open_operator_key(self.deployment, NAME, "a passphrase for a test")
        self.customer = ECC.generate(curve="Curve25519")
        (self.account,) = enrol(
            self.deployment,
            facts,
            Terms(STREET, "gateway-1", since, "UTC", interval_s),
            [NewMeter(TITLE, self.customer)],
            operator,
        )
        self._place = self.deployment.gateway("gateway-1")
        self.ledger = self._place / "ledger.sqlite3"
        self.provisioning = self.deployment.meters / f"{TITLE.hex()}.json"
        self._provisioned = json.loads(self.provisioning.read_text())
        self.facts = facts
        self._write_config(serial, mdms_url)
        self._process = None
        self.port = None

    def _write_config(self, serial, mdms_url):
        values = {
            "deployment": NAME,
            "operator_key": self.facts.operator_key,
            "rosters": str(self.deployment.rosters.resolve()),
            "identity_key": "identity.pem",
            "enrolment": "enrolment",
            "ledger": "ledger.sqlite3",
            "listen": "127.0.0.1:0",
            "mdms_url": mdms_url,
            "min_contributors": 2,
        }
        ports = f"serial = {json.dumps([str(port) for port in serial])}\n".encode()
        write_private(self._place / "gateway.toml", toml(values) + ports)

    def __enter__(self):
        log = self._place / "daemon.log"
        command = [sys.executable, "-m", "gateway", "run", "--config", str(self._place / "gateway.toml")]
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        began = time.monotonic()
        while time.monotonic() - began < START_S and self._process.poll() is None:
            for line in log.read_text().splitlines():
                if '"listening"' in line:
                    self.port = json.loads(line)["port"]
                    return self
            time.sleep(0.05)
        self._process.kill()
        self._process.wait()
        raise AssertionError(f"the concentrator does not start: {log.read_text()}")

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        ended = self._process.returncode
        assert ended == 0, f"the concentrator ended with {ended}: {(self._place / 'daemon.log').read_text()}"

    def _ask(self, question):
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True, timeout=30)) as ledger:
            return ledger.execute(question).fetchall()

    def counts(self):
        """Return how often what came."""
        return dict(self._ask("SELECT kind, number FROM counts"))

    def intervals(self):
        """Return the starts (UTC seconds) of the intervals whose READING is stored, in order."""
        return [row[0] for row in self._ask("SELECT interval_start FROM readings ORDER BY interval_start")]

    def details(self):
        """Return every DETAIL that came, in order, opened as only the customer can."""
        rows = [row[0] for row in self._ask("SELECT row FROM details ORDER BY seq")]
        for (document,) in self._ask("SELECT document FROM outbox ORDER BY seq"):
            parsed = msgspec.json.decode(document, type=documents.Document)
            if parsed.type == reports.DETAIL_SEGMENT:
                identity = ECC.import_key((self._place / "identity.pem").read_text()).public_key()
                segment = reports.parse_report(parsed.type, documents.verify(parsed, NAME, identity))
                rows += [documents.from_base64url(row, "row") for row in segment.rows]
        chain = keychain.Chain(self._provisioned["epoch"], bytes.fromhex(self._provisioned["customer_chain"]))
        opened = []
        for row in rows:
            key = chain.at(wire.parse_header(row).epoch).key(keychain.DETAIL)
            opened.append(wire.open_row(Ccm(), key, row)[1])
        return sorted(opened, key=lambda detail: detail.end)

    def await_intervals(self, count, patience_s, alive=lambda: True):
        """Wait until so many READINGs are stored; returns the starts of their intervals."""
        began = time.monotonic()
        while time.monotonic() - began < patience_s and alive():
            if self.ledger.exists():
                found = self.intervals()
                if len(found) >= count:
                    return found
            time.sleep(0.1)
        log = (self._place / "daemon.log").read_text()[-2000:]
        raise AssertionError(f"{len(self.intervals())} of {count} READINGs after {patience_s} s: {self.counts()} {log}")


def no_conflict(counts):
    """Say whether nothing came that a sound meter on a sound line would not send."""
    return not {"conflict", "quarantined", "wrong key or forged", "malformed"} & set(counts)


def copy_provisioning(concentrator, place):
    """Put the meter's keys where the board takes them from."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(concentrator.provisioning.read_bytes())
    os.chmod(place, 0o600)
