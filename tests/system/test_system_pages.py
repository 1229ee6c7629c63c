"""The pages in a real browser: the customer sees exactly what the meter sealed, and nobody else sees any of it."""

import json
import re
import time

import pytest
from mdms_bench import DAY, INTERVAL, MARCH
from pages_bench import PASSWORD, Customer
from portal_page import count, mwh, sign_in

from mdms.records.bills import Bill, keep_bill
from protocol.documents import to_base64url
from protocol.envelopes import fingerprint

DAY_START = MARCH + 2 * DAY
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []
    # The picture in a field for a day is the browser's own, and comes from nowhere.
    known = (served.url, "about:", "data:image/svg+xml;")
    assert [url for url, _ in browser.requests() if not url.startswith(known)] == []


def energies(count):
    """Known energies: an import of 1, 8, 64 ... mWh and an export; a digit 0 or 2 of the sum in base 8 tells."""
    return [(8 ** (at % 9), 3 * at) for at in range(count)]


def seal_day(served, count=9, start=DAY_START):
    rows = [served.me.row(start + (at + 1) * 60, *both) for at, both in enumerate(energies(count))]
    served.ingest(served.me.segment(rows))
    return rows


def said(page):
    return page.text("#sign-in-state")


def as_user(page, served, name):
    page.open(f"{served.url}/login")
    page.find("#name").send_keys(name)
    page.find("#password").send_keys(PASSWORD)
    page.find("form.card button").click()
    page.wait(lambda: "/login" not in page.driver.current_url, "not signed in")


# --- The customer -----------------------------------------------------------------------------------------------


def test_the_customer_sees_exactly_the_energies_that_were_sealed(page, served, tmp_path):
    rows = seal_day(served)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 9)
    assert mwh(page, "import") == sum(8**at for at in range(9))
    assert mwh(page, "export") == sum(3 * at for at in range(9))
    page.find("#mine details:has(#readings) summary").click()
    page.wait(lambda: len(page.all("#readings tr")) == 9)
    table = [[cell.text for cell in line.find_elements("css selector", "td")] for line in page.all("#readings tr")]
    assert [line[1:3] for line in reversed(table)] == [
        [f"{imported / 1000:.3f}", f"{exported / 1000:.3f}"] for imported, exported in energies(9)
    ]
    assert table[0][0] == "2026-03-03 00:09"
    assert table[0][3:] == ["230.1", "1.45", "0.987"]
    # Beside them, what the utility has: the rows byte for byte.
    assert [code.text for code in page.all("#pairs code")] == [row.hex() for row in reversed(rows[-3:])]
    assert page.driver.execute_script("return document.querySelectorAll('#chart canvas').length") == 1


def test_new_rows_appear_by_themselves_and_gaps_stay_gaps(page, served, tmp_path):
    seal_day(served, 3)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 3)
    served.ingest(served.me.segment([served.me.row(DAY_START + 3600, 5_000_000, 0)]))
    page.wait(lambda: count(page) == 4)
    assert page.text("#now") == "300000 W"
    assert "1 gap" in page.text("#opened")


def test_a_late_row_takes_its_place(page, served, tmp_path):
    late = served.me.row(DAY_START + 60, 5)
    served.ingest(served.me.segment([served.me.row(DAY_START + 120, 6)]))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 1)
    served.ingest(served.me.segment([late]))
    page.wait(lambda: count(page) == 2)
    assert "gap" not in page.text("#opened")
    assert mwh(page, "import") == 11


def test_a_key_file_with_a_passphrase_opens_as_well(page, served, tmp_path):
    seal_day(served, 2)
    key_file = served.me.key_file(tmp_path, "a passphrase of mine")
    sign_in(page, served, served.me, key_file, "not the passphrase")
    page.wait(lambda: "does not open this key file" in said(page))
    page.find("#passphrase").clear()
    page.find("#passphrase").send_keys("a passphrase of mine")
    page.find("#open").click()
    page.wait(lambda: count(page) == 2)


def test_the_key_in_the_page_cannot_be_taken_out(page, served, tmp_path):
    page.open(f"{served.url}/portal/")
    code = """
    const { readKeyFile } = await import(new URL("/static/keyfile.js", location.href).href);
    const { privateKey } = await readKeyFile(given[0], "");
    const failed = [];
    for (const format of ["pkcs8", "jwk", "raw"]) {
      try { await crypto.subtle.exportKey(format, privateKey); } catch { failed.push(format); }
    }
    return [privateKey.extractable, failed];
    """
    assert page.run(code, served.me.key_file(tmp_path).read_text()) == [False, ["pkcs8", "jwk", "raw"]]


