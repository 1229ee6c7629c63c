"""In a real browser: rows reach the customer's page whatever happens on the way, and what does not come is said."""

import http.client
import http.cookiejar
import json
import urllib.request
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from mdms_bench import MARCH
from nginx import PATIENCE_S, InFront
from pages_bench import TOKEN
from portal_page import count, mwh, sign_in
from year import store_minutes

from mdms.portal.rows import HISTORY_AT_ONCE, NEWEST_AT_ONCE, STREAMS
from protocol import logins

ROWS = 60_000
SLOWLY = 400_000  # bytes a second: a block of history takes seconds
PARTS = ("tariffs", "bills", "releases", "detail")


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []


def asked(page, name):
    """The queries of the page's requests for an object of the account."""
    return [parse_qs(urlsplit(url).query) for url, _ in page.requests() if f"/{name}?" in url]


def cookie_of(served, customer):
    """The cookie of a session of a customer's, signed in without a browser."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    token = TOKEN.search(opener.open(f"{served.url}/portal/").read().decode())[1]
    headers = {"Content-Type": "application/json", "X-CSRFToken": token}

    def post(name, body):
        request = urllib.request.Request(f"{served.url}/portal/{name}", msgspec.json.encode(body), headers)
        return json.load(opener.open(request, timeout=PATIENCE_S))

    challenge = logins.Challenge(**post("challenge.json", {"account": customer.account}))
    post("answer.json", logins.answer_challenge(customer.key, challenge, served.url, customer.account))
    return "; ".join(f"{one.name}={one.value}" for one in jar)


def test_rows_appear_where_there_is_no_room_for_another_stream(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1)]))
    cookie, held = cookie_of(served, served.other), []
    for _ in range(STREAMS):
        connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=PATIENCE_S)
        connection.request("GET", f"/portal/accounts/{served.other.account}/rows.events", headers={"Cookie": cookie})
        assert connection.getresponse().status == 200
        held.append(connection)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: any("503" in line for line in page.complaints()), "the stream was never refused")
    served.ingest(served.me.segment([served.me.row(MARCH + 120, 8)]))
    page.wait(lambda: count(page) == 2)
    assert mwh(page, "import") == 9
    assert page.text("#state") == "live"
    assert len(asked(page, "rows.events")) == 1
    for connection in held:
        connection.close()


def test_rows_appear_behind_a_proxy_that_holds_the_stream_back(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1)]))
    nginx = InFront(tmp_path, served.url, "proxy_ignore_headers X-Accel-Buffering;")
    try:
        sign_in(page, nginx, served.me, served.me.key_file(tmp_path))
        page.wait(lambda: asked(page, "rows.events"))
        served.ingest(served.me.segment([served.me.row(MARCH + 120, 8)]))
        page.wait(lambda: count(page) == 2)
        # By asking: of the stream nothing has come, not even its head.
        assert not [url for url in page.answered() if "rows.events" in url]
        assert page.text("#state") == "live"
    finally:
        page.open("about:blank")
        nginx.stop()


def test_a_connection_lost_while_history_loads_is_said_and_it_goes_on_where_it_was(page, served, tmp_path):
    imports = store_minutes(served, served.me, MARCH, ROWS)
    page.driver.set_network_conditions(offline=False, latency=0, throughput=SLOWLY)
    try:
        sign_in(page, served, served.me, served.me.key_file(tmp_path))
        page.wait(lambda: count(page) >= NEWEST_AT_ONCE)
        page.driver.set_network_conditions(offline=True, latency=0, throughput=0)
        page.wait(lambda: "goes on by itself" in page.text("#past-late"))
        assert page.text("#state") != "live"
        early = count(page)
        assert NEWEST_AT_ONCE <= early < ROWS
    finally:
        page.driver.delete_network_conditions()
    page.wait(lambda: count(page) == ROWS)
    assert page.text("#past-late") == ""
    page.wait(lambda: page.text("#state") == "live")
    page.find("#range-year").click()
    page.wait(lambda: mwh(page, "import") == sum(imports))
    # Nothing that had come was asked for again.
    before = [int(query["before"][0]) for query in asked(page, "rows.bin") if "before" in query]
    assert before == sorted(before, reverse=True)
    assert len(asked(page, "rows.bin")) == len(before) + 1
    page.complaints()  # the browser's own word on the lost connection


def test_a_part_of_the_page_that_does_not_come_is_said_and_comes_later(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1_000_000)]))
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [f"*/{name}.json*" for name in PARTS]})
    places = [f"#{name}-late" for name in ("price", "bills", "log", "detail")]
    try:
        sign_in(page, served, served.me, served.me.key_file(tmp_path))
        for place in places:
            page.wait(lambda place=place: "could not be fetched; trying again" in page.text(place), place)
        assert page.text("#detail-kept") == ""
        page.wait(lambda: count(page) == 1)
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    page.wait(lambda: page.text("#detail-kept").startswith("1 sealed row"))
    for place in places:
        page.wait(lambda place=place: page.text(place) == "", place)
    assert "No period has ended yet" in page.text("#bills")
    page.complaints()  # the browser's own word on what was blocked


def test_a_question_does_not_wait_for_rows_nor_new_rows_for_old_ones(page, served, tmp_path):
    """The worker alone, given the past, the present and a question in this order."""
    imports = store_minutes(served, served.me, MARCH, NEWEST_AT_ONCE + HISTORY_AT_ONCE)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(imports))
    code = """
    const [text, account] = given;
    const { readKeyFile } = await import(new URL("/static/keyfile.js", location.href).href);
    const own = `/portal/accounts/${account}/`;
    const { envelope, earlier, zone } = await (await fetch(`${own}envelope.json`)).json();
    const block = async (query) => {
      const answer = await fetch(`${own}rows.bin${query}`);
      return [new Uint8Array(await answer.arrayBuffer()), answer.headers.get("Hushmeter-Oldest")];
    };
    const [present, oldest] = await block("");
    const [past] = await block(`?before=${oldest}`);
    const worker = new Worker("/static/opener.js", { type: "module" });
    const said = [];
    const all = new Promise((resolve) => {
      worker.onmessage = ({ data }) => {
        said.push(data.answer === undefined ? data.opened : "answer");
        if (said.length === 3) resolve(said);
      };
    });
    worker.postMessage({ keys: await readKeyFile(text, ""), envelope, earlier, zone });
    worker.postMessage({ rows: past, past: true });
    worker.postMessage({ rows: present, past: false });
    worker.postMessage({ ask: 1, newest: 1 });
    return await all;
    """
    first, second, third = page.run(code, served.me.key_file(tmp_path).read_text(), served.me.account)
    assert (first, third) == ("answer", len(imports))
    assert NEWEST_AT_ONCE <= second < len(imports)
