"""The customer's curve: estimates, failures and gaps as drawn, zoom, comparison, the curve's table, and what is now."""

import re
import time
from datetime import UTC, datetime

import pytest
from mdms_bench import APRIL, DAY, MARCH
from portal_page import count, mwh, offered, sign_in
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from year import store_minutes

from mdms.billing.due import ESTIMATES
from protocol import wire
from protocol.wire import APPARENT_ONLY, ESTIMATED, POWER_FAILED

HOUR = 3600
QUARTER = 900
DAY_START = MARCH + 2 * DAY
UNMEASURED = (wire.NOT_MEASURED, wire.NOT_MEASURED, wire.FACTOR_NOT_MEASURED)
# Nine days, and ten hours of a Tuesday.
MINUTES = 9 * 1440 + 600
TODAY = MARCH + 9 * DAY
PIXEL = """
const [at, from, to, down] = arguments;
const canvas = document.querySelector("#chart canvas");
const [whole, plot] = [canvas, document.querySelector("#chart .u-over")].map((it) => it.getBoundingClientRect());
const x = plot.left - whole.left + (plot.width * (at - from)) / (to - from);
const y = plot.top - whole.top + (down < 0 ? plot.height + down : down);
const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
copy.drawImage(canvas, -Math.floor(x * devicePixelRatio), -Math.floor(y * devicePixelRatio));
return [...copy.getImageData(0, 0, 1, 1).data].join();
"""


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []


def opened(page, served, folder, rows):
    sign_in(page, served, served.me, served.me.key_file(folder))
    page.wait(lambda: count(page) == rows)
    page.wait(lambda: page.find("#closer").is_enabled())
    page.wait(lambda: offered(page), "no offer")  # what is below it has its place then


def table(page):
    """The curve's table: a list of texts for each line; opened if it is not."""
    box = page.find("#mine details:has(#curve-rows)")
    page.driver.execute_script("arguments[0].open = true", box)
    page.wait(lambda: page.all("#curve-rows tr"))
    read = (
        "return [...document.querySelectorAll('#curve-rows tr')].map((it) => [...it.cells].map((c) => c.textContent))"
    )
    return page.driver.execute_script(read)


def kwh(energy_mwh):
    return f"{energy_mwh / 1e6:.3f}"


# --- Estimates, failures, gaps ------------------------------------------------------------------------------------

# What a quarter of an hour's rows say, by the hour in which they begin; 15 and 16 are missing.
QUALITIES = {3: ESTIMATED, 6: POWER_FAILED, 9: APPARENT_ONLY, 12: ESTIMATED | POWER_FAILED, 13: wire.COVER_OPENED}
MISSING = (15, 16)


def quarters(served):
    rows = []
    for at in range(0, 20 * HOUR, QUARTER):
        hour = at // HOUR
        if hour not in MISSING:
            quality = QUALITIES.get(hour, 0)
            rows.append(served.me.row(DAY_START + at + QUARTER, 250_000, 0, QUARTER, quality))
    return rows


def test_an_estimate_is_what_the_bill_calls_one(page, served):
    page.open(f"{served.url}/portal/")
    code = "return await import(new URL('/static/quality.js', location.href).href).then((it) => ({ ...it }))"
    assert page.run(code) == {"APPARENT": APPARENT_ONLY, "POWER_FAILED": POWER_FAILED, "ESTIMATES": ESTIMATES}


def test_estimates_failures_and_gaps_are_drawn_and_told_apart(page, served, tmp_path):
    rows = quarters(served)
    served.ingest(served.me.segment(rows))
    opened(page, served, tmp_path, len(rows))

    def colour(hour, down):
        at = DAY_START + hour * HOUR + HOUR // 2 + 300
        return page.driver.execute_script(PIXEL, at, DAY_START, DAY_START + DAY, down)

    strip, above, inside = 3, 12, -10  # CSS pixels from the top: the strip, above the curve, and below it
    plain = {down: colour(1, down) for down in (strip, above, inside)}
    band, failure = colour(3, above), colour(6, strip)
    assert len({plain[above], band, failure}) == 3
    assert {hour for hour in range(20) if colour(hour, above) == band} == {3, 9, 12}
    assert {hour for hour in range(20) if colour(hour, above) == plain[above]} == set(range(20)) - {3, 9, 12}
    assert {hour for hour in range(20) if colour(hour, strip) == failure} == {6, 12}
    assert plain[inside] != colour(22, inside)  # what is still to come is empty
    assert {hour for hour in range(20) if colour(hour, inside) == colour(22, inside)} == set(MISSING)
    said = page.text("#opened")
    assert "1 gap in the time shown." in said
    assert f"12 of {len(rows)} readings shown are estimates: shaded." in said
    assert f"In 8 of {len(rows)} readings shown the power failed: a strip along the top." in said
    assert "Your meter measures current alone" in said