def test_a_jwk_is_a_key_file_too(page, served, tmp_path):
    seal_day(served, 2)
    raw = served.me.key.public_key().export_key(format="raw")
    jwk = {"kty": "OKP", "crv": "X25519", "x": to_base64url(raw), "d": to_base64url(served.me.key.seed)}
    (tmp_path / "key.jwk").write_text(json.dumps(jwk))
    sign_in(page, served, served.me, tmp_path / "key.jwk")
    page.wait(lambda: count(page) == 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "not a private key"),
        ("{}", "not an X25519 private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not an X25519 private key"),
        ("-----BEGIN PRIVATE KEY-----\nA\n-----END PRIVATE KEY-----", "damaged"),
        ("x" * 20_000, "not a private key"),
    ],
)
def test_a_file_that_is_no_key_is_told_in_one_line(page, served, tmp_path, text, told):
    (tmp_path / "file").write_text(text)
    sign_in(page, served, served.me, tmp_path / "file")
    page.wait(lambda: told in said(page), told)
    assert page.find("#open").is_enabled()


def test_a_sealed_key_file_asks_for_its_passphrase_and_a_cut_one_is_damaged(page, served, tmp_path):
    key_file = served.me.key_file(tmp_path, "a passphrase of mine")
    sign_in(page, served, served.me, key_file)
    page.wait(lambda: "needs its passphrase" in said(page))
    lines = key_file.read_text().splitlines()
    key_file.write_text("\n".join([lines[0], *lines[2:-2], lines[-1]]))
    page.find("#passphrase").send_keys("a passphrase of mine")
    page.find("#key-file").clear()
    page.find("#key-file").send_keys(str(key_file))
    page.find("#open").click()
    page.wait(lambda: "damaged" in said(page))


def test_another_customers_key_does_not_open_the_door(page, served, tmp_path):
    sign_in(page, served, served.me, served.other.key_file(tmp_path))
    page.wait(lambda: "do not belong together" in said(page))
    assert page.driver.get_cookies()  # a session, and nobody signed in to it
    assert page.run("return (await fetch(`/portal/accounts/${given[0]}/rows.json`)).status", served.me.account) == 401
    page.complaints()  # the 401 that was asked for


def test_rows_that_do_not_open_are_left_out_and_counted(page, served, tmp_path):
    good = served.me.row(DAY_START + 60, 8)
    broken = bytearray(served.me.row(DAY_START + 120, 64))
    broken[60] ^= 1
    stranger = Customer(served.bench.north, 0)
    served.ingest(served.me.segment([good, bytes(broken)]))
    served.ingest(served.me.segment([stranger.row(DAY_START + at * 60, 512) for at in range(3, 6)][2:]))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "2 stored rows do not open" in (page.text("#failed") or ""))
    assert (count(page), mwh(page, "import")) == (1, 8)


def test_an_envelope_of_another_meter_is_told(page, served, tmp_path):
    served.me.title = b"ANOTHER!"
    served.ingest(served.me.segment([served.me.row(DAY_START + 60, 8)]))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "does not open this account's envelope" in (page.text("#failed") or ""))


def test_a_lost_connection_is_told_and_nothing_is_lost(page, served, tmp_path):
    seal_day(served, 2)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 2)
    page.driver.set_network_conditions(offline=True, latency=0, throughput=0)
    page.wait(lambda: "Connection lost" in page.text("#state"))
    served.ingest(served.me.segment([served.me.row(DAY_START + 180, 8)]))
    page.driver.delete_network_conditions()
    page.wait(lambda: count(page) == 3)
    assert page.text("#state") == "live"
    page.complaints()  # the browser's own word on the lost connection


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_is_hours_off_changes_nothing(page, served, tmp_path, hours):
    """Today is the newest reading's day, and a challenge's end is the server's word."""
    seal_day(served)
    shift = f"const now = Date.now.bind(Date); Date.now = () => now() + {hours * 3_600_000};"
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": shift})
    try:
        sign_in(page, served, served.me, served.me.key_file(tmp_path))
        page.wait(lambda: count(page) == 9)
        assert mwh(page, "import") == sum(8**at for at in range(9))
        assert page.text("#span-title") == "2026-03-03"
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_signing_out_ends_the_session_and_forgets_the_readings(page, served, tmp_path):
    seal_day(served, 2)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 2)
    page.find("#mine form button").click()
    page.wait(lambda: page.driver.current_url == f"{served.url}/")
    assert page.run("return (await fetch(`/portal/accounts/${given[0]}/rows.json`)).status", served.me.account) == 401
    page.complaints()
    page.driver.back()
    begun_anew(page)


