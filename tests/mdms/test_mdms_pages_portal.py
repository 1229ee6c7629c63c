"""The customer's door: login by key, own objects alone, rows as they are stored and in the order in which they came."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mdms_bench import DAY, DEPLOYMENT, MARCH, pseudonym
from pages_bench import BenchPages, Customer, post_json, token_of
from sqlalchemy import delete

from mdms.billing import BillSum
from mdms.errors import CannotStart
from mdms.portal import challenges
from mdms.portal import rows as rows_module
from mdms.records.bills import Bill, keep_bill
from mdms.records.sealed import keep_envelopes
from mdms.tables import detail_rows
from protocol import logins
from protocol.documents import DocumentError, from_base64url, parse, sign, to_base64url
from protocol.envelopes import ENVELOPE, Envelope, open_root
from protocol.wire import ROW_BYTES

STRANGER = to_base64url(b"no such account!")


def challenge_for(pages, client, account):
    return logins.Challenge(**pages.ask_challenge(client, account).get_json())


def answer_with(client, answer):
    return post_json(client, "/portal/answer.json", answer, token_of(client, "/portal/")).status_code


def rows_of(client, account, after=0):
    answer = client.get(f"/portal/accounts/{account}/rows.json?after={after}").get_json()
    data = from_base64url(answer["rows"], "rows")
    return [data[at : at + ROW_BYTES] for at in range(0, len(data), ROW_BYTES)], answer


def test_the_key_opens_the_door_and_its_answer_only_once(pages):
    client = pages.client()
    challenge = challenge_for(pages, client, pages.me.account)
    answer = logins.answer_challenge(pages.me.key, challenge, "http://localhost", pages.me.account)
    assert answer_with(client, answer) == 200
    assert answer_with(pages.client(), answer) == 403


def test_another_customers_key_does_not_open_the_challenge(pages):
    challenge = challenge_for(pages, pages.client(), pages.me.account)
    with pytest.raises(DocumentError):
        logins.answer_challenge(pages.other.key, challenge, "http://localhost", pages.me.account)


def test_a_challenge_passed_on_by_another_origin_does_not_open(pages):
    """The customer's client builds info from the origin that it sees."""
    challenge = challenge_for(pages, pages.client(), pages.me.account)
    with pytest.raises(DocumentError):
        logins.answer_challenge(pages.me.key, challenge, "http://evil.example", pages.me.account)


def test_a_host_header_cannot_choose_the_origin(pages):
    client = pages.client()
    token = token_of(client, "/portal/")
    answer = client.post(
        "/portal/challenge.json",
        json={"account": pages.me.account},
        headers={"X-CSRFToken": token, "Host": "evil.example"},
    )
    assert answer.status_code == 421


def test_a_wrong_answer_uses_the_challenge_up(pages):
    client = pages.client()
    challenge = challenge_for(pages, client, pages.me.account)
    right = logins.answer_challenge(pages.me.key, challenge, "http://localhost", pages.me.account)
    wrong = logins.Answer(challenge.id, to_base64url(secrets.token_bytes(32)))
    assert answer_with(client, wrong) == 403
    assert answer_with(client, right) == 403


def test_an_answer_that_comes_too_late_is_refused(pages, monkeypatch):
    client = pages.client()
    challenge = challenge_for(pages, client, pages.me.account)
    answer = logins.answer_challenge(pages.me.key, challenge, "http://localhost", pages.me.account)
    later = time.time() + challenges.OPEN_S + 1
    monkeypatch.setattr(challenges.time, "time", lambda: later)
    assert answer_with(client, answer) == 403


def test_two_answers_at_the_same_time_are_one_login(pages):
    for _ in range(5):
        challenge = challenge_for(pages, pages.client(), pages.me.account)
        answer = logins.answer_challenge(pages.me.key, challenge, "http://localhost", pages.me.account)
        own = challenges.Challenges(pages.store)
        with ThreadPoolExecutor(4) as many:
            found = list(many.map(lambda _, o=own, a=answer: o.settle(a), range(4)))
        assert sorted(found, key=str) == sorted([pages.me.account, None, None, None], key=str)


def test_an_account_that_does_not_exist_is_answered_alike(pages):
    client = pages.client()
    known, unknown = (pages.ask_challenge(client, account) for account in (pages.me.account, STRANGER))
    assert known.status_code == unknown.status_code == 200
    assert set(known.headers.keys()) == set(unknown.headers.keys())
    shapes = [
        {name: (type(value), len(str(value))) for name, value in it.get_json().items()} for it in (known, unknown)
    ]
    assert shapes[0] == shapes[1]
    name = unknown.get_json()["id"]
    assert answer_with(client, logins.Answer(name, to_base64url(secrets.token_bytes(32)))) == 403
    assert answer_with(client, logins.Answer(to_base64url(bytes(16)), to_base64url(bytes(32)))) == 403


