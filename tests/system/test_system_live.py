"""From the meter to the curve: real firmware, concentrator, MDMS and browser, in one run and in real time."""

import json
import time
from statistics import median

import pytest
from live_chain import DETAIL_S, LiveChain
from nginx import InFront
from wanted import tell

from scripts.demo.say import customers_link

ROWS = 25
PATIENCE_S = 180
# What a person sees is the chart's own picture: a row counts as drawn in the first frame that shows another one.
WATCH = """
window.drawn = {};
let shown = 0;
let seen = "";
const look = () => {
  const opened = Number(document.getElementById("opened").dataset.count ?? 0);
  if (opened > shown) {
    const now = document.querySelector("#chart canvas").toDataURL();
    if (now !== seen) {
      for (let row = shown + 1; row <= opened; row++) drawn[row] = Date.now() / 1000;
      [shown, seen] = [opened, now];
    }
  }
  requestAnimationFrame(look);
};
look();
"""


@pytest.fixture
def chain(tmp_path):
    with LiveChain(tmp_path) as chain:
        yield chain


@pytest.fixture(params=["directly", "through nginx"])
def way(request, chain, tmp_path):
    """How the browser comes to the MDMS, and by which address."""
    if request.param == "directly":
        yield request.param, chain.url
        return
    nginx = InFront(tmp_path, chain.url)
    yield request.param, nginx.url
    nginx.stop()


@pytest.mark.timeout(600)
def test_what_a_meter_sends_is_soon_on_its_customers_curve(browser, chain, way, say):
    how, url = way
    browser.fresh()
    browser.open(customers_link(url, chain.account, chain.customer))
    browser.wait(lambda: browser.find("#linked-open").is_displayed())
    browser.find("#linked-open").click()
    browser.wait(lambda: browser.text("#state") == "live", "the page never was live")
    run = browser.driver.execute_script
    run(WATCH)
    with chain.meter() as meter:
        deadline = time.monotonic() + PATIENCE_S
        while run("return Object.keys(drawn).length") < ROWS:
            assert time.monotonic() < deadline and meter.poll() is None, (chain.counts(), chain.line.passed)
            time.sleep(0.5)
        drawn = json.loads(run("return JSON.stringify(drawn)"))
    assert chain.counts()["stored"] >= ROWS
    took = delays(chain.line.passed, drawn)
    say(f"meter sent to point on the curve, {how}, {len(took)} rows: longest {max(took):.2f} s")
    tell(say, f"meter sent to point on the curve, {how}, median, s", median(took), 2)
    assert browser.complaints() == []


def delays(passed, drawn):
    """Return seconds from a row's passing the line to its being drawn; rows come in the order of their counters."""
    sent = [passed[counter] for counter in sorted(passed)]
    took = [drawn[str(number)] - sent[number - 1] for number in range(1, len(drawn) + 1)]
    # A row that is drawn before it was sent would be another one.
    assert all(0 < each < DETAIL_S * len(drawn) for each in took), took
    return took
