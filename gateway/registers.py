"""Every register of a meter that is not billed yet, moved by one energy: each under the key that it is under."""

from collections.abc import Callable, Mapping

import paillier

from .holdings import enrolled, open_windows
from .holdings.enrolled import Meter
from .keys import Era
from .ledger import Ledger
from .neighbourhood import Neighbourhood

Change = Callable[[Era, bytes], bytes]


def hold_back(ledger: Ledger, place: Neighbourhood, meter: Meter, end: int, energies: Mapping[str, bytes]) -> None:
    """Take the energy of an interval that ended at ``end`` out of what is not billed; under each key by its name."""
    _move(ledger, place, meter, end, energies, paillier.subtract)


def give_back(ledger: Ledger, place: Neighbourhood, meter: Meter, end: int, energies: Mapping[str, bytes]) -> None:
    """Put an energy back that was held back."""
    _move(ledger, place, meter, end, energies, paillier.add)


def _move(
    ledger: Ledger,
    place: Neighbourhood,
    meter: Meter,
    end: int,
    energies: Mapping[str, bytes],
    by: Callable[[paillier.PublicKey, int, int], int],
) -> None:
    def moved(era: Era, register: bytes) -> bytes:
        # What was measured before a key is in all of its registers, and so in none of their differences.
        if era.since > end or era.name not in energies:
            return register
        key = era.public_key
        terms = paillier.from_bytes(key, register), paillier.from_bytes(key, energies[era.name])
        return paillier.to_bytes(key, by(key, *terms))

    if meter.tail_register is not None and meter.tail_end >= end:
        enrolled.set_tail(ledger, meter.title, meter.tail_end, moved(place.era(meter.tail_end), meter.tail_register))
    change_windows(ledger, place, meter.title, end, moved)


def change_windows(ledger: Ledger, place: Neighbourhood, title: bytes, end: int, change: Change) -> None:
    """Change every register of the unsealed windows that were last read at ``end`` (UTC seconds) or later."""
    eras = {era.name: era for era in place.eras}
    for span, last_end, register in open_windows.read_since(ledger, title, end):
        open_windows.set_register(ledger, title, span.start, change(place.era(last_end), register))
        for name, former in open_windows.former_registers(ledger, title, span.start).items():
            open_windows.set_former_register(ledger, title, span.start, name, change(eras[name], former))
