"""The peers: where they are found, and what each of them does the way its own documentation does it.

phe is one of this project's dependencies. The others are installed apart, in a folder of their own, which comes last
on the module path: nothing of theirs replaces anything of the project's. pypaillier's module is called `paillier` like
ours, so it is loaded from its file under another name.

Each contender is given its best form: calls in batches where the peer has them, and integers, which all of them take.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey

from .rows import ONLY, PHE
from .timing import Contender

FAILED = "not-installed.txt"
"""In the peers' folder, written by `scripts.bench.installing`: a line "name: reason" for each that pip refused."""

MESSAGES = (1_234_567_890_123, 8_765_432_109_876)
LEAST_BITS = 2048  # what pypaillier refuses below
BATCH = 8  # pypaillier takes lists: one call costs a little less for each value than eight


@dataclass(frozen=True)
class Peer:
    """A peer that this run has."""

    name: str
    version: str
    module: Any


@dataclass(frozen=True)
class Missing:
    """A peer that this run does not have, and why."""

    name: str
    reason: str


def load_peers(folder: Path) -> list[Peer | Missing]:
    """Return every peer or the reason why it is not there. Call it on one core: peers start their threads here."""
    os.environ["RAYON_NUM_THREADS"] = "1"  # pypaillier spreads a batch over all cores otherwise
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))
    loaders: dict[str, tuple[str, Callable[[Path], Any]]] = {
        PHE: ("phe", lambda _: importlib.import_module("phe")),
        "pypaillier": ("pypaillier", _pypaillier),
        "lightphe": ("lightphe", lambda _: importlib.import_module("lightphe")),
        "sf-heu": ("sf-heu", lambda _: importlib.import_module("heu").phe),
    }
    refused = _refused(folder)
    found: list[Peer | Missing] = []
    for name, (distribution, load) in loaders.items():
        try:
            found.append(Peer(name, metadata.version(distribution), load(folder)))
        except metadata.PackageNotFoundError:
            found.append(Missing(name, refused.get(name, f"is not installed in {folder}; `make bench` installs it")))
        except (ImportError, OSError, AttributeError) as error:
            found.append(Missing(name, f"cannot be imported: {error}"))
    return found


def _refused(folder: Path) -> dict[str, str]:
    path = folder / FAILED
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: reason for name, _, reason in (line.partition(": ") for line in lines)}


