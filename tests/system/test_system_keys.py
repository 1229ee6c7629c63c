"""A customer's key in a real browser: made with a kit, checked, kept, forgotten, and brought to another device."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from Crypto.PublicKey import ECC
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mdms_bench import DAY, MARCH
from mnemonic import Mnemonic
from pypdf import PdfReader
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from protocol.documents import to_base64url
from protocol.envelopes import fingerprint
from scripts.kit_words import from_words, to_words

ROOT = Path(__file__).resolve().parents[2]
DAY_START = MARCH + 2 * DAY
PASSPHRASE = "four words nobody says"
WORDS = Mnemonic("english")  # the reference implementation
STORES = """
const databases = await indexedDB.databases();
return [localStorage.length, sessionStorage.length, databases.map((database) => database.name)];
"""
KEPT = """
const { kept } = await import(new URL("/static/keystore.js", location.href).href);
return (await kept()).map((record) => [record.name, record.account, record.keys.privateKey.extractable]);
"""


@pytest.fixture
def page(browser, served, tmp_path):
    browser.fresh()
    (tmp_path / "saved").mkdir()
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path / "saved")}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    yield browser
    assert browser.complaints() == []
    assert [url for url, _ in browser.requests() if not url.startswith((served.url, "about:", "blob:"))] == []
    browser.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": served.url, "storageTypes": "all"})


class Ceremony:
    """The page that makes a key, step by step."""

    def __init__(self, page, served, folder):
        self.page, self.saved = page, folder / "saved"
        page.open(f"{served.url}/portal/new-key")
        page.wait(lambda: page.find("#understood").is_enabled(), "the page never opened")

    def make(self):
        self.page.find("#understood").click()
        self.page.find("#make").click()
        self.page.wait(lambda: len(self.words()) == 24, "no kit")
        return self.words()

    def words(self):
        return [item.text for item in self.page.all("#words li")]

    def save_file(self, passphrase=PASSPHRASE):
        self.page.find("#passphrase").send_keys(passphrase)
        self.page.find("#passphrase-again").send_keys(passphrase)
        self.page.find("#file-form button").click()
        return self.file("hushmeter-key.pem")

    def file(self, name):
        self.page.wait((self.saved / name).exists, f"{name} was not saved")
        return self.saved / name

    def check(self, words):
        self.page.find("#go-on").click()
        asked = [int(field.get_attribute("id").split("-")[1]) for field in self.page.all("#asked input")]
        self.answer({number: words[number - 1] for number in asked})
        return asked

    def answer(self, answers):
        for number, word in answers.items():
            self.page.find(f"#word-{number}").clear()
            self.page.find(f"#word-{number}").send_keys(word)
        self.page.find("#words-check button").click()

    def done(self):
        self.page.wait(lambda: self.page.find("#done").is_displayed(), "never done")

    def whole(self):
        words = self.make()
        self.check(words)
        self.done()
        return words


def open_form(page, served):
    page.open(f"{served.url}/portal/")
    page.wait(lambda: page.find("#open").is_enabled(), "the form never opened")


def sign_in_with_words(page, served, account, text, keep=False):
    open_form(page, served)
    page.find("#account").send_keys(account)
    page.find("#by-words").click()
    page.find("#words").send_keys(text)
    if keep:
        page.find("#keep").click()
    page.find("#open").click()


def said(page):
    return page.text("#sign-in-state")


def count(page):
    return int(page.driver.execute_script("return document.getElementById('opened').dataset.count ?? 0"))


def key_of(words):
    return ECC.construct(curve="Curve25519", seed=bytes(WORDS.to_entropy(" ".join(words))))


def words_of(customer):
    return WORDS.to_mnemonic(customer.key.seed)


def seal_two(served):
    served.ingest(served.me.segment([served.me.row(DAY_START + 60 * at, 8) for at in (1, 2)]))


# --- The ceremony -----------------------------------------------------------------------------------------------


def test_words_file_public_half_and_fingerprint_are_of_one_key(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    words = ceremony.make()
    sealed = ceremony.save_file().read_text()
    ceremony.check(words)
    ceremony.done()
    page.find("#save-public").click()
    public = ECC.import_key(ceremony.file("hushmeter-key.pem.pub").read_text())
    key = key_of(words)
    assert sealed.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert ECC.import_key(sealed, PASSPHRASE).seed == key.seed == from_words(" ".join(words))
    assert public == key.public_key()
    assert ECC.import_key(page.text("#public-key")) == public
    assert {place.text.replace(" ", "") for place in page.all("#done .fingerprint")} == {fingerprint(key)}
    with pytest.raises(ValueError, match=r"."):
        ECC.import_key(sealed, PASSPHRASE + "!")


def test_the_page_and_the_command_write_the_same_words(page, served):
    """The command's are held to the official vectors in tests/commands."""
    page.open(f"{served.url}/portal/")
    write = """
    const { toWords, fromWords } = await import(new URL("/static/kit.js", location.href).href);
    const words = given[0].map((bytes) => toWords(Uint8Array.from(bytes)));
    return words.map((each) => [each, [...fromWords(each.join(" "))]]);
    """
    secrets = [*(bytes([byte]) * 32 for byte in (0, 0x7F, 0x80, 0xFF)), bytes(range(32)), served.me.key.seed]
    assert page.run(write, [list(secret) for secret in secrets]) == [[to_words(one), list(one)] for one in secrets]