def test_the_curves_table_says_what_the_curve_shows(page, served, tmp_path):
    rows = quarters(served)
    served.ingest(served.me.segment(rows))
    opened(page, served, tmp_path, len(rows))
    lines = table(page)
    assert [line[0] for line in lines[:2]] == ["00:00 to 01:00", "01:00 to 02:00"]
    assert [line[1] for line in lines] == ["–" if hour in MISSING else "1.000" for hour in range(20)]
    assert {hour: line[3] for hour, line in enumerate(lines) if line[3]} == {
        3: "4 of 4 readings estimated",
        6: "power failed in 4",
        9: "4 of 4 readings estimated",
        12: "4 of 4 readings estimated; power failed in 4",
        15: "no reading for 60 min",
        16: "no reading for 60 min",
    }


def test_readings_that_are_no_estimates_are_not_called_so(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(DAY_START + 60, 5), served.me.row(DAY_START + 120, 5, quality=4)]))
    opened(page, served, tmp_path, 2)
    assert "estimate" not in page.text("#opened")
    assert "In 1 of 2 readings shown the power failed" in page.text("#opened")


def test_a_gap_that_reaches_over_midnight_is_one_of_both_days(page, served, tmp_path):
    edges = (DAY_START + 22 * HOUR, DAY_START + DAY + 6 * HOUR)
    served.ingest(served.me.segment([served.me.row(at, 5) for at in edges]))
    opened(page, served, tmp_path, 2)
    assert "1 gap" in page.text("#opened")
    page.find("#earlier").click()
    page.wait(lambda: page.text("#span-title") == "2026-03-03")
    assert "1 gap" in page.text("#opened")


# --- Zoom and comparison ------------------------------------------------------------------------------------------


@pytest.fixture
def imports(page, served, tmp_path):
    """Ten days by the minute, open on the page; their imports in mWh."""
    found = store_minutes(served, served.me, MARCH, MINUTES)
    opened(page, served, tmp_path, MINUTES)
    return found


