"""Ceremony and enrolment: every key where it belongs, nothing private in the open, nothing overwritten."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from Crypto.PublicKey import ECC

from gateway.enrolment import read_record
from mdms.rosters import load_rosters
from protocol import keychain
from protocol.documents import Document, import_public_key, parse, verify
from protocol.envelopes import Envelope, fingerprint, open_root
from scripts import ceremony, customer_key, enrol
from scripts.deployment import Deployment

SMALL = ("--key-bits", "512", "--unsafe-small-key")
TITLE = "48534d0102030405"
SINCE = 1451606400


@pytest.fixture(scope="module")
def passphrase_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("passphrase") / "passphrase"
    path.write_text("correct horse battery staple\n")
    return path


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, passphrase_file):
    """Return the folder of a deployment with one enrolled meter, and its customer's private key file."""
    root = tmp_path_factory.mktemp("deployed")
    run = CliRunner().invoke
    made = run(
        ceremony.main,
        [
            "--out",
            str(root / "d"),
            "--deployment",
            "town",
            "--neighbourhood",
            "north",
            *SMALL,
            "--passphrase-file",
            str(passphrase_file),
        ],
    )
    assert made.exit_code == 0, made.output
    made = run(customer_key.main, ["--out", str(root / "ada.pem"), "--passphrase-file", str(passphrase_file)])
    assert made.exit_code == 0, made.output
    made = run(enrol.main, enrolment(root, passphrase_file))
    assert made.exit_code == 0, made.output
    return root


def enrolment(root, passphrase_file, **changes):
    options = {
        "--deployment": root / "d",
        "--neighbourhood": "north",
        "--title": TITLE,
        "--customer-key": root / "ada.pem.pub",
        "--since": SINCE,
        "--passphrase-file": passphrase_file,
        **changes,
    }
    return [str(part) for pair in options.items() for part in pair]


def customer(root, passphrase_file):
    return ECC.import_key((root / "ada.pem").read_text(), passphrase_file.read_text().strip())


def test_the_customer_alone_opens_the_envelope_and_gets_the_meters_chain(deployed, passphrase_file):
    folder = Deployment(deployed / "d")
    (path,) = folder.envelopes.glob("*.json")
    facts = ceremony.read_facts(folder)
    operator = import_public_key(facts.operator_key)
    envelope = parse(verify(parse(path.read_bytes(), Document), "town", operator), Envelope)
    key = customer(deployed, passphrase_file)
    root = open_root(key, envelope, bytes.fromhex(TITLE))
    device = json.loads((folder.meters / f"{TITLE}.json").read_text())
    assert keychain.first_chain(root).hex() == device["customer_chain"]
    assert envelope.customer_key == fingerprint(key)


def test_meter_and_concentrator_share_the_hop_chain_and_no_more(deployed):
    folder = Deployment(deployed / "d")
    device = json.loads((folder.meters / f"{TITLE}.json").read_text())
    record = read_record(folder.gateway("gateway-1") / "enrolment" / f"{TITLE}.json")
    assert (device["hop_chain"], device["hello_key"]) == (record.hop_chain, record.hello_key)
    assert "customer_chain" not in json.loads((folder.gateway("gateway-1") / "enrolment" / f"{TITLE}.json").read_text())


def test_private_files_are_their_owners_alone(deployed):
    private = [path for path in (deployed / "d").rglob("*") if path.is_file() and "public" not in path.parts]
    assert len(private) >= 6
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_no_root_and_no_private_paillier_key_lies_in_the_open(deployed, passphrase_file):
    folder = Deployment(deployed / "d")
    sealed = json.loads((folder.keyholder / "keys" / "north.key.json").read_text())
    assert "p" not in sealed and "ciphertext" in sealed
    (path,) = folder.envelopes.glob("*.json")
    envelope = parse(parse(path.read_bytes(), Document).content_bytes(), Envelope)
    root = open_root(customer(deployed, passphrase_file), envelope, bytes.fromhex(TITLE))
    for file in (deployed / "d").rglob("*"):
        if file.is_file():
            assert root.hex() not in file.read_text() and root not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "is enrolled already"),
        ({"--title": "0102"}, "a system title has 8 bytes"),
        ({"--title": "zz"}, "non-hexadecimal"),
        ({"--title": "48534d0102030406", "--neighbourhood": "east"}, "no key was made for neighbourhood east"),
        ({"--title": "48534d0102030406", "--zone": "Mars/Base"}, "no such time zone"),
        ({"--title": "48534d0102030406", "--interval-s": "700"}, "does not divide 3 hours"),
    ],
)
def test_a_bad_enrolment_is_refused_and_writes_nothing(deployed, passphrase_file, changes, reason):
    before = sorted(deployed.rglob("*"))
    done = CliRunner().invoke(enrol.main, enrolment(deployed, passphrase_file, **changes))
    assert done.exit_code == 2
    assert reason in " ".join(done.output.split())
    assert sorted(deployed.rglob("*")) == before