def test_who_leaves_before_the_check_is_asked(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    leave = "const it = new Event('beforeunload', {cancelable: true}); dispatchEvent(it); return it.defaultPrevented;"
    assert not page.driver.execute_script(leave)
    words = ceremony.make()
    assert page.driver.execute_script(leave)
    ceremony.check(words)
    ceremony.done()
    assert not page.driver.execute_script(leave)


def test_losing_the_key_is_explained_before_it_is_made(page, served, tmp_path):
    Ceremony(page, served, tmp_path)
    assert "stays closed for ever" in page.find("#before").text
    assert not page.find("#make").is_enabled()
    assert page.find("#make").is_displayed()
    assert not page.find("#kit").is_displayed()


def test_wrong_words_do_not_pass_and_lose_nothing(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    words = ceremony.make()
    asked = ceremony.check(["zoo" if word != "zoo" else "art" for word in words])
    page.wait(lambda: "not what your kit says" in page.text("#words-state"))
    assert not page.find("#done").is_displayed()
    page.find("#again").click()
    assert ceremony.words() == words
    ceremony.check([*words[1:], words[0]])
    page.wait(lambda: "not what your kit says" in page.text("#words-state"))
    now = [int(field.get_attribute("id").split("-")[1]) for field in page.all("#asked input")]
    assert [len(set(numbers)) for numbers in (asked, now)] == [3, 3]
    ceremony.answer({number: f" {words[number - 1].upper()} " for number in now})
    ceremony.done()


def test_the_file_passes_the_check_too_and_another_does_not(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    words = ceremony.make()
    mine = ceremony.save_file()
    page.find("#go-on").click()

    def offer(file, passphrase, told):
        page.find("#kept-file").send_keys(str(file))
        page.find("#kept-passphrase").clear()
        page.find("#kept-passphrase").send_keys(passphrase)
        page.find("#file-check button").click()
        if told:
            page.wait(lambda: told in page.text("#check-state"), told)
            assert not page.find("#done").is_displayed()

    offer(served.other.key_file(tmp_path), "whatever it is", "it holds another key")
    offer(mine, "not the passphrase", "does not open this key file")
    (tmp_path / "large").write_bytes(bytes(20_000))
    offer(tmp_path / "large", "whatever it is", "not a private key")
    offer(mine, PASSPHRASE, None)
    ceremony.done()
    assert words


def test_a_short_passphrase_or_two_different_ones_save_no_file(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    ceremony.make()
    page.find("#passphrase").send_keys(PASSPHRASE)
    page.find("#passphrase-again").send_keys(PASSPHRASE + ".")
    page.find("#file-form button").click()
    page.wait(lambda: "differ" in page.text("#file-state"))
    page.driver.execute_script("document.getElementById('file-form').noValidate = true")
    page.find("#passphrase").clear()
    page.find("#passphrase").send_keys("too short")
    page.find("#file-form button").click()
    page.wait(lambda: "At least 12" in page.text("#file-state"))
    assert list(ceremony.saved.iterdir()) == []


def test_behind_the_check_no_trace_of_the_key_is_in_the_page(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    before = page.driver.execute_script("return document.documentElement.outerHTML")
    words = ceremony.make()
    ceremony.save_file()
    ceremony.check(words)
    ceremony.done()
    left = page.driver.execute_script(
        "return document.documentElement.outerHTML + [...document.querySelectorAll('input')].map((it) => it.value)"
    )
    assert ceremony.words() == []
    assert page.all("#qr svg") == []
    assert PASSPHRASE not in left
    # The page has words of its own: a deployment may be called as one of the list's.
    assert [word for word in words if f">{word}<" in left and f">{word}<" not in before] == []
    assert not [spelling for spelling in spellings(words) if spelling in left]


def spellings(words):
    """The key as bytes are commonly written, and as words."""
    seed = key_of(words).seed
    pkcs8 = key_of(words).export_key(format="DER")
    found = [" ".join(words), " ".join(words).upper(), ",".join(words), json.dumps(words)[1:-1]]
    for secret in (seed, pkcs8):
        coded = base64.b64encode(secret).decode()
        # The head alone as well: what follows in base64 depends on where the bytes begin.
        found += [secret.hex(), coded.rstrip("="), to_base64url(secret), ",".join(str(byte) for byte in secret)]
    return found


def test_nothing_of_the_key_leaves_the_browser(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    words = ceremony.make()
    ceremony.save_file()
    ceremony.check(words)
    ceremony.done()
    page.find("#keep").click()
    page.wait(lambda: "is kept in this browser" in page.text("#keep-state"))
    sent = page.requests()
    assert len(sent) > 5
    assert names_of_the_key(sent, words) == []
    assert [body for _, body in sent if body] == []
    own = re.compile(r"/(portal/new-key|static/[\w./-]+)$")
    assert [url for url, _ in sent if not url.startswith("blob:") and not own.match(url.removeprefix(served.url))] == []


def names_of_the_key(requests, words):
    """What of the key is in requests."""
    texts = [text for request in requests for text in request]
    return [spelling for spelling in spellings(words) if any(spelling in text for text in texts)]


def test_a_key_that_left_the_browser_would_be_found(page, served, tmp_path):
    words = Ceremony(page, served, tmp_path).make()
    for spelling in spellings(words):
        page.run("await fetch('/static/icon.svg', {method: 'POST', body: given[0]})", spelling)
    assert set(names_of_the_key(page.requests(), words)) == set(spellings(words))
    page.complaints()  # the server's refusals of what was posted


def test_a_browser_without_x25519_makes_no_key(page, served):
    hide = """
    const generate = crypto.subtle.generateKey.bind(crypto.subtle);
    crypto.subtle.generateKey = (algorithm, ...rest) => algorithm.name === "X25519"
      ? Promise.reject(new DOMException("", "NotSupportedError")) : generate(algorithm, ...rest);
    """
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hide})
    page.open(f"{served.url}/portal/new-key")
    page.wait(lambda: "Firefox from 130" in page.text("#unfit"))
    assert not page.find("#understood").is_enabled()
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_the_sheet_is_one_page_with_everything_on_it(page, served, tmp_path):
    words = Ceremony(page, served, tmp_path).make()
    printed = page.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    (sheet,) = PdfReader(io.BytesIO(base64.b64decode(printed))).pages
    text = sheet.extract_text()
    for number, word in enumerate(words, 1):
        assert re.search(rf"{number}\.\s*{word}\b", text), word
    assert f"{served.url}/portal/" in text
    assert fingerprint(key_of(words)) in re.sub(r"\s", "", text)
    assert "Make my key" not in text
    assert "passphrase" not in text.lower()


# --- Kept in the browser, and forgotten -------------------------------------------------------------------------


def stored(page):
    return page.run(STORES)


def test_a_kept_key_opens_with_one_click_and_cannot_be_taken_out(page, served):
    seal_two(served)
    sign_in_with_words(page, served, served.me.account, words_of(served.me), keep=True)
    page.wait(lambda: count(page) == 2)
    assert page.run(KEPT) == [[fingerprint(served.me.key), served.me.account, False]]
    taken = """
    const { kept } = await import(new URL("/static/keystore.js", location.href).href);
    const [{ keys }] = await kept();
    const failed = [];
    for (const format of ["pkcs8", "jwk", "raw"]) {
      try { await crypto.subtle.exportKey(format, keys.privateKey); } catch (error) { failed.push(error.name); }
    }
    return failed;
    """
    assert page.run(taken) == ["InvalidAccessError"] * 3
    page.find("#mine form button").click()
    page.wait(lambda: page.driver.current_url == f"{served.url}/", "not signed out")
    open_form(page, served)
    page.wait(lambda: page.find("#kept-keys button").is_displayed())
    page.find("#kept-keys button").click()
    page.wait(lambda: count(page) == 2)


def test_after_signing_out_and_forgetting_the_browser_holds_nothing(page, served):
    seal_two(served)
    sign_in_with_words(page, served, served.me.account, words_of(served.me), keep=True)
    page.wait(lambda: count(page) == 2)
    open_form(page, served)
    assert stored(page) == [0, 0, ["hushmeter"]]
    forget(page)
    page.find("header form button").click()
    page.wait(lambda: page.driver.current_url == f"{served.url}/", "not signed out")
    assert stored(page) == [0, 0, []]
    assert page.driver.get_cookies() == []


def forget(page):
    page.wait(lambda: page.all("#kept-keys button.quiet"))
    page.find("#kept-keys button.quiet").click()
    question = page.driver.switch_to.alert
    assert "Without your recovery kit or key file" in question.text
    question.accept()
    page.wait(lambda: "forgotten here" in page.text("#kept-state"))
    assert not page.find("#kept").is_displayed()


def test_who_does_not_ask_for_it_keeps_nothing(page, served):
    seal_two(served)
    sign_in_with_words(page, served, served.me.account, words_of(served.me))
    page.wait(lambda: count(page) == 2)
    assert stored(page) == [0, 0, []]


def test_forgetting_can_be_thought_over(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)
    words = ceremony.whole()
    page.find("#keep").click()
    page.wait(lambda: "is kept in this browser" in page.text("#keep-state"))
    open_form(page, served)
    page.wait(lambda: page.all("#kept-keys button.quiet"))
    page.find("#kept-keys button.quiet").click()
    page.driver.switch_to.alert.dismiss()
    assert page.run(KEPT) == [[fingerprint(key_of(words)), "", False]]
    forget(page)
    assert stored(page) == [0, 0, []]


def test_a_key_made_here_learns_its_account_when_it_first_opens_it(page, served, tmp_path):
    """As after the ceremony: kept without an account, which comes with the enrolment."""
    seal_two(served)
    open_form(page, served)
    keep = """
    const at = (name) => import(new URL(`/static/${name}`, location.href).href);
    const [{ keysOf }, { keep }] = [await at("keyfile.js"), await at("keystore.js")];
    await keep(await keysOf(Uint8Array.from(given[0])), "");
    """
    page.run(keep, list(served.me.key.seed))
    open_form(page, served)
    page.wait(lambda: page.all("#kept-keys input"))
    field, (button, *_) = page.find("#kept-keys input"), page.all("#kept-keys button")
    field.send_keys(served.other.account)
    button.click()
    page.wait(lambda: "do not belong together" in page.text("#kept-keys"))
    assert page.run(KEPT) == [[fingerprint(served.me.key), "", False]]
    field.clear()
    field.send_keys(served.me.account)
    button.click()
    page.wait(lambda: count(page) == 2)
    assert page.run(KEPT) == [[fingerprint(served.me.key), served.me.account, False]]


def test_a_browser_that_keeps_nothing_signs_in_all_the_same(page, served):
    seal_two(served)
    hide = "indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); };"
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hide})
    sign_in_with_words(page, served, served.me.account, words_of(served.me), keep=True)
    page.wait(lambda: count(page) == 2)
    assert "keeps no key" in page.text("#keep-state")
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_a_key_that_can_be_exported_is_not_kept(page, served):
    open_form(page, served)
    code = """
    const { keep } = await import(new URL("/static/keystore.js", location.href).href);
    const keys = await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"]);
    return await keep(keys, "").then(() => "kept", (error) => error.message);
    """
    assert "cannot be exported" in page.run(code)
    assert stored(page) == [0, 0, []]


def test_a_key_that_the_browser_does_not_store_leaves_no_empty_database(page, served):
    open_form(page, served)
    code = """
    const { keep } = await import(new URL("/static/keystore.js", location.href).href);
    const { publicKey } = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
    const odd = { extractable: false, cannotBeCloned: () => {} };
    return await keep({ privateKey: odd, publicKey }, "").then(() => "kept", (error) => error.name);
    """
    assert page.run(code) == "DataCloneError"
    assert stored(page) == [0, 0, []]


# --- On another device ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [str, str.upper, lambda text: "\n".join(numbered(text))])
def test_the_words_open_the_readings_however_they_are_written(page, served, write):
    seal_two(served)
    sign_in_with_words(page, served, served.me.account, write(words_of(served.me)))
    page.wait(lambda: count(page) == 2)
    assert page.find("#words").get_attribute("value") == ""


def numbered(text):
    return [f"{number}. {word}" for number, word in enumerate(text.split(), 1)]


def test_wrong_words_are_told_and_can_be_corrected(page, served):
    seal_two(served)
    good = words_of(served.me)
    first, second, *rest = good.split()
    swapped = next(
        " ".join([*words[:at], words[at + 1], words[at], *words[at + 2 :]])
        for words in [good.split()]
        for at in range(23)
        if not WORDS.check(" ".join([*words[:at], words[at + 1], words[at], *words[at + 2 :]]))
    )
    sign_in_with_words(page, served, served.me.account, " ".join([first, second + "xx", *rest]))
    page.wait(lambda: f"Word 2, “{second}xx”, is not in the list" in said(page))
    for text, told in ((" ".join(rest), "these are 22"), (swapped, "two have changed places")):
        again(page, text)
        page.wait(lambda told=told: told in said(page), told)
    again(page, words_of(served.other))
    page.wait(lambda: "do not belong together" in said(page))
    assert page.find("#words").get_attribute("value") == words_of(served.other)
    again(page, good)
    page.wait(lambda: count(page) == 2)


def again(page, text):
    page.wait(lambda: page.find("#open").is_enabled())
    page.find("#words").clear()
    page.find("#words").send_keys(text)
    page.find("#open").click()


def test_the_file_that_the_page_saved_opens_the_readings(page, served, tmp_path):
    seal_two(served)
    page.open(f"{served.url}/portal/")
    seal = """
    const { sealKey } = await import(new URL("/static/keyseal.js", location.href).href);
    return await sealKey(Uint8Array.from(given[0]), given[1]);
    """
    text = page.run(seal, list(served.me.key.seed), PASSPHRASE)
    # Beside PyCryptodome, which reads it in the first test here: OpenSSL.
    opened = load_pem_private_key(text.encode(), PASSPHRASE.encode())
    assert opened.private_bytes_raw() == served.me.key.seed
    (tmp_path / "kit.pem").write_text(text)
    open_form(page, served)
    page.find("#account").send_keys(served.me.account)
    page.find("#key-file").send_keys(str(tmp_path / "kit.pem"))
    page.find("#passphrase").send_keys(PASSPHRASE)
    page.find("#open").click()
    page.wait(lambda: count(page) == 2)


def test_a_photo_of_the_code_opens_the_readings(page, served, tmp_path):
    seal_two(served)
    page.open(f"{served.url}/portal/")
    # As a camera would see the sheet, about: the code on grey, askew.
    photograph = """
    const { drawQr } = await import(new URL("/static/kit.js", location.href).href);
    const drawing = drawQr(given[0].split(" "), "");
    const side = Number(drawing.getAttribute("viewBox").split(" ")[2]);
    const canvas = Object.assign(document.createElement("canvas"), { width: 1200, height: 900 });
    const context = canvas.getContext("2d");
    context.fillStyle = "#cccccc";
    context.fillRect(0, 0, 1200, 900);
    context.setTransform(10, 1.2, -1.2, 10, 380, 120);
    context.fillStyle = "#f2f2ee";
    context.fillRect(0, 0, side, side);
    context.fillStyle = "#222222";
    context.fill(new Path2D(drawing.querySelector("path").getAttribute("d")));
    return canvas.toDataURL("image/jpeg", 0.8).split(",")[1];
    """
    (tmp_path / "photo.jpg").write_bytes(base64.b64decode(page.run(photograph, words_of(served.me))))
    (tmp_path / "photo.png").write_bytes(b"no picture")
    open_form(page, served)
    page.find("#account").send_keys(served.me.account)
    page.find("#key-file").send_keys(str(tmp_path / "photo.png"))
    page.find("#open").click()
    page.wait(lambda: "No code was found" in said(page))
    page.find("#key-file").send_keys(str(tmp_path / "photo.jpg"))
    page.find("#open").click()
    page.wait(lambda: count(page) == 2)


def test_the_commands_sheet_and_file_open_the_readings_too(page, served, tmp_path):
    """The sheet as it is on a screen or printed, photographed; the file as it was written."""
    seal_two(served)
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    files = {"--out": "key.pem", "--passphrase-file": "passphrase", "--sheet": "kit.svg"}
    options = [text for option, name in files.items() for text in (option, str(tmp_path / name))]
    made = subprocess.run(
        [sys.executable, "-m", "scripts.customer_key", "--from-words", *options],
        input=words_of(served.me),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    size = {"width": 800, "height": 1130, "deviceScaleFactor": 2, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.open((tmp_path / "kit.svg").as_uri())
    page.driver.save_screenshot(str(tmp_path / "photo.png"))
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.fresh()  # the sheet was opened from the disk
    for file, passphrase in (("photo.png", ""), ("key.pem", PASSPHRASE)):
        open_form(page, served)
        page.find("#account").send_keys(served.me.account)
        page.find("#key-file").send_keys(str(tmp_path / file))
        page.find("#passphrase").send_keys(passphrase)
        page.find("#open").click()
        page.wait(lambda: count(page) == 2)


# --- As it looks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1280])
def test_no_step_is_wider_than_its_window_and_every_field_has_a_name(page, served, tmp_path, width):
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        ceremony = Ceremony(page, served, tmp_path)
        look(page)
        words = ceremony.make()
        look(page)
        ceremony.check(words)
        ceremony.done()
        look(page)
        page.find("#keep").click()
        page.wait(lambda: "is kept in this browser" in page.text("#keep-state"))
        open_form(page, served)
        page.wait(lambda: page.all("#kept-keys input"))
        page.find("#by-words").click()
        look(page)
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def look(page):
    wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.driver.execute_script(wide)
    fields = "return [...document.querySelectorAll('input:not([type=hidden]), textarea')]"
    assert page.driver.execute_script(f"{fields}.filter((it) => !it.labels.length).map(String)") == []
    # A step that opens is where a screen reader goes on reading.
    assert page.driver.execute_script("return ['H2', 'BODY', 'INPUT'].includes(document.activeElement.tagName)")


def test_the_ceremony_goes_by_keyboard_alone(page, served, tmp_path):
    ceremony = Ceremony(page, served, tmp_path)

    def type_keys(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    page.find("#understood").send_keys(Keys.SPACE)
    type_keys(Keys.TAB, Keys.ENTER)
    page.wait(lambda: len(ceremony.words()) == 24)
    words = ceremony.words()
    assert page.driver.switch_to.active_element.text == "Your recovery kit"
    # Print, two passphrases, save, go on.
    type_keys(*[Keys.TAB] * 5, Keys.ENTER)
    assert page.driver.switch_to.active_element.text == "Is it kept?"
    for field in page.all("#asked input"):
        type_keys(Keys.TAB, words[int(field.get_attribute("id").split("-")[1]) - 1])
    type_keys(Keys.ENTER)
    ceremony.done()
    assert page.driver.switch_to.active_element.text == "Your key is made"
