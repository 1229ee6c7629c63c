"""The customer's key on the command line: a kit's words are the key, and are shown where somebody looks."""

import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from Crypto.PublicKey import ECC
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.envelopes import fingerprint
from scripts import customer_key
from scripts.kit_words import WordsError, from_words, to_words

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "four words nobody says"

# The vectors of 256 bits of BIP-39's reference implementation (trezor/python-mnemonic, vectors.json).
VECTORS = {
    "00" * 32: "abandon " * 23 + "art",
    "7f" * 32: "legal winner thank year wave sausage worth useful " * 2
    + "legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
    "ff" * 32: "zoo " * 23 + "vote",
    "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f": "void come effort suffer camp survey warrior "
    "heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
}
GOOD = VECTORS["7f" * 32]


@pytest.fixture
def passphrase_file(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return path


def run(tmp_path, passphrase_file, *more, typed=""):
    arguments = ["--out", str(tmp_path / "key.pem"), "--passphrase-file", str(passphrase_file), *more]
    return CliRunner().invoke(customer_key.main, arguments, input=typed)


@pytest.mark.parametrize(("secret", "words"), list(VECTORS.items()))
def test_the_words_are_those_of_the_official_vectors(secret, words):
    assert to_words(bytes.fromhex(secret)) == words.split()
    assert from_words(words) == bytes.fromhex(secret)


@given(st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_every_key_comes_back_from_its_words(secret):
    numbered = customer_key.numbered(to_words(secret))
    assert from_words(numbered) == from_words(numbered.upper()) == secret


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "these are 0"),
        (GOOD.rsplit(" ", 1)[0], "these are 23"),
        (GOOD.replace("title", "titel", 1), 'Word 24, "titel", is not in the list'),
        (GOOD.replace("winner", "winnder", 1), 'Word 2, "winnder", is not in the list of words. Is it "winner"?'),
        (GOOD.replace("legal winner", "winner legal", 1), "two have changed places"),
        (GOOD.replace("title", "useful"), "one of them is another word"),
    ],
)
def test_wrong_words_are_told(text, told):
    with pytest.raises(WordsError) as raised:
        from_words(text)
    assert told in str(raised.value)


def test_words_restore_the_key_they_were_made_of(tmp_path, passphrase_file):
    made = run(tmp_path, passphrase_file, "--from-words", typed=GOOD + "\n")
    assert made.exit_code == 0, made.output
    key = ECC.import_key((tmp_path / "key.pem").read_text(), PASSPHRASE)
    assert key.seed == bytes.fromhex("7f" * 32)
    assert ECC.import_key((tmp_path / "key.pem.pub").read_text()) == key.public_key()
    assert fingerprint(key) in made.output


def test_wrong_words_write_nothing(tmp_path, passphrase_file):
    made = run(tmp_path, passphrase_file, "--from-words", typed=GOOD.replace("title", "useful") + "\n")
    assert (made.exit_code, list(tmp_path.iterdir())) == (2, [passphrase_file])
    assert "together they are no key" in made.output


