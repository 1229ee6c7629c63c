"""In a real browser: what the utility says of itself, who looked, and what the customer decides about the own rows."""

import subprocess

import pytest
from mdms_bench import APRIL, DAY, MARCH
from portal_page import count, keep_days, sign_in
from sqlalchemy import select

from mdms.tables import detail_rows


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []


def test_the_commands_of_the_page_find_every_script_as_it_says(page, served, tmp_path):
    page.open(f"{served.url}/portal/honesty")
    commands, shown = page.text("#compare"), page.text("#bundle")
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[0] == f"{shown}  scripts.sha256"
    verdicts = done.stdout.splitlines()[1:]
    assert len(verdicts) == len(page.all("details tbody tr")) > 20
    assert {line.rpartition(": ")[2] for line in verdicts} == {"OK"}


def test_the_customer_sees_who_looked_and_that_the_log_holds(page, served, bench, tmp_path):
    (tmp_path / "holder").mkdir()
    holder = bench.holder(tmp_path / "holder", now=MARCH + DAY)
    holder.load(bench.north.load(MARCH, range(10)))
    holder.clock.now = APRIL
    holder.bill(bench.north.windows(MARCH, APRIL, 0), served.me.account)
    holder.bill(bench.north.windows(MARCH, APRIL, 1), served.other.account)
    log = served.folder / "release-log.jsonl"
    log.write_bytes(holder.log_path.read_bytes())
    holder.close()
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "The log verifies: 3 entries" in page.text("#log-said"))
    assert [item.text.splitlines()[0] for item in page.all("#log-bills li")] == ["Bill from 2026-03-01"]
    assert "one sum of 10 homes or more" in page.text("#log-street")
    assert served.other.account not in page.driver.page_source
    # Another log in its place, with an entry left out.
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[1:]))
    page.open("about:blank")
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "does not verify" in page.text("#log-said"))
    assert page.find("#log-said").get_attribute("class") == "warn"


def test_the_customer_keeps_fewer_days_and_erases_after_typing_it(page, served, tmp_path):
    for customer in (served.me, served.other):
        served.ingest(customer.segment([customer.row(MARCH + at * 60, 5) for at in range(1, 4)]))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "3 sealed rows of yours lie here" in page.text("#detail-kept"))
    keep_days(page, 30)
    page.wait(lambda: "kept for 30 days, as you decided" in page.text("#detail-kept"))
    page.all("details summary")[-1].click()
    page.find("#erase-typed").send_keys("erase my detai")
    assert not page.find("#erase").is_enabled()
    page.find("#erase-typed").send_keys("l")
    page.find("#erase").click()
    page.wait(lambda: "3 rows were erased" in page.text("#detail-said"))
    assert page.text("#detail-kept").startswith("0 sealed rows")
    left = served.store.ask(select(detail_rows.c.pseudonym))
    assert [row.pseudonym for row in left] == [served.other.account] * 3
    # The page stays open, and what comes from now on still appears in it.
    served.ingest(served.me.segment([served.me.row(MARCH + 600, 5)]))
    page.wait(lambda: count(page) == 4)
