"""A year of sealed minutes in a served MDMS's database, put there without a year of signed segments."""

from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from sqlalchemy import insert

from mdms.tables import detail_rows
from protocol import keychain, wire

BLOCK = 20_000


class QuickCcm:
    """AES-256-CCM by OpenSSL, one key after the other."""

    def __init__(self):
        self._key, self._cipher = b"", None

    def seal(self, key, nonce, plaintext, aad):
        if key != self._key:
            self._key, self._cipher = key, AESCCM(key, tag_length=16)
        return self._cipher.encrypt(nonce, plaintext, aad)


def store_minutes(served, customer, start, count):
    """Store ``count`` minutes from ``start`` on; returns their imports in mWh, oldest first."""
    imports = [minute_mwh(at) for at in range(count)]
    ccm = QuickCcm()
    chain, rows = keychain.Chain(customer.epoch, keychain.first_chain(customer._root)), []
    for at, import_mwh in enumerate(imports, start=1):
        until = start + at * 60
        epoch = keychain.epoch_of(until)
        if chain.epoch != epoch:
            chain = chain.at(epoch)
        customer.counter += 1
        customer.import_mwh += import_mwh
        header = wire.Header(wire.DETAIL, customer.title, epoch, b"salt", customer.counter)
        detail = wire.Detail(until, 60, import_mwh, 0, customer.import_mwh, 0, 2301, 145, 987, 0)
        blob = wire.seal_detail(ccm, chain.key(keychain.DETAIL), header, wire.pack_detail(detail))
        rows.append((epoch, customer.counter, wire.pack_header(header) + blob))
    for first in range(0, count, BLOCK):
        _insert(served, customer, rows[first : first + BLOCK])
    return imports


def minute_mwh(at):
    """An import in mWh that is another one for every minute of a month."""
    return 3_000 + at % 43_201


def _insert(served, customer, rows):
    values = [
        {
            "title": customer.title,
            "salt": b"salt",
            "counter": counter.to_bytes(8, "big"),
            "pseudonym": customer.account,
            "epoch": epoch,
            "row": row,
            "arrival": counter,
        }
        for epoch, counter, row in rows
    ]
    served.store.write(lambda connection: connection.execute(insert(detail_rows), values))
