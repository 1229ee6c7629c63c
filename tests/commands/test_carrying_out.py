"""What operators approved is signed where the key is, where somebody confirms it, and then shows as in force."""

import json
import secrets
import shutil
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner
from Crypto.PublicKey import ECC

from mdms import create_app
from mdms.config import load_mdms_config
from mdms.operator.in_force import IN_FORCE, NOT_SIGNED, SIGNED, Signed
from mdms.operator.requests import APPROVED, all_requests, decide, export, propose
from mdms.operator.wanted import WantedConcentrator, WantedMeter, WantedRevocation, confirmation
from mdms.revocations import load_revocations
from mdms.rosters import load_rosters
from mdms.store import Store
from protocol.documents import (
    Document,
    generate_signing_key,
    import_public_key,
    key_id,
    parse,
    public_key_bytes,
    to_base64url,
    verify,
)
from protocol.envelopes import Envelope, fingerprint, open_root, raw_public_key
from scripts import carry_out, ceremony, customer_key, enrol
from scripts.deployment import Deployment, toml

OLD, NEW = "48534d0102030405", "48534d0102030406"
SINCE = 1_772_323_200
LATER = SINCE + 31 * 86400
LAST = LATER + 30 * 86400


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A deployment with one enrolled meter."""
    root = tmp_path_factory.mktemp("town")
    (root / "passphrase").write_text("correct horse battery staple\n")
    facts = ["--out", root / "d", "--deployment", "town", "--key-bits", 512, "--unsafe-small-key"]
    call(root, ceremony.main, *facts, "--neighbourhood", "north")
    call(root, customer_key.main, "--out", root / "ada.pem")
    who = ["--deployment", root / "d", "--customer-key", root / "ada.pem.pub", "--title", OLD, "--since", SINCE]
    call(root, enrol.main, *who, "--neighbourhood", "north")
    return root


@pytest.fixture
def place(town, tmp_path):
    shutil.copytree(town, tmp_path / "town")
    return tmp_path / "town"


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'mdms.sqlite3'}")
    yield store
    store.close()


def call(root, command, *words, status=0):
    done = CliRunner().invoke(command, [*map(str, words), "--passphrase-file", str(root / "passphrase")])
    assert done.exit_code == status, done.output
    return done.output


def meter(key, **changes):
    facts = {
        "neighbourhood": "north",
        "gateway": "gateway-1",
        "system_title": NEW,
        "pseudonym": to_base64url(secrets.token_bytes(16)),
        "since": LATER,
        "customer": to_base64url(raw_public_key(key)),
        "fingerprint": fingerprint(key),
    }
    return WantedMeter(**{**facts, **changes})


def account_of(root):
    (path,) = Deployment(root / "d").envelopes.glob("*.json")
    return path.stem


def approved(store, root, *wanted):
    """Have requests proposed and approved; returns the exported file, and what confirms each."""
    names = [propose(store, each, "ope", SINCE) for each in wanted]
    for name in names:
        decide(store, name, APPROVED, "una", SINCE)
    path = root / "requests.json"
    path.write_bytes(msgspec.json.encode(export(store, names, "town", "ope", SINCE)))
    return path, {name: confirmation(each) for name, each in zip(names, wanted, strict=True)}


def done(root, path, confirmed, status=0):
    lines = root / "confirmed.txt"
    lines.write_text("# from the paper forms\n" + "".join(f"{name}  {word}\n" for name, word in confirmed.items()))
    return call(
        root,
        carry_out.main,
        *("--deployment", root / "d", "--requests", path, "--confirmations", lines),
        status=status,
    )


def signed(root):
    folder = Deployment(root / "d")
    facts = ceremony.read_facts(folder)
    operator = import_public_key(facts.operator_key)

    def customer_of(account):
        path = folder.envelopes / f"{account}.json"
        if not path.exists():
            return None
        content = verify(parse(path.read_bytes(), Document), "town", operator)
        return parse(content, Envelope).customer_key

    book = load_rosters(folder.rosters, "town", operator)
    return Signed(book, customer_of, load_revocations(folder.revocations, "town", operator))


def everything(root):
    return {path: path.read_bytes() for path in sorted((root / "d").rglob("*")) if path.is_file()}


def test_a_meter_a_concentrator_and_a_revocation_become_signed_documents(place, store):
    ada, identity = ECC.generate(curve="Curve25519"), generate_signing_key()
    wanted = (
        meter(ada),
        WantedConcentrator("north", LAST, to_base64url(public_key_bytes(identity)), key_id(identity)),
        WantedRevocation("north", "gateway-1", OLD, account_of(place), LAST),
    )
    path, confirmed = approved(store, place, *wanted)
    assert [signed(place).state(each, LAST) for each in wanted] == [NOT_SIGNED] * 3
    said = done(place, path, confirmed)
    assert f"enrolled as {wanted[0].pseudonym}" in said
    assert [signed(place).state(each, LAST) for each in wanted] == [IN_FORCE] * 3
    assert [signed(place).state(each, LATER - 1) for each in wanted] == [SIGNED] * 3
    folder = Deployment(place / "d")
    content = parse((folder.envelopes / f"{wanted[0].pseudonym}.json").read_bytes(), Document).content_bytes()
    assert len(open_root(ada, parse(content, Envelope), bytes.fromhex(NEW))) == 32
    assert (folder.gateway("gateway-1") / "enrolment" / f"{NEW}.json").exists()
    assert (folder.gateway("gateway-1") / "enrolment" / f"{OLD}.revoked.json").exists()
    before = everything(place)
    assert done(place, path, confirmed).count("done before") == 3
    assert everything(place) == before


def test_a_meter_that_is_enrolled_later_stays_with_the_new_concentrator(place, store):
    identity = generate_signing_key()
    change = WantedConcentrator("north", LATER, to_base64url(public_key_bytes(identity)), key_id(identity))
    wanted = (change, meter(ECC.generate(curve="Curve25519"), since=LAST))
    path, confirmed = approved(store, place, *wanted)
    done(place, path, confirmed)
    assert [signed(place).state(each, LAST) for each in wanted] == [IN_FORCE] * 2
    facts = ceremony.read_facts(Deployment(place / "d"))
    newest = enrol.newest_roster(Deployment(place / "d"), facts, "north")
    assert newest.concentrator == change.key


def test_what_nobody_confirms_is_left_out(place, store):
    first, second = (meter(ECC.generate(curve="Curve25519"), system_title=title) for title in (NEW, "48534d0102030407"))
    path, confirmed = approved(store, place, first, second)
    (name, word), (left, _) = confirmed.items()
    said = done(place, path, {name: word})
    assert f"{left}: meter: left out" in said
    assert [signed(place).state(each, LATER) for each in (first, second)] == [IN_FORCE, NOT_SIGNED]


@pytest.mark.parametrize("what", ["key", "place", "account", "title"])
def test_a_web_server_that_was_taken_over_gets_nothing_signed(place, store, what):
    """It exchanges a customer's key for its own, moves a home, or has another account leave."""
    wanted = meter(ECC.generate(curve="Curve25519"))
    leaving = WantedRevocation("north", "gateway-1", OLD, account_of(place), LAST)
    path, confirmed = approved(store, place, wanted, leaving)
    file = json.loads(path.read_text())
    bodies = {each["wanted"]["kind"]: each["wanted"] for each in file["requests"]}
    thief = ECC.generate(curve="Curve25519")
    if what == "key":
        bodies["meter"] |= {"customer": to_base64url(raw_public_key(thief)), "fingerprint": fingerprint(thief)}
    elif what == "place":
        bodies["meter"]["neighbourhood"] = "south"
    elif what == "account":
        bodies["revocation"]["pseudonym"] = to_base64url(b"another account.")
    else:
        bodies["revocation"]["system_title"] = NEW
    path.write_text(json.dumps(file))
    before = everything(place)
    said = done(place, path, confirmed, status=2)
    assert "nothing was written" in said
    assert everything(place) == before


