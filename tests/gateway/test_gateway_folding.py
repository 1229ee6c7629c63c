"""What a batch folds, without a ledger: when a register may absorb a reading, and what is let out."""

import pytest
from gateway_bench import DECRYPTOR, INTERVAL, PRIVATE, START, WINDOW

from gateway.aggregate import OpenWindow
from gateway.encryption import FOLD, PaillierEncryption, Settings
from gateway.folding import FoldedLoad, FoldedRegister
from paillier import ENERGY_SLOTS
from protocol import wire
from protocol.windows import Span

SPAN = Span(START, START + WINDOW)
FOLDING = PaillierEncryption(PRIVATE.public, Settings(FOLD, table_window_bits=4))


def opened(ciphertext):
    return ENERGY_SLOTS.unpack(DECRYPTOR.decrypt(ciphertext))


def reading(place, import_mwh=0, export_mwh=0, quality=0):
    start = START + place * INTERVAL
    return wire.Reading(1, start // INTERVAL, start + INTERVAL, INTERVAL, import_mwh, export_mwh, 0, 0, quality)


def folded(*readings, at=START, window=None):
    register = FoldedRegister(FOLDING.accumulator(FOLDING.encrypt_slots(1000, 50)), at, window or OpenWindow(SPAN))
    for each in readings:
        register.fold(each, FOLDING.message(each))
    return register


def test_a_register_and_its_window_count_what_was_folded():
    register = folded(reading(0, 5, 1, wire.POWER_FAILED), reading(1, 40, 2, wire.COVER_OPENED))
    tail, window = register.emit()
    assert (tail.end, opened(tail.register)) == (START + 2 * INTERVAL, (1045, 53))
    assert (window.present, window.last_end) == (2, START + 2 * INTERVAL)
    assert window.quality == wire.POWER_FAILED | wire.COVER_OPENED
    assert window.register == tail.register


def test_counts_are_added_to_those_of_the_ledger():
    before = OpenWindow(SPAN, present=3, quality=wire.ESTIMATED, last_end=START + 3 * INTERVAL)
    _, window = folded(reading(3, 5), at=START + 3 * INTERVAL, window=before).emit()
    assert (window.present, window.quality, window.last_end) == (4, wire.ESTIMATED, START + 4 * INTERVAL)


def test_a_register_takes_the_next_reading_of_its_window_and_no_other():
    register = folded(reading(0), reading(1))
    taken = [place for place in range(-2, 15) if register.takes(START + place * INTERVAL)]
    assert taken == [2]
    whole = folded(*(reading(place) for place in range(12)))
    assert not any(whole.takes(START + place * INTERVAL) for place in range(-2, 15))


def test_a_reading_behind_a_gap_cannot_be_folded():
    register = folded(reading(0, 5))
    for place in (0, 2, 11):
        with pytest.raises(ValueError, match="does not continue"):
            register.fold(reading(place, 1), 1)
    assert opened(register.emit()[0].register) == (1005, 50)


def test_a_late_reading_is_energy_of_its_window_and_no_interval_of_it():
    late = Span(START + WINDOW, START + 2 * WINDOW)
    _, window = folded(reading(0, 5), window=OpenWindow(late)).emit()
    assert (window.present, opened(window.register)) == (0, (1005, 50))


def test_whatever_is_emitted_is_under_a_randomiser_of_its_own():
    n, stored = PRIVATE.public.n, FOLDING.encrypt_slots(1000, 50)
    emitted = [stored]
    for place in range(3):
        register = FoldedRegister(FOLDING.accumulator(emitted[-1]), START, OpenWindow(SPAN))
        register.fold(reading(0, place), place)
        emitted.append(register.emit()[0].register)
        load = FoldedLoad(FOLDING.accumulator(emitted[-1]))
        emitted.append(load.emit())
    assert len({c % n for c in emitted}) == 7  # equal ones would differ by a plaintext that anyone reads


def test_what_has_let_its_state_out_takes_and_gives_no_more():
    # A second state would be readable beside the first one.
    register, load = folded(reading(0, 5)), FoldedLoad(FOLDING.accumulator(None))
    register.emit()
    load.emit()
    for call in (register.emit, load.emit, lambda: load.fold(b"one", 5), lambda: register.fold(reading(1, 7), 7)):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_neither_a_load_nor_a_register_shows_its_state():
    load = FoldedLoad(FOLDING.accumulator(None))
    load.fold(b"one", 777_123_457)
    for each in (load, folded(reading(0, 777_123_457))):
        assert "777123457" not in repr(each) + repr(vars(each))