def test_an_envelope_of_before_public_keys_is_no_account_and_no_error(pages):
    keep_envelopes(pages.store, {STRANGER: sign(pages.bench.operator, ENVELOPE, DEPLOYMENT, b'{"pseudonym": "x"}')})
    assert pages.ask_challenge(pages.client(), STRANGER).status_code == 200


def test_old_challenges_are_not_kept(pages, monkeypatch):
    for _ in range(3):
        challenge_for(pages, pages.client(), STRANGER)
    later = time.time() + challenges.OPEN_S + 1
    monkeypatch.setattr(challenges.time, "time", lambda: later)
    challenge_for(pages, pages.client(), STRANGER)
    assert len(pages.store.ask(challenges.select(challenges.challenges))) == 1


def test_asking_for_challenges_is_slowed_down(pages):
    client = pages.client()
    token = token_of(client, "/portal/")
    found = [post_json(client, "/portal/challenge.json", {"account": STRANGER}, token).status_code for _ in range(12)]
    assert found == [200] * 10 + [429] * 2
    # Another account is another count.
    assert post_json(client, "/portal/challenge.json", {"account": pages.me.account}, token).status_code == 200


def test_answering_is_slowed_down(pages):
    client = pages.client()
    token = token_of(client, "/portal/")
    wrong = logins.Answer(to_base64url(bytes(16)), to_base64url(bytes(32)))
    found = [post_json(client, "/portal/answer.json", wrong, token).status_code for _ in range(62)]
    assert found == [403] * 60 + [429] * 2


def test_another_customers_objects_do_not_exist(pages):
    pages.ingest(pages.other.segment([pages.other.row(MARCH + 60, 1)]))
    keep_bill(pages.store, Bill(pages.other.account, MARCH, MARCH + DAY, 1, 1, 8, 0, "released"), [], b"{}")
    client = pages.as_customer(pages.me)
    for account in (pages.other.account, STRANGER, pseudonym("south", 0), "x", "%00", "..%2f" + pages.other.account):
        for name in ("rows", "envelope", "bills", "releases", "detail"):
            found = client.get(f"/portal/accounts/{account}/{name}.json")
            assert found.status_code == 404, account
            assert pages.other.account not in found.text


def test_rows_come_as_they_are_stored_and_each_once(pages):
    client = pages.as_customer(pages.me)
    first = [pages.me.row(MARCH + at * 60, at) for at in range(1, 6)]
    late = pages.me.row(MARCH + 30, 7, length=30)
    pages.ingest(pages.me.segment(first[2:]), pages.other.segment([pages.other.row(MARCH + 60, 1)]))
    found, answer = rows_of(client, pages.me.account)
    assert found == first[2:]
    assert (answer["next"], answer["more"]) == (3, False)
    # What was sealed earlier and comes later is new to a page that is open.
    pages.ingest(pages.me.segment(first[:2]))
    pages.ingest(pages.me.segment([first[0], late]))
    found, answer = rows_of(client, pages.me.account, answer["next"])
    assert found == [*first[:2], late]
    assert rows_of(client, pages.me.account, answer["next"]) == ([], {"rows": "", "next": 6, "more": False})


def test_many_rows_come_in_pieces(pages, monkeypatch):
    monkeypatch.setattr("mdms.portal.rows.ROWS_AT_ONCE", 3)
    monkeypatch.setattr("mdms.portal.questions.rows_behind.__defaults__", (3,))
    rows = [pages.me.row(MARCH + at * 60, at) for at in range(1, 8)]
    pages.ingest(pages.me.segment(rows))
    client = pages.as_customer(pages.me)
    found, after, more = [], 0, True
    while more:
        some, answer = rows_of(client, pages.me.account, after)
        found, after, more = found + some, answer["next"], answer["more"]
    assert found == rows


def block_of(client, account, before=None):
    answer = client.get(f"/portal/accounts/{account}/rows.bin", query_string=before and {"before": before})
    data = answer.get_data()
    numbers = [int(answer.headers[f"Hushmeter-{name}"]) for name in ("Oldest", "Newest", "Left")]
    return [data[at : at + ROW_BYTES] for at in range(0, len(data), ROW_BYTES)], numbers


