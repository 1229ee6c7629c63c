"""A key is lost and comes back from paper, and no key without its proof comes onto a roster."""

import json
import shutil
import stat

import msgspec
import pytest
from click.testing import CliRunner
from Crypto.PublicKey import ECC

from mdms.errors import CannotStart
from mdms.keyholder.keyring import open_keyring
from mdms.keyholder.vault import PAILLIER_KEY, read_sealed
from mdms.rosters import load_rosters
from paillier import Encryptor
from paillier.private.key import PrivateKey, generate_keypair
from protocol.documents import import_public_key
from scripts import ceremony, enrol, recovery
from scripts.deployment import Deployment, DeploymentError

SINCE = 1451606400
OLD, NEW = "correct horse battery staple", "another passphrase altogether"


def run(command, *arguments):
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    return done.exit_code, " ".join(done.output.split())


def hold_a_ceremony(root, *more):
    return run(
        ceremony.main,
        *("--out", root / "d", "--deployment", "town", "--neighbourhood", "north", "--neighbourhood", "south"),
        *("--key-bits", 512, "--unsafe-small-key", "--passphrase-file", root / "old", *more),
    )


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """Return a folder with a deployment `d` of two neighbourhoods and the shares of both keys, 3 of 5."""
    root = tmp_path_factory.mktemp("held")
    (root / "old").write_text(OLD)
    (root / "new").write_text(NEW)
    status, output = hold_a_ceremony(root, "--shares", 5, "--threshold", 3, "--shares-to", root / "shares")
    assert status == 0, output
    (root / "output").write_text(output)
    return root


@pytest.fixture
def town(held, tmp_path):
    """Return a copy of it, to be spoilt."""
    return shutil.copytree(held, tmp_path / "town")


def key_of(root, name="north", passphrase=OLD):
    path = root / "d" / "keyholder" / "keys" / f"{name}.key.json"
    return PrivateKey.from_jwk(json.loads(read_sealed(path, PAILLIER_KEY, name, passphrase)), unsafe_small_key=True)


def shares(root, *numbers, name="north"):
    return [part for n in numbers for part in ("--share", root / "shares" / f"{name}.share-{n}-of-5.txt")]


def restore(root, *given, out=None):
    keys = out or root / "d" / "keyholder" / "keys"
    places = ("--public", root / "d" / "public", "--out", keys, "--passphrase-file", root / "new")
    return run(recovery.main, "restore", *places, *given)


def enrol_a_meter(root, name="north"):
    folder = Deployment(root / "d")
    facts = ceremony.read_facts(folder)
    operator = enrol.open_operator_key(folder, "town", OLD)
    meter = enrol.NewMeter(enrol.random_title(), ECC.generate(curve="Curve25519"))
    enrol.enrol(folder, facts, enrol.Terms(name, "gateway-1", SINCE), [meter], operator)
    return load_rosters(folder.rosters, "town", import_public_key(facts.operator_key))


def test_a_key_comes_back_from_three_papers_of_five_and_the_key_holder_opens_with_it(town):
    book = enrol_a_meter(town)
    keys = town / "d" / "keyholder" / "keys"
    c = Encryptor(key_of(town).public).encrypt(1234)
    (keys / "north.key.json").unlink()
    with pytest.raises(CannotStart):
        open_keyring(keys, book, NEW, unsafe_small_key=True)
    status, output = restore(town, *shares(town, 5, 1, 3))
    assert status == 0, output
    (held_key,) = open_keyring(keys, book, NEW, unsafe_small_key=True).values()
    assert held_key.decryptor.decrypt(c) == 1234
    assert stat.S_IMODE((keys / "north.key.json").stat().st_mode) == 0o600


def test_shares_are_their_owners_alone_and_say_what_they_are(held):
    files = sorted((held / "shares").iterdir())
    assert len(files) == 10
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((held / "shares").stat().st_mode) == 0o700
    text = (held / "shares" / "south.share-2-of-5.txt").read_text()
    assert "share 2 of 5, any 3 restore" in text
    assert "for south" in text


def test_the_ceremony_says_what_to_do_with_shares_and_prints_no_key(held):
    output = (held / "output").read_text()
    assert "hand each to another person, then remove the files" in output
    for name in ("north", "south"):
        key = key_of(held, name)
        texts = [file.read_text() for file in (held / "shares").glob(f"{name}*")]
        secret = [str(key.p)[:12], str(key.q)[:12], *(key.to_jwk()[name][:12] for name in "pq")]
        secret += [line[4:15] for text in texts for line in text.splitlines() if line[:2] in ("01", "02")]
        for place in [output, *(file.read_text() for file in (held / "d" / "public").rglob("*.json"))]:
            assert not any(part in place for part in secret)