def test_an_account_that_there_is_is_not_enrolled_again_under_another_key(place, store):
    thief = meter(ECC.generate(curve="Curve25519"), pseudonym=account_of(place))
    path, confirmed = approved(store, place, thief)
    before = everything(place)
    done(place, path, confirmed)
    assert everything(place) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "nothing was confirmed"), ("x y\n", "no request"), ("x\n", "line 1"), ("x y\nx z\n", "line 2")],
)
def test_confirmations_that_cannot_be_used_are_named(place, store, text, reason):
    path, _ = approved(store, place, meter(ECC.generate(curve="Curve25519")))
    (place / "wrong.txt").write_text(text)
    said = call(
        place,
        carry_out.main,
        *("--deployment", place / "d", "--requests", path, "--confirmations", place / "wrong.txt"),
        status=2,
    )
    assert reason in said


def test_without_a_file_each_confirmation_is_asked_for_and_not_shown(place, store):
    wanted = meter(ECC.generate(curve="Curve25519"))
    path, confirmed = approved(store, place, wanted)
    (word,) = confirmed.values()
    words = ["--deployment", place / "d", "--requests", path, "--passphrase-file", place / "passphrase"]
    answered = CliRunner().invoke(carry_out.main, list(map(str, words)), input=f"{word}\n")
    assert answered.exit_code == 0, answered.output
    asked = answered.output.partition("enrolled as")[0]
    assert NEW in asked
    assert wanted.fingerprint not in asked.replace(word, ""), "whoever types it must have it from elsewhere"
    assert signed(place).state(wanted, LATER) == IN_FORCE


