"""The supplier's door: loads, reasons and bills, and never a row, an envelope or an answer of the key holder."""

import json

import pytest
from mdms_bench import DAY, INTERVAL, MARCH, pseudonym

from mdms.billing import BillSum
from mdms.reasons import WORDS, words
from mdms.records.bills import Bill, keep_bill
from mdms.records.loads import LoadRelease, keep_load_release
from mdms.records.sealed import envelope_of
from protocol.documents import to_base64url

LOADS = "/supplier/neighbourhoods/north/loads.json"
PAGES = ("/supplier/", "/supplier/neighbourhoods/north/", LOADS, "/supplier/neighbourhoods/south/", "/supplier/bills")


def report(pages, start, contributors=12, status="released", import_mwh=900_000, export_mwh=40):
    pages.ingest(pages.bench.north.load(start, range(contributors)))
    if status:
        sums = (import_mwh, export_mwh) if status == "released" else (None, None)
        keep_load_release(pages.store, LoadRelease("north", start, contributors, 12, status, *sums), b"the answer")


@pytest.fixture
def day(pages):
    """Three intervals of one day: released, withheld, not decided yet."""
    report(pages, MARCH)
    report(pages, MARCH + INTERVAL, 4, "too_few_contributors")
    report(pages, MARCH + 2 * INTERVAL, 11, None)
    return pages


def test_a_day_is_shown_as_released_withheld_and_waiting(day):
    answer = day.signed_in("sue").get(LOADS).get_json()
    assert (answer["day"], answer["start"], answer["end"]) == ("2026-03-01", MARCH, MARCH + DAY)
    assert [load["status"] for load in answer["loads"]] == ["released", "too_few_contributors", "waiting"]
    assert [load["import_mwh"] for load in answer["loads"]] == [900_000, None, None]
    assert [(load["contributors"], load["expected"]) for load in answer["loads"]] == [(12, 12), (4, 12), (11, 12)]
    assert "Too few homes" in answer["loads"][1]["why"]


def test_a_page_is_told_only_what_it_does_not_know(day):
    client = day.signed_in("sue")
    asked = {"held": "2026-03-01", "behind": str(MARCH + INTERVAL)}
    assert [load["start"] for load in client.get(LOADS, query_string=asked).get_json()["loads"]] == [
        MARCH + 2 * INTERVAL
    ]
    report(day, MARCH + DAY)
    answer = client.get(LOADS, query_string=asked).get_json()
    assert (answer["day"], len(answer["loads"])) == ("2026-03-02", 1)


def test_a_chosen_day_is_shown_whole(day):
    answer = day.signed_in("sue").get(LOADS, query_string={"day": "2026-03-01", "behind": "99"}).get_json()
    assert len(answer["loads"]) == 3
    assert (answer["before"], answer["after"]) == ("2026-02-28", "2026-03-02")


@pytest.mark.parametrize(
    "chosen", ["x", "2026-13-01", "20260301", "2026-W09-7", "9999-12-31", "0001-01-01", "2026-03-01T00", "\0"]
)
def test_a_day_that_is_none_is_refused(day, chosen):
    assert day.signed_in("sue").get(LOADS, query_string={"day": chosen}).status_code == 400


@pytest.mark.parametrize("behind", ["-1", "x", "9" * 40, "٣"])
def test_a_cursor_that_is_none_shows_the_whole_day(day, behind):
    asked = {"held": "2026-03-01", "behind": behind}
    assert len(day.signed_in("sue").get(LOADS, query_string=asked).get_json()["loads"]) == 3


def test_the_overview_says_what_is_withheld_and_why(day):
    page = day.signed_in("sue").get("/supplier/").text
    assert "1 released, 1 withheld" in page
    assert "Too few homes" in page
    assert "0.900" in page
    assert "nothing has been reported yet" in page  # South


