"""A customer's whole session, every byte between browser and server written down: no reading, no key in any of them.

The line is listened in on, and not the browser asked: so the worker's requests, headers and answers are all in it.
"""

import base64
import re
import struct

import pytest
from mdms_bench import DAY, MARCH
from portal_page import check_bill, count, erase_detail, keep_days, sign_in
from relay import Relay

from protocol.documents import to_base64url
from scripts.kit_words import to_words

ROWS = 12
ALLOWED = re.compile(
    r"GET /portal/(accounts/[\w-]{22}/((rows|envelope|bills|tariffs|releases|detail)\.json|rows\.(bin|events))"
    r"(\?\S*)?)?|POST /portal/((challenge|answer)\.json|accounts/[\w-]{22}/(keep|erase)\.json)"
    r"|GET /static/[\w./-]+|POST /logout|GET /"
)


class Recorder(Relay):
    """`sent` and `received`: a connection's bytes each. `url` is what the browser calls the server."""

    def __init__(self, served):
        self.sent, self.received = [], []
        super().__init__(int(served.url.rpartition(":")[2]))
        self.url = f"http://localhost:{self.port}"

    def listeners(self):
        there, back = bytearray(), bytearray()
        self.sent.append(there)
        self.received.append(back)
        return there.extend, back.extend

    def found(self, secrets):
        """Return the names of the secrets that passed, either way."""
        passed = [bytes(each) for each in (*self.sent, *self.received)]
        return {name for name, form in secrets if any(form.search(each) for each in passed)}

    def requests(self):
        """Return method and target of each request, in the order within connections."""
        heads = re.compile(rb"((?:GET|POST|PUT|HEAD|DELETE) \S+) HTTP/1\.1\r\n")
        return [head.decode() for each in self.sent for head in heads.findall(bytes(each))]


@pytest.fixture
def line(served):
    line = Recorder(served)
    yield line
    line.close()


def energies():
    """Of seven digits, so that none is in a hash, a number of seconds or a sealed row by chance."""
    return [(3_141_593 + 271_829 * at, 1_618_034 + 141_421 * at) for at in range(ROWS)]


def secrets_of(customer):
    """Return (name, pattern) of everything that only this customer may have, in the forms in which it might go."""
    plain = [(f"reading {mwh}", form) for both in energies() for mwh in both for form in forms(mwh)]
    seed, words = customer.key.seed, to_words(customer.key.seed)
    keys = [seed, *(text.encode() for text in (seed.hex(), base64.b64encode(seed).decode(), to_base64url(seed)))]
    some = [b"[^a-z]{1,12}".join(word.encode() for word in words[at : at + 3]) for at in range(len(words) - 2)]
    return [
        *plain,
        *(("key", re.compile(re.escape(form))) for form in keys),
        *(("words", re.compile(three, re.I)) for three in some),
    ]


def forms(mwh):
    packed = struct.pack(">I", mwh)
    texts = [f"{mwh}", f"{mwh / 1000:.3f}", f"{mwh / 1e6:.6f}", packed.hex()]
    return [re.compile(re.escape(form)) for form in (packed, *(text.encode() for text in texts))]


def begin(page, served, line, folder):
    page.fresh()
    served.ingest(
        served.me.segment([served.me.row(MARCH + (at + 1) * 60, *both) for at, both in enumerate(energies())])
    )
    served.bill(served.me.account, MARCH, MARCH + DAY, *map(sum, zip(*energies(), strict=True)))
    sign_in(page, line, served.me, served.me.key_file(folder))
    page.wait(lambda: count(page) == ROWS)


def arrived(page, folder, kind):
    page.find(f"#take-{kind}").click()
    return page.wait(lambda: next((one.read_text() for one in folder.glob(f"*.{kind}")), ""), f"no {kind}")


@pytest.mark.timeout(600)
def test_in_a_whole_session_nothing_opened_and_no_key_is_on_the_line(browser, served, line, tmp_path):
    begin(browser, served, line, tmp_path)
    for name in ("week", "month", "year", "day"):
        browser.find(f"#range-{name}").click()
    browser.find("#mine details:has(#readings) summary").click()
    browser.wait(lambda: len(browser.all("#readings tr")) == ROWS)
    check_bill(browser)
    browser.wait(lambda: "The log verifies" in browser.text("#log-said"))
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path / "files")}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    table = arrived(browser, tmp_path / "files", "csv").splitlines()[1:]
    assert len(table) == ROWS
    assert "IntervalReading" in arrived(browser, tmp_path / "files", "xml")
    keep_days(browser, 30)
    browser.wait(lambda: "kept for 30 days" in browser.text("#detail-kept"))
    erase_detail(browser)
    browser.wait(lambda: f"{ROWS} rows were erased" in browser.text("#detail-said"))
    kept = "return [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length]"
    assert browser.run(kept) == [0, 0, 0]
    browser.find("#mine form button").click()
    browser.wait(lambda: browser.driver.current_url == f"{line.url}/")
    lines = [("line of the file", re.compile(re.escape(each.encode()))) for each in table]
    assert line.found([*secrets_of(served.me), *lines]) == set()
    asked = line.requests()
    assert [each for each in asked if not ALLOWED.fullmatch(each)] == []
    query = {part for each in asked for part in each.partition("?")[2].split("&") if part}
    assert all(re.fullmatch(r"(after|before)=\d+|active=1", part) for part in query), query
    # The line was the way, for all of it, and what passed could be read.
    for part in ("challenge.json", "rows.bin", "rows.events", "bills.json", "keep.json", "erase.json", "/logout"):
        assert any(part in each for each in asked), part
    assert any(b"erase my detail" in each for each in line.sent)
    assert not any(b"content-encoding" in each.lower() for each in line.received)
    assert {url.partition("/portal")[0] for url, _ in browser.requests() if "/portal/" in url} == {line.url}
    assert browser.complaints() == []


LEAKS = {
    "text of the table": "{ method: 'POST', body: document.querySelector('#readings td.n').textContent }",
    "bytes": "{ method: 'POST', body: new Uint8Array([given[0] >> 24, given[0] >> 16, given[0] >> 8, given[0]]) }",
    "header": "{ headers: { 'X-Seen': String(given[0]) } }",
    "key": "{ method: 'POST', body: given[1] }",
    "words": "{ method: 'POST', body: JSON.stringify({ words: given[2].split(' ') }) }",
}


def test_a_page_that_gave_one_reading_or_the_key_away_would_be_found_out(browser, served, line, tmp_path):
    begin(browser, served, line, tmp_path)
    browser.find("#mine details:has(#readings) summary").click()
    browser.wait(lambda: len(browser.all("#readings tr")) == ROWS)
    secrets = secrets_of(served.me)
    newest, seed = energies()[-1][0], served.me.key.seed
    for how, request in LEAKS.items():
        for each in line.sent:
            each.clear()
        code = f"await fetch('/portal/leak', {request})"
        browser.run(code, newest, to_base64url(seed), " ".join(to_words(seed)))
        assert line.found(secrets), how
    browser.complaints()  # that there is no such address
