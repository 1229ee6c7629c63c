"""Secrets at rest: scrypt (RFC 7914) makes a key of the passphrase, AES-256-GCM (NIST SP 800-38D) seals under it.

A sealed file is JSON: version, kind, name, kdf, salt, nonce, ciphertext (the tag at its end). All other members are
associated data, so a file neither opens under another name or kind nor with other parameters than it was made with.
"""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt
from Crypto.Random import get_random_bytes
from msgspec import Meta

from protocol.documents import DocumentError, canonical_json, from_base64url, to_base64url

PAILLIER_KEY = "paillier-private-key"
LOG_KEY = "release-log-key"

VERSION = 1
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32
MAX_FILE = 1 << 16


class SealedSecretError(Exception):
    """A sealed file that is missing, malformed, of another kind or name, or that the passphrase does not open."""


class Scrypt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cost parameters. The default takes 128 MiB and about half a second (OWASP's first choice for scrypt)."""

    n: Annotated[int, Meta(ge=2, le=1 << 20)] = 1 << 17
    r: Annotated[int, Meta(ge=1, le=16)] = 8
    p: Annotated[int, Meta(ge=1, le=4)] = 1


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    kind: str
    name: str
    kdf: Scrypt
    salt: str
    nonce: str
    ciphertext: str

    def associated_data(self) -> bytes:
        return canonical_json([self.version, self.kind, self.name, self.kdf, self.salt, self.nonce])


def seal_secret(kind: str, name: str, secret: bytes, passphrase: str, kdf: Scrypt | None = None) -> bytes:
    """Return a sealed file's content for a secret of any length up to 32 KiB; salt and nonce are fresh."""
    kdf = kdf or Scrypt()
    salt, nonce = get_random_bytes(SALT_BYTES), get_random_bytes(NONCE_BYTES)
    head = _Sealed(VERSION, kind, name, kdf, to_base64url(salt), to_base64url(nonce), "")
    # The key is used once: every sealing draws its own salt.
    cipher = AES.new(_key(passphrase, salt, kdf), AES.MODE_GCM, nonce=nonce, mac_len=TAG_BYTES)
    cipher.update(head.associated_data())
    sealed, tag = cipher.encrypt_and_digest(secret)
    whole = msgspec.structs.replace(head, ciphertext=to_base64url(sealed + tag))
    return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"


def open_secret(kind: str, name: str, sealed: bytes, passphrase: str) -> bytes:
    """Return the secret in a sealed file's content; raises SealedSecretError with one clear reason."""
    try:
        file = msgspec.json.decode(sealed, type=_Sealed, strict=True)
        salt = from_base64url(file.salt, "salt", SALT_BYTES)
        nonce = from_base64url(file.nonce, "nonce", NONCE_BYTES)
        data = from_base64url(file.ciphertext, "ciphertext")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, DocumentError):
        raise SealedSecretError("not a sealed secret") from None
    if file.version != VERSION or len(data) < TAG_BYTES or file.kdf.n & (file.kdf.n - 1):
        raise SealedSecretError("not a sealed secret of this version")
    if (file.kind, file.name) != (kind, name):
        raise SealedSecretError(f"seals {file.kind} {file.name}, not {kind} {name}")
    cipher = AES.new(_key(passphrase, salt, file.kdf), AES.MODE_GCM, nonce=nonce, mac_len=TAG_BYTES)
    cipher.update(file.associated_data())
    try:
        return cipher.decrypt_and_verify(data[:-TAG_BYTES], data[-TAG_BYTES:])
    except ValueError:
        raise SealedSecretError("wrong passphrase, or the file was changed") from None


def _key(passphrase: str, salt: bytes, kdf: Scrypt) -> bytes:
    key = scrypt(passphrase.encode(), salt, KEY_BYTES, kdf.n, kdf.r, kdf.p)
    assert isinstance(key, bytes)
    return key


def write_sealed(path: Path, kind: str, name: str, secret: bytes, passphrase: str, kdf: Scrypt | None = None) -> None:
    """Seal a secret into a new file that only its owner reads (0600). Raises FileExistsError, OSError."""
    sealed = seal_secret(kind, name, secret, passphrase, kdf)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())


def read_sealed(path: Path, kind: str, name: str, passphrase: str) -> bytes:
    """Return the secret in a file; raises SealedSecretError naming the file."""
    try:
        with path.open("rb") as file:
            sealed = file.read(MAX_FILE + 1)
    except OSError as error:
        raise SealedSecretError(f"{path}: {error.strerror}") from None
    if len(sealed) > MAX_FILE:
        raise SealedSecretError(f"{path}: not a sealed secret")
    try:
        return open_secret(kind, name, sealed, passphrase)
    except SealedSecretError as error:
        raise SealedSecretError(f"{path}: {error}") from None
