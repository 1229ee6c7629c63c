"""Script in every text of every JSON that the server answers with: shown as text on the pages, and never run."""

import json
import re

import pytest
from mdms_bench import DAY, MARCH
from pages_bench import PASSWORD
from portal_page import begin_tour, check_bill, erase_detail, keep_days, sign_in
from served import Served

from mdms import create_app
from mdms.config import load_mdms_config

# After OWASP's XSS filter evasion cheat sheet: markup, attributes, schemes, encodings, templates.
CORPUS = (
    "<script>window.hacked=1</script>",
    '<img src=x onerror="window.hacked=1">',
    "<svg onload=window.hacked=1>",
    '"><iframe srcdoc="<script>parent.hacked=1</script>">',
    "javascript:window.hacked=1",
    "JaVaScRiPt:window.hacked=1//",
    "data:text/html,<script>opener.hacked=1</script>",
    "' onfocus='window.hacked=1' autofocus='",
    "</textarea></title></style><script>window.hacked=1</script>",
    "<details open ontoggle=window.hacked=1>",
    "<a href=javascript:window.hacked=1 id=injected>x</a>",
    "{{constructor.constructor('window.hacked=1')()}}",
    "${window.hacked=1}",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "\u202e<b id=injected>\u0000</b>",
    "<math><mi xlink:href='javascript:window.hacked=1'>x</mi></math>",
)
# Without these nobody is signed in, or no row is there: each is spoilt in a test of its own.
SIGN_IN = {"challenge.json", "answer.json", "envelope.json", "rows.json"}
# Put in the place of every text of an answer, but for what decides how the page goes on. Where the server has nothing,
# for one in the place of a proof that this bill has none of, there is an answer of that shape.
SPOIL = """
const hostile = %s, left = new Set(%s);
const kept = new Set(["status", "proof", "days", "zone", "currency", "csrf_token", "typed"]);
let turn = 0;
const spoil = (value, name) => {
  if (Array.isArray(value)) return value.map((each) => spoil(each, name));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, spoil(each, key)]));
  }
  return typeof value === "string" && !kept.has(name) ? hostile[turn++ %% hostile.length] : value;
};
const some = () => hostile[turn++ %% hostile.length];
const proof = () => ({
  deployment: some(), reports: { x: { type: some(), content: some() } }, signers: { x: some() },
  sums: [{ bands: [some()], import_mwh: 5, export_mwh: 0, root: some(), n: some(), documents: [some()] }],
});
window.spoilt = [];
window.refusals = 0;
addEventListener("securitypolicyviolation", () => { window.refusals++; });
const fetched = window.fetch.bind(window);
window.fetch = async (url, ...rest) => {
  const answer = await fetched(url, ...rest);
  const name = new URL(url, location.href).pathname;
  if (!name.endsWith(".json") || left.has(name.split("/").at(-1))) return answer;
  const given = answer.ok ? await answer.json() : name.endsWith("/proof.json") ? proof() : {};
  for (const bill of given.bills ?? []) if (bill.page) bill.proof ??= `${bill.page}/proof.json`;
  window.spoilt.push(name);
  const status = name.endsWith("/proof.json") ? 200 : answer.status;
  return new Response(JSON.stringify(spoil(given, "")), { status, headers: { "Content-Type": "application/json" } });
};
"""
# A page that wrote markup where it writes text.
CARELESS = """
const careful = Object.getOwnPropertyDescriptor(Node.prototype, "textContent");
Object.defineProperty(Node.prototype, "textContent", {
  ...careful, set(text) { if (this instanceof HTMLElement) this.innerHTML = text; else careful.set.call(this, text); },
});
"""
# What would run when it is clicked, focused or pointed at, is no element at all.
MADE = "#injected, script, img, iframe, math, b, details[ontoggle], [onload], [onfocus], svg[onload]"


@pytest.fixture
def page(browser, served):
    browser.fresh()
    added = []

    def load_first(*sources):
        for source in sources:
            made = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
            added.append(made)

    browser.load_first = load_first
    yield browser
    for script in added:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def spoil(hostile, left=SIGN_IN):
    return SPOIL % (json.dumps(hostile), json.dumps(sorted(left)))


def json_rules(served, door):
    """The addresses below a door that answer with JSON, as the application has them; GET and POST."""
    app = create_app(load_mdms_config(served.folder / "mdms.toml"))
    app.extensions["hushmeter_store"].close()
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    return {rule for rule in rules if rule.startswith(f"/{door}/") and rule.endswith(".json")}


def never_spoilt(rules, paths):
    """Those of an application's addresses of which no path is one."""

    def has(rule):
        shape = re.compile(re.sub(r"<[^>]*>", "[^/]+", rule) + r"\Z")
        return any(shape.match(path) for path in paths)

    return {rule for rule in rules if not has(rule)}


