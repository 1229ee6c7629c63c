"""What a customer does on the portal's page, and what stands there."""

from selenium.webdriver.common.keys import Keys


def sign_in(page, served, customer, key_file, passphrase=""):
    page.open(f"{served.url}/portal/")
    page.wait(lambda: page.find("#open").is_enabled(), "the form never opened")
    page.find("#account").send_keys(customer.account)
    page.find("#key-file").send_keys(str(key_file))
    page.find("#passphrase").send_keys(passphrase)
    page.find("#open").click()


def check_bill(page):
    """Press Check of the last bill in the list, and wait until it is answered."""

    def pressed():
        # While the page fills it moves, and a press may miss what it was meant for.
        page.wait(lambda: page.all("#bills button"), "no bill").pop().click()
        return page.find("#check").is_displayed()

    page.wait(pressed)
    page.wait(lambda: page.text("#check-proof"), "no answer")


def count(page):
    return int(page.driver.execute_script("return document.getElementById('opened').dataset.count ?? 0"))


def mwh(page, name):
    return int(page.driver.execute_script("return document.getElementById(arguments[0]).dataset.mwh", name))


def offered(page):
    return page.find("#tour-offer").is_displayed()


def begin_tour(page):
    """Take the tour that is offered to who comes for the first time."""
    page.wait(lambda: offered(page), "no offer")
    assert not page.find("#tour-begin").is_displayed(), "one button for it is enough"
    page.find("#tour-yes").click()


def keep_days(page, days):
    """Ask for the own rows to be kept for so many days."""
    page.find("#keep-days").send_keys(Keys.CONTROL, "a")
    page.find("#keep-days").send_keys(str(days))
    page.find("#keep-form button").click()


def erase_detail(page):
    """Erase the own rows, as typed; whoever calls waits for what is said of it."""
    page.driver.execute_script("document.getElementById('erase').closest('details').open = true")
    page.find("#erase-typed").send_keys("erase my detail")
    page.find("#erase").click()
