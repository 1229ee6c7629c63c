"""Sealed rows become readings (protocol, chapters 2, 3 and 8). No I/O: what a row holds exists in memory only.

Rule: a row that does not open is counted and left out, and the next one is tried. A row that was changed, one of an
earlier meter at this account, and one of another customer's look alike here, as they must.
"""

from dataclasses import dataclass, field

from Crypto.Cipher import AES
from Crypto.PublicKey.ECC import EccKey

from protocol import keychain, wire
from protocol.documents import DocumentError
from protocol.envelopes import Envelope, open_root

MOST_METERS = 8  # titles are in clear and anybody's: no more chains than these are kept


class Ccm:
    """AES-256-CCM, opening only (NIST SP 800-38C)."""

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Return the plaintext; raises ValueError where the tag does not verify."""
        cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=wire.TAG_BYTES)
        cipher.update(aad)
        return cipher.decrypt_and_verify(sealed[: -wire.TAG_BYTES], sealed[-wire.TAG_BYTES :])


@dataclass(frozen=True, slots=True)
class Reading:
    """One opened row: which meter (8 bytes), its boot's salt and invocation counter, and what it measured.

    ``detail`` is protocol.wire's Detail: energies and registers in mWh, times in UTC seconds. It is never shown.
    """

    title: bytes
    salt: bytes
    counter: int
    detail: wire.Detail = field(repr=False)


class Opener:
    """Opens the rows of one account with its customer's private key."""

    def __init__(self, key: EccKey, envelope: Envelope) -> None:
        self._key = key
        self._envelope = envelope
        self._chains: dict[bytes, list[keychain.Chain]] = {}

    def open(self, rows: bytes) -> tuple[list[Reading], int]:
        """Return (the readings of whole rows in their order, how many rows do not open)."""
        found = []
        for at in range(0, len(rows), wire.ROW_BYTES):
            reading = self._open_one(rows[at : at + wire.ROW_BYTES])
            if reading is not None:
                found.append(reading)
        return found, -(-len(rows) // wire.ROW_BYTES) - len(found)

    def _open_one(self, row: bytes) -> Reading | None:
        try:
            header = wire.parse_header(row)
            key = self._key_of(header.system_title, header.epoch)
            header, detail = wire.open_row(Ccm(), key, row)
        except (wire.WireError, DocumentError):
            return None
        return Reading(header.system_title, header.salt, header.counter, detail)

    def _key_of(self, title: bytes, epoch: int) -> bytes:
        chains = self._chains.get(title)
        if chains is None:
            root = open_root(self._key, self._envelope, title)
            chains = [keychain.Chain(self._envelope.epoch, keychain.first_chain(root))]
            self._chains[title] = chains
            if len(self._chains) > MOST_METERS:
                del self._chains[next(iter(self._chains))]
        behind = epoch - self._envelope.epoch
        if behind < 0 or epoch == wire.EPOCH_NONE:
            raise wire.Malformed("an epoch before the enrolment's")
        # Every day is worked out once: a row with an absurd epoch costs its 65,535 steps a single time.
        while len(chains) <= behind:
            chains.append(chains[-1].at(chains[-1].epoch + 1))
        key: bytes = chains[behind].key(keychain.DETAIL)
        return key
