"""One headless Chromium with everything that it asks for and complains about on record."""

import json
import os
import shutil
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

PATIENCE_S = 60
ARGUMENTS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--window-size=1280,900",
)


def program(*names):
    for name in names:
        if found := shutil.which(name):
            return found
    raise AssertionError(f"{names[0]} is not installed: apt-get install chromium chromium-driver")


class Browser:
    """Chromium with a profile of its own; `driver` is selenium's."""

    def __init__(self, profile):
        options = Options()
        options.binary_location = program("chromium", "chromium-browser", "google-chrome")
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, Service(program("chromedriver")))
        self.driver.set_page_load_timeout(PATIENCE_S)
        self.driver.set_script_timeout(180)
        self._messages = []

    def close(self):
        self.driver.quit()

    def fresh(self):
        """Forget cookies and everything on record."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self._messages = []

    def open(self, url):
        self.driver.get(url)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def run(self, script, *arguments):
        """Run the body of an async function in the page and return its result."""
        body = (
            "const done = arguments[arguments.length - 1]; const given = [...arguments].slice(0, -1);"
            f"(async () => {{ {script} }})().then((it) => done([it, null]), (error) => done([null, String(error)]));"
        )
        result, error = self.driver.execute_async_script(body, *arguments)
        assert error is None, error
        return result

    def wait(self, what, why="it never came"):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := what():
                return found
            time.sleep(0.05)
        raise AssertionError(f"{why}: {self.complaints()} {self.text('main')}")

    def _performance(self):
        self._messages += [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return self._messages

    def requests(self):
        """Return (URL, body) of every request since `fresh`."""
        return [
            (message["params"]["request"]["url"], message["params"]["request"].get("postData", ""))
            for message in self._performance()
            if message["method"] == "Network.requestWillBeSent"
        ]

    def answered(self):
        """Return the URL of every answer whose head has come since `fresh`."""
        return [
            message["params"]["response"]["url"]
            for message in self._performance()
            if message["method"] == "Network.responseReceived"
        ]

    def bodies(self, part):
        """Return the bodies of the open page's answers so far, from addresses that contain a part."""
        finished = {
            message["params"]["requestId"]
            for message in self._performance()
            if message["method"] == "Network.loadingFinished"
        }
        received = {
            message["params"]["requestId"]: message["params"]["loaderId"]
            for message in self._performance()
            if message["method"] == "Network.responseReceived" and part in message["params"]["response"]["url"]
        }
        # Chromium forgets a page's answers with the page.
        page = self.driver.execute_cdp_cmd("Page.getFrameTree", {})["frameTree"]["frame"]["loaderId"]
        return [
            self.driver.execute_cdp_cmd("Network.getResponseBody", {"requestId": name})["body"]
            for name, loader in received.items()
            if loader == page and name in finished
        ]

    def complaints(self):
        """Return what the console said at warning level or above, a violated policy for one."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
