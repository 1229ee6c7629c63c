"""The tour over the customer's page, in a real browser: where it goes, to whom it is offered, what is kept of it."""

import pytest
from mdms_bench import MARCH
from portal_page import begin_tour, count, offered, sign_in


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []


def opened(page, served, folder):
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 5)]))
    sign_in(page, served, served.me, served.me.key_file(folder))
    page.wait(lambda: count(page) == 1)


def focused(page):
    return page.driver.switch_to.active_element.get_attribute("id")


def test_the_tour_goes_around_and_ends_where_it_began(page, served, tmp_path):
    opened(page, served, tmp_path)
    begin_tour(page)
    said = []
    while page.find("#tour").is_displayed():
        said.append((page.text("#tour-count"), page.text("#tour-text")))
        assert len(page.all(".shown")) == 1
        page.find("#tour-next").click()
    assert [where for where, _ in said] == [f"{at} of 7" for at in range(1, 8)]
    assert page.all(".shown") == []
    # A minute at 180 words a minute.
    assert sum(len(text.split()) for _, text in said) <= 180
    assert focused(page) == "tour-begin"


def test_the_tour_is_offered_to_who_comes_for_the_first_time_and_keeps_nothing(page, served, tmp_path):
    opened(page, served, tmp_path)
    page.wait(lambda: offered(page), "no offer")
    assert not page.find("#tour").is_displayed()
    page.find("#tour-no").click()
    assert not offered(page)
    assert focused(page) == "title"
    stored = "return [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length]"
    assert page.run(stored) == [0, 0, 0]
    # The same tab is not asked twice.
    page.driver.refresh()
    page.wait(lambda: page.find("#open").is_enabled())
    page.find("#account").send_keys(served.me.account)
    page.find("#key-file").send_keys(str(served.me.key_file(tmp_path)))
    page.find("#open").click()
    page.wait(lambda: count(page) == 1)
    page.wait(lambda: page.driver.execute_script("return history.state?.toured"))
    assert not offered(page)


def test_with_a_kept_key_the_tour_is_offered_once_and_the_key_takes_that_along(page, served, tmp_path):
    served.ingest(served.me.segment([served.me.row(MARCH + 60, 5)]))
    page.open(f"{served.url}/portal/")
    page.wait(lambda: page.find("#open").is_enabled())
    page.find("#keep").click()
    page.find("#account").send_keys(served.me.account)
    page.find("#key-file").send_keys(str(served.me.key_file(tmp_path)))
    page.find("#open").click()
    page.wait(lambda: offered(page), "no offer")
    page.find("#tour-yes").click()
    assert page.find("#tour").is_displayed()
    assert not offered(page)
    page.driver.switch_to.new_window("tab")
    try:
        page.open(f"{served.url}/portal/")
        page.wait(lambda: page.all("#kept-keys form"))
        page.find("#kept-keys form button").click()
        page.wait(lambda: count(page) == 1)
        page.wait(lambda: page.driver.execute_script("return history.state?.toured"))
        assert not offered(page)
        forget = """
        const { forget, kept } = await import(new URL("/static/keystore.js", location.href).href);
        await forget((await kept())[0].name);
        return [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length];
        """
        assert page.run(forget) == [0, 0, 0]
    finally:
        page.driver.close()
        page.driver.switch_to.window(page.driver.window_handles[0])
