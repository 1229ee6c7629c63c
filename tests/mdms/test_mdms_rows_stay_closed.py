"""A server that is taken over tries to open one customer's row with every byte that it holds."""

import base64
import binascii
import re
import sqlite3

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from mdms_bench import MARCH
from pages_bench import BenchPages

from protocol import keychain, wire

KEY_BYTES = 32
TEXT = re.compile(rb"[A-Za-z0-9+/_-]{43,}")
HEX = re.compile(rb"[0-9a-fA-F]{64,}")


@pytest.fixture
def pages(bench, tmp_path):
    pages = BenchPages(bench, tmp_path)
    yield pages
    pages.close()


def held(folder, database):
    """Every piece that the server's folder and database hold, and what it is when it is read as base64 or hex."""
    pieces = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    with sqlite3.connect(database) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                pieces += [value if isinstance(value, bytes) else str(value).encode() for value in row if value]
    for piece in list(pieces):
        for found in TEXT.findall(piece):
            plain = found.replace(b"-", b"+").replace(b"_", b"/")
            for skipped in range(4):
                part = plain[skipped:]
                pieces.append(base64.b64decode(part[: len(part) // 4 * 4]))
                if len(part) % 4 == 3:
                    pieces.append(base64.b64decode(part + b"="))
        pieces += [binascii.unhexlify(found[: len(found) // 2 * 2]) for found in HEX.findall(piece)]
    return pieces


def keys_in(pieces):
    """Every 32 bytes that stand anywhere."""
    return {piece[at : at + KEY_BYTES] for piece in pieces for at in range(len(piece) - KEY_BYTES + 1)}


def opens(row, key):
    nonce, sealed, aad = row[24:37], row[37:], row[:24]
    try:
        AESCCM(key, tag_length=16).decrypt(nonce, sealed, aad)
    except InvalidTag:
        return False
    return True


def what_opens(row, days, customer, keys):
    """Say as what any of the keys opens a row so many days behind its enrolment, or is its customer's private key."""
    for key in keys:
        chains = {"root": keychain.first_chain(key), "chain": key}
        for name, value in chains.items():
            chain = keychain.Chain(0, value)
            for day in range(days + 1):
                if opens(row, chain.at(day).key(keychain.DETAIL)):
                    return f"{name}, {day} days before"
        if opens(row, key):
            return "detail key"
        public = X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
        if public == customer.key.public_key().export_key(format="raw"):
            return "the private key"
    return None


@pytest.fixture
def row(pages):
    """One row of the customer's, stored with those of an hour."""
    rows = [pages.me.row(MARCH + 60 * at, at) for at in range(1, 60)]
    pages.ingest(pages.me.segment(rows))
    assert len(rows[0]) == wire.ROW_BYTES
    return rows[30]


def test_nothing_that_the_server_holds_opens_a_row(pages, row, tmp_path):
    keys = keys_in(held(tmp_path, tmp_path / "mdms.sqlite3"))
    assert len(keys) > 20_000
    assert what_opens(row, 1, pages.me, keys) is None


@pytest.mark.parametrize("planted", ["root", "chain", "detail key", "private key", "private key in base64"])
def test_a_planted_key_is_found(pages, row, tmp_path, planted):
    root = pages.me._root
    chain = keychain.Chain(pages.me.epoch, keychain.first_chain(root))
    key = {
        "root": root,
        "chain": keychain.first_chain(root),
        "detail key": chain.key(keychain.DETAIL),
        "private key": pages.me.key.seed,
        "private key in base64": base64.urlsafe_b64encode(pages.me.key.seed).rstrip(b"="),
    }[planted]
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "cache").write_bytes(b"x" * 7 + key + b"\n")
    found = what_opens(row, 1, pages.me, keys_in(held(folder, ":memory:")))
    assert found is not None
    assert found.startswith(planted.removesuffix(" in base64")) or "private key" in found