@pytest.mark.parametrize("there", ["key.pem", "key.pem.pub"])
def test_no_file_is_overwritten_and_none_half_made(tmp_path, passphrase_file, there):
    (tmp_path / there).write_text("mine")
    made = run(tmp_path, passphrase_file)
    assert (made.exit_code, (tmp_path / there).read_text()) == (2, "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"passphrase", there}


def test_words_do_not_go_into_a_file_or_a_pipe(tmp_path, passphrase_file):
    made = run(tmp_path, passphrase_file, "--words")
    assert (made.exit_code, list(tmp_path.iterdir())) == (2, [passphrase_file])
    assert "only on a terminal" in made.output


def test_a_terminal_is_shown_the_words_on_request_alone(tmp_path, passphrase_file):
    for options, expected in ((["--words"], True), ([], False)):
        out = tmp_path / f"key{len(options)}.pem"
        command = [sys.executable, "-m", "scripts.customer_key", "--out", out, "--passphrase-file", passphrase_file]
        shown = on_a_terminal([*map(str, command), *options])
        key = ECC.import_key(out.read_text(), PASSPHRASE)
        assert fingerprint(key) in shown
        assert all(f" {word}" in shown for word in to_words(key.seed)) == expected
        if expected:
            assert from_words("\n".join(shown.splitlines()[:4])) == key.seed


def test_the_sheet_has_the_whole_kit_and_only_its_owner_may_read_it(tmp_path, passphrase_file):
    address = "https://energy.example/portal/?a&b"
    more = ("--from-words", "--sheet", str(tmp_path / "kit.svg"), "--address", address)
    made = run(tmp_path, passphrase_file, *more, typed=GOOD + "\n")
    assert made.exit_code == 0, made.output
    path = tmp_path / "kit.svg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "is the key itself, not sealed" in made.output
    assert "shred" in made.output
    lines = [text.text for text in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert [line for line in lines if re.match(r"\d+\. ", line or "")] == [
        f"{number}. {word}" for number, word in enumerate(GOOD.split(), 1)
    ]
    key = ECC.import_key((tmp_path / "key.pem").read_text(), PASSPHRASE)
    assert address in lines
    assert fingerprint(key) in [(line or "").replace(" ", "") for line in lines]


def test_a_sheet_is_never_written_over_another_file(tmp_path, passphrase_file):
    (tmp_path / "kit.svg").write_text("mine")
    for name, told in (("kit.svg", "exists already"), ("kit.pdf", "a sheet is an .svg")):
        made = run(tmp_path, passphrase_file, "--sheet", str(tmp_path / name))
        assert (made.exit_code, told in made.output) == (2, True), made.output
    assert {path.name for path in tmp_path.iterdir()} == {"passphrase", "kit.svg"}
    assert (tmp_path / "kit.svg").read_text() == "mine"


def test_a_sheet_that_cannot_be_written_costs_no_key_and_is_made_again(tmp_path, passphrase_file):
    made = run(tmp_path, passphrase_file, "--sheet", str(tmp_path / "passphrase" / "kit.svg"))
    assert made.exit_code == 2
    assert "cannot be written" in made.output and "--again" in made.output
    key = (tmp_path / "key.pem").read_text()
    again = run(tmp_path, passphrase_file, "--again", "--sheet", str(tmp_path / "kit.svg"))
    assert again.exit_code == 0, again.output
    assert (tmp_path / "key.pem").read_text() == key
    words = re.findall(r">\d+\. ([a-z]+)<", (tmp_path / "kit.svg").read_text())
    assert from_words(" ".join(words)) == ECC.import_key(key, PASSPHRASE).seed


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--check", "--from-words"), "one of --from-words, --again and --check"),
        (("--check", "--words"), "shows nothing of the key"),
        (("--again",), "is for --sheet or --words"),
        (("--address", "https://energy.example/portal/"), "is for --sheet"),
    ],
)
def test_options_that_make_no_sense_together_are_refused_before_anything_is_made(tmp_path, passphrase_file, more, told):
    made = run(tmp_path, passphrase_file, *more)
    assert (made.exit_code, told in made.output) == (2, True), made.output
    assert [path.name for path in tmp_path.iterdir()] == ["passphrase"]


def asked_words(monkeypatch, words):
    """Answer each question for a word from a sheet; returns the numbers that were asked."""
    asked = []

    def answer(text, **_):
        asked.append(int(text.removeprefix("Word ")))
        return words[asked[-1] - 1]

    monkeypatch.setattr(customer_key.click, "prompt", answer)
    return asked


def test_the_check_asks_for_three_words_of_the_kit(tmp_path, passphrase_file, monkeypatch):
    run(tmp_path, passphrase_file, "--from-words", typed=GOOD + "\n")
    before = sorted(tmp_path.iterdir())
    asked = asked_words(monkeypatch, [f" {word.upper()} " for word in GOOD.split()])
    checked = run(tmp_path, passphrase_file, "--check")
    assert checked.exit_code == 0, checked.output
    assert "kept: " in checked.output
    assert len(set(asked)) == customer_key.ASKED == 3
    assert asked == sorted(asked)
    assert sorted(tmp_path.iterdir()) == before


def test_a_kit_with_another_word_is_told_by_its_number_alone(tmp_path, passphrase_file, monkeypatch):
    run(tmp_path, passphrase_file, "--from-words", typed=GOOD + "\n")
    asked = asked_words(monkeypatch, ["zoo"] * 24)
    checked = run(tmp_path, passphrase_file, "--check")
    assert checked.exit_code == 2
    assert all(f"word {number}" in checked.output for number in asked)
    assert not [word for word in set(GOOD.split()) if f" {word} " in checked.output]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("no key", "does not open"),
        (ECC.generate(curve="P-256").export_key(format="PEM"), "is not a customer's private key"),
        (ECC.generate(curve="Curve25519").public_key().export_key(format="PEM"), "is not a customer's private key"),
    ],
)
def test_a_file_that_is_no_key_is_told_at_the_check(tmp_path, passphrase_file, content, told):
    if content:
        (tmp_path / "key.pem").write_text(content)
    checked = run(tmp_path, passphrase_file, "--check")
    assert (checked.exit_code, told in checked.output) == (2, True), checked.output


def on_a_terminal(command):
    ours, theirs = pty.openpty()
    run = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert run.wait(60) == 0, shown
    return shown.decode()
