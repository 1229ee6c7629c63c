"""A customer's bills in a real browser, asked for again and again: what is on the page stays, what is new appears."""

import pytest
from mdms_bench import DAY, MARCH
from portal_page import check_bill, count, sign_in
from sqlalchemy import update
from year import store_minutes

from mdms.tables import bills

# A page's timers twenty times as fast: bills are asked for every half second, who looked every three seconds.
HURRY = "const later = window.setTimeout; window.setTimeout = (work, ms, ...rest) => later(work, ms / 20, ...rest);"
FOCUSED = "return [document.activeElement.tagName, document.activeElement.textContent]"


@pytest.fixture
def page(browser, served):
    browser.fresh()
    hurry = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HURRY})
    yield browser
    browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", hurry)
    assert browser.complaints() == []


def asked_again(page, name, times=3):
    """Wait for further requests: when one is sent, the answer to the one before has been shown."""

    def so_far():
        return sum(f"/{name}?" in url for url, _ in page.requests())

    before = so_far()
    page.wait(lambda: so_far() >= before + times, f"{name} is not asked for")


@pytest.mark.parametrize("selector", ["#bills button", "#bills a"])
def test_the_focus_stays_while_bills_are_asked_for_again(page, served, tmp_path, selector):
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: page.all(selector), "no bill")
    page.run("window.focused = document.querySelector(given[0]); window.focused.focus()", selector)
    asked_again(page, "bills.json")
    assert page.driver.execute_script("return document.activeElement === window.focused && window.focused.isConnected")
    had = page.driver.execute_script(FOCUSED)
    # A new bill takes its place, and whoever was at the old one still is.
    served.bill(served.me.account, MARCH + DAY, MARCH + 2 * DAY, 7)
    page.wait(lambda: len(page.all("#bills tr")) == 2, "the new bill is not there")
    assert page.driver.execute_script(FOCUSED) == had
    assert page.driver.execute_script("return document.activeElement.closest('tr').rowIndex") == 2


def test_a_check_stays_until_its_bill_is_changed(page, served, tmp_path):
    imports = store_minutes(served, served.me, MARCH, 1440)
    served.bill(served.me.account, MARCH, MARCH + DAY, sum(imports))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(imports))
    check_bill(page)
    asked_again(page, "bills.json")
    served.bill(served.me.account, MARCH + DAY, MARCH + 2 * DAY, 7)
    page.wait(lambda: len(page.all("#bills tr")) == 2, "the new bill is not there")
    assert page.text("#check-verdict").startswith("Equal")
    first = update(bills).where(bills.c.period_start == MARCH)
    served.store.write(lambda connection: connection.execute(first.values(import_mwh=8_000_000)))
    page.wait(lambda: "8.000" in page.text("#bills"), "the changed bill is not there")
    assert "check it again" in page.text("#check-verdict")
    assert page.text("#check-proof") == page.text("#check-rows") == ""


def test_a_log_that_holds_as_before_is_not_read_out_again(page, served, bench, tmp_path):
    (tmp_path / "holder").mkdir()
    holder = bench.holder(tmp_path / "holder", now=MARCH + DAY)
    log = served.folder / "release-log.jsonl"

    def release(at):
        holder.load(bench.north.load(at, range(10)))
        log.write_bytes(holder.log_path.read_bytes())

    release(MARCH)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "1 entries" in page.text("#log-said"))
    page.run(
        "window.written = 0;"
        "const look = new MutationObserver((changes) => { window.written += changes.length; });"
        "look.observe(document.getElementById('log-said'), { childList: true, characterData: true, attributes: true })"
    )
    asked_again(page, "releases.json")
    assert page.driver.execute_script("return window.written") == 0
    release(MARCH + 900)
    page.wait(lambda: "2 entries" in page.text("#log-said"))
    assert page.find("#log-said").get_attribute("aria-live") == "off"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[1:]))
    page.wait(lambda: "does not verify" in page.text("#log-said"))
    assert page.find("#log-said").get_attribute("aria-live") == "polite"
    holder.close()