def test_a_wrong_passphrase_is_one_clear_line(deployed, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    done = CliRunner().invoke(enrol.main, enrolment(deployed, wrong, **{"--title": "48534d0102030406"}))
    assert done.exit_code == 2
    assert "wrong passphrase" in " ".join(done.output.split())


def test_a_second_ceremony_overwrites_nothing(deployed, passphrase_file):
    done = CliRunner().invoke(
        ceremony.main,
        [
            "--out",
            str(deployed / "d"),
            "--deployment",
            "town",
            "--neighbourhood",
            "north",
            *SMALL,
            "--passphrase-file",
            str(passphrase_file),
        ],
    )
    assert done.exit_code == 2
    assert "holds a deployment already" in " ".join(done.output.split())


def test_a_short_key_needs_its_flag(tmp_path, passphrase_file):
    done = CliRunner().invoke(
        ceremony.main,
        [
            "--out",
            str(tmp_path / "d"),
            "--deployment",
            "town",
            "--neighbourhood",
            "north",
            "--key-bits",
            "1024",
            "--passphrase-file",
            str(passphrase_file),
        ],
    )
    assert done.exit_code == 2


def test_a_private_key_in_place_of_the_public_one_is_refused(deployed, passphrase_file):
    changes = {"--title": "48534d0102030406", "--customer-key": deployed / "ada.pem"}
    done = CliRunner().invoke(enrol.main, enrolment(deployed, passphrase_file, **changes))
    assert done.exit_code == 2
    assert "is a private key, which is the customer's alone" in done.output


def test_a_meter_does_not_join_before_the_newest_roster(deployed, passphrase_file):
    changes = {"--title": "48534d0102030499", "--since": SINCE - 86400}
    done = CliRunner().invoke(enrol.main, enrolment(deployed, passphrase_file, **changes))
    assert done.exit_code == 2
    assert "enrol from then" in done.output


def test_a_second_meter_joins_a_new_version_of_the_roster(deployed, passphrase_file):
    title = "48534d0102030499"
    done = CliRunner().invoke(enrol.main, enrolment(deployed, passphrase_file, **{"--title": title}))
    assert done.exit_code == 0, done.output
    folder = Deployment(deployed / "d")
    roster = enrol.newest_roster(folder, ceremony.read_facts(folder), "north")
    assert (roster.version, len(roster.members)) == (2, 2)
    facts = ceremony.read_facts(folder)
    book = load_rosters(folder.rosters, facts.deployment, import_public_key(facts.operator_key))
    assert [version.version for version in book.versions("north")] == [2]
    for path in (folder.meters, folder.gateway("gateway-1") / "enrolment"):
        Path(path / f"{title}.json").unlink()


def test_who_moves_out_ends_where_the_next_tenant_begins(deployed, passphrase_file, tmp_path):
    """The last test of this deployment: it takes everybody's first meter off the roster."""
    facts, folder = ceremony.read_facts(Deployment(deployed / "d")), Deployment(deployed / "d").rosters
    operator = import_public_key(facts.operator_key)
    book = load_rosters(folder, "town", operator)
    [former] = [tenancy for tenancy in book.tenancies() if tenancy.since == SINCE][:1]
    later = max(tenancy.since for tenancy in book.tenancies()) + 90 * 86_400
    run = CliRunner().invoke
    changes = {"--title": "48534d01020304ff", "--since": later}
    wrong = run(enrol.main, enrolment(deployed, passphrase_file, **changes, **{"--moves-out": "nobody"}))
    assert (wrong.exit_code, "no account nobody of before" in wrong.output) == (2, True)
    done = run(enrol.main, enrolment(deployed, passphrase_file, **changes, **{"--moves-out": former.pseudonym}))
    assert done.exit_code == 0, done.output
    book = load_rosters(folder, "town", operator)
    assert book.tenancy(former.pseudonym).until == later
    new = [tenancy for tenancy in book.tenancies() if tenancy.since == later]
    assert [(tenancy.until, tenancy.pseudonym == former.pseudonym) for tenancy in new] == [(None, False)]
    # Another family moves at the same moment; and nobody leaves who has only just come.
    second = next(member for member in book.versions("north")[0].members if member.pseudonym != former.pseudonym)
    for leaving, title, code in ((second.pseudonym, "48534d01020304fe", 0), (new[0].pseudonym, "48534d01020304fd", 2)):
        changes = {"--title": title, "--since": later, "--moves-out": leaving}
        assert run(enrol.main, enrolment(deployed, passphrase_file, **changes)).exit_code == code
    book = load_rosters(folder, "town", operator)
    assert [book.tenancy(gone).until for gone in (former.pseudonym, second.pseudonym)] == [later] * 2
    assert len([tenancy for tenancy in book.tenancies() if tenancy.since == later]) == 2
