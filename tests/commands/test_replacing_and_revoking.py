"""The operator replaces and revokes meters by command, and a concentrator takes what the commands wrote."""

import json
import shutil

import pytest
from click.testing import CliRunner

from gateway.closing import NEVER
from gateway.config import load
from gateway.holdings import enrolled
from gateway.holdings.revoked import is_revoked
from gateway.intake import DataDecryption
from gateway.ledger import Ledger
from gateway.outbox import Outbox
from gateway.roll import Roll, read_neighbourhoods
from mdms.rosters import load_rosters
from protocol.documents import generate_signing_key, import_public_key, key_id
from scripts import ceremony, customer_key, enrol, replace_meter, revoke_meter
from scripts.deployment import Deployment, toml

OLD = "48534d0102030405"
NEW = "48534d0102030406"
SINCE = 1_772_323_200
MONTH = 31 * 86400


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A deployment with one enrolled meter; its customer's key."""
    root = tmp_path_factory.mktemp("town")
    (root / "passphrase").write_text("correct horse battery staple\n")
    made = call(
        root, ceremony.main, {"--out": root / "d", "--deployment": "town", "--key-bits": 512}, "--unsafe-small-key"
    )
    assert made.exit_code == 0, made.output
    assert call(root, customer_key.main, {"--out": root / "ada.pem"}, neighbourhood=False).exit_code == 0
    made = call(root, enrol.main, {**customer(root), "--title": OLD, "--since": SINCE})
    assert made.exit_code == 0, made.output
    return root


@pytest.fixture
def copy(town, tmp_path):
    shutil.copytree(town, tmp_path / "town")
    return tmp_path / "town"


def call(root, command, options, *flags, neighbourhood=True):
    named = {"--neighbourhood": "north"} if neighbourhood else {}
    options = {**named, "--passphrase-file": root / "passphrase", **options}
    words = [str(part) for pair in options.items() for part in pair]
    return CliRunner().invoke(command, [*words, *flags])


def customer(root):
    return {"--deployment": root / "d", "--customer-key": root / "ada.pem.pub"}


def pseudonym_of(root):
    (path,) = Deployment(root / "d").envelopes.glob("*.json")
    return path.stem


def replacing(root, **changes):
    return {
        **customer(root),
        "--replaces": OLD,
        "--pseudonym": pseudonym_of(root),
        "--title": NEW,
        "--at": SINCE + 86400,
        "--final-import-mwh": 5000,
        "--final-export-mwh": 7,
        **changes,
    }


def concentrator(root):
    """Return a ledger and the roll of the deployment's own concentrator."""
    folder = Deployment(root / "d")
    place = folder.gateway("gateway-1")
    facts = ceremony.read_facts(folder)
    (place / "test.toml").write_bytes(
        toml(
            {
                "deployment": "town",
                "operator_key": facts.operator_key,
                "identity_key": "identity.pem",
                "rosters": str(folder.rosters),
                "enrolment": "enrolment",
                "ledger": "ledger.sqlite3",
                "listen": "127.0.0.1:0",
                "mdms_url": "http://127.0.0.1:9",
                "unsafe_small_key": True,
            }
        )
    )
    config = load(place / "test.toml")
    identity = key_id(import_public_key(facts.neighbourhoods[0].concentrator))
    ledger = Ledger(config.ledger)
    outbox = Outbox(ledger, generate_signing_key(), "town")
    served = read_neighbourhoods(config, identity)
    return ledger, Roll(config, identity, ledger, outbox, DataDecryption(7), served), served


