"""Takes the documentation's pictures of the pages: runs the demonstration and opens them in headless Chromium."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
PATIENCE_S = 60
WIDE, NARROW = (1280, 900), (390, 844)
QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class CannotTake(Exception):
    """No picture can be taken; the message says why and what to do."""


def find_program(name: str) -> str:
    """Return a program's path; raises CannotTake where it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise CannotTake(f"{name} is not installed: as root, apt-get install chromium chromium-driver")
    return found


class Town:
    """A running demonstration, from its own words: addresses, passwords, the customer's account and key."""

    def __init__(self, folder: Path, port: int, seconds: float, day_takes: float) -> None:
        self._said = folder / "said.txt"
        command = [sys.executable, "-m", "scripts.demo", "--out", str(folder / "demo"), "--port", str(port)]
        with self._said.open("w") as said:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, "--day-takes", str(day_takes)], cwd=ROOT, stdout=said, stderr=said
            )
        self._until("first point on the customer's curve")
        time.sleep(seconds)

    def _until(self, words: str) -> None:
        deadline = time.monotonic() + 3 * PATIENCE_S
        while words not in self._said.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotTake(f"the demonstration did not come up: {self._said.read_text()[-500:]}")
            time.sleep(0.5)

    def word(self, pattern: str) -> str:
        """Return the one group of a pattern in what the demonstration said."""
        found = re.search(pattern, self._said.read_text())
        if found is None:
            raise CannotTake(f"the demonstration did not say {pattern}")
        return found.group(1)

    def stop(self) -> None:
        """End it, and wait until it has."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)


def take(town: Town, address: str, folder: Path, profile: Path) -> list[Path]:
    """Take every picture; returns the files."""
    from selenium import webdriver  # noqa: PLC0415 - a development package
    from selenium.webdriver.common.by import By  # noqa: PLC0415
    from selenium.webdriver.support.ui import WebDriverWait  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = find_program("chromium")
    for argument in (*QUIET, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(find_program("chromedriver")))
    wait = WebDriverWait(driver, PATIENCE_S)
    taken = []

    def picture(name: str, size: tuple[int, int] = WIDE, at: str = "") -> None:
        driver.set_window_size(*size)
        time.sleep(2.5)  # a live page draws anew every two seconds
        driver.execute_script("scrollTo(0, 0); document.querySelector(arguments[0])?.scrollIntoView()", at or "none")
        path = folder / f"{name}.png"
        driver.save_screenshot(str(path))
        taken.append(path)

    def sign_in(role: str) -> None:
        driver.delete_all_cookies()
        driver.get(f"{address}/login")
        driver.find_element(By.ID, "name").send_keys(role)
        driver.find_element(By.ID, "password").send_keys(town.word(rf"user {role}, password (\S+)"))
        driver.find_element(By.CSS_SELECTOR, "form.card button").click()
        wait.until(lambda it: "/login" not in it.current_url)

    try:
        sign_in("supplier")
        driver.get(f"{address}/supplier/neighbourhoods/linden/")
        picture("supplier")
        sign_in("auditor")
        driver.get(f"{address}/auditor/")
        picture("auditor")
        driver.delete_all_cookies()
        driver.get(f"{address}/portal/")
        wait.until(lambda it: it.find_element(By.ID, "open").is_enabled())
        driver.find_element(By.ID, "account").send_keys(town.word(r"account (\S+)"))
        driver.find_element(By.ID, "key-file").send_keys(town.word(r"private key is the file (\S+):"))
        driver.find_element(By.ID, "open").click()
        wait.until(lambda it: it.find_element(By.ID, "opened").get_attribute("data-count") not in (None, "", "0"))
        picture("customer")
        picture("customer-phone", NARROW)
        wait.until(lambda it: it.find_element(By.ID, "log-said").text)
        picture("who-looked", at="h2:has(+ * + #log-said)")
        driver.get(f"{address}/portal/honesty")
        picture("honesty")
        driver.get(f"{address}/portal/new-key")
        wait.until(lambda it: it.find_element(By.ID, "understood").is_enabled())
        driver.find_element(By.ID, "understood").click()
        driver.find_element(By.ID, "make").click()
        wait.until(lambda it: it.find_elements(By.CSS_SELECTOR, "#words li"))
        picture("key-ceremony")  # a key of nobody's: it is forgotten with the browser
    finally:
        driver.quit()
    return taken


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=FOLDER, help="Where they go; docs/pictures.")
@click.option("--port", default=8610, show_default=True, help="The demonstration's port meanwhile.")
@click.option("--day-takes", default=60.0, show_default=True, help="Seconds of a simulated day.")
@click.option("--wait", "seconds", default=75.0, show_default=True, help="Seconds to let the town live first.")
def main(out: Path, port: int, day_takes: float, seconds: float) -> None:
    """Run the demonstration, open its pages in headless Chromium and write a picture of each."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        find_program("chromium"), find_program("chromedriver")
        with tempfile.TemporaryDirectory(prefix="hushmeter-pictures-") as name:
            town = Town(Path(name), port, seconds, day_takes)
            try:
                taken = take(town, f"http://localhost:{port}", out, Path(name) / "profile")
            finally:
                town.stop()
    except CannotTake as error:
        click.echo(f"pictures: {error}", err=True)
        sys.exit(2)
    for path in taken:
        click.echo(str(path))


if __name__ == "__main__":
    main()