def _pypaillier(folder: Path) -> Any:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / "paillier" / f"paillier{suffix}"
        if path.exists():
            spec = importlib.util.spec_from_file_location("pypaillier_peer.paillier", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ImportError(f"no extension module in {folder / 'paillier'}")


class PeerFailed(Exception):
    """A peer is there and cannot take part; the message says why."""


# --- Contenders -------------------------------------------------------------------------------------------------


def contenders_of(peer: Peer, key: PrivateKey, quick: bool) -> list[Contender]:
    """Return what a peer enters in `encrypt`, `emit`, `add` and `decrypt`. Raises PeerFailed."""
    makers = {PHE: _of_phe, "pypaillier": _of_pypaillier, "lightphe": _of_lightphe, "sf-heu": _of_heu}
    if key.public.bits < LEAST_BITS and peer.name != PHE:
        raise PeerFailed(f"enters with keys of {LEAST_BITS} bits and more")
    try:
        return list(makers[peer.name](peer, key, quick))
    except Exception as error:
        # Whatever another release of it raises: the run goes on without it and says so.
        raise PeerFailed(f"cannot be set up: {type(error).__name__}: {error}") from error


def _of_phe(peer: Peer, key: PrivateKey, quick: bool) -> Iterable[Contender]:
    public, private, ours = key.public.to_phe(), key.to_phe(), Decryptor(key)
    m1, m2 = MESSAGES
    e1, e2 = public.encrypt(m1), public.encrypt(m2)
    c = public.raw_encrypt(m1)
    yield Contender(
        "encrypt", ONLY, PHE, lambda: public.raw_encrypt(m1), lambda: ours.decrypt(public.raw_encrypt(m1)) == m1
    )
    yield Contender("emit", ONLY, PHE, e1.obfuscate, lambda: ours.decrypt(e1.ciphertext()) == m1)
    yield Contender(
        "add", ONLY, PHE, lambda: e1 + e2, lambda: ours.decrypt((e1 + e2).ciphertext(be_secure=False)) == m1 + m2
    )
    yield Contender("decrypt", ONLY, PHE, lambda: private.raw_decrypt(c), lambda: bool(private.raw_decrypt(c) == m1))


def _of_pypaillier(peer: Peer, key: PrivateKey, quick: bool) -> Iterable[Contender]:
    module, ours, name = peer.module, Decryptor(key), peer.name
    # It derives its base from n alone, so it encrypts under our key; the first byte of what it returns is a scale.
    public = module.PublicKey.from_n(key.public.n.to_bytes(key.public.modulus_bytes, "big"))
    m1, m2 = MESSAGES

    def opened(blob: bytes) -> int:
        return ours.decrypt(int.from_bytes(bytes(blob)[1:], "big"))

    batch = [m1] * BATCH
    pair = [bytes(blob) for blob in module.encrypt_integers(public, [m1, m2])]
    yield Contender(
        "encrypt",
        ONLY,
        name,
        lambda: module.encrypt_integers(public, batch),
        lambda: [opened(blob) for blob in module.encrypt_integers(public, batch)] == batch,
        values=BATCH,
    )
    yield Contender(
        "add",
        ONLY,
        name,
        lambda: module.add_many(public, pair),
        lambda: opened(module.add_many(public, pair)) == m1 + m2,
    )
    if not quick:
        # It takes no private key from elsewhere, and its own are of safe primes: seconds at 2048 bits, up to a
        # minute at 3072.
        its_public, its_private = module.generate_keypair(key.public.bits)
        blobs = [bytes(blob) for blob in module.encrypt_integers(its_public, batch)]
        yield Contender(
            "decrypt",
            ONLY,
            name,
            lambda: module.decrypt_exact_many(its_private, blobs),
            lambda: [value for value, _ in module.decrypt_exact_many(its_private, blobs)] == batch,
            values=BATCH,
        )


def _of_lightphe(peer: Peer, key: PrivateKey, quick: bool) -> Iterable[Contender]:
    n, ours, name = key.public.n, Decryptor(key), peer.name
    keys = {"public_key": {"g": n + 1, "n": n}, "private_key": {"phi": (key.p - 1) * (key.q - 1)}}
    scheme = peer.module.LightPHE(algorithm_name="Paillier", keys=keys)
    m1, m2 = MESSAGES
    e1, e2 = scheme.encrypt(m1), scheme.encrypt(m2)
    yield Contender(
        "encrypt", ONLY, name, lambda: scheme.encrypt(m1), lambda: ours.decrypt(scheme.encrypt(m1).value) == m1
    )
    yield Contender("add", ONLY, name, lambda: e1 + e2, lambda: ours.decrypt((e1 + e2).value) == m1 + m2)
    if not quick:
        yield Contender("decrypt", ONLY, name, lambda: scheme.decrypt(e1), lambda: bool(scheme.decrypt(e1) == m1))


def _of_heu(peer: Peer, key: PrivateKey, quick: bool) -> Iterable[Contender]:
    # It reads and writes keys and ciphertexts in a format of its own alone: its own key, and it checks itself.
    kit = peer.module.setup(peer.module.SchemaType.ZPaillier, key.public.bits)
    encryptor, decryptor, evaluator = kit.encryptor(), kit.decryptor(), kit.evaluator()
    m1, m2 = MESSAGES
    c1, c2 = encryptor.encrypt_raw(m1), encryptor.encrypt_raw(m2)
    yield Contender(
        "encrypt",
        ONLY,
        peer.name,
        lambda: encryptor.encrypt_raw(m1),
        lambda: bool(decryptor.decrypt_raw(encryptor.encrypt_raw(m1)) == m1),
    )
    yield Contender(
        "add",
        ONLY,
        peer.name,
        lambda: evaluator.add(c1, c2),
        lambda: bool(decryptor.decrypt_raw(evaluator.add(c1, c2)) == m1 + m2),
    )
    yield Contender(
        "decrypt",
        ONLY,
        peer.name,
        lambda: decryptor.decrypt_raw(c1),
        lambda: bool(decryptor.decrypt_raw(c1) == m1),
    )
