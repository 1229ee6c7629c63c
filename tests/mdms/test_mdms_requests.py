"""Requests with approval: two people, no key, nothing believed; and a log of who did what."""

import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from Crypto.PublicKey import ECC
from mdms_bench import DAY, DEPLOYMENT, MARCH, pseudonym
from pages_bench import token_of
from sqlalchemy import select

from mdms.operator.audit import deeds
from mdms.operator.in_force import IN_FORCE, NOT_SIGNED, OTHERWISE, SIGNED, Signed
from mdms.operator.proposals import wanted_of
from mdms.operator.requests import APPROVED, REJECTED, WITHDRAWN, Refused, all_requests, decide, export, propose
from mdms.operator.wanted import (
    FORMAT,
    NotWanted,
    WantedConcentrator,
    WantedMeter,
    WantedRevocation,
    body_of,
    check,
    confirmation,
    customer_key_text,
    read_file,
    wanted_in,
)
from mdms.rosters import RosterBook
from mdms.tables import operator_log, requests
from protocol.documents import generate_signing_key, key_id, public_key_bytes, to_base64url
from protocol.envelopes import fingerprint, raw_public_key
from protocol.revocations import Revocation
from protocol.rosters import Member

NOW = MARCH + DAY
APRIL = MARCH + 31 * DAY
TITLE = "48534d0102030405"
NEW = to_base64url(b"a new account...")


def customer():
    return ECC.generate(curve="Curve25519")


def meter(key=None, **changes):
    key = key or customer()
    facts = {
        "neighbourhood": "north",
        "gateway": "gateway-1",
        "system_title": TITLE,
        "pseudonym": NEW,
        "since": APRIL,
        "customer": to_base64url(raw_public_key(key)),
        "fingerprint": fingerprint(key),
    }
    return WantedMeter(**{**facts, **changes})


def concentrator(key=None, since=APRIL):
    key = key or generate_signing_key()
    return WantedConcentrator("north", since, to_base64url(public_key_bytes(key)), key_id(key))


def revocation(pseudonym_=None, leaves=None):
    return WantedRevocation("north", "gateway-1", TITLE, pseudonym_, leaves)


# --- Two people -----------------------------------------------------------------------------------------------------


def test_whoever_proposes_cannot_approve_and_another_can(web):
    name = propose(web.store, meter(), "ope", NOW)
    with pytest.raises(Refused, match="another operator"):
        decide(web.store, name, APPROVED, "ope", NOW)
    decide(web.store, name, APPROVED, "una", NOW + 5)
    [found] = all_requests(web.store)
    assert (found.proposed_by, found.decision, found.decided_by, found.decided) == ("ope", APPROVED, "una", NOW + 5)


def test_what_was_decided_stays_decided(web):
    name = propose(web.store, meter(), "ope", NOW)
    decide(web.store, name, REJECTED, "una", NOW)
    for decision in (APPROVED, REJECTED):
        with pytest.raises(Refused, match="rejected by una"):
            decide(web.store, name, decision, "eve", NOW)
    assert [each.decision for each in all_requests(web.store)] == [REJECTED]


def test_only_the_proposer_withdraws(web):
    name = propose(web.store, meter(), "ope", NOW)
    with pytest.raises(Refused, match="reject"):
        decide(web.store, name, WITHDRAWN, "una", NOW)
    decide(web.store, name, WITHDRAWN, "ope", NOW)
    with pytest.raises(Refused, match="no such"):
        decide(web.store, "none", APPROVED, "una", NOW)


