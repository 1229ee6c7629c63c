"""A customer keeps the own rows for fewer days, or erases them; nobody else's rows and no bill go with them."""

import time

import pytest
from click.testing import CliRunner
from mdms_bench import APRIL, DAY, MARCH
from pages_bench import post_json, token_of
from sqlalchemy import func, select
from structlog.testing import capture_logs

from mdms.__main__ import cli
from mdms.accounts import sessions
from mdms.operation.prune import first_kept, prune
from mdms.portal import choices
from mdms.records.bills import Bill, keep_bill
from mdms.retention import first_kept_by_choice, keep_days
from mdms.tables import billing_windows, bills, detail_rows, envelopes
from protocol.keychain import epoch_of

TODAY = MARCH + 100 * DAY


def decide(pages, client, name, body, customer=None):
    url = f"/portal/accounts/{(customer or pages.me).account}/{name}.json"
    return post_json(client, url, body, token_of(client, "/portal/"))


def state(pages, client):
    return client.get(f"/portal/accounts/{pages.me.account}/detail.json").get_json()


def days_of(pages, customer):
    query = select(detail_rows.c.epoch).where(detail_rows.c.pseudonym == customer.account).distinct()
    return sorted(TODAY // DAY - row.epoch for row in pages.store.ask(query))


def seal(pages, *ages):
    for customer in (pages.me, pages.other):
        rows = [customer.row(TODAY - age * DAY + 60, 5) for age in sorted(ages, reverse=True)]
        pages.ingest(customer.segment(rows))


@pytest.fixture
def today(monkeypatch):
    """The machine's clock, on the hundredth day after the meters were enrolled."""
    now = [TODAY + 3600]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_what_is_kept_is_said(pages, today):
    seal(pages, 0, 3, 90)
    found = state(pages, pages.as_customer(pages.me))
    assert (found["rows"], found["oldest"], found["decided"]) == (3, "2026-03-11", [])
    assert (found["days"], found["own"], found["least"], found["most"]) == (400, False, 7, 400)


def test_fewer_days_are_carried_out_by_the_next_prune_for_this_account_alone(pages, today, tmp_path):
    seal(pages, 0, 6, 7, 8, 90)
    client = pages.as_customer(pages.me)
    with capture_logs() as logs:
        found = decide(pages, client, "keep", {"days": 7}).get_json()
    assert (found["days"], found["own"], found["rows"]) == (7, True, 5)
    assert found["decided"] == ["2026-06-09 01:00 UTC: kept for 7 days."]
    assert [(line["account"], line["days"]) for line in logs] == [(pages.me.account, 7)]
    done = CliRunner().invoke(cli, ["prune", "--config", str(tmp_path / "mdms.toml")])
    assert (done.exit_code, done.output[:12]) == (0, "mdms: 2 rows")
    assert days_of(pages, pages.me) == [0, 6, 7]
    assert days_of(pages, pages.other) == [0, 6, 7, 8, 90]


def test_the_deployments_days_end_a_longer_choice(pages, today):
    seal(pages, 0, 40, 90)
    keep_days(pages.store, pages.me.account, 80, TODAY)
    own = first_kept_by_choice(pages.store, TODAY)
    assert prune(pages.store, pages.bench.book, first_kept(TODAY, 31), own=own) == 4
    assert days_of(pages, pages.me) == days_of(pages, pages.other) == [0]


def test_the_deployments_own_days_are_no_choice(pages, today):
    client = pages.as_customer(pages.me)
    decide(pages, client, "keep", {"days": 9})
    for days in (400, None):
        found = decide(pages, client, "keep", {"days": days}).get_json()
        assert (found["days"], found["own"]) == (400, False)
    assert first_kept_by_choice(pages.store, TODAY) == {}
    assert found["decided"][0].endswith("kept as long as the utility keeps everybody's.")


@pytest.mark.parametrize("body", [{"days": 6}, {"days": 401}, {"days": -1}, {"days": 7.5}, {"days": "7"}, {}, [], 7])
def test_impossible_days_are_refused(pages, today, body):
    client = pages.as_customer(pages.me)
    assert decide(pages, client, "keep", body).status_code == 400
    assert state(pages, client)["decided"] == []


def counts(pages, customer):
    return [
        pages.store.ask(select(func.count()).where(table.c.pseudonym == customer.account))[0][0]
        for table in (detail_rows, bills, billing_windows, envelopes)
    ]


def test_erasing_deletes_every_row_of_the_account_and_nothing_else(pages, today, north):
    seal(pages, 0, 3, 90)
    pages.ingest(*north.windows(MARCH, MARCH + DAY, 0))
    keep_bill(pages.store, Bill(pages.me.account, MARCH, APRIL, 1, 1, 8, 0, "released"), [], b"{}")
    client = pages.as_customer(pages.me)
    before = counts(pages, pages.other)
    with capture_logs() as logs:
        answer = decide(pages, client, "erase", {"confirm": "erase my detail"})
    assert (answer.status_code, answer.get_json()["erased"], answer.get_json()["rows"]) == (200, 3, 0)
    assert counts(pages, pages.me) == [0, 1, 8, 1]
    assert counts(pages, pages.other) == before
    assert answer.get_json()["decided"] == ["2026-06-09 01:00 UTC: 3 rows erased."]
    assert [(line["event"], line["account"], line["rows"]) for line in logs] == [
        ("customer's rows erased", pages.me.account, 3)
    ]
    assert len(client.get(f"/portal/accounts/{pages.me.account}/bills.json").get_json()["bills"]) == 1


def test_numbers_go_on_behind_erased_rows_so_that_an_open_page_misses_nothing(pages, today):
    seal(pages, 0, 3)
    client = pages.as_customer(pages.me)
    decide(pages, client, "erase", {"confirm": "erase my detail"})
    pages.ingest(pages.me.segment([pages.me.row(TODAY + 120, 5)]))
    answer = client.get(f"/portal/accounts/{pages.me.account}/rows.json?after=2").get_json()
    assert (answer["next"], len(answer["rows"])) == (3, 120)


def test_pruning_the_last_row_keeps_its_number_too(pages, today):
    seal(pages, 90)
    assert prune(pages.store, pages.bench.book, first_kept(TODAY, 31)) == 2
    pages.ingest(pages.me.segment([pages.me.row(TODAY + 120, 5)]))
    assert pages.store.ask(select(detail_rows.c.arrival)) == [(2,)]


def test_rows_of_before_that_come_again_go_with_the_next_prune(pages, today):
    row, later = pages.me.row(TODAY - DAY, 5), pages.me.row(TODAY + 7200, 5)
    pages.ingest(pages.me.segment([row]))
    decide(pages, pages.as_customer(pages.me), "erase", {"confirm": "erase my detail"})
    # A concentrator that never heard that it was stored sends it once more.
    pages.ingest(pages.me.segment([row]), pages.me.segment([later]))
    own = first_kept_by_choice(pages.store, TODAY)
    assert own == {pages.me.account: epoch_of(TODAY)}
    assert prune(pages.store, pages.bench.book, first_kept(TODAY, 400), own=own) == 1
    assert days_of(pages, pages.me) == [0]


@pytest.mark.parametrize("typed", ["", "yes", "erase", "ERASE MY DETAIL", "erase my detail\0", "x" * 65, None, True])
def test_nothing_is_erased_without_the_words(pages, today, typed):
    seal(pages, 0)
    assert decide(pages, pages.as_customer(pages.me), "erase", {"confirm": typed}).status_code == 400
    assert days_of(pages, pages.me) == [0]


@pytest.mark.parametrize(("name", "body"), [("erase", {"confirm": "erase my detail"}), ("keep", {"days": 7})])
def test_what_deletes_needs_a_fresh_sign_in_the_token_and_the_own_account(pages, today, name, body):
    seal(pages, 0, 90)
    client = pages.as_customer(pages.me)
    url = f"/portal/accounts/{pages.me.account}/{name}.json"
    assert post_json(client, url, body, None).status_code == 400
    assert decide(pages, client, name, body, pages.other).status_code == 404
    assert decide(pages, pages.client(), name, body).status_code == 401
    assert decide(pages, pages.signed_in("sue"), name, body).status_code == 403
    today[0] += choices.FRESH_S
    assert choices.FRESH_S < sessions.IDLE_S
    refused = decide(pages, client, name, body)
    assert (refused.status_code, refused.get_json()["error"]) == (403, "signed in too long ago")
    assert state(pages, client)["decided"] == []
    assert days_of(pages, pages.me) == [0, 90]
    assert decide(pages, pages.as_customer(pages.me), name, body).status_code == 200


def test_an_erasure_that_was_killed_is_finished_by_the_next_prune(pages, today, monkeypatch):
    seal(pages, 0, 3, 90)
    real, calls = choices.erase.__globals__["delete_day"], []

    def once(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr("mdms.retention.delete_day", once)
    with pytest.raises(KeyboardInterrupt):
        choices.erase(pages.store, pages.me.account, TODAY)
    assert days_of(pages, pages.me) == [0, 3]
    monkeypatch.setattr("mdms.retention.delete_day", real)
    own = first_kept_by_choice(pages.store, TODAY)
    assert prune(pages.store, pages.bench.book, first_kept(TODAY, 400), own=own) == 1
    assert days_of(pages, pages.me) == [0]
