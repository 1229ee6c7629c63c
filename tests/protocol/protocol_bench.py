"""What the tests of the agreement share: fixed keys, our vectors, and where the official ones lie."""

import json
import os
from pathlib import Path

import pytest
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"

KEY = eddsa.import_private_key(bytes(range(32)))
OTHER_KEY = eddsa.import_private_key(bytes(range(32, 64)))
CUSTOMER = ECC.construct(curve="Curve25519", seed=bytes(range(64, 96)))


def vectors(name):
    """Return one of our own vector files."""
    return json.loads((VECTORS / name).read_text(encoding="ascii"))


def joined(fields):
    """Return the bytes of a vector's fields, one after the other."""
    return bytes.fromhex("".join(value for _, value in fields))


def official(name):
    """Return a file of official vectors; skips where there are none."""
    places = [Path(os.environ["HUSHMETER_SHARED"])] if "HUSHMETER_SHARED" in os.environ else []
    for place in [*places, ROOT.parent / "shared"]:
        if (place / "vectors" / name).is_file():
            return json.loads((place / "vectors" / name).read_text(encoding="utf-8"))
    return pytest.skip("no official vectors: neither $HUSHMETER_SHARED/vectors nor ../shared/vectors holds " + name)