def test_of_two_who_decide_at_once_one_does(web):
    name = propose(web.store, meter(), "ope", NOW)
    told, barrier = [], threading.Barrier(4)

    def one(who, decision):
        barrier.wait()
        try:
            decide(web.store, name, decision, who, NOW)
            told.append(decision)
        except Refused:
            told.append(None)

    pairs = zip("abcd", (APPROVED, REJECTED) * 2, strict=True)
    threads = [threading.Thread(target=one, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each is not None for each in told) == [False, False, False, True]
    assert [each.did for each in deeds(web.store)].count("proposed") == 1
    assert len(deeds(web.store)) == 2


def test_the_same_thing_is_not_proposed_twice_while_it_waits(web):
    first = propose(web.store, meter(), "ope", NOW)
    with pytest.raises(Refused, match="already"):
        propose(web.store, meter(customer(), pseudonym=to_base64url(b"another account."), since=APRIL), "una", NOW)
    propose(web.store, revocation(), "una", NOW)
    decide(web.store, first, REJECTED, "una", NOW)
    propose(web.store, meter(), "ope", NOW)


def test_everything_is_logged_with_who_and_when_and_the_log_only_grows(web):
    wanted = meter()
    name = propose(web.store, wanted, "ope", NOW)
    decide(web.store, name, APPROVED, "una", NOW + 1)
    export(web.store, [name], "bench", "ope", NOW + 2)
    found = [(each.at - NOW, each.who, each.did, each.about) for each in reversed(deeds(web.store))]
    assert found == [(0, "ope", "proposed", name), (1, "una", "approved", name), (2, "ope", "exported", name)]
    assert wanted.fingerprint in deeds(web.store)[-1].said


def test_a_step_that_fails_leaves_no_line_in_the_log(web, monkeypatch):
    name = propose(web.store, meter(), "ope", NOW)
    monkeypatch.setattr("mdms.operator.requests.note", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        decide(web.store, name, APPROVED, "una", NOW)
    assert all_requests(web.store)[0].decision is None, "what is not logged is not done"


def test_a_planted_approval_by_oneself_is_seen(web, monkeypatch):
    monkeypatch.setattr("mdms.operator.requests.APPROVED", "never")
    with pytest.raises(pytest.fail.Exception):
        test_whoever_proposes_cannot_approve_and_another_can(web)


# --- What may be asked ----------------------------------------------------------------------------------------------


def test_a_request_that_contradicts_itself_is_refused():
    check(meter())
    check(concentrator())
    for wrong in (
        meter(fingerprint=fingerprint(customer())),
        WantedConcentrator("north", APRIL, concentrator().key, concentrator().fingerprint),
        revocation(NEW),
        revocation(leaves=APRIL),
        meter(customer="A" * 42 + "B"),
    ):
        with pytest.raises(NotWanted):
            check(wrong)


def test_a_customers_key_is_taken_as_pem_or_text_and_a_private_one_never():
    key = customer()
    text = to_base64url(raw_public_key(key))
    assert customer_key_text(key.public_key().export_key(format="PEM")) == text
    assert customer_key_text(f" {text}\n") == text
    with pytest.raises(NotWanted, match="private key"):
        customer_key_text(key.export_key(format="PEM"))
    for wrong in ("", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "é" * 43):
        with pytest.raises(NotWanted):
            customer_key_text(wrong)
    with pytest.raises(NotWanted, match="X25519"):
        customer_key_text(generate_signing_key().public_key().export_key(format="PEM"))


def form(**changes):
    key = customer()
    day = datetime.fromtimestamp(NOW, UTC).date() + timedelta(days=30)
    facts = {
        "neighbourhood": "north",
        "gateway": "gateway-1",
        "title": TITLE.upper(),
        "since": day.isoformat(),
        "customer": key.public_key().export_key(format="PEM"),
        "fingerprint": fingerprint(key),
    }
    return {**facts, **changes}


def test_a_form_becomes_a_request(bench):
    wanted = wanted_of("meter", form(), bench.book, NOW)
    assert (wanted.system_title, wanted.since % DAY, bench.book.tenancy(wanted.pseudonym)) == (TITLE, 0, None)
    assert wanted_in(body_of(wanted)) == wanted
    made = {wanted_of("meter", form(title=""), bench.book, NOW).system_title for _ in range(3)}
    assert len(made) == 3
    key = generate_signing_key()
    keys = {"key": to_base64url(public_key_bytes(key)), "fingerprint": key_id(key)}
    assert wanted_of("concentrator", form(**keys), bench.book, NOW).fingerprint == key_id(key)
    leaving = {"pseudonym": pseudonym("north", 0), "leaves": form()["since"]}
    assert wanted_of("revocation", form(**leaving), bench.book, NOW).leaves_at == wanted.since
    assert wanted_of("revocation", form(), bench.book, NOW).leaves_at is None


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("meter", {"neighbourhood": "nowhere"}, "neighbourhood"),
        ("meter", {"title": "48"}, "16 hex digits"),
        ("meter", {"since": "2026-03-01"}, "to come"),
        ("meter", {"since": "tomorrow"}, "YYYY-MM-DD"),
        ("meter", {"since": "9999-01-01"}, "to come"),
        ("meter", {"fingerprint": "A" * 43}, "fingerprint"),
        ("meter", {"fingerprint": ""}, "43 characters"),
        ("meter", {"gateway": "../etc"}, "concentrator's name"),
        ("concentrator", {"key": "x"}, "43 characters"),
        ("concentrator", {"key": "A" * 43}, "fingerprint|key"),
        ("revocation", {"pseudonym": pseudonym("south", 0), "leaves": "2030-01-01"}, "no account"),
        ("revocation", {"pseudonym": pseudonym("north", 0)}, "together"),
    ],
)
def test_a_form_that_is_wrong_is_told_why(bench, kind, changes, reason):
    with pytest.raises(NotWanted, match=reason):
        wanted_of(kind, form(**changes), bench.book, NOW)