def test_a_replaced_meter_is_taken_in_by_its_concentrator_under_the_same_account(copy):
    ledger, roll, _ = concentrator(copy)
    assert roll.begin(SINCE * 1000) == []
    pseudonym = enrolled.get(ledger, bytes.fromhex(OLD)).pseudonym
    done = call(copy, replace_meter.main, replacing(copy))
    assert done.exit_code == 0, done.output
    assert f"takes the place of {OLD} as {pseudonym}" in done.output
    assert [*roll.look(SINCE * 1000), *roll.look(SINCE * 1000)] == []
    assert enrolled.get(ledger, bytes.fromhex(OLD)) is None
    new = enrolled.get(ledger, bytes.fromhex(NEW))
    assert (new.pseudonym, new.series, new.since) == (pseudonym, 2, SINCE + 86400)
    assert is_revoked(ledger, bytes.fromhex(OLD))
    assert ledger.fact("today of the last erasure", NEVER) == NEVER
    ledger.close()


def test_the_old_envelope_is_kept_and_the_new_one_takes_its_place(copy):
    folder = Deployment(copy / "d")
    pseudonym = pseudonym_of(copy)
    before = (folder.envelopes / f"{pseudonym}.json").read_bytes()
    assert call(copy, replace_meter.main, replacing(copy)).exit_code == 0
    assert (folder.envelopes / "before" / f"{pseudonym}.{OLD}.json").read_bytes() == before
    assert (folder.envelopes / f"{pseudonym}.json").read_bytes() != before
    old, new = (json.loads((folder.meters / f"{title}.json").read_text()) for title in (OLD, NEW))
    assert all(old[name] != new[name] for name in ("hop_chain", "hello_key", "time_key", "customer_chain"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"--title": OLD}, "a system title of its own"),
        ({"--pseudonym": "A" * 22}, "has the pseudonym"),
        ({"--neighbourhood": "south"}, "has the pseudonym"),
        ({"--replaces": "00"}, "8 bytes"),
        ({"--replaces": "zz"}, "hexadecimal"),
    ],
)
def test_a_replacement_that_cannot_be_is_one_line_and_writes_nothing(copy, changes, reason):
    folder = Deployment(copy / "d")
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    done = call(copy, replace_meter.main, replacing(copy, **changes))
    assert (done.exit_code, reason in done.output, done.output.count("\n")) == (2, True, 1), done.output
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before


def test_one_final_register_alone_is_refused(copy):
    options = replacing(copy)
    del options["--final-export-mwh"]
    done = call(copy, replace_meter.main, options)
    assert (done.exit_code, "both final registers" in done.output) == (2, True)


def test_a_revocation_is_taken_in_and_refuses_its_meter(copy):
    ledger, roll, _ = concentrator(copy)
    roll.begin(SINCE * 1000)
    done = call(copy, revoke_meter.main, {"--deployment": copy / "d", "--title": OLD})
    assert done.exit_code == 0, done.output
    assert [*roll.look(SINCE * 1000), *roll.look(SINCE * 1000)] == []
    assert is_revoked(ledger, bytes.fromhex(OLD))
    ledger.close()


def test_an_account_leaves_the_roster_for_the_concentrator_and_the_mdms_alike(copy):
    ledger, roll, served = concentrator(copy)
    roll.begin(SINCE * 1000)
    pseudonym = pseudonym_of(copy)
    leaving = {"--title": OLD, "--pseudonym": pseudonym, "--leaves-at": SINCE + MONTH}
    done = call(copy, revoke_meter.main, {"--deployment": copy / "d", **leaving})
    assert done.exit_code == 0, done.output
    roll.look(SINCE * 1000)
    roll.look(SINCE * 1000)
    folder = Deployment(copy / "d")
    book = load_rosters(folder.rosters, "town", import_public_key(ceremony.read_facts(folder).operator_key))
    assert served["north"].left(pseudonym) == book.tenancy(pseudonym).until == SINCE + MONTH
    ledger.close()


def test_half_of_leaving_is_refused(copy):
    done = call(copy, revoke_meter.main, {"--deployment": copy / "d", "--title": OLD, "--leaves-at": SINCE})
    assert (done.exit_code, "go together" in done.output) == (2, True)
