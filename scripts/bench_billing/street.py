"""A street whose month is over: requests for bills of signed windows under a tariff of three bands.

Ciphertexts are real ones and are used again in other windows: the key holder does the same work for each, and making a
fresh one for every window would take longer than the run. Each customer's energies are known, so answers are checked.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from Crypto.PublicKey.ECC import EccKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mdms.keyholder.messages import BillRequest, Item
from mdms.rosters import RosterBook
from paillier import ENERGY_SLOTS, Encryptor, PublicKey, to_base64url
from protocol import documents, windows
from protocol.documents import (
    Document,
    canonical_json,
    generate_signing_key,
    key_id,
    public_key_bytes,
    sign,
    signed_bytes,
)
from protocol.reports import BILLING_WINDOW, BillingWindow
from protocol.rosters import Member, Roster
from protocol.tariffs import TARIFF, Band, Tariff, TariffBook, Times, tariff_id

DEPLOYMENT = "bench-billing"
NAME = "street"
INTERVAL_S = 900
MONTH = 1_775_001_600  # 2026-04-01T00:00Z
DAYS = 30
WINDOWS = DAYS * 86_400 // windows.WINDOW_S  # 240
CIPHERTEXTS = 64
HOURS = (("low", ((0, 6), (21, 24))), ("high", ((6, 9), (18, 21))), ("middle", ((9, 18),)))


class Street:
    """One neighbourhood of so many customers, its concentrator's key and its roster."""

    def __init__(self, public_key: PublicKey, customers: int) -> None:
        self._key: EccKey = generate_signing_key()
        # The same key in OpenSSL's hands: it signs ten times faster.
        self._signing = Ed25519PrivateKey.from_private_bytes(bytes(self._key.seed))
        self._signer = key_id(self._key)
        self._public_key = public_key
        self.members = [Member(documents.to_base64url(secrets.token_bytes(16)), MONTH) for _ in range(customers)]
        encryptor = Encryptor(public_key)
        self._energies = [(1_000_000 + at, 10_000 + 7 * at) for at in range(CIPHERTEXTS)]
        self._texts = [to_base64url(public_key, encryptor.encrypt(ENERGY_SLOTS.pack(it))) for it in self._energies]

    def book(self) -> RosterBook:
        """Return the rosters of a deployment that has this street alone."""
        return RosterBook(
            [
                Roster(
                    neighbourhood=NAME,
                    version=1,
                    valid_from=MONTH,
                    zone="UTC",
                    interval_s=INTERVAL_S,
                    rating_w=20_000,
                    concentrator=documents.to_base64url(public_key_bytes(self._key)),
                    paillier_key=self._public_key.fingerprint,
                    paillier_n=self._public_key.to_jwk()["n"],
                    members=self.members,
                )
            ]
        )

    def tariffs(self) -> TariffBook:
        """Return a tariff of three bands."""
        bands = [
            Band(name, [Times("all", *times) for times in hours], 300_000 + at, 80_000)
            for at, (name, hours) in enumerate(HOURS)
        ]
        tariff = Tariff("bench", 1, MONTH, "UTC", "EUR", [], bands, 250_000, "day", 190_000)
        document = sign(generate_signing_key(), TARIFF, DEPLOYMENT, canonical_json(tariff))
        return TariffBook({tariff_id(document, DEPLOYMENT): tariff})

    def bills(self) -> Iterator[tuple[Item, tuple[int, int]]]:
        """Yield each customer's request with the energies that it must open to, in mWh."""
        for place, member in enumerate(self.members):
            picks = [(place + 13 * at) % CIPHERTEXTS for at in range(WINDOWS)]
            signed = [self._window(member.pseudonym, at, pick) for at, pick in enumerate(picks)]
            energies = (sum(self._energies[it][0] for it in picks), sum(self._energies[it][1] for it in picks))
            yield Item(bill=BillRequest(member.pseudonym, MONTH, signed)), energies

    def sums(self) -> list[list[str]]:
        """Return the ciphertexts of one customer's three sums, as the reports write them."""
        bands = range(len(HOURS))
        return [[self._texts[at % CIPHERTEXTS] for at in range(band, WINDOWS, len(HOURS))] for band in bands]

    def _window(self, pseudonym: str, at: int, pick: int) -> Document:
        start = MONTH + at * windows.WINDOW_S
        whole = windows.WINDOW_S // INTERVAL_S
        report = BillingWindow(
            neighbourhood=NAME,
            pseudonym=pseudonym,
            window_start=start,
            window_end=start + windows.WINDOW_S,
            interval_s=INTERVAL_S,
            present=whole,
            expected=whole,
            quality=0,
            register_from=start,
            register_to=start + windows.WINDOW_S,
            paillier_key=self._public_key.fingerprint,
            energy=self._texts[pick],
            closing_register=self._texts[pick],
        )
        content = canonical_json(report)
        signature = self._signing.sign(signed_bytes(BILLING_WINDOW, DEPLOYMENT, content))
        return Document(
            BILLING_WINDOW, documents.to_base64url(content), self._signer, documents.to_base64url(signature)
        )