# --- The file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def exported(web):
    name = propose(web.store, meter(), "ope", NOW)
    decide(web.store, name, APPROVED, "una", NOW)
    return msgspec.json.encode(export(web.store, [name], DEPLOYMENT, "ope", NOW))


def test_only_what_was_approved_is_exported(web):
    names = [propose(web.store, each, "ope", NOW) for each in (meter(), revocation(), concentrator())]
    decide(web.store, names[0], APPROVED, "una", NOW)
    decide(web.store, names[1], REJECTED, "una", NOW)
    file = export(web.store, names, DEPLOYMENT, "ope", NOW)
    assert [each.id for each in file.requests] == [names[0]]
    assert read_file(msgspec.json.encode(file), DEPLOYMENT) == file


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: file.update(format="other"), FORMAT),
        (lambda file: file.update(deployment="other"), "deployment other"),
        (lambda file: file.update(more=1), "not a file of requests"),
        (lambda file: file["requests"][0].update(approved_by="ope"), "has approved it"),
        (lambda file: file["requests"][0]["wanted"].update(fingerprint=fingerprint(customer())), "fingerprint"),
        (lambda file: file["requests"][0]["wanted"].update(kind="king"), "not a file"),
        (lambda file: file["requests"].append(file["requests"][0]), "twice"),
    ],
)
def test_a_file_that_was_changed_clumsily_is_refused(exported, change, reason):
    file = json.loads(exported)
    change(file)
    with pytest.raises(NotWanted, match=reason):
        read_file(json.dumps(file).encode(), DEPLOYMENT)


def test_what_must_be_confirmed_names_the_place_and_the_key():
    wanted = meter()
    assert confirmation(wanted) == f"north {wanted.fingerprint}"
    assert confirmation(revocation()) == TITLE
    assert confirmation(revocation(NEW, APRIL)) == f"{TITLE} {NEW}"


# --- In force -------------------------------------------------------------------------------------------------------


def book_with(bench, *members, key=None, valid_from=APRIL):
    later = {"concentrator": to_base64url(public_key_bytes(key))} if key else {}
    return RosterBook([bench.north.roster, bench.north.make_roster(2, valid_from, list(members), **later)])


def test_a_meter_is_in_force_when_roster_and_envelope_say_what_was_approved(bench):
    wanted = meter()
    book = book_with(bench, *bench.north.members, Member(NEW, APRIL))
    assert Signed(bench.book, {}.get, {}).state(wanted, NOW) == NOT_SIGNED
    assert Signed(book, {}.get, {}).state(wanted, NOW) == NOT_SIGNED, "without an envelope nobody opens its detail"
    signed = Signed(book, {NEW: wanted.fingerprint}.get, {})
    assert (signed.state(wanted, NOW), signed.state(wanted, APRIL)) == (SIGNED, IN_FORCE)
    assert Signed(book, {NEW: "another key"}.get, {}).state(wanted, APRIL) == OTHERWISE
    moved = book_with(bench, *bench.north.members, Member(NEW, APRIL + DAY))
    assert Signed(moved, {NEW: wanted.fingerprint}.get, {}).state(wanted, APRIL) == OTHERWISE


def test_a_concentrator_is_in_force_when_a_roster_in_force_names_its_key(bench):
    key = generate_signing_key()
    signed = Signed(book_with(bench, *bench.north.members, key=key), {}.get, {})
    wanted = concentrator(key)
    assert Signed(bench.book, {}.get, {}).state(wanted, APRIL) == NOT_SIGNED
    assert (signed.state(wanted, NOW), signed.state(wanted, APRIL)) == (SIGNED, IN_FORCE)


