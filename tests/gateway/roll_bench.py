"""A concentrator that lives on the operator's files, as the daemon does: what comes while it runs is taken in."""

from pathlib import Path

import msgspec
from gateway_bench import DEPLOYMENT, IDENTITY, NAME, OPERATOR, START, Concentrator, Deployment, K

from gateway.closing import Closing
from gateway.config import load
from gateway.intake import DataDecryption
from gateway.ledger import Ledger
from gateway.outbox import Outbox
from gateway.reception import Reception
from gateway.roll import Roll, check_served, read_neighbourhoods
from protocol import documents, rosters
from protocol.revocations import Revocation, sign_revocation


class Pole(Concentrator):
    """``look`` is what the daemon does at a tick before it closes."""

    def __init__(self, folder, meters, *, trusted=lambda: True, **settings):
        self.deployment = Deployment(Path(folder) / "deployment", meters)
        self.config = load(self.deployment.write(table_window_bits=4, **settings))
        self.path = self.config.ledger
        self.trusted = trusted
        self.meters = list(meters)
        self.ledger = None
        self.start()

    def start(self):
        identity = documents.key_id(IDENTITY)
        self.served = read_neighbourhoods(self.config, identity)
        self.ledger = Ledger(self.path)
        self.decryption = DataDecryption(self.config.accepted_delay_days)
        self.outbox = Outbox(self.ledger, IDENTITY, DEPLOYMENT)
        self.roll = Roll(self.config, identity, self.ledger, self.outbox, self.decryption, self.served)
        self.begun = self.roll.begin(START * 1000)
        check_served(self.ledger, self.served)
        self.reception = Reception(self.ledger, self.outbox, self.served, self.decryption, trusted=self.trusted)
        self.closing = Closing(
            self.ledger,
            self.outbox,
            self.served,
            self.decryption,
            min_contributors=K,
            grace_s=300,
            accepted_delay_days=self.config.accepted_delay_days,
            trusted=self.trusted,
        )

    @property
    def place(self):
        return self.served[NAME]

    def look(self, now=START):
        """Two looks: a file is read when it has stood still from one to the next."""
        return self.roll.look(now * 1000) + self.roll.look(now * 1000)

    def tick(self, now):
        self.look(now)
        self.close(now)

    # --- The operator's hand ------------------------------------------------------------------------------------

    def put(self, name, data, folder="enrolment"):
        path = self.deployment.folder / folder / name
        path.write_bytes(data)
        return path

    def put_record(self, meter, name=None, **changes):
        record = msgspec.structs.replace(meter.record(), **changes)
        return self.put(name or f"{meter.title.hex()}.json", msgspec.json.encode(record))

    def put_roster(self, version, valid_from, meters, name=None, key=OPERATOR, **changes):
        members = [rosters.Member(meter.pseudonym, meter.since) for meter in meters]
        first = self.place.roster
        roster = msgspec.structs.replace(first, version=version, valid_from=valid_from, members=members, **changes)
        document = rosters.sign_roster(key, DEPLOYMENT, roster)
        return self.put(name or f"north.v{version}.json", msgspec.json.encode(document), "rosters")

    def put_revocation(self, meter, key=OPERATOR, neighbourhood=NAME, deployment=DEPLOYMENT):
        document = sign_revocation(key, deployment, Revocation(neighbourhood, meter.title.hex(), START))
        return self.put(f"{meter.title.hex()}.revoked.json", msgspec.json.encode(document))

    def all_files(self):
        """The bytes of everything that a thief of the card would find."""
        return b"".join(path.read_bytes() for path in self.deployment.folder.rglob("*") if path.is_file())