def test_too_few_papers_restore_nothing(town, tmp_path):
    status, output = restore(town, *shares(town, 1, 2), out=tmp_path)
    assert status == 2
    assert "3 shares are needed and 2 were given: bring 1 more" in output
    assert not (tmp_path / "north.key.json").exists()


def test_papers_of_two_neighbourhoods_do_not_mix(town, tmp_path):
    status, output = restore(town, *shares(town, 1, 2), *shares(town, 3, name="south"), out=tmp_path)
    assert status == 2
    assert "share 3" in output and "leave it out" in output


def test_a_mistyped_paper_is_named_with_its_line(town, tmp_path):
    path = town / "shares" / "north.share-2-of-5.txt"
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1][:-1] + ("7" if lines[-1][-1] != "7" else "8")
    path.write_text("\n".join(lines))
    status, output = restore(town, *shares(town, 1, 2, 3), out=tmp_path)
    assert status == 2
    assert "north.share-2-of-5.txt" in output and "line 02 is mistyped" in output


def test_a_key_that_is_there_is_not_overwritten(town):
    before = (town / "d" / "keyholder" / "keys" / "north.key.json").read_bytes()
    status, output = restore(town, *shares(town, 1, 2, 3))
    assert status == 2
    assert "exists already and is not overwritten" in output
    assert (town / "d" / "keyholder" / "keys" / "north.key.json").read_bytes() == before


def test_papers_of_another_deployment_are_refused(town, tmp_path):
    facts = town / "d" / "public" / "deployment.json"
    other = generate_keypair(512, unsafe_small_key=True).public
    document = json.loads(facts.read_text())
    for place in document["neighbourhoods"]:
        place["paillier_key"], place["paillier_n"] = other.fingerprint, other.to_jwk()["n"]
    facts.write_text(json.dumps(document))
    status, output = restore(town, *shares(town, 1, 2, 3), out=tmp_path)
    assert status == 2
    assert "none of deployment town" in output


def test_an_existing_key_is_split_and_old_and_new_papers_do_not_mix(town, tmp_path):
    done = run(
        *(recovery.main, "split", "--public", town / "d" / "public", "--keys", town / "d" / "keyholder" / "keys"),
        *("--neighbourhood", "north", "--shares", 3, "--threshold", 2, "--shares-to", tmp_path / "new"),
        *("--passphrase-file", town / "old"),
    )
    assert done[0] == 0, done[1]
    assert "then remove the files" in done[1]
    new = [part for n in (1, 3) for part in ("--share", tmp_path / "new" / f"north.share-{n}-of-3.txt")]
    status, output = restore(town, *new[:2], *shares(town, 1, 2), out=tmp_path)
    assert status == 2 and "not made together" in output
    status, output = restore(town, *new, out=tmp_path)
    assert status == 0, output
    path = tmp_path / "north.key.json"
    restored = PrivateKey.from_jwk(json.loads(read_sealed(path, PAILLIER_KEY, "north", NEW)), unsafe_small_key=True)
    assert restored == key_of(town)


def test_splitting_needs_the_passphrase_and_a_known_name(town, tmp_path):
    for name, passphrase, reason in (("north", "new", "wrong passphrase"), ("east", "old", "no neighbourhood east")):
        status, output = run(
            *(recovery.main, "split", "--public", town / "d" / "public", "--keys", town / "d" / "keyholder" / "keys"),
            *("--neighbourhood", name, "--shares", 3, "--threshold", 2, "--shares-to", tmp_path / "new"),
            *("--passphrase-file", town / passphrase),
        )
        assert (status, (tmp_path / "new").exists()) == (2, False)
        assert reason in output


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--shares", 5), "go together"),
        (("--shares", 5, "--threshold", 3), "go together"),
        (("--shares", 5, "--threshold", 1, "--shares-to", "{root}/s"), "--threshold is at least 2"),
        (("--shares", 2, "--threshold", 3, "--shares-to", "{root}/s"), "at most --shares"),
        (("--shares", 21, "--threshold", 3, "--shares-to", "{root}/s"), "at most 20"),
        (("--shares", 5, "--threshold", 3, "--shares-to", "{root}/d/public"), "choose another folder"),
    ],
)
def test_options_that_make_no_shares_are_refused_before_any_key_is_made(tmp_path, options, reason):
    (tmp_path / "old").write_text(OLD)
    status, output = hold_a_ceremony(tmp_path, *(str(option).format(root=tmp_path) for option in options))
    assert status == 2
    assert reason in output
    assert not (tmp_path / "d").exists()