def test_a_revocation_is_in_force_when_it_is_signed_and_the_account_has_left(bench):
    account = bench.north.members[0].pseudonym
    left = book_with(bench, *bench.north.members[1:])
    told = {TITLE: Revocation("north", TITLE, NOW)}
    assert Signed(bench.book, {}.get, {}).state(revocation(), NOW) == NOT_SIGNED
    assert Signed(bench.book, {}.get, told).state(revocation(), NOW) == IN_FORCE
    assert Signed(bench.book, {}.get, told).state(revocation(account, APRIL), NOW) == NOT_SIGNED
    signed = Signed(left, {}.get, told)
    assert [signed.state(revocation(account, APRIL), now) for now in (NOW, APRIL)] == [SIGNED, IN_FORCE]
    assert signed.state(revocation(account, APRIL + DAY), APRIL) == OTHERWISE
    elsewhere = {TITLE: Revocation("south", TITLE, NOW)}
    assert Signed(left, {}.get, elsewhere).state(revocation(), NOW) == OTHERWISE


# --- The pages ------------------------------------------------------------------------------------------------------


def post(client, page, url, **fields):
    return client.post(url, data={"csrf_token": token_of(client, page), **fields})


def coming(days=40):
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def test_a_request_goes_through_the_pages_of_two_operators(pages):
    ope, una = pages.signed_in("ope"), pages.signed_in("una")
    new = "/operator/requests/new/meter"
    wanted = form(since=coming())
    made = post(ope, new, new, **wanted)
    assert made.status_code == 303, made.text
    page = made.headers["Location"]
    assert "another operator must approve" in ope.get(page).text
    assert "Approve</button>" not in ope.get(page).text
    own = post(ope, page, f"{page}/approve")
    assert (own.status_code, "cannot approve it" in own.text) == (409, True)
    text = una.get(page).text
    for said in (wanted["fingerprint"], TITLE, "Compare the fingerprint"):
        assert said in text, said
    nothing = post(una, page, "/operator/requests/export")
    assert (nothing.status_code, "waits for a signature" in nothing.text) == (409, True)
    assert post(una, page, f"{page}/approve").status_code == 303
    assert post(una, page, f"{page}/reject").status_code == 409
    file = post(una, page, "/operator/requests/export")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert file.headers["Cache-Control"] == "no-store"
    [found] = read_file(file.data, DEPLOYMENT).requests
    assert (found.proposed_by, found.approved_by, found.wanted.fingerprint) == ("ope", "una", wanted["fingerprint"])
    assert "exported, not signed yet" in ope.get("/operator/requests").text
    log = re.sub(r"\s+", " ", ope.get("/operator/log").text)
    assert log.index("exported") < log.index("approved") < log.index("proposed")


def test_a_form_that_is_refused_keeps_what_was_typed_and_stores_nothing(pages):
    ope = pages.signed_in("ope")
    new = "/operator/requests/new/meter"
    answer = post(ope, new, new, **form(since=coming(), fingerprint="<script>"))
    assert answer.status_code == 400
    assert "Nothing was proposed" in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "<script>" not in answer.text
    assert all_requests(pages.store) == []


def test_a_private_key_that_was_pasted_is_not_sent_back_or_kept(pages):
    ope = pages.signed_in("ope")
    key = customer().export_key(format="PEM")
    new = "/operator/requests/new/meter"
    answer = post(ope, new, new, **form(since=coming(), customer=key))
    assert answer.status_code == 400
    assert key.splitlines()[1] not in answer.text
    assert pages.store.ask(select(requests)) == pages.store.ask(select(operator_log)) == []


def test_the_server_holds_no_key_and_signs_nothing():
    import ast
    from pathlib import Path

    import mdms

    for path in (Path(mdms.__file__).parent / "operator").glob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & {"sign", "sign_roster", "sign_revocation", "import_private_key"}, path


def test_approving_and_rejecting_are_no_links(pages):
    ope, una = pages.signed_in("ope"), pages.signed_in("una")
    name = propose(pages.store, meter(since=int(time.time()) + DAY), "ope", NOW)
    for client in (ope, una):
        assert client.get(f"/operator/requests/{name}/approve").status_code == 405
    assert all_requests(pages.store)[0].decision is None
