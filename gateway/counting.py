"""One batch's counting: a reading enters its meter's window and its neighbourhood's load, once, as ciphertexts.

What a batch has open is emitted into the ledger before its commit; nothing here outlives the transaction.
"""

import functools
from dataclasses import replace

import structlog

import paillier
from protocol import windows, wire

from .aggregate import Tail
from .encryption import EncryptedReading
from .folding import FoldedLoad, FoldedRegister, Folding, SummedLoad
from .holdings import loads, open_windows, quarantined
from .holdings.enrolled import Meter
from .keys import Era
from .ledger import Ledger
from .neighbourhood import Neighbourhood
from .registers import hold_back
from .standing import Standings

log = structlog.get_logger()

LATE = "late for its load"

# A street's readings are of the same few intervals, and the calendar takes longer than a sum.
_window_at = functools.lru_cache(maxsize=1024)(windows.window_of)


class Counting:
    """Counts the readings of one batch. Build it inside the transaction, and `emit` before the commit."""

    def __init__(self, ledger: Ledger, standings: Standings) -> None:
        self._ledger = ledger
        self._standings = standings
        self._folding = Folding()

    def count(self, meter: Meter, place: Neighbourhood, reading: wire.Reading) -> windows.Span:
        """Count a reading once in its window and, unless that is closed, once in its load. Returns the window."""
        start = reading.interval_end - reading.interval_s
        late = self._is_late(meter, start) or not place.names(meter.pseudonym, start)
        if place.folds:
            return self._fold(meter, place, reading, late)
        span, encrypted = self._advance(meter, place, reading)
        if not late:
            self._add_to_load(meter, place, encrypted)
        return span

    def _advance(
        self, meter: Meter, place: Neighbourhood, reading: wire.Reading, *, with_energy: bool = True
    ) -> tuple[windows.Span, EncryptedReading]:
        """Count a reading in its meter's register and window, as ciphertexts."""
        if not _under_one_key(meter, place, reading):
            return self._advance_across(meter, place, reading, with_energy=with_energy)
        era = place.era(reading.interval_end)
        key, aggregator = era.public_key, era.aggregator
        start = reading.interval_end - reading.interval_s
        span = _window_of(meter, place, start)
        window, register = open_windows.get(self._ledger, meter.title, span)
        tail = Tail(meter.tail_end, _integer(key, meter.tail_register))
        encrypted = era.encryption.encrypt(
            reading,
            with_register=aggregator.needs_register(tail, window, start, reading.interval_end),
            with_energy=with_energy,
        )
        newest, counted = aggregator.count(tail, window, encrypted, self._held(meter, era, reading.interval_end))
        if counted.register is not None:
            register = paillier.to_bytes(key, counted.register)
        open_windows.put(self._ledger, meter.title, counted, register)
        if newest is not tail:
            # Nearly always the window's register is the newest one: its bytes are made, and checked, once.
            same = newest.register == counted.register
            self._standings.set_tail(meter.title, newest.end, register if same else _bytes(key, newest.register))
        return span, encrypted

    def _advance_across(
        self, meter: Meter, place: Neighbourhood, reading: wire.Reading, *, with_energy: bool
    ) -> tuple[windows.Span, EncryptedReading]:
        """Count a reading where the Paillier key changes between the register that billing counts from and its own.

        Its window will be a difference of two registers, and which is the first nobody knows before the windows before
        it are sealed. So its register is encrypted afresh under every key that may be that one's.
        """
        title, end = meter.title, reading.interval_end
        start = end - reading.interval_s
        span = _window_of(meter, place, start)
        window, register = open_windows.get(self._ledger, title, span)
        *former, newest = place.eras_between(meter.base_end, end)
        at_start = place.era(start).encryption
        encrypted = at_start.encrypt(reading, with_register=False, with_energy=with_energy)
        is_newest = end > meter.tail_end or meter.tail_register is None
        of_window = end > window.last_end
        window = replace(window, present=window.present + window.holds(start), quality=window.quality | reading.quality)
        if is_newest or of_window:
            fresh = self._register_under(meter, newest, reading)
            if is_newest:
                self._standings.set_tail(title, end, fresh)
            if of_window:
                window, register = replace(window, last_end=end), fresh
                for era in former:
                    open_windows.set_former_register(
                        self._ledger, title, span.start, era.name, self._register_under(meter, era, reading)
                    )
        open_windows.put(self._ledger, title, window, register)
        return span, encrypted

    def _register_under(self, meter: Meter, era: Era, reading: wire.Reading) -> bytes:
        """Return a reading's register as a fresh ciphertext under a key, without what is quarantined of it."""
        register = era.encryption.encrypt_slots(reading.import_register, reading.export_register)
        held = self._held(meter, era, reading.interval_end)
        if held is not None:
            register = paillier.subtract(era.public_key, register, held)
        return paillier.to_bytes(era.public_key, register)

    def _held(self, meter: Meter, era: Era, end: int) -> int | None:
        """Return the sum of what is quarantined up to a time and is in no register that began the key; None: nothing.

        All of a key's registers hold what was measured before it came into force, and only differences are billed.
        """
        aside = quarantined.energies_until(self._ledger, meter.title, meter.series, end, era.name, era.since)
        held = [paillier.from_bytes(era.public_key, energy) for energy in aside]
        return paillier.add_many(era.public_key, held) if held else None

    def _add_to_load(self, meter: Meter, place: Neighbourhood, encrypted: EncryptedReading) -> None:
        assert encrypted.energy is not None, "only what is folded has no ciphertext of its own"
        load = self._folding.loads.get((meter.neighbourhood, encrypted.start))
        if load is None:
            era = place.era(encrypted.start)
            held = _integer(era.public_key, loads.total(self._ledger, meter.neighbourhood, encrypted.start))
            load = SummedLoad(era.public_key, era.aggregator, held)
            self._folding.loads[meter.neighbourhood, encrypted.start] = load
        assert isinstance(load, SummedLoad), "a neighbourhood folds its readings or it does not"
        load.add(meter.title, encrypted.energy)

    def _is_late(self, meter: Meter, start: int) -> bool:
        """Say, and count, whether the load that a reading belongs to is closed.

        The difference between a load before and after would be this one meter's reading.
        """
        open_from = self._standings.open_from(meter.neighbourhood)
        late = open_from is not None and start < open_from
        if late:
            self._ledger.add_count(LATE)
        return late

    def quarantine(self, meter: Meter, place: Neighbourhood, reading: wire.Reading, reason: str) -> None:
        """Set a reading aside and take its energy out of every register that is not billed yet."""
        meter = self._settled(meter)
        log.error("alarm: a reading is quarantined", meter=meter.title.hex(), reason=reason)
        end = reading.interval_end
        if end <= meter.base_end:
            return  # the register that closed its window has been reported: its energy is billed already
        # Under every key whose windows may yet be without it, or be given it back.
        energies = {
            era.name: paillier.to_bytes(
                era.public_key, era.encryption.encrypt_slots(reading.import_mwh, reading.export_mwh)
            )
            for era in place.eras_from(meter.base_end)
        }
        new = quarantined.set_aside(
            self._ledger,
            meter.title,
            reading.series,
            reading.interval_number,
            end - reading.interval_s,
            end,
            reason,
            energies,
        )
        if not new or reading.series != meter.series:
            return  # taken out before, or never in these registers
        hold_back(self._ledger, place, meter, end, energies)
        self._standings.changed(meter.title)

    # --- Folding (fold mode) ------------------------------------------------------------------------------------

    def _fold(self, meter: Meter, place: Neighbourhood, reading: wire.Reading, late: bool) -> windows.Span:
        """Fold a reading into its load, and into its meter's register where it continues that. Returns the window."""
        start = reading.interval_end - reading.interval_s
        message = place.era(start).encryption.message(reading)
        if not late:
            self._load(meter, place, start).fold(meter.title, message)
        if not _under_one_key(meter, place, reading):
            return self._advance_across(self._settled(meter), place, reading, with_energy=False)[0]
        register = self._folding.registers.get(meter.title)
        if register is None or not register.takes(start):
            meter = self._settled(meter)
            register = self._open_register(meter, place, start)
        if register is None:
            return self._advance(meter, place, reading, with_energy=False)[0]
        register.fold(reading, message)
        return register.span

    def _load(self, meter: Meter, place: Neighbourhood, start: int) -> FoldedLoad:
        """Return the load of an interval, open for folding."""
        load = self._folding.loads.get((meter.neighbourhood, start))
        if load is None:
            era = place.era(start)
            held = _integer(era.public_key, loads.total(self._ledger, meter.neighbourhood, start))
            load = FoldedLoad(era.encryption.accumulator(held))
            self._folding.loads[meter.neighbourhood, start] = load
        assert isinstance(load, FoldedLoad), "a neighbourhood folds its readings or it does not"
        return load

    def _open_register(self, meter: Meter, place: Neighbourhood, start: int) -> FoldedRegister | None:
        """Open a meter's register for the reading that starts then; None where that does not continue it."""
        era = place.era(start)
        tail = Tail(meter.tail_end, _integer(era.public_key, meter.tail_register))
        if not tail.continued_by(start):
            return None
        window, _ = open_windows.get(self._ledger, meter.title, _window_of(meter, place, start))
        register = FoldedRegister(era.encryption.accumulator(tail.register), tail.end, window)
        self._folding.registers[meter.title] = register
        return register

    def _settled(self, meter: Meter) -> Meter:
        """Return a meter's standing with all that this batch has folded of it emitted into the ledger."""
        register = self._folding.registers.pop(meter.title, None)
        if register is None:
            return meter
        self._keep_register(meter.title, register)
        return self._standings.enrolled(meter.title)

    def _keep_register(self, title: bytes, register: FoldedRegister) -> None:
        tail, window = register.emit()
        emitted = _bytes(register.public_key, tail.register)
        open_windows.put(self._ledger, title, window, emitted)
        self._standings.set_tail(title, tail.end, emitted)

    def emit(self) -> None:
        """Emit everything that is open into the ledger: the end of a batch."""
        for title, register in self._folding.registers.items():
            self._keep_register(title, register)
        for (neighbourhood, start), load in self._folding.loads.items():
            loads.set_total(
                self._ledger, neighbourhood, start, paillier.to_bytes(load.public_key, load.emit()), *load.titles
            )


def _under_one_key(meter: Meter, place: Neighbourhood, reading: wire.Reading) -> bool:
    """Say whether everything that counting a reading touches is under the key that is in force at its end."""
    if len(place.eras) == 1:
        return True
    end = reading.interval_end
    era = place.era(end)
    touched = (meter.base_end, meter.tail_end, end - reading.interval_s)
    return all(place.era(at) is era for at in touched)


def _window_of(meter: Meter, place: Neighbourhood, start: int) -> windows.Span:
    """Return the window that takes a reading: its own, or the oldest unsealed one where that is sealed already."""
    span = _window_at(start, place.zone)
    return span if span.start >= meter.next_window else _window_at(meter.next_window, place.zone)


def _integer(key: paillier.PublicKey, data: bytes | None) -> int | None:
    return None if data is None else paillier.from_bytes(key, data)


def _bytes(key: paillier.PublicKey, ciphertext: int | None) -> bytes | None:
    return None if ciphertext is None else paillier.to_bytes(key, ciphertext)
