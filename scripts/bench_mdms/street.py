"""A street that reports: its deployment in a folder, and batches of signed windows ready to be sent.

Ciphertexts are real ones and are used again in other windows: the server does the same work for each, and making a
fresh one for every window would take longer than the run.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import msgspec
from Crypto.PublicKey.ECC import EccKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paillier import ENERGY_SLOTS, Encryptor, PublicKey, to_base64url
from protocol import documents, windows
from protocol.documents import canonical_json, generate_signing_key, key_id, public_key_bytes, signed_bytes
from protocol.reports import BILLING_WINDOW, Batch, BillingWindow
from protocol.rosters import Member, Roster, sign_roster

DEPLOYMENT = "bench-mdms"
NAME = "street"
INTERVAL_S = 900
SINCE = 1_772_323_200  # 2026-03-01T00:00Z
CIPHERTEXTS = 64
SEED_BYTES = 32


class Street:
    """One neighbourhood with its concentrator's key."""

    def __init__(self, public_key: PublicKey, meters: int) -> None:
        self._key = generate_signing_key()
        # The same key in OpenSSL's hands: it signs ten times faster.
        self._signing = Ed25519PrivateKey.from_private_bytes(_seed(self._key))
        self._signer = key_id(self._key)
        self._public_key = public_key
        self._members = [Member(documents.to_base64url(secrets.token_bytes(16)), SINCE) for _ in range(meters)]
        encryptor = Encryptor(public_key)
        self._texts = [
            to_base64url(public_key, encryptor.encrypt(ENERGY_SLOTS.pack((1000 + at, at)))) for at in range(CIPHERTEXTS)
        ]

    def write(self, folder: Path, database: str) -> Path:
        """Write a deployment's folder with one configuration; returns that."""
        operator = generate_signing_key()
        (folder / "rosters").mkdir()
        roster = Roster(
            neighbourhood=NAME,
            version=1,
            valid_from=SINCE,
            zone="UTC",
            interval_s=INTERVAL_S,
            rating_w=20_000,
            concentrator=documents.to_base64url(public_key_bytes(self._key)),
            paillier_key=self._public_key.fingerprint,
            paillier_n=self._public_key.to_jwk()["n"],
            members=self._members,
        )
        (folder / "rosters" / f"{NAME}.json").write_bytes(
            msgspec.json.encode(sign_roster(operator, DEPLOYMENT, roster))
        )
        settings = {
            "deployment": DEPLOYMENT,
            "operator_key": documents.to_base64url(public_key_bytes(operator)),
            "rosters": "rosters",
            "database": database,
            "keyholder_socket": "keyholder.socket",
            "listen": "127.0.0.1:0",
        }
        config = folder / "mdms.toml"
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
        return config

    def batches(self, reports: int, size: int) -> list[bytes]:
        """Return the bodies of uploads that hold so many different windows, all meters' of each time in turn."""
        signed = [self._window(number) for number in range(reports)]
        return [msgspec.json.encode(Batch(signed[at : at + size])) for at in range(0, reports, size)]

    def _window(self, number: int) -> documents.Document:
        at, meter = divmod(number, len(self._members))
        start = SINCE + at * windows.WINDOW_S
        whole = windows.WINDOW_S // INTERVAL_S
        report = BillingWindow(
            neighbourhood=NAME,
            pseudonym=self._members[meter].pseudonym,
            window_start=start,
            window_end=start + windows.WINDOW_S,
            interval_s=INTERVAL_S,
            present=whole,
            expected=whole,
            quality=0,
            register_from=start,
            register_to=start + windows.WINDOW_S,
            paillier_key=self._public_key.fingerprint,
            energy=self._texts[number % CIPHERTEXTS],
            closing_register=self._texts[(number + 1) % CIPHERTEXTS],
        )
        content = canonical_json(report)
        signature = self._signing.sign(signed_bytes(BILLING_WINDOW, DEPLOYMENT, content))
        return documents.Document(
            BILLING_WINDOW, documents.to_base64url(content), self._signer, documents.to_base64url(signature)
        )


def _seed(key: EccKey) -> bytes:
    seed: bytes = key.seed
    assert len(seed) == SEED_BYTES, "an Ed25519 key"
    return seed
