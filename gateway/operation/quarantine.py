"""The operator's word on readings that were set aside: release them into the bill, or leave them out of it for good.

While a reading is in quarantine, its energy is in its meter's registers and held back from them as a ciphertext.
Releasing gives it back: the tail and every unsealed window whose register lies behind it, so that the oldest of those
windows takes it when it is sealed, or the next one that gets a register. A closed load is never touched. A reading of
another register series was never in these registers: it is added to what the next window is counted from instead.

Only while the daemon is stopped: in fold mode a register may be open in its memory, and what is quick and rare needs
no second way in. The meters keep their readings meanwhile. Looking is always possible: status shows the list.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import paillier

from ..holdings import enrolled
from ..holdings.enrolled import Meter
from ..ledger import Ledger
from ..neighbourhood import Neighbourhood
from ..registers import give_back
from .status import Status

RELEASED = "released"
DISCARDED = "discarded"
WORDS = {"release": RELEASED, "discard": DISCARDED}
COUNTED = {RELEASED: "released from quarantine", DISCARDED: "discarded from quarantine"}


class QuarantineError(Exception):
    """A name is not that of a reading in quarantine; the message says so. Nothing was changed."""


class Name(NamedTuple):
    """What names a reading: its meter, register series and interval number."""

    title: bytes
    series: int
    number: int

    def __str__(self) -> str:
        return f"{self.title.hex()}:{self.series}:{self.number}"


def parse_name(text: str) -> Name:
    """Return what a person typed, as the list shows it; raises QuarantineError."""
    try:
        title, series, number = text.split(":")
        return Name(bytes.fromhex(title), int(series), int(number))
    except ValueError:
        raise QuarantineError(f"'{text[:80]}' names no reading: say METER:SERIES:NUMBER as the list shows it") from None


def lines(found: Status) -> list[str]:
    """Return what the list says: a reading's name, its interval, and why it was set aside. Never an energy."""
    if not found.quarantined:
        return ["no reading is in quarantine"]
    return [
        f"{reading.name}  {_moment(reading.interval_start)} to {_moment(reading.interval_end)}  {reading.reason}"
        for reading in found.quarantined
    ]


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def waiting(ledger: Ledger) -> list[Name]:
    """Return the readings that nobody has decided about."""
    rows = ledger.execute(
        "SELECT title, series, interval_number FROM quarantine AS q WHERE NOT EXISTS (SELECT 1 FROM"
        " quarantine_decisions AS d WHERE (d.title, d.series, d.interval_number) ="
        " (q.title, q.series, q.interval_number)) ORDER BY title, series, interval_number"
    )
    return [Name(*row) for row in rows]


def decide(ledger: Ledger, neighbourhoods: Mapping[str, Neighbourhood], names: list[Name], decision: str) -> None:
    """Release or discard readings, all in one transaction or none. Raises QuarantineError."""
    with ledger.transaction():
        for name in names:
            _decide(ledger, neighbourhoods, name, decision)


def _decide(ledger: Ledger, neighbourhoods: Mapping[str, Neighbourhood], name: Name, decision: str) -> None:
    row = ledger.execute(
        "SELECT interval_start, interval_end, energy FROM quarantine"
        " WHERE title = ? AND series = ? AND interval_number = ?",
        name,
    ).fetchone()
    decided = ledger.execute(
        "SELECT decision FROM quarantine_decisions WHERE title = ? AND series = ? AND interval_number = ?", name
    ).fetchone()
    if decided is not None:
        raise QuarantineError(f"reading {name} has been {decided[0]} already; nothing was changed")
    if row is None:
        raise QuarantineError(f"reading {name} is not in quarantine; nothing was changed")
    start, end, energy = row
    meter = enrolled.get(ledger, name.title)
    assert meter is not None, "readings are taken of enrolled meters only"
    after = end if name.series == meter.series else 0
    if decision == RELEASED:
        place = neighbourhoods[meter.neighbourhood]
        energies = _energies(ledger, name, energy)
        base = place.era(meter.base_end)
        if base.name not in energies:
            raise QuarantineError(
                f"reading {name} was set aside under a former key, and all under that is billed: it can be discarded"
                " only; nothing was changed"
            )
        # A key's registers all hold what was measured before it, so there is nothing to give back to them.
        if name.series == meter.series and base.since <= end:
            give_back(ledger, place, meter, end, energies)
        else:
            _add_beside(ledger, base.public_key, meter, energies[base.name])
        # A discarded one stays: whatever register is encrypted afresh must leave its energy out for ever.
        for table in ("quarantine", "quarantine_keys"):
            ledger.execute(
                f"DELETE FROM {table} WHERE title = ? AND series = ? AND interval_number = ?",  # noqa: S608 - two names
                name,
            )
    ledger.execute(
        "INSERT INTO quarantine_decisions VALUES (?,?,?,?,?,?,?)",
        (*name, start, after, decision, meter.next_window),
    )
    ledger.add_count(COUNTED[decision])


def _energies(ledger: Ledger, name: Name, first: bytes) -> dict[str, bytes]:
    """Return a reading's energy under each key that it is kept under, by fingerprint."""
    rows = ledger.execute(
        "SELECT key, coalesce(energy, ?) FROM quarantine_keys WHERE title = ? AND series = ? AND interval_number = ?",
        (first, *name),
    )
    return dict(rows)


def _add_beside(ledger: Ledger, key: paillier.PublicKey, meter: Meter, energy: bytes) -> None:
    """Lower the register that the next window is counted from: that window is greater by the energy, and no other."""
    base = paillier.subtract(key, paillier.from_bytes(key, meter.base_register), paillier.from_bytes(key, energy))
    enrolled.set_base(ledger, meter.title, meter.base_end, paillier.to_bytes(key, base))
