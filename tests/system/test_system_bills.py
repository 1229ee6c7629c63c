"""A customer's bills in a real browser: what is on the page stays while they are asked for, and where one differs."""

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


def test_a_bill_that_differs_names_the_day_without_readings(page, served, tmp_path):
    """Three days, the second without a row; its energy is in the registers, and with the first row behind it."""
    first = store_minutes(served, served.me, MARCH, 1440)
    served.me.import_mwh += 5_000_000
    third = store_minutes(served, served.me, MARCH + 2 * DAY, 1440)
    served.bill(served.me.account, MARCH, MARCH + 3 * DAY, sum(first + third) + 4_000_000)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 2 * 1440)
    check_bill(page)
    assert "1.000 kWh less import than your readings" in page.text("#check-verdict")
    assert "Look first at 2026-03-02: " in page.text("#check-verdict")
    page.find("#check-days-box summary").click()
    shown = [[cell.text for cell in row.find_elements("tag name", "td")] for row in page.all("#check-days tr")]
    assert shown == [
        ["2026-03-01", f"{sum(first) / 1e6:.3f}", "0.000", ""],
        ["2026-03-02", "0.000", "0.000", "no readings"],
        ["2026-03-03", f"{sum(third) / 1e6 + 5:.3f}", "0.000", ""],
    ]


def test_a_bill_that_is_equal_shows_no_days(page, served, tmp_path):
    imports = store_minutes(served, served.me, MARCH, 1440)
    served.bill(served.me.account, MARCH, MARCH + DAY, sum(imports))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 1440)
    check_bill(page)
    assert page.text("#check-verdict").startswith("Equal")
    assert not page.find("#check-days-box").is_displayed()


# The day on which Berlin's clocks go forward, in quarters of an hour: nothing from 04:00 to 06:00 there, the last
# quarter estimated, and in the first the power failed, which is no estimate. `given`: what is billed beside what was
# measured, by band.
IN_BERLIN = """
const from = (name) => import(new URL('/static/' + name, location.href).href);
const [{ Archive }, { checkBill }] = [await from("archive.js"), await from("checking.js")];
const { showBills } = await from("bills.js");
const [start, end] = [Date.UTC(2026, 2, 28, 23) / 1000, Date.UTC(2026, 2, 29, 22) / 1000];
const archive = new Archive();
const bandOf = (at) => (at < start + 12 * 3600 ? "early" : "late");
const sums = { early: 0, late: 0 };
let register = 0;
for (let at = start + 900; at <= end; at += 900) {
  const hour = (at - start) / 3600;
  register += 1000;
  if (hour > 3 && hour <= 5) continue;
  sums[bandOf(at - 1)] += 1000;
  if (hour === 5.25) sums.early += 8000;
  const quality = { [start + 900]: 4, [end]: 8 }[at] ?? 0;
  archive.add({ end: at, length: 900, importMwh: 1000, exportMwh: 0, importRegister: register, exportRegister: 0,
                volts: NaN, amperes: NaN, powerFactor: NaN, quality, meter: 0 });
}
const more = { early: given[0], late: given[1] };
const billed = Object.entries(sums).map(([band, mwh]) => (
  { bands: [band], import_mwh: mwh + more[band], export_mwh: 0 }));
const bill = {
  start, end, zone: "Europe/Berlin", period: "a day", status: "released", adjusted: 0, sums: billed, page: "/",
  import_mwh: billed.reduce((sum, one) => sum + one.import_mwh, 0), export_mwh: 0,
};
const found = { ...checkBill(archive, bill, bandOf), upTo: {}, wrong: "none" };
showBills({ tariff: null, bills: [bill] }, async () => found);
document.querySelector("#bills button").click();
await new Promise((resolve) => setTimeout(resolve));
const texts = (row) => [...row.cells].map((cell) => cell.textContent);
const text = (name) => [...document.querySelectorAll(name)].map(texts);
const bands = text("#check-rows tr").map((cells) => cells.at(-1));
return [document.getElementById("check-verdict").textContent, bands, text("#check-days tr")];
"""


@pytest.mark.parametrize(
    ("more", "told", "bands"),
    [
        (
            (0, 1_000_000),
            "1.000 kWh more import than your readings. The difference is in late.",
            "equal differs differs",
        ),
        ((-4000, 4000), "the same energy is in other bands. The difference is in early", "differs differs equal"),
    ],
)
def test_bands_that_differ_are_named_and_gaps_told_by_the_streets_clock(page, served, more, told, bands):
    page.open(f"{served.url}/portal/")
    verdict, rows, days = page.run(IN_BERLIN, *more)
    assert told in verdict
    assert "On every day readings are missing or estimated." in verdict
    assert " ".join(rows) == bands
    assert days == [["2026-03-29", "0.092", "0.000", "no readings from 04:00 to 06:00; 1 reading estimated"]]