def between(imports, start, end):
    return sum(imports[(start - MARCH) // 60 : (end - MARCH) // 60])


def on_title(page, start, end):
    wanted = " to ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (start, end))
    page.wait(lambda: page.text("#span-title") == wanted, f"not {wanted}")


def focused(page):
    return page.driver.switch_to.active_element.get_attribute("id")


def press(page, key=Keys.ENTER):
    """A key of the keyboard, to whatever has the focus."""
    ActionChains(page.driver).send_keys(key).perform()


def test_a_drag_looks_closer_and_a_double_click_shows_all(page, imports):
    plot = page.find("#chart .u-over")
    page.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", plot)
    width = plot.size["width"]
    drag = ActionChains(page.driver).move_to_element_with_offset(plot, -width // 4, 0).click_and_hold()
    drag.move_by_offset(width // 8, 5).release().perform()
    page.wait(lambda: " to " in page.text("#span-title"))
    found = [
        int(datetime.strptime(each, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())
        for each in page.text("#span-title").split(" to ")
    ]
    assert found == pytest.approx([TODAY + 6 * HOUR, TODAY + 9 * HOUR], abs=300)
    # The title has minutes; the window may begin within one.
    assert mwh(page, "import") == pytest.approx(between(imports, *found), abs=2 * max(imports))
    assert "share of the day" in page.text("#cost-more")
    ActionChains(page.driver).double_click(plot).perform()
    page.wait(lambda: page.text("#span-title") == "2026-03-10")
    assert mwh(page, "import") == between(imports, TODAY, TODAY + 10 * HOUR)
    assert not page.find("#whole").is_displayed()


def test_zoom_and_its_window_are_moved_by_the_keyboard(page, imports):
    page.driver.execute_script("document.getElementById('closer').focus()")
    press(page)
    on_title(page, TODAY + 6 * HOUR, TODAY + 18 * HOUR)
    press(page, Keys.SPACE)
    on_title(page, TODAY + 9 * HOUR, TODAY + 15 * HOUR)
    assert mwh(page, "import") == between(imports, TODAY + 9 * HOUR, TODAY + 10 * HOUR)
    # By the window's own width, and no further than the day.
    page.driver.execute_script("document.getElementById('earlier').focus()")
    press(page)
    on_title(page, TODAY + 3 * HOUR, TODAY + 9 * HOUR)
    assert mwh(page, "import") == between(imports, TODAY + 3 * HOUR, TODAY + 9 * HOUR)
    press(page)
    on_title(page, TODAY, TODAY + 6 * HOUR)
    assert not page.find("#earlier").is_enabled()
    assert focused(page) == "later"
    press(page)
    on_title(page, TODAY + 6 * HOUR, TODAY + 12 * HOUR)
    page.driver.execute_script("document.getElementById('wider').focus()")
    press(page)
    on_title(page, TODAY + 3 * HOUR, TODAY + 15 * HOUR)
    press(page)
    page.wait(lambda: page.text("#span-title") == "2026-03-10")
    assert focused(page) == "closer"
    assert not page.find("#wider").is_enabled()


def test_zoom_ends_where_two_minutes_are_shown_and_whole_shows_all_again(page, imports):
    page.driver.execute_script("document.getElementById('closer').focus()")
    for _ in range(20):
        if focused(page) != "closer":
            break
        before = page.text("#span-title")
        press(page)
        page.wait(lambda: page.text("#span-title") != before)  # noqa: B023 - waited for at once
    begin, end = [datetime.strptime(each, "%Y-%m-%d %H:%M") for each in page.text("#span-title").split(" to ")]
    assert (end - begin).total_seconds() == 120
    assert focused(page) == "wider"
    page.driver.execute_script("document.getElementById('whole').focus()")
    press(page)
    page.wait(lambda: page.text("#span-title") == "2026-03-10")
    assert focused(page) == "closer"


def test_zoom_is_there_for_a_finger(page, imports):
    button = page.find("#closer")
    page.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", button)
    place = page.driver.execute_script("const { x, y } = arguments[0].getBoundingClientRect(); return [x, y]", button)
    finger = {"x": int(place[0]) + 8, "y": int(place[1]) + 8}
    for kind, points in (("touchStart", [finger]), ("touchEnd", [])):
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    on_title(page, TODAY + 6 * HOUR, TODAY + 18 * HOUR)


def test_earlier_and_later_go_by_weeks(page, imports):
    page.find("#range-week").click()
    page.wait(lambda: page.text("#span-title") == "2026-03-09 to 2026-03-15")
    assert mwh(page, "import") == between(imports, MARCH + 8 * DAY, TODAY + 10 * HOUR)
    assert not page.find("#later").is_enabled()
    page.find("#earlier").click()
    page.wait(lambda: page.text("#span-title") == "2026-03-02 to 2026-03-08")
    assert mwh(page, "import") == between(imports, MARCH + DAY, MARCH + 8 * DAY)
    page.find("#closer").click()
    on_title(page, MARCH + DAY + 42 * HOUR, MARCH + DAY + 126 * HOUR)
    page.find("#whole").click()
    page.wait(lambda: page.text("#span-title") == "2026-03-02 to 2026-03-08")
    page.find("#later").click()
    page.wait(lambda: page.text("#span-title") == "2026-03-09 to 2026-03-15")


def told(imports, now, then, name):
    """The sentence that compares two stretches, added up here."""
    both = [between(imports, *each) for each in (now, then)]
    by = round((both[0] / both[1] - 1) * 100)
    sign = "−" if by < 0 else "+" if by else "±"
    return f"Import {kwh(both[0])} kWh, {name}: {kwh(both[1])} kWh ({sign}{abs(by)} %)."


def comparison(page, wanted):
    page.wait(lambda: page.text("#compared") == wanted, f"not {wanted}")


def test_a_comparison_says_what_it_compares(page, imports):
    page.find("#compare").click()
    now = (TODAY, TODAY + 10 * HOUR)
    yesterday = (TODAY - DAY, TODAY - DAY + 10 * HOUR)
    comparison(page, told(imports, now, yesterday, "the day before up to the same time"))
    lines = table(page)
    assert [line[1] for line in lines] == [kwh(between(imports, at, at + HOUR)) for at in range(*now, HOUR)]
    assert [line[3] for line in lines] == [kwh(between(imports, at, at + HOUR)) for at in range(*yesterday, HOUR)]
    assert page.find("#curve-before").is_displayed()
    page.find("#closer").click()
    now, then = (TODAY + 6 * HOUR, TODAY + 10 * HOUR), (TODAY - 18 * HOUR, TODAY - 14 * HOUR)
    comparison(page, told(imports, now, then, "the same time of the day before, as far as this one is read"))
    page.find("#earlier").click()
    now, then = (TODAY, TODAY + 10 * HOUR), (TODAY - DAY, TODAY - DAY + 10 * HOUR)
    comparison(page, told(imports, now, then, "the same time of the day before, as far as this one is read"))
    page.find("#whole").click()
    page.find("#earlier").click()
    comparison(page, told(imports, (TODAY - DAY, TODAY), (TODAY - 2 * DAY, TODAY - DAY), "the day before"))
    page.find("#range-week").click()
    now, then = (MARCH + 8 * DAY, TODAY + 10 * HOUR), (MARCH + DAY, MARCH + 2 * DAY + 10 * HOUR)
    comparison(page, told(imports, now, then, "the week before up to the same time"))
    page.find("#range-month").click()
    comparison(page, "There are no readings of the month before up to the same time.")
    page.find("#compare").click()
    comparison(page, "")
    assert not page.find("#curve-before").is_displayed()


def test_a_comparison_with_a_time_that_is_half_measured_gives_no_per_cent(page, served, tmp_path):
    rows = [served.me.row(DAY_START + at, 1000, 0, QUARTER) for at in range(QUARTER, 12 * HOUR + 1, QUARTER)]
    rows += [served.me.row(DAY_START + DAY + at, 2000, 0, QUARTER) for at in range(QUARTER, DAY + 1, QUARTER)]
    served.ingest(served.me.segment(rows))
    opened(page, served, tmp_path, len(rows))
    page.find("#compare").click()
    comparison(
        page,
        "Import 0.192 kWh, the day before: 0.048 kWh. "
        "Not alike: 100 % of the one time is measured, and 50 % of the other.",
    )


def test_a_month_is_compared_with_the_month_before_and_not_with_days_of_its_own(page, served, tmp_path):
    """May has a day more than April: it is set against nothing."""
    april = [served.me.row(APRIL + at, 1000, 0, 6 * HOUR) for at in range(6 * HOUR, 30 * DAY + 1, 6 * HOUR)]
    may = [served.me.row(APRIL + 30 * DAY + at, 1000, 0, 6 * HOUR) for at in range(6 * HOUR, 31 * DAY + 1, 6 * HOUR)]
    rows = april + may
    served.ingest(served.me.segment(rows))
    opened(page, served, tmp_path, len(rows))
    page.find("#range-month").click()
    page.find("#compare").click()
    comparison(page, "Import 0.124 kWh, the month before: 0.120 kWh (+3 %). It is 31 days against 30.")
    lines = table(page)
    assert [line[0] for line in lines] == [f"2026-05-{day:02}" for day in range(1, 32)]
    assert [line[3] for line in lines] == ["0.004"] * 30 + ["–"]


# --- Now ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours_off", [-30, 0, 30])
def test_a_power_of_hours_ago_is_not_told_as_now(page, served, tmp_path, hours_off):
    """By the server's clock: this machine's may be off."""
    shift = f"const real = Date.now.bind(Date); Date.now = () => real() + {hours_off * HOUR * 1000};"
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": shift})
    try:
        old = int(time.time()) - 3 * HOUR
        served.ingest(served.me.segment([served.me.row(old, 20_000)]))
        opened(page, served, tmp_path, 1)
        page.wait(lambda: page.text("#now-when") == f"At {datetime.fromtimestamp(old, UTC):%H:%M}, 3 h ago")
        assert page.text("#now") == "1200 W"
        assert "old" in page.find("#now").get_attribute("class")
        served.ingest(served.me.segment([served.me.row(int(time.time()), 10_000)]))
        page.wait(lambda: count(page) == 2)
        page.wait(lambda: page.text("#now-when") == "Now")
        assert page.text("#now") == "600 W"
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_in_a_simulation_the_newest_reading_is_now(page, served, tmp_path):
    """Its days are long past, or to come, by the server's clock."""
    mark = "addEventListener('DOMContentLoaded', () => { document.getElementById('portal').dataset.simulated = ''; });"
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": mark})
    try:
        served.ingest(served.me.segment([served.me.row(DAY_START + 60, 20_000)]))
        opened(page, served, tmp_path, 1)
        assert page.text("#now") == "1200 W"
        assert page.text("#now-when") == "Now"
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_what_was_now_grows_old_while_no_row_comes(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(int(time.time()) - 285, 20_000)]))
    opened(page, served, tmp_path, 1)
    assert page.text("#now-when") == "Now"
    page.wait(lambda: re.fullmatch(r"At \d\d:\d\d, 5 min ago", page.text("#now-when")))


def test_what_a_meter_measures_beside_energy_is_told(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(DAY_START + 60, 5)]))
    opened(page, served, tmp_path, 1)
    assert page.text("#now-more") == "230.1 V · 1.45 A · 0.99 power factor"
    served.ingest(served.me.segment([served.me.row(DAY_START + 120, 5, electric=(2298, *UNMEASURED[1:]))]))
    page.wait(lambda: page.text("#now-more") == "229.8 V")


def test_what_was_not_measured_is_not_told_as_a_number(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(DAY_START + 60, 5, electric=UNMEASURED)]))
    opened(page, served, tmp_path, 1)
    assert page.text("#now-more") == ""
    assert page.text("#pairs p") == "2026-03-03 00:01: 0.005 Wh in, 0.000 Wh out"
    page.find("#mine details:has(#readings) summary").click()
    page.wait(lambda: page.all("#readings tr"))
    assert [cell.text for cell in page.all("#readings td")][3:] == ["–", "–", "–"]
