"""The customer's key on the command line: a kit's words are the key, and are shown where somebody looks."""

import os
import pty
import subprocess
import sys
from pathlib import Path

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
