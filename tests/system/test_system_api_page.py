"""The API's page in a real browser, under the policy of all pages: a form sends, and the answer is shown as text."""

import pytest
from mdms_bench import MARCH

from mdms.accounts.tokens import add_token

LOADS = 'form[data-path="/api/v1/neighbourhoods/{name}/loads"]'
BILLS = 'form[data-path="/api/v1/bills"]'


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert [url for url, _ in browser.requests() if not url.startswith((served.url, "about:"))] == []


def tried(page, form):
    page.find(f"{form} button").click()
    page.wait(lambda: "\n\n" in (page.text(f"{form} pre") or ""), "no answer was shown")
    return page.text(f"{form} pre")


def test_a_third_party_tries_the_api_with_its_token(page, served):
    served.release(served.bench.north, MARCH, 123_456_789)
    token = add_token(served.store, "study", "third-party", 1)
    page.open(f"{served.url}/docs")
    page.find(f'{LOADS} input[name="name"]').send_keys("north")
    assert "401" in tried(page, LOADS)
    page.find("#token").send_keys(token)
    page.find(f'{LOADS} input[name="first"]').send_keys("2026-03-01")
    page.find(f'{LOADS} input[name="last"]').send_keys("2026-03-01")
    page.driver.execute_script("document.querySelector(arguments[0]).textContent = ''", f"{LOADS} pre")
    shown = tried(page, LOADS)
    assert "first=2026-03-01" in shown
    assert '"import_mwh":123456789' in shown.replace(" ", "")
    page.find(f'{BILLS} input[name="start"]').send_keys(str(MARCH))
    assert "403" in tried(page, BILLS)
    assert token not in page.driver.current_url
    refused = [line for line in page.complaints() if "401" not in line and "403" not in line]
    assert [line for line in refused if "favicon" not in line] == [], "the policy was violated"
