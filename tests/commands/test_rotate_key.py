"""A neighbourhood's next key: what the command makes opens, is proved and named; what makes no sense makes nothing."""

import calendar
import shutil
import time

import msgspec
import pytest
from click.testing import CliRunner
from Crypto.PublicKey import ECC

from mdms.keyholder.keyring import open_keyring
from mdms.rosters import load_rosters
from protocol.documents import import_public_key
from scripts import ceremony, enrol, recovery, rotate_key
from scripts.deployment import Deployment

PASSPHRASE = "correct horse battery staple"
SINCE = 1451606400  # 2016-01-01


def next_month(months=1):
    now = time.gmtime()
    month = now.tm_year * 12 + now.tm_mon - 1 + months
    return calendar.timegm((month // 12, month % 12 + 1, 1, 0, 0, 0))


def run(command, *arguments):
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    root = tmp_path_factory.mktemp("held")
    (root / "passphrase").write_text(PASSPHRASE)
    status, output = run(
        ceremony.main,
        *("--out", root / "d", "--deployment", "town", "--neighbourhood", "north", "--key-bits", 512),
        *("--unsafe-small-key", "--passphrase-file", root / "passphrase"),
    )
    assert status == 0, output
    enrol_one(root, SINCE)
    return root


def enrol_one(root, since):
    folder = Deployment(root / "d")
    facts = ceremony.read_facts(folder)
    operator = enrol.open_operator_key(folder, facts.deployment, PASSPHRASE)
    customer = ECC.generate(curve="Curve25519").public_key()
    meter = enrol.NewMeter(enrol.random_title(), customer)
    return enrol.enrol(folder, facts, enrol.Terms("north", "gateway-1", since), [meter], operator)


@pytest.fixture
def town(held, tmp_path):
    return shutil.copytree(held, tmp_path / "town")


def rotate(root, *more, valid_from=None):
    start = next_month() if valid_from is None else valid_from
    return run(
        rotate_key.main,
        *("--deployment", root / "d", "--neighbourhood", "north", "--valid-from", start, "--key-bits", 512),
        *("--unsafe-small-key", "--passphrase-file", root / "passphrase", *more),
    )


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def book_and_ring(root):
    folder = Deployment(root / "d")
    facts = ceremony.read_facts(folder)
    book = load_rosters(folder.rosters, facts.deployment, import_public_key(facts.operator_key))
    ring = open_keyring(folder.keyholder / "keys", book, PASSPHRASE, unsafe_small_key=True)
    return book, ring


def test_the_next_key_is_sealed_proved_and_named_from_the_periods_start(town):
    before = ceremony.read_facts(Deployment(town / "d")).neighbourhoods[0]
    status, output = rotate(town, "--shares", 3, "--threshold", 2, "--shares-to", town / "shares")
    assert status == 0, output
    for place in ("the key holder", "the MDMS", "the concentrator, last"):
        assert place in output
    assert "north.2.key.json" in output and "north.v2.json" in output and PASSPHRASE not in output
    folder = Deployment(town / "d")
    facts = ceremony.read_facts(folder)
    after = facts.neighbourhoods[0]
    assert after.former == (before.paillier_n,) and after.paillier_key != before.paillier_key
    assert ceremony.checked_key(folder.facts.parent, facts.deployment, after).fingerprint == after.paillier_key
    book, ring = book_and_ring(town)
    first, second = book.versions("north")
    assert (second.version, second.valid_from, second.members) == (2, next_month(), first.members)
    assert set(ring) == {before.paillier_key, after.paillier_key}
    # What is split is the new key, and it comes back under its own number.
    (folder.keyholder / "keys" / "north.2.key.json").unlink()
    shares = sorted((town / "shares").iterdir())[:2]
    status, output = run(
        recovery.main,
        *("restore", "--public", folder.facts.parent, "--out", folder.keyholder / "keys"),
        *("--passphrase-file", town / "passphrase", "--share", shares[0], "--share", shares[1]),
    )
    assert status == 0 and "north.2.key.json" in output, output
    assert book_and_ring(town)[1].keys() == ring.keys()


def test_a_third_key_follows_the_second_and_meters_are_enrolled_under_the_newest(town):
    assert rotate(town)[0] == 0
    enrol_one(town, next_month())
    assert rotate(town, valid_from=next_month(2))[0] == 0
    book, ring = book_and_ring(town)
    keys = [roster.paillier_key for roster in book.versions("north")]
    assert len(ring) == len(set(keys)) == 3
    assert ceremony.read_facts(Deployment(town / "d")).neighbourhoods[0].number == 3


@pytest.mark.parametrize(
    ("valid_from", "more", "said"),
    [
        (SINCE, (), "has passed: choose a period that is to come"),
        (next_month() + 86400, (), "is not the start of a month in UTC; that one starts at"),
        (next_month() + 3600, ("--period", "day"), "is not the start of a day in UTC"),
        (None, ("--neighbourhood", "south"), "has no neighbourhood south"),
        (None, ("--key-bits", 511), "an even number of bits"),
        (None, ("--shares", 3), "--shares, --threshold and --shares-to go together"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_made(town, valid_from, more, said):
    before = files(town)
    status, output = rotate(town, *more, valid_from=valid_from)
    assert (status, said in output) == (2, True), output
    assert files(town) == before


def test_a_period_that_a_roster_is_made_for_already_and_a_change_that_was_begun_are_refused(town):
    enrol_one(town, next_month())
    status, output = rotate(town)
    assert status == 2 and "choose a later period" in output
    (town / "d" / "keyholder" / "keys" / "north.2.key.json").write_text("left over")
    before = files(town)
    status, output = rotate(town, valid_from=next_month(2))
    assert status == 2 and "was a change begun before?" in output
    assert files(town) == before


def test_a_wrong_passphrase_makes_nothing(town):
    (town / "passphrase").write_text("not it")
    before = files(town)
    assert rotate(town)[0] == 2
    assert files(town) == before


def test_facts_without_a_change_are_written_as_before(held):
    data = (held / "d" / "public" / "deployment.json").read_bytes()
    assert "former" not in msgspec.json.decode(data)["neighbourhoods"][0]
