"""The key holder's secrets: one Paillier private key per neighbourhood, and the key that signs the release log."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog
from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import eddsa

from paillier.errors import PaillierError
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey
from paillier.private.proving import Prover

from ..errors import CannotStart
from ..rosters import RosterBook
from .vault import LOG_KEY, PAILLIER_KEY, Scrypt, SealedSecretError, read_sealed, write_sealed

log = structlog.get_logger()

MAX_PASSPHRASE = 1024
SUFFIX = ".key.json"


class HeldKey(NamedTuple):
    """What one Paillier private key is used for: to open sums, and to prove what came out."""

    decryptor: Decryptor
    prover: Prover


def hold(key: PrivateKey) -> HeldKey:
    """Return both uses of a private key."""
    return HeldKey(Decryptor(key), Prover(key))


def seal_private_key(
    directory: Path,
    neighbourhood: str,
    key: PrivateKey,
    passphrase: str,
    kdf: Scrypt | None = None,
    number: int = 1,
) -> Path:
    """Seal a neighbourhood's Paillier private key into ``directory`` and return the new file's path.

    ``number`` counts the neighbourhood's keys, where one follows another.
    """
    path = key_path(directory, neighbourhood, number)
    write_sealed(path, PAILLIER_KEY, neighbourhood, json.dumps(key.to_jwk()).encode(), passphrase, kdf)
    return path


def key_path(directory: Path, neighbourhood: str, number: int = 1) -> Path:
    """Return where a neighbourhood's ``number``-th sealed key lies."""
    return directory / (f"{neighbourhood}.{number}{SUFFIX}" if number > 1 else f"{neighbourhood}{SUFFIX}")


def seal_log_key(path: Path, deployment: str, key: EccKey, passphrase: str, kdf: Scrypt | None = None) -> None:
    """Seal the Ed25519 key that signs a deployment's release log into a new file."""
    write_sealed(path, LOG_KEY, deployment, bytes(key.seed), passphrase, kdf)


def read_passphrase(path: Path) -> str:
    """Return the passphrase in a file, without the line's end; raises CannotStart."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PASSPHRASE + 1).decode().rstrip("\r\n")
    except OSError as error:
        raise CannotStart(f"passphrase file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CannotStart(f"passphrase file {path}: not UTF-8") from None
    if not text or len(text) > MAX_PASSPHRASE:
        raise CannotStart(f"passphrase file {path}: empty or longer than {MAX_PASSPHRASE} bytes")
    return text


def open_log_key(path: Path, deployment: str, passphrase: str) -> EccKey:
    """Return the key that signs the release log; raises CannotStart."""
    try:
        return eddsa.import_private_key(read_sealed(path, LOG_KEY, deployment, passphrase))
    except SealedSecretError as error:
        raise CannotStart(f"log key {error}") from None
    except ValueError:
        raise CannotStart(f"log key {path}: not an Ed25519 key") from None


def open_keyring(
    directory: Path, book: RosterBook, passphrase: str, *, unsafe_small_key: bool
) -> Mapping[str, HeldKey]:
    """Return a held key by fingerprint for each key of each neighbourhood of the book; raises CannotStart.

    A neighbourhood's keys are ``NAME.key.json`` and, where its rosters have changed the key, ``NAME.2.key.json`` and
    so on. One whose newest roster names a key that is in none of them is refused: every release would be. So is a
    key that no roster names. A key of earlier rosters may be gone, when everything under it is billed.
    """
    keyring: dict[str, HeldKey] = {}
    for neighbourhood in book.neighbourhoods():
        named = [roster.paillier_key for roster in book.versions(neighbourhood)]
        for path in key_files(directory, neighbourhood):
            key = _open_key(path, neighbourhood, passphrase, unsafe_small_key)
            if key.public.fingerprint not in named:
                raise CannotStart(f"key {path}: not the key that the roster of {neighbourhood} names")
            keyring[key.public.fingerprint] = hold(key)
        if named[-1] not in keyring:
            raise CannotStart(f"keys {directory}: the key that the newest roster of {neighbourhood} names is missing")
        for gone in sorted(set(named) - keyring.keys()):
            log.warning("a former key is not held: what is left under it is not billed", key=gone, of=neighbourhood)
    return keyring


def key_files(directory: Path, neighbourhood: str) -> list[Path]:
    """Return the files of a neighbourhood's sealed keys; where there is none, where the first should be."""
    first = directory / f"{neighbourhood}{SUFFIX}"
    later = sorted(directory.glob(f"{neighbourhood}.*{SUFFIX}"))
    return [first, *later] if first.exists() or not later else later


def _open_key(path: Path, neighbourhood: str, passphrase: str, unsafe_small_key: bool) -> PrivateKey:
    try:
        jwk = json.loads(read_sealed(path, PAILLIER_KEY, neighbourhood, passphrase))
        return PrivateKey.from_jwk(jwk, unsafe_small_key=unsafe_small_key)
    except SealedSecretError as error:
        raise CannotStart(f"key {error}") from None
    except (PaillierError, ValueError) as error:
        raise CannotStart(f"key {path}: {error}") from None
