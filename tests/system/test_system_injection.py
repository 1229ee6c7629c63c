"""Script in every text that the server's answers hold: shown as text on the customer's page, and never run."""

import json

import pytest
from mdms_bench import DAY, MARCH
from portal_page import check_bill, sign_in

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
# Put in the place of every text of an answer, but for what decides how the page goes on.
SPOIL = """
const hostile = %s;
const kept = new Set(["status", "proof", "days", "zone", "currency"]);
const spoil = (value, name) => {
  if (Array.isArray(value)) return value.map((each) => spoil(each, name));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, spoil(each, key)]));
  }
  return typeof value === "string" && !kept.has(name) ? hostile : value;
};
const fetched = window.fetch.bind(window);
window.fetch = async (url, ...rest) => {
  const answer = await fetched(url, ...rest);
  if (!/(bills|tariffs|releases|settings)\\.json/.test(String(url))) return answer;
  const body = JSON.stringify(spoil(await answer.json(), ""));
  window.spoilt = (window.spoilt ?? 0) + 1;
  return new Response(body, { status: answer.status, headers: { "Content-Type": "application/json" } });
};
"""


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_script_in_every_text_of_an_answer_is_shown_and_not_run(browser, served, tmp_path, number):
    browser.fresh()
    served.bill(served.me.account, MARCH, MARCH + DAY, 5)
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1)]))
    script = {"source": SPOIL % json.dumps(CORPUS[number])}
    spoilt = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        sign_in(browser, served, served.me, served.me.key_file(tmp_path))
        browser.wait(lambda: CORPUS[number].replace("\0", "") in (browser.text("#bills") or "").replace("\0", ""))
        check_bill(browser)
        # What would run when it is clicked, focused or pointed at, is no element at all.
        assert browser.all("#mine #injected, #mine script, #mine img, #mine iframe, #mine svg, #mine math") == []
        hrefs = browser.run("return [...document.querySelectorAll('#mine a')].map((link) => link.href)")
        assert all(href == "" or href.startswith(f"{served.url}/") for href in hrefs), hrefs
        assert browser.driver.execute_script("return window.hacked ?? null") is None
        assert browser.driver.execute_script("return window.spoilt") >= 2
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", spoilt)
    assert not [line for line in browser.complaints() if "Content Security Policy" in line]