def test_history_comes_newest_block_first_and_says_how_much_is_left(pages, monkeypatch):
    monkeypatch.setattr("mdms.portal.rows.HISTORY_AT_ONCE", 3)
    monkeypatch.setattr("mdms.portal.rows.NEWEST_AT_ONCE", 2)
    rows = [pages.me.row(MARCH + at * 60, at) for at in range(1, 8)]
    pages.ingest(pages.me.segment(rows), pages.other.segment([pages.other.row(MARCH + 60, 1)]))
    client = pages.as_customer(pages.me)
    assert block_of(client, pages.me.account) == (rows[5:], [6, 7, 5])
    assert block_of(client, pages.me.account, 6) == (rows[2:5], [3, 5, 2])
    assert block_of(client, pages.me.account, 5) == (rows[1:4], [2, 4, 1])
    assert block_of(client, pages.me.account, 2) == (rows[:1], [1, 1, 0])
    assert block_of(client, pages.me.account, 1) == ([], [0, 0, 0])


def test_history_that_was_pruned_is_not_promised(pages):
    pages.ingest(pages.me.segment([pages.me.row(MARCH + at * 60, at) for at in range(1, 8)]))
    pages.store.write(lambda connection: connection.execute(delete(detail_rows).where(detail_rows.c.arrival <= 3)))
    assert block_of(pages.as_customer(pages.me), pages.me.account)[1] == [4, 7, 0]


def test_the_stream_tells_of_new_rows_and_ends_by_itself(pages, monkeypatch):
    monkeypatch.setattr("mdms.portal.rows.STREAM_S", 0.6)
    monkeypatch.setattr("mdms.portal.rows.LOOK_S", 0.02)
    client = pages.as_customer(pages.me)
    pages.ingest(pages.me.segment([pages.me.row(MARCH + 60, 1)]))
    stream = client.get(f"/portal/accounts/{pages.me.account}/rows.events?after=1", buffered=False)
    assert stream.mimetype == "text/event-stream"
    assert stream.headers["X-Accel-Buffering"] == "no"
    said = iter(stream.response)
    assert next(said) == b"retry: 250\nevent: here\ndata:\n\n"
    pages.ingest(pages.other.segment([pages.other.row(MARCH + at, 1, length=1) for at in range(5)]))
    pages.ingest(pages.me.segment([pages.me.row(MARCH + 120, 1)]))
    assert list(said) == [b"data: 2\n\n"]
    stream.close()


def test_a_stream_ends_when_the_server_does(pages, monkeypatch):
    monkeypatch.setattr("mdms.portal.rows.STREAM_S", 3600)
    stream = pages.as_customer(pages.me).get(f"/portal/accounts/{pages.me.account}/rows.events", buffered=False)
    said = iter(stream.response)
    assert next(said).endswith(b"event: here\ndata:\n\n")
    pages.app.extensions["hushmeter_ending"].set()
    assert list(said) == []
    stream.close()


def test_streams_beyond_the_cap_are_refused_and_room_comes_back(pages, monkeypatch):
    monkeypatch.setattr("mdms.portal.rows.STREAM_S", 0)
    client = pages.as_customer(pages.me)
    url = f"/portal/accounts/{pages.me.account}/rows.events"
    streams = [client.get(url, buffered=False) for _ in range(rows_module.STREAMS)]
    refused = client.get(url)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "0")
    # Closed before a word was read, as by a browser that has gone.
    for stream in streams:
        stream.close()
    assert client.get(url).status_code == 200


def test_the_tariffs_are_those_of_the_own_neighbourhood(pages):
    answer = pages.as_customer(pages.me).get(f"/portal/accounts/{pages.me.account}/tariffs.json").get_json()
    (tariff,) = answer["tariffs"]
    assert (tariff["name"], tariff["currency"], tariff["bands"][0]["import_micro_per_kwh"]) == ("house", "EUR", 312_500)


def test_the_envelope_is_the_operators_and_opens_with_the_key(pages):
    answer = pages.as_customer(pages.me).get(f"/portal/accounts/{pages.me.account}/envelope.json").get_json()
    assert answer["zone"] == "UTC"
    assert answer["envelope"]["pseudonym"] == pages.me.account
    assert answer["document"]["type"] == "customer-envelope"


def test_the_envelope_of_a_replaced_meter_comes_along_and_nobody_elses(bench, tmp_path):
    old, strange = (Customer(bench.north, meter) for meter in (0, 1))
    pages = BenchPages(bench, tmp_path, before=[old, strange])
    try:
        answer = pages.as_customer(pages.me).get(f"/portal/accounts/{pages.me.account}/envelope.json").get_json()
        (earlier,) = answer["earlier"]
        assert earlier["envelope"]["pseudonym"] == pages.me.account
        signed = parse(from_base64url(earlier["document"]["content"], "content"), Envelope)
        root = open_root(old.key, signed, old.title)
        assert root == old._root
    finally:
        pages.close()