def begun_anew(page):
    """Nobody is signed in on the open page, and nothing of readings is on it."""
    page.wait(lambda: page.find("#open").is_enabled())
    assert not page.find("#mine").is_displayed()
    assert page.find("#opened").get_attribute("data-count") is None
    assert page.all("canvas") == []
    assert [page.text(place) for place in ("#import", "#pairs", "#readings", "#bills")] == ["–", "", "", ""]


def test_a_page_that_comes_back_from_the_browsers_cache_begins_anew(page, served, tmp_path):
    seal_day(served, 2)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == 2)
    kept = "const page = await fetch(location.href); return page.headers.get('Cache-Control')"
    assert page.run(kept) == "no-store"
    # What a browser tells a page that it puts away and takes out again.
    page.driver.execute_script("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert not page.find("#mine").is_displayed()
    page.driver.execute_script("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    begun_anew(page)


@pytest.mark.parametrize("name", ["", "new-key"])
def test_without_scripts_or_with_a_browser_too_old_for_them_there_are_words(page, served, name):
    def seen():
        return [one.text for one in page.all("noscript p, #too-old") if one.is_displayed()]

    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.open(f"{served.url}/portal/{name}")
        (words,) = seen()
        assert "needs JavaScript" in words
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    # A module that a browser cannot parse runs as little as one that does not come.
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/static/portal.js", "*/static/ceremony.js"]})
    try:
        page.open(f"{served.url}/portal/{name}")
        page.wait(seen, "no word")
        (words,) = seen()
        assert "too old" in words
        assert "Firefox from 130" in words
        page.complaints()  # of what was blocked
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    page.open(f"{served.url}/portal/{name}")
    page.wait(lambda: page.all("#too-old") == [])


def test_a_browser_without_x25519_is_told_what_to_do(page, served):
    hide = """
    const generate = crypto.subtle.generateKey.bind(crypto.subtle);
    crypto.subtle.generateKey = (algorithm, ...rest) => algorithm.name === "X25519"
      ? Promise.reject(new DOMException("", "NotSupportedError")) : generate(algorithm, ...rest);
    """
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hide})
    page.open(f"{served.url}/portal/")
    page.wait(lambda: "has no X25519" in page.text("#unfit"))
    assert not page.find("#open").is_enabled()
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_a_page_that_is_not_secure_is_told_what_to_do(page, served):
    hide = "Object.defineProperty(window, 'isSecureContext', { value: false });"
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hide})
    page.open(f"{served.url}/portal/")
    page.wait(lambda: "HTTPS" in page.text("#unfit"))
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


# --- The supplier and the auditor -------------------------------------------------------------------------------


def test_the_suppliers_curve_fills_as_reports_come(page, served):
    north = served.bench.north
    served.release(north, DAY_START, 2_000_000, 40)
    served.release(north, DAY_START + INTERVAL, 0, contributors=7)
    as_user(page, served, "sue")
    page.open(f"{served.url}/supplier/neighbourhoods/north/")
    page.wait(lambda: page.text("#import") == "2.000 kWh")
    assert page.text("#peak") == "8.000 kW"
    assert page.text("#contributors") == "7 of 12"
    assert "1 interval withheld. Too few homes" in page.text("#withheld")
    served.release(north, DAY_START + 2 * INTERVAL, 1_000_000)
    page.wait(lambda: page.text("#import") == "3.000 kWh")
    assert len(page.driver.find_elements("css selector", "#rows tr")) == 3
    # A new day begins by itself; the one before is one press away.
    served.release(north, DAY_START + DAY, 5_000_000)
    page.wait(lambda: page.text("#day") == "2026-03-04")
    assert page.text("#import") == "5.000 kWh"
    page.find("#before").click()
    page.wait(lambda: page.text("#import") == "3.000 kWh")
    page.find("#newest").click()
    page.wait(lambda: page.text("#import") == "5.000 kWh")