def test_an_unknown_neighbourhood_does_not_exist(pages):
    client = pages.signed_in("sue")
    for name in ("west", "north%00", "../north", "<script>alert(1)</script>"):
        for url in (f"/supplier/neighbourhoods/{name}/", f"/supplier/neighbourhoods/{name}/loads.json"):
            answer = client.get(url)
            assert answer.status_code == 404
            assert "<script>alert" not in answer.text


def test_a_bill_has_its_energy_price_amount_and_marks(pages):
    end = MARCH + 31 * DAY
    sums = (BillSum(0, (("all", 248),), 248, 245, 123_456_789, 5_000_000),)
    bill = Bill(pages.me.account, MARCH, end, 123_456_789, 5_000_000, 248, 3, "released", adjusted=2, sums=sums)
    keep_bill(pages.store, bill, [], b"x")
    keep_bill(pages.store, Bill(pages.other.account, MARCH, end, None, None, 2, 0, "period_too_short"), [], b"x")
    page = pages.signed_in("sue").get("/supplier/bills").text
    for text in (
        pages.me.account,
        "123.457",
        "5.000",
        "EUR 38.58",
        "EUR 0.3125",
        "in 3 of 248 windows",
        "adjustment: 2 windows of earlier periods",
        "all 123.457",
        "joins the next bill",
    ):
        assert text in page, text
    assert "2026-03-01 to 2026-03-31" in page


def test_bills_of_a_period_come_in_pages(pages, monkeypatch):
    monkeypatch.setattr("mdms.supplier.bill_pages.BILLS_A_PAGE", 5)
    names = sorted(pseudonym("north", meter) for meter in range(12))
    for name in names:
        keep_bill(pages.store, Bill(name, MARCH, MARCH + DAY, 1, 1, 8, 0, "released"), [], b"x")
    client, seen, after = pages.signed_in("sue"), [], ""
    for _ in range(3):
        page = client.get("/supplier/bills", query_string={"after": after}).text
        seen += [name for name in names if f"<code>{name}</code>" in page]
        after = seen[-1]
    assert seen == names


@pytest.mark.parametrize(
    "query", [{"period": "x"}, {"period": "0-1"}, {"after": "\0" * 30}, {"after": "é' OR 1=1"}, {"period": "\0"}]
)
def test_strange_questions_about_bills_are_no_error(pages, query):
    keep_bill(pages.store, Bill(pages.me.account, MARCH, MARCH + DAY, 1, 1, 8, 0, "released"), [], b"x")
    assert pages.signed_in("sue").get("/supplier/bills", query_string=query).status_code in (200, 404)


def test_the_supplier_never_receives_a_row_an_envelope_or_an_answer(day):
    rows = [day.me.row(MARCH + at * 60, 1000 + at) for at in range(1, 9)]
    day.ingest(day.me.segment(rows))
    keep_bill(day.store, Bill(day.me.account, MARCH, MARCH + DAY, 1, 1, 8, 0, "released"), [], b"the answer")
    envelope = json.loads(envelope_of(day.store, day.me.account).content_bytes())
    canaries = [b"the answer", envelope["sealed_root"].encode(), envelope["public_key"].encode()]
    for row in rows:
        canaries += [row, row.hex().encode(), to_base64url(row).encode(), row[37:53], row[37:53].hex().encode()]
    client = day.signed_in("sue")
    pages = [client.get(url) for url in PAGES]
    assert all(page.status_code == 200 for page in pages)
    for page in pages:
        assert not [canary for canary in canaries if canary in page.get_data()]
    for name in ("rows", "envelope", "bills"):
        assert client.get(f"/portal/accounts/{day.me.account}/{name}.json").status_code == 403


def test_every_reason_of_the_gate_has_words():
    from mdms.keyholder import messages

    reasons = {value for name, value in vars(messages).items() if name.isupper() and isinstance(value, str)}
    assert reasons - set(WORDS) == {messages.UNAVAILABLE, messages.BUSY, messages.BAD_FRAME}
    assert words("something new") == "something new"