def test_a_ceremony_overwrites_no_share(town):
    shutil.rmtree(town / "d")
    status, output = hold_a_ceremony(town, "--shares", 5, "--threshold", 3, "--shares-to", town / "shares")
    assert status == 2
    assert "is not overwritten" in output
    assert not (town / "d").exists()


# --- The proof of a key -------------------------------------------------------------------------------------------


def proof_of(root, name="north"):
    return ceremony.key_proof_path(root / "d" / "public", name)


def test_every_key_is_proved_for_everybody(held):
    facts = ceremony.read_facts(Deployment(held / "d"))
    for place in facts.neighbourhoods:
        key = ceremony.checked_key(held / "d" / "public", "town", place)
        assert key == key_of(held, place.name).public


def test_a_proof_holds_for_its_deployment_and_neighbourhood_alone(town):
    public = town / "d" / "public"
    north, south = ceremony.read_facts(Deployment(town / "d")).neighbourhoods
    with pytest.raises(DeploymentError, match="not proved"):
        ceremony.checked_key(public, "another-town", north)
    proof_of(town).write_bytes(proof_of(town, "south").read_bytes())
    with pytest.raises(DeploymentError, match="proves another key"):
        ceremony.checked_key(public, "town", north)
    moved = msgspec.structs.replace(south, name="north")
    proof_of(town).write_text(proof_of(town, "south").read_text().replace('"south"', '"north"'))
    with pytest.raises(DeploymentError, match="not proved"):
        ceremony.checked_key(public, "town", moved)


def spoil(change):
    def spoilt(root):
        document = json.loads(proof_of(root).read_text())
        change(document)
        proof_of(root).write_text(json.dumps(document))

    return spoilt


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (lambda root: proof_of(root).unlink(), "is missing"),
        (lambda root: proof_of(root).write_text("{"), "is not proved"),
        (spoil(lambda proof: proof["roots"].reverse()), "is not proved"),
        (spoil(lambda proof: proof["roots"].pop()), "is not proved"),
        (spoil(lambda proof: proof.update(paillier_key="A" * 43)), "proves another key"),
    ],
)
def test_a_roster_is_not_signed_with_a_key_that_is_not_proved(town, spoilt, reason):
    spoilt(town)
    before = sorted((town / "d").rglob("*"))
    with pytest.raises(DeploymentError, match=reason):
        enrol_a_meter(town)
    assert sorted((town / "d").rglob("*")) == before


@pytest.mark.parametrize("factor", [2, 3, 65537])
def test_a_planted_modulus_is_not_signed(town, factor):
    """The key of the facts is exchanged for another one, whose holder has no proof of it."""
    facts = town / "d" / "public" / "deployment.json"
    document = json.loads(facts.read_text())
    planted = recovery.PublicKey(key_of(town).p * 2**300 * factor + 1)
    document["neighbourhoods"][0] |= {"paillier_key": planted.fingerprint, "paillier_n": planted.to_jwk()["n"]}
    facts.write_text(json.dumps(document))
    with pytest.raises(DeploymentError):
        enrol_a_meter(town)


def test_an_older_key_is_proved_later(town):
    proof = proof_of(town).read_bytes()
    proof_of(town).unlink()
    status, output = run(
        *(recovery.main, "prove", "--public", town / "d" / "public", "--keys", town / "d" / "keyholder" / "keys"),
        *("--neighbourhood", "north", "--passphrase-file", town / "old"),
    )
    assert status == 0, output
    assert proof_of(town).read_bytes() == proof
    enrol_a_meter(town)


@pytest.mark.parametrize(
    "names",
    [("../../evil",), ("north", "north"), ("",), ("a b",), ("x" * 65,)],
)
def test_names_are_checked_before_any_key_is_made(tmp_path, names):
    plan = ceremony.Ceremony("town", names, key_bits=512, unsafe_small_key=True)
    with pytest.raises(DeploymentError, match=r"named twice|a name has"):
        ceremony.perform(Deployment(tmp_path / "town"), plan, "passphrase")
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(("bits", "unsafe"), [(1024, False), (2049, False), (128, True), (20_000, False)])
def test_the_length_of_a_key_is_checked_before_any_key_is_made(tmp_path, bits, unsafe):
    plan = ceremony.Ceremony("town", ("north",), key_bits=bits, unsafe_small_key=unsafe)
    with pytest.raises(DeploymentError, match=f"--key-bits {bits}: "):
        ceremony.perform(Deployment(tmp_path / "town"), plan, "passphrase")
    assert list(tmp_path.rglob("*")) == []