def test_the_suppliers_page_never_receives_a_row(page, served):
    rows = seal_day(served)
    served.release(served.bench.north, DAY_START, 2_000_000)
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    as_user(page, served, "sue")
    received = []
    for url in ("/supplier/neighbourhoods/north/", "/supplier/bills", "/supplier/"):
        page.open(served.url + url)
        time.sleep(2.5)
        here = page.bodies("/supplier/")
        assert here, url
        received += [*here, page.driver.page_source]
    assert any('"loads":' in body for body in received)
    for body in received:
        for row in rows:
            assert row.hex() not in body
            assert to_base64url(row) not in body
    assert not [url for url, _ in page.requests() if "/portal/" in url]


def test_script_in_a_reason_or_a_name_is_shown_as_text(page, served):
    """The tables are the page's own; a status that no gate knows is shown as it stands."""
    served.release(served.bench.north, DAY_START, 0, status=HOSTILE[:32])
    served.bill(HOSTILE[:22], MARCH, MARCH + DAY, 5)
    as_user(page, served, "sue")
    for url in ("/supplier/neighbourhoods/north/", "/supplier/", "/supplier/bills"):
        page.open(served.url + url)
        page.wait(lambda: HOSTILE[:22] in page.text("main"))
        time.sleep(0.3)
        assert page.driver.execute_script("return window.hacked ?? null") is None
        assert page.all("main img") == []
        assert page.all("main script") == []


def test_script_in_what_the_customer_sees_is_shown_as_text(page, served, tmp_path):
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    odd = Bill(served.me.account, MARCH + DAY, MARCH + 2 * DAY, None, None, 0, 0, HOSTILE[:32])
    keep_bill(served.store, odd, [], b"")
    seal_day(served, 1)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: HOSTILE[:32] in page.text("#bills"))
    assert page.driver.execute_script("return window.hacked ?? null") is None
    assert page.all("#bills img") == []


def test_an_inline_script_would_not_run(browser, served):
    browser.fresh()
    browser.open(f"{served.url}/login")
    browser.driver.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"/static/none\" onerror=\"window.hacked = 1\">')"
    )
    time.sleep(0.5)
    assert browser.driver.execute_script("return window.hacked ?? null") is None
    assert any("Content Security Policy" in line for line in browser.complaints())


def test_the_auditor_sees_the_log_verified(page, served, bench, tmp_path):
    holder = bench.holder(tmp_path, now=MARCH + DAY)
    holder.load(bench.north.load(MARCH))
    holder.load(bench.north.load(MARCH + INTERVAL, contributors=range(4)))
    holder.close()
    as_user(page, served, "aud")
    assert "Chain and signatures verify: 2 entries" in re.sub(r"\s+", " ", page.text("main"))
    assert len(page.all(".log li.refused")) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(page, served, tmp_path, width):
    seal_day(served)
    served.release(served.bench.north, DAY_START, 2_000_000)
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        sign_in(page, served, served.me, served.me.key_file(tmp_path))
        page.wait(lambda: count(page) == 9)
        assert not page.driver.execute_script(wide)
        as_user(page, served, "sue")
        for url in ("/supplier/", "/supplier/neighbourhoods/north/", "/supplier/bills", "/login", "/"):
            page.open(served.url + url)
            time.sleep(0.3)
            assert not page.driver.execute_script(wide), url
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# --- The operator -----------------------------------------------------------------------------------------------


def test_an_operator_proposes_a_meter_and_a_second_one_approves(page, served):
    served.ingest(served.bench.north.load())
    as_user(page, served, "ope")
    page.wait(lambda: "No load for" in page.text("main"))
    page.open(f"{served.url}/operator/requests/new/meter")
    customer = served.me.key.public_key()
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 40 * DAY))
    for name, text in (
        ("title", "48534d0102030405"),
        ("customer", customer.export_key(format="PEM")),
        ("fingerprint", fingerprint(customer)),
    ):
        page.find(f"#{name}").send_keys(text)
    page.driver.execute_script("document.getElementById('since').value = arguments[0]", day)
    page.find("form.card button").click()
    page.wait(lambda: "another operator must approve" in page.text("main"))
    here = page.driver.current_url
    page.driver.delete_all_cookies()
    as_user(page, served, "una")
    page.open(here)
    assert fingerprint(customer) in page.text("main")
    page.find("main form button").click()
    page.wait(lambda: "Approved, to be exported" in page.text("main"))
    for url in ("/operator/", "/operator/neighbourhoods/north/", "/operator/alarms", "/operator/log"):
        page.open(served.url + url)
