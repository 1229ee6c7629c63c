"""Every page of every door, judged by axe-core (WCAG 2.2 A and AA, best practices): nothing serious, light and dark."""

import time
from pathlib import Path

import pytest
from mdms_bench import DAY, INTERVAL, MARCH
from pages_bench import PASSWORD
from portal_page import begin_tour, check_bill, count, sign_in
from year import store_minutes

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
FREE = ("/", "/login", "/portal/", "/portal/new-key", "/portal/honesty", "/docs", "/there-is-no-such-page")
DOORS = {
    "sue": (
        "/supplier/",
        "/supplier/neighbourhoods/north/",
        "/supplier/neighbourhoods/north/year/",
        "/supplier/bills",
        "/supplier/bills/{account}/{start}",
    ),
    "aud": ("/auditor/",),
    "ope": (
        "/operator/",
        "/operator/neighbourhoods/north/",
        "/operator/alarms",
        "/operator/requests",
        "/operator/requests/new/meter",
        "/operator/log",
    ),
}
SEVERE = ("serious", "critical")


@pytest.fixture(scope="module")
def axe():
    assert AXE.is_file(), "axe-core is not there: npm ci"
    return AXE.read_text()


@pytest.fixture(params=["light", "dark"])
def page(browser, served, request):
    browser.fresh()
    scheme = {"features": [{"name": "prefers-color-scheme", "value": request.param}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    yield browser
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.complaints()  # the page that does not exist was asked for


def findings(page, axe):
    """What axe-core finds serious or critical on the open page, a line each."""
    page.driver.execute_script(axe)
    found = page.run("return (await axe.run(document, { resultTypes: ['violations'] })).violations")
    return [
        f"{page.driver.current_url} {one['impact']} {one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in SEVERE
        for node in one["nodes"]
    ]


def test_no_page_of_the_utility_has_a_serious_finding(page, served, axe):
    served.release(served.bench.north, MARCH, 2_000_000)
    served.release(served.bench.north, MARCH + INTERVAL, 0, contributors=7)
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    found = []
    for url in FREE:
        page.open(served.url + url)
        time.sleep(0.3)
        found += findings(page, axe)
    for name, urls in DOORS.items():
        page.fresh()
        page.open(f"{served.url}/login")
        page.find("#name").send_keys(name)
        page.find("#password").send_keys(PASSWORD)
        page.find("form.card button").click()
        page.wait(lambda: "/login" not in page.driver.current_url, "not signed in")
        for url in urls:
            page.open(served.url + url.format(account=served.me.account, start=MARCH))
            assert "There is no such page" not in page.text("main"), url
            time.sleep(0.5)
            found += findings(page, axe)
    assert found == []


def test_the_customers_page_has_no_serious_finding(page, served, axe, tmp_path):
    imports = store_minutes(served, served.me, MARCH, 1440)
    served.bill(served.me.account, MARCH, MARCH + DAY, sum(imports))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(imports))
    page.find("#compare").click()
    check_bill(page)
    page.driver.execute_script("for (const it of document.querySelectorAll('#mine details')) it.open = true")
    assert findings(page, axe) == []


def test_the_erase_box_the_tour_and_the_customers_bill_have_no_serious_finding(page, served, axe, tmp_path):
    imports = store_minutes(served, served.me, MARCH, 1440)
    served.bill(served.me.account, MARCH, MARCH + DAY, sum(imports) + 1_000_000)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(imports))
    check_bill(page)
    page.driver.execute_script("for (const it of document.querySelectorAll('#mine details')) it.open = true")
    page.find("#erase-typed").send_keys("erase my detail")
    assert page.find("#erase").is_enabled()
    begin_tour(page)
    assert page.find("#tour").is_displayed()
    found = findings(page, axe)
    while page.find("#tour").is_displayed():
        page.find("#tour-next").click()
    bill = page.find("#bills a").get_attribute("href")
    page.open(bill)
    assert "bill" in page.text("h1")
    assert found + findings(page, axe) == []


def test_no_step_of_making_a_key_has_a_serious_finding(page, served, axe, tmp_path):
    page.open(f"{served.url}/portal/new-key")
    page.wait(lambda: page.find("#understood").is_enabled(), "the page never opened")
    page.find("#understood").click()
    page.find("#make").click()
    page.wait(lambda: page.find("#kit").is_displayed(), "no kit")
    words = [item.text for item in page.all("#words li")]
    found = findings(page, axe)
    page.find("#go-on").click()
    page.find("#words-check button").click()  # the browser's own word on an empty field
    for field in page.all("#asked input"):
        field.send_keys("none")
    page.find("#words-check button").click()
    page.wait(lambda: page.text("#words-state"), "wrong words are not told")
    found += findings(page, axe)
    for field in page.all("#asked input"):
        field.clear()
        field.send_keys(words[int(field.get_attribute("id").split("-")[1]) - 1])
    page.find("#words-check button").click()
    page.wait(lambda: page.find("#done").is_displayed(), "never done")
    page.find("#keep").click()
    page.wait(lambda: "is kept in this browser" in page.text("#keep-state"))
    found += findings(page, axe)
    page.open(f"{served.url}/portal/")
    page.wait(lambda: page.find("#kept").is_displayed(), "the key is not kept")
    found += findings(page, axe)
    page.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": served.url, "storageTypes": "all"})
    assert found == []


@pytest.mark.parametrize("url", ["/portal/", "/portal/new-key"])
def test_what_a_browser_is_told_that_cannot_hold_a_key_has_no_serious_finding(page, served, axe, url):
    source = {"source": "delete crypto.subtle.constructor.prototype.generateKey"}
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        page.open(served.url + url)
        page.wait(lambda: page.find("#unfit").is_displayed(), "it is not told")
        assert findings(page, axe) == []
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_a_planted_finding_is_seen(page, served, axe):
    page.open(f"{served.url}/login")
    spoil = "document.querySelector('label').remove(); document.documentElement.removeAttribute('lang')"
    page.driver.execute_script(spoil)
    found = " ".join(findings(page, axe))
    assert "html-has-lang" in found
    assert "label" in found
