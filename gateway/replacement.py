"""A meter takes another's place: the same account, other registers, and no energy lost or counted twice.

Billing knows only differences of registers. So every register that the ledger still needs is moved by one amount,
``first register of the new meter - final register of the old one``, as ciphertexts: it then reads as if the new meter
had counted all along. What the old one counted since its last window lies between the moved base and the new meter's
first register, and is billed with the new one's next window. A moved register may stand for a number below zero; only
differences are ever opened.
"""

import paillier

from .encryption import PaillierEncryption
from .enrolment import EnrolmentError, EnrolmentRecord
from .ledger import Ledger, Meter
from .neighbourhood import Neighbourhood
from .outbox import Outbox

# What is kept by title and goes on under the new one. Frames, readings and events stay what the old meter sent.
ACCOUNTS = ("windows", "contributors", "quarantine", "quarantine_decisions", "outbox", "first_registers")


def replace_meter(ledger: Ledger, outbox: Outbox, record: EnrolmentRecord, place: Neighbourhood, now_ms: int) -> None:
    """Put the record's meter in the place of the one that it names; call inside a transaction.

    Raises EnrolmentError where the two do not fit; then nothing has changed.
    """
    old = _replaced(ledger, record)
    # Its rows are known by its title: they leave under it.
    while outbox.segments.close_some(now_ms, everything=True):
        pass
    key, encryption = place.encryption.public_key, place.encryption
    first = encryption.encrypt_slots(record.first_import_mwh, record.first_export_mwh)
    by = paillier.subtract(key, first, _final(ledger, record, old, encryption))

    def moved(register: bytes) -> bytes:
        return paillier.to_bytes(key, paillier.add(key, paillier.from_bytes(key, register), by))

    new = bytes.fromhex(record.system_title)
    for span, _, register in ledger.windows_read_since(old.title, 0):
        ledger.set_window_register(old.title, span.start, moved(register))
    kept = ledger.execute("SELECT register FROM first_registers WHERE title = ?", (old.title,)).fetchone()
    if kept is not None:
        ledger.execute("UPDATE first_registers SET register = ? WHERE title = ?", (moved(kept[0]), old.title))
    ledger.execute(
        "UPDATE meters SET title = ?, since = ?, series = ?, epoch = ?, chain = ?, hello_key = ?, time_key = ?,"
        " seen_epoch = ?, tail_end = ?, tail_register = NULL, base_register = ? WHERE title = ?",
        (
            new,
            record.since,
            record.series,
            record.epoch,
            bytes.fromhex(record.hop_chain),
            bytes.fromhex(record.hello_key),
            bytes.fromhex(record.time_key),
            record.epoch,
            record.since,
            moved(old.base_register),
            old.title,
        ),
    )
    for table in ACCOUNTS:
        ledger.execute(f"UPDATE {table} SET title = ? WHERE title = ?", (new, old.title))  # noqa: S608 - six names


def _replaced(ledger: Ledger, record: EnrolmentRecord) -> Meter:
    old = ledger.meter(bytes.fromhex(record.replaces or ""))
    if old is None:
        raise EnrolmentError(f"meter {record.replaces}, which is to be replaced, is not enrolled here")
    if (old.pseudonym, old.neighbourhood) != (record.pseudonym, record.neighbourhood):
        raise EnrolmentError(f"meter {record.replaces}, which is to be replaced, is of another account")
    if old.series == record.series:
        raise EnrolmentError(f"series {record.series} is that of the meter to be replaced: the new one begins another")
    if old.tail_register is not None and old.tail_end > record.since:
        raise EnrolmentError(f"meter {record.replaces} has sent a reading of after its replacement: check 'since'")
    if (record.final_import_mwh is None) != (record.final_export_mwh is None):
        raise EnrolmentError("one of the two final registers is missing")
    return old


def _final(ledger: Ledger, record: EnrolmentRecord, old: Meter, encryption: PaillierEncryption) -> int:
    """Return the old meter's final register, as a ciphertext, without the energy that is held back from bills."""
    key = encryption.public_key
    if record.final_import_mwh is None or record.final_export_mwh is None:
        # It could not be read: the account's last known register. What was measured after it nobody knows.
        return paillier.from_bytes(key, old.tail_register or old.base_register)
    final = encryption.encrypt_slots(record.final_import_mwh, record.final_export_mwh)
    for energy in ledger.quarantined_until(old.title, old.series, record.since):
        final = paillier.subtract(key, final, paillier.from_bytes(key, energy))
    return final