def test_a_damaged_envelope_of_before_keeps_the_server_from_starting(bench, tmp_path):
    (tmp_path / "envelopes" / "before").mkdir(parents=True)
    (tmp_path / "envelopes" / "before" / "x.json").write_text("{}")
    with pytest.raises(CannotStart, match=r"before/x\.json"):
        BenchPages(bench, tmp_path)


def test_bills_are_the_customers_own_with_their_price(pages):
    for account, energy in ((pages.me.account, 1_000_000_000), (pages.other.account, 7)):
        sums = (BillSum(0, (("all", 248),), 248, 245, energy, 5),)
        bill = Bill(account, MARCH, MARCH + 31 * DAY, energy, 5, 248, 3, "released", adjusted=1, sums=sums)
        keep_bill(pages.store, bill, [], b"{}")
    refused = Bill(pages.me.account, MARCH + 31 * DAY, MARCH + 61 * DAY, None, None, 0, 0, "no_energy")
    keep_bill(pages.store, refused, [], b"{}")
    answer = pages.as_customer(pages.me).get(f"/portal/accounts/{pages.me.account}/bills.json").get_json()
    assert answer["tariff"] == "house version 1: all EUR 0.3125 per imported kWh"
    # A period without energy costs its standing charge, of which this tariff has none.
    assert [bill["amount"] for bill in answer["bills"]] == ["EUR 0.00", "EUR 312.50"]
    assert answer["bills"][1]["sums"] == [{"bands": ["all"], "import_mwh": 1_000_000_000, "export_mwh": 5}]
    assert answer["bills"][1]["adjusted"] == 1
    assert answer["bills"][1]["period"] == "2026-03-01 to 2026-03-31"
    assert "joins the next bill" in answer["bills"][0]["why"]
    assert [bill["proof"] for bill in answer["bills"]] == [None, None]
    assert answer["bills"][1]["import_mwh"] == 1_000_000_000


@pytest.mark.parametrize("name", ["rows.json?after", "rows.bin?before", "rows.events?after"])
@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", "9" * 30, "٣", "1 OR 1=1", "%00"])
def test_a_cursor_that_is_none_is_refused(pages, name, after):
    client = pages.as_customer(pages.me)
    address, _, parameter = name.partition("?")
    url = f"/portal/accounts/{pages.me.account}/{address}"
    assert client.get(url, query_string={parameter: after}).status_code == 400


HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'{"account": 7}',
    b'{"account": "' + b"A" * 21 + b'"}',
    b'{"account": "' + "é".encode() * 22 + b'"}',
    b'{"account": "AAECAwQFBgcICQoLDA0ODw", "more": 1}',
    b'{"id": "AAECAwQFBgcICQoLDA0ODw", "answer": "' + b"=" * 43 + b'"}',
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"account": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("url", ["/portal/challenge.json", "/portal/answer.json"])
def test_hostile_bodies_are_refused(pages, url, body):
    client = pages.client()
    token = token_of(client, "/portal/")
    for kind, expected in (("application/json", 400), ("text/plain", 415)):
        answer = client.post(url, data=body, content_type=kind, headers={"X-CSRFToken": token})
        assert answer.status_code == expected
        assert answer.get_json()["error"]
    assert client.post(url, data=b" " * ((1 << 20) + 1), content_type="application/json").status_code in (400, 413)


def test_the_row_numbers_of_a_tenancy_have_no_gap_under_racing_uploads(bench, tmp_path):
    pages = BenchPages(bench, tmp_path)
    segments = [pages.me.segment([pages.me.row(MARCH + at * 60, at)]) for at in range(1, 25)]
    with ThreadPoolExecutor(6) as many:
        list(many.map(pages.ingest, segments))
    found, answer = rows_of(pages.as_customer(pages.me), pages.me.account)
    assert answer["next"] == len(found) == 24
    pages.close()


def test_the_page_of_a_simulation_says_so_and_no_other_does(bench, tmp_path):
    """By it the page does not call the newest reading old: the readings' time is another than the server's."""
    clocks = ({}, {"clock": "conducted:localhost:1", "unsafe_simulated_clock": True})
    for number, clock in enumerate(clocks):
        folder = tmp_path / str(number)
        folder.mkdir()
        pages = BenchPages(bench, folder, **clock)
        assert ("data-simulated" in pages.client().get("/portal/").text) == bool(clock)
        pages.close()