def test_a_port_takes_one_meter_alone(place, store):
    wanted = [meter(ECC.generate(curve="Curve25519"), system_title=title) for title in (NEW, "48534d0102030407")]
    path, confirmed = approved(store, place, *wanted)
    lines = place / "two.txt"
    lines.write_text("".join(f"{name} {word}\n" for name, word in confirmed.items()))
    said = call(
        place,
        carry_out.main,
        *("--deployment", place / "d", "--requests", path, "--confirmations", lines, "--port", "/dev/null"),
        status=2,
    )
    assert "one meter" in said


def test_the_whole_way_from_the_page_to_in_force(place, tmp_path):
    """Two people at the door, one with the key, and the door again when the documents have arrived."""
    folder = Deployment(place / "d")
    facts = ceremony.read_facts(folder)
    key = tmp_path / "session.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    values = {
        "deployment": "town",
        "database": f"sqlite:///{tmp_path / 'mdms.sqlite3'}",
        "operator_key": facts.operator_key,
        "rosters": str(folder.rosters),
        "envelopes": str(folder.envelopes),
        "revocations": str(folder.revocations),
        "keyholder_socket": "socket",
        "session_key": str(key),
    }
    (tmp_path / "mdms.toml").write_bytes(toml(values))
    app = create_app(load_mdms_config(tmp_path / "mdms.toml"))
    ope, una = (signed_in(app, name) for name in ("ope", "una"))
    bob = ECC.generate(curve="Curve25519")
    day = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    form = {"neighbourhood": "north", "gateway": "gateway-1", "title": NEW, "since": day}
    form |= {"customer": bob.public_key().export_key(format="PEM"), "fingerprint": fingerprint(bob)}
    page = ope("/operator/requests/new/meter", form).headers["Location"]
    una(f"{page}/approve", {})
    path = tmp_path / "requests.json"
    path.write_bytes(una("/operator/requests/export", {}).data)
    store = app.extensions["hushmeter_store"]
    [request] = all_requests(store)
    done(place, path, {request.id: f"north {fingerprint(bob)}"})
    store.close()
    app = create_app(load_mdms_config(tmp_path / "mdms.toml"))
    assert "Signed" in signed_in(app, "ope", add=False)(page).text
    app.extensions["hushmeter_store"].close()


def signed_in(app, name, add=True):
    """A function that opens a page of an operator, or with a form sends one."""
    import re

    from mdms.accounts.users import add_user

    if add:
        add_user(app.extensions["hushmeter_store"], name, "operator", "correct horse battery")
    client = app.test_client()

    def token():
        return re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)[1]

    login = {"csrf_token": token(), "name": name, "password": "correct horse battery"}
    assert client.post("/login", data=login).status_code == 303

    def open_(url, form=None):
        if form is None:
            return client.get(url)
        answer = client.post(url, data={"csrf_token": token(), **form})
        assert answer.status_code in (200, 303), answer.text
        return answer

    return open_
