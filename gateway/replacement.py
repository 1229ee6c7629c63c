"""A meter takes another's place: the same account, other registers, and no energy lost or counted twice.

Billing knows only differences of registers. So every register that the ledger still needs is moved by one amount,
``first register of the new meter - final register of the old one``, as ciphertexts: it then reads as if the new meter
had counted all along. What the old one counted since its last window lies between the moved base and the new meter's
first register, and is billed with the new one's next window. A moved register may stand for a number below zero; only
differences are ever opened.
"""

import paillier

from .enrolment import EnrolmentError, EnrolmentRecord
from .holdings import enrolled, open_windows, quarantined
from .holdings.enrolled import Meter
from .keys import Era
from .ledger import Ledger
from .neighbourhood import Neighbourhood
from .outbox import Outbox
from .registers import change_windows

# What is kept by title and goes on under the new one. Frames, readings and events stay what the old meter sent.
ACCOUNTS = (
    "windows",
    "former_registers",
    "contributors",
    "quarantine",
    "quarantine_keys",
    "quarantine_decisions",
    "outbox",
    "first_registers",
)


def replace_meter(ledger: Ledger, outbox: Outbox, record: EnrolmentRecord, place: Neighbourhood, now_ms: int) -> None:
    """Put the record's meter in the place of the one that it names; call inside a transaction.

    Raises EnrolmentError where the two do not fit; then nothing has changed.
    """
    old = _replaced(ledger, record)
    # Its rows are known by its title: they leave under it.
    while outbox.close_segments(now_ms, everything=True):
        pass
    known = _newest_registers(ledger, old, place)
    amounts = {
        era.name: _amount(ledger, record, old, era, known[era.name])
        for era in place.eras_from(old.base_end)
        if era.name in known
    }

    def moved(era: Era, register: bytes) -> bytes:
        if era.name not in amounts:
            return register  # of before what billing counts from: never needed again
        key = era.public_key
        return paillier.to_bytes(key, paillier.add(key, paillier.from_bytes(key, register), amounts[era.name]))

    new = bytes.fromhex(record.system_title)
    change_windows(ledger, place, old.title, 0, moved)
    kept = ledger.execute("SELECT register FROM first_registers WHERE title = ?", (old.title,)).fetchone()
    era = place.era(old.since)
    if kept is not None and era is place.era(record.since) and era.name in amounts:
        ledger.execute("UPDATE first_registers SET register = ? WHERE title = ?", (moved(era, kept[0]), old.title))
    else:
        # Under a former key nothing would be counted from it: billing stands at a later register.
        ledger.execute("DELETE FROM first_registers WHERE title = ?", (old.title,))
    enrolled.replace(ledger, old.title, record, moved(place.era(old.base_end), old.base_register))
    for table in ACCOUNTS:
        ledger.execute(f"UPDATE {table} SET title = ? WHERE title = ?", (new, old.title))  # noqa: S608 - eight names


def _replaced(ledger: Ledger, record: EnrolmentRecord) -> Meter:
    old = enrolled.get(ledger, bytes.fromhex(record.replaces or ""))
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


def _newest_registers(ledger: Ledger, old: Meter, place: Neighbourhood) -> dict[str, bytes]:
    """Return the account's newest register under each key that a register of it is under, that of its base on."""
    ends = {place.era(old.base_end).name: old.base_end}
    known = {place.era(old.base_end).name: old.base_register}

    def note(name: str, end: int, register: bytes) -> None:
        if end >= ends.get(name, old.base_end):
            ends[name], known[name] = end, register

    for span, last_end, register in open_windows.read_since(ledger, old.title, old.base_end):
        note(place.era(last_end).name, last_end, register)
        for name, former in open_windows.former_registers(ledger, old.title, span.start).items():
            note(name, last_end, former)
    if old.tail_register is not None:
        note(place.era(old.tail_end).name, old.tail_end, old.tail_register)
    return known


def _amount(ledger: Ledger, record: EnrolmentRecord, old: Meter, era: Era, known: bytes) -> int:
    """Return by how much registers under a key are moved; ``known``: the account's newest register under it."""
    first = era.encryption.encrypt_slots(record.first_import_mwh, record.first_export_mwh)
    return paillier.subtract(era.public_key, first, _final(ledger, record, old, era, known))


def _final(ledger: Ledger, record: EnrolmentRecord, old: Meter, era: Era, known: bytes) -> int:
    """Return the old meter's final register under a key, without the energy that is held back from bills."""
    key = era.public_key
    if record.final_import_mwh is None or record.final_export_mwh is None:
        # It could not be read: the account's last known register. What was measured after it nobody knows.
        return paillier.from_bytes(key, known)
    final = era.encryption.encrypt_slots(record.final_import_mwh, record.final_export_mwh)
    for energy in quarantined.energies_until(ledger, old.title, old.series, record.since, era.name, era.since):
        final = paillier.subtract(key, final, paillier.from_bytes(key, energy))
    return final
