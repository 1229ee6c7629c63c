"""Secrets at rest: they open with their passphrase, name and kind, and not otherwise."""

import json
import stat

import pytest
from mdms_bench import FAST, PASSPHRASE

from mdms.errors import CannotStart
from mdms.keyholder.keyring import read_passphrase
from mdms.keyholder.vault import (
    LOG_KEY,
    PAILLIER_KEY,
    Scrypt,
    SealedSecretError,
    open_secret,
    read_sealed,
    seal_secret,
    write_sealed,
)

SECRET = b"p and q"


@pytest.fixture
def sealed():
    return seal_secret(PAILLIER_KEY, "north", SECRET, PASSPHRASE, FAST)


def test_a_sealed_secret_opens_with_its_passphrase(sealed):
    assert open_secret(PAILLIER_KEY, "north", sealed, PASSPHRASE) == SECRET


def test_no_part_of_the_secret_stands_in_the_file(sealed):
    assert SECRET not in sealed
    assert sealed != seal_secret(PAILLIER_KEY, "north", SECRET, PASSPHRASE, FAST)


def test_a_passphrase_in_any_script_works():
    for passphrase in ("пароль", "合言葉", "a b", "ü"):
        sealed = seal_secret(LOG_KEY, "x", SECRET, passphrase, FAST)
        assert open_secret(LOG_KEY, "x", sealed, passphrase) == SECRET


def test_a_wrong_passphrase_is_one_clear_error(sealed):
    for wrong in ("", PASSPHRASE + " ", PASSPHRASE.upper()):
        with pytest.raises(SealedSecretError, match="wrong passphrase"):
            open_secret(PAILLIER_KEY, "north", sealed, wrong)


def test_a_file_does_not_open_as_another_kind_or_name(sealed):
    for kind, name in ((LOG_KEY, "north"), (PAILLIER_KEY, "south")):
        with pytest.raises(SealedSecretError, match="seals"):
            open_secret(kind, name, sealed, PASSPHRASE)
    # Renaming it inside the file does not help: the name is authenticated.
    renamed = json.dumps({**json.loads(sealed), "name": "south"}).encode()
    with pytest.raises(SealedSecretError, match="changed"):
        open_secret(PAILLIER_KEY, "south", renamed, PASSPHRASE)


def test_every_changed_member_is_seen(sealed):
    file = json.loads(sealed)
    for name, value in {
        "version": 2,
        "kdf": {"n": 32, "r": 1, "p": 1},
        "salt": "A" * 22,
        "nonce": "A" * 16,
        "ciphertext": "A" * 40,
    }.items():
        with pytest.raises(SealedSecretError):
            open_secret(PAILLIER_KEY, "north", json.dumps({**file, name: value}).encode(), PASSPHRASE)


def test_parameters_that_would_exhaust_the_machine_are_refused(sealed):
    file = json.loads(sealed)
    for kdf in ({"n": 1 << 30, "r": 8, "p": 1}, {"n": 16, "r": 1 << 20, "p": 1}, {"n": 17, "r": 1, "p": 1}):
        with pytest.raises(SealedSecretError, match="not a sealed secret"):
            open_secret(PAILLIER_KEY, "north", json.dumps({**file, "kdf": kdf}).encode(), PASSPHRASE)


def test_nonsense_is_not_a_sealed_secret():
    for nonsense in (b"", b"{}", b"[" * 10_000, b"\xff", b"null"):
        with pytest.raises(SealedSecretError, match="not a sealed secret"):
            open_secret(PAILLIER_KEY, "north", nonsense, PASSPHRASE)


def test_the_default_cost_is_that_of_passphrases():
    assert Scrypt() == Scrypt(n=1 << 17, r=8, p=1)


def test_a_file_is_its_owners_alone_and_is_not_overwritten(tmp_path):
    path = tmp_path / "key"
    write_sealed(path, LOG_KEY, "x", SECRET, PASSPHRASE, FAST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_sealed(path, LOG_KEY, "x", PASSPHRASE) == SECRET
    with pytest.raises(FileExistsError):
        write_sealed(path, LOG_KEY, "x", SECRET, PASSPHRASE, FAST)


def test_a_missing_or_enormous_file_is_named(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(SealedSecretError, match="key: No such file"):
        read_sealed(path, LOG_KEY, "x", PASSPHRASE)
    path.write_bytes(b"{" * (1 << 17))
    with pytest.raises(SealedSecretError, match="not a sealed secret"):
        read_sealed(path, LOG_KEY, "x", PASSPHRASE)


def test_a_passphrase_file_is_read_without_its_line_end(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text("two words \r\n")
    assert read_passphrase(path) == "two words "
    for wrong in (b"", b"\n", b"x" * 2000, b"\xff"):
        path.write_bytes(wrong)
        with pytest.raises(CannotStart, match="passphrase file"):
            read_passphrase(path)
