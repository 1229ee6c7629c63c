"""A year of minutes in the customer's browser: today at once, all of it soon, and the page never in the way."""

import json
from statistics import median

import pytest
from mdms_bench import MARCH
from portal_page import count, mwh, sign_in
from wanted import tell
from year import minute_mwh, store_minutes

from protocol.documents import to_base64url
from scripts.demo.say import customers_link

DAYS = 365
MINUTES = DAYS * 1440
WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: "longtask", buffered: true });
// Whose time it was: a frame names the scripts that ran in it, and none where the machine or the test's driver took it.
window.slow = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration, scripts } of list.getEntries()) {
    const ours = scripts.map((it) =>
      `${it.invoker} of ${it.sourceURL.split("/").at(-1)} ${Math.round(it.duration)} ms`);
    window.slow.push([startTime, duration, ours.join(", ")]);
  }
}).observe({ type: "long-animation-frame", buffered: true });
window.clicked = 0;
addEventListener("click", () => {
  window.clicked = performance.now();
  window.given ??= window.clicked;
}, { capture: true });
window.reached = {};
window.wait = (name, ready) => {
  const look = () => {
    if (ready()) window.reached[name] = performance.now() - window.clicked;
    else setTimeout(look, 10);
  };
  look();
};
"""


@pytest.mark.timeout(600)
def test_a_year_of_minutes_is_opened_newest_first_and_drawn(browser, served, tmp_path, say):
    imports = store_minutes(served, served.me, MARCH, MINUTES)
    browser.fresh()
    watched = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    try:
        open_year(browser, served, tmp_path, imports, say)
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", watched)
    assert browser.complaints() == []


def open_year(page, served, folder, imports, say):
    run = page.driver.execute_script
    sign_in(page, served, served.me, served.me.key_file(folder))
    run("wait('today', () => document.getElementById('opened').dataset.count > 0)")
    run(f"wait('all', () => document.getElementById('opened').dataset.count == {MINUTES})")
    page.wait(lambda: run("return reached.today ?? null") is not None)
    # Today is right while the rest of the year is still on its way.
    early = count(page)
    assert mwh(page, "import") == sum(imports[-1440:])
    page.wait(lambda: run("return reached.all ?? null") is not None)
    opening = json.loads(run("return JSON.stringify([reached.today, reached.all, longest])"))
    rate = int(run("return document.getElementById('opened').title").split()[0].replace(",", ""))
    page.find("#range-year").click()
    run("wait('year', () => document.getElementById('span-title').textContent === '2027')")
    page.wait(lambda: run("return reached.year ?? null") is not None)
    assert count(page) == MINUTES
    page.wait(lambda: mwh(page, "import") == sum(imports[-59 * 1440 :]), "January and February")
    page.find("#earlier").click()
    page.wait(lambda: mwh(page, "import") == sum(imports[: -59 * 1440]), "March to December")
    drawn, longest = json.loads(run("return JSON.stringify([reached.year, longest])"))
    say(f"today shown with {early:,} rows open")
    tell(say, "today shown, s", opening[0] / 1000, 1)
    tell(say, "rows a second", rate, 100_000, more=True)
    tell(say, "year opened, s", opening[1] / 1000, 10)
    tell(say, "year drawn, s", drawn / 1000, 3)
    tell(say, "longest task, ms", longest, 200)
    begun, frames = json.loads(run("return JSON.stringify([given, slow])"))
    for start, took, scripts in sorted(frames, key=lambda frame: -frame[1])[:3]:
        when = "after the key was given" if start > begun else "before the key was given"
        say(f"long frame, {when}: {took:.0f} ms, {scripts or 'no script of the page'}")
    check_curve(page)


def test_a_row_is_on_the_curve_soon_after_it_was_stored(browser, served, tmp_path, say):
    """From a concentrator's post to the page: the part of a reading's way that is the MDMS's and the browser's."""
    browser.fresh()
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1)]))
    sign_in(browser, served, served.me, served.me.key_file(tmp_path))
    browser.wait(lambda: count(browser) == 1)
    browser.wait(lambda: browser.text("#state") == "live")
    run, took = browser.driver.execute_script, []
    for number in range(2, 22):
        run("window.clicked = performance.now(); window.reached = {}")
        look = f"document.getElementById('opened').dataset.count == {number}"
        run(f"const look = () => {look} ? (reached.row = performance.now() - clicked) : setTimeout(look, 5); look()")
        served.ingest(served.me.segment([served.me.row(MARCH + number * 60, 1)]))
        browser.wait(lambda: run("return reached.row ?? null") is not None)
        took.append(run("return reached.row") / 1000)
    say(f"posted to drawn, of {len(took)} rows: median {median(took):.2f} s, longest {max(took):.2f} s")
    assert browser.complaints() == []


def test_the_key_in_a_demonstrations_link_opens_with_one_press_and_goes_nowhere(browser, served):
    browser.fresh()
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 1)]))
    browser.open(customers_link(served.url, served.me.account, served.me.key))
    browser.wait(lambda: browser.find("#linked-open").is_displayed())
    assert "#" not in browser.driver.current_url
    browser.find("#linked-open").click()
    browser.wait(lambda: count(browser) == 1)
    secret = to_base64url(served.me.key.seed)
    assert not [url for url, body in browser.requests() if secret in body or secret in url.partition("#")[0]]


def test_a_damaged_link_is_told_and_the_form_is_there(browser, served):
    browser.fresh()
    browser.open(customers_link(served.url, served.me.account, served.me.key)[:-5])
    browser.wait(lambda: "link is damaged" in browser.text("#unfit"))
    browser.wait(lambda: browser.find("#open").is_enabled())
    assert not browser.find("#linked").is_displayed()


def check_curve(page):
    """A day in the middle, zoomed to: the sum is the rows', and so is the day's step."""
    code = """
    const from = (name) => import(new URL("/static/" + name, location.href).href);
    const { Archive } = await from("archive.js");
    const { view } = await from("view.js");
    const [start, imports] = given;
    const archive = new Archive();
    const order = imports.map((_, at) => at).sort((a, b) => (a * 7919) % imports.length - (b * 7919) % imports.length);
    for (const at of [...order, ...order]) {
      archive.add({ end: start + (at + 1) * 60, length: 60, importMwh: imports[at], exportMwh: 0, importRegister: 0,
                    exportRegister: 0, volts: NaN, amperes: NaN, powerFactor: NaN, quality: 0 });
    }
    const day = view(archive, start + 86400, start + 2 * 86400, "UTC");
    const month = view(archive, start, start + 30 * 86400, "UTC");
    const [power, energy] = [day.imports[7], month.imports[1]];
    return [archive.size, day.unit, day.imports.length, power, month.unit, energy, month.sums.importMwh];
    """
    imports = [minute_mwh(at) for at in range(3 * 1440)]
    size, unit, steps, power, days, energy, total = page.run(code, MARCH, imports)
    assert (size, unit, steps, days) == (3 * 1440, "kW", 1440, "kWh")
    assert power == pytest.approx(imports[1447] * 60 / 1e6)
    assert energy == pytest.approx(sum(imports[1440:2880]) / 1e6)
    assert total == sum(imports)