def ran(page, served):
    """What of the hostile texts became more than text on the open page; [] is well."""
    found = [element.tag_name for element in page.all(f":is(#mine, main [id]) :is({MADE})")]
    hrefs = page.run("return [...document.querySelectorAll('main a')].map((link) => link.href)")
    found += [href for href in hrefs if href != "" and not href.startswith(f"{served.url}/")]
    if page.driver.execute_script("return window.hacked ?? null") is not None:
        found.append("a script ran")
    found += ["a policy was violated"] * page.driver.execute_script("return window.refusals")
    return found + [line for line in page.complaints() if "Content Security Policy" in line]


def use_everything(page):
    """Go over the customer's page: the check, the tour, the days that are kept, the erasing."""
    check_bill(page)
    begin_tour(page)
    while page.find("#tour").is_displayed():
        page.find("#tour-next").click()
    keep_days(page, 30)
    page.wait(lambda: "older than 30 days" in page.text("#detail-said"), "nothing was said of it")
    for each in page.all("#mine details"):
        page.driver.execute_script("arguments[0].open = true", each)
    erase_detail(page)
    page.wait(lambda: "were erased" in page.text("#detail-said"), "nothing was erased")


def customers_page(page, served, tmp_path):
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1)]))
    sign_in(page, served, served.me, served.me.key_file(tmp_path))


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_script_in_every_text_of_an_answer_is_shown_and_not_run(page, served, tmp_path, number):
    page.load_first(spoil([CORPUS[number]]))
    customers_page(page, served, tmp_path)
    shown = CORPUS[number].replace("\0", "")
    page.wait(lambda: shown in (page.text("#bills") or "").replace("\0", ""))
    page.wait(lambda: shown in (page.text("#log-said") or "").replace("\0", ""))
    use_everything(page)
    assert ran(page, served) == []
    left = never_spoilt(json_rules(served, "portal"), page.driver.execute_script("return window.spoilt"))
    assert {rule.split("/")[-1] for rule in left} == SIGN_IN


@pytest.mark.parametrize("name", sorted(SIGN_IN))
def test_script_in_an_answer_to_signing_in_is_not_run(page, served, tmp_path, name):
    page.load_first(spoil(CORPUS, SIGN_IN - {name}))
    customers_page(page, served, tmp_path)
    page.wait(lambda: any(path.endswith(name) for path in page.driver.execute_script("return window.spoilt")))
    said = "return ['sign-in-state', 'state', 'failed'].map((id) => document.getElementById(id).textContent).join('')"
    page.wait(lambda: page.driver.execute_script(said).strip() not in ("", "Signing in…"))
    assert ran(page, served) == []


def test_a_page_that_wrote_markup_would_be_found(page, served, tmp_path):
    page.load_first(spoil(CORPUS), CARELESS)
    customers_page(page, served, tmp_path)
    page.wait(lambda: page.all("#bills tr"))
    page.wait(lambda: page.driver.execute_script("return window.refusals"), "no policy was violated")
    found = ran(page, served)
    assert {"script", "a policy was violated"} <= set(found), found


@pytest.fixture
def town(bench, tmp_path):
    """Two neighbourhoods, a region of both and a feeder meter: everything that the supplier's pages ask for."""
    (tmp_path / "feeders").mkdir()
    (tmp_path / "feeders" / "north.csv").write_text("day,kwh\n2026-02-28,60.5\n2026-03-01,70\n")
    served = Served(bench, tmp_path, feeders="feeders", regions={"town": ["north", "south"]})
    yield served
    served.stop()


def test_script_in_every_answer_to_the_supplier_is_shown_and_not_run(browser, town):
    browser.fresh()
    for street in (town.bench.north, town.bench.south):
        for at in range(0, 2 * DAY, 900):
            town.release(street, MARCH + at, 2_000_000 + at)
    made = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": spoil(CORPUS)})
    spoilt = set()
    try:
        browser.open(f"{town.url}/login")
        browser.find("#name").send_keys("sue")
        browser.find("#password").send_keys(PASSWORD)
        browser.find("form.card button").click()
        browser.wait(lambda: "/login" not in browser.driver.current_url, "not signed in")
        places = ("neighbourhoods/north/", "neighbourhoods/north/year/", "regions/town/year/")
        for url, answers in zip(places, (1, 3, 1), strict=True):
            browser.open(f"{town.url}/supplier/{url}")
            browser.wait(
                lambda wanted=answers: len(set(browser.driver.execute_script("return window.spoilt"))) >= wanted
            )
            browser.wait(lambda: CORPUS[0] in browser.text("main") or CORPUS[1] in browser.text("main"))
            assert ran(browser, town) == []
            spoilt |= set(browser.driver.execute_script("return window.spoilt"))
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
    assert never_spoilt(json_rules(town, "supplier"), spoilt) == set()
