"""Registers and intervals: pure arithmetic."""

from firmware.meter import intervals, registers
from firmware.meter.registers import Registers
from protocol import wire


def refuses(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_registers_only_grow():
    assert registers.after(Registers(5, 6), 1, 0) == Registers(6, 6)
    assert refuses(registers.after, Registers(5, 6), -1, 0)
    assert refuses(registers.after, Registers(5, 6), 0, -1)


def test_a_register_that_is_full_is_refused_and_not_wrapped():
    full = Registers((1 << 64) - 1, 0)
    assert registers.after(full, 0, 1) == Registers((1 << 64) - 1, 1)
    assert refuses(registers.after, full, 1, 0)


def test_one_register_behind_is_enough_to_have_gone_back():
    assert registers.went_back(Registers(5, 5), Registers(9, 4))
    assert registers.went_back(Registers(5, 5), Registers(4, 9))
    assert not registers.went_back(Registers(5, 5), Registers(5, 5))


def test_the_first_interval_begins_at_a_boundary_of_the_epoch_not_before_now():
    assert intervals.begin(1800, 900).until == 1800
    assert intervals.begin(1801, 900).until == 2700


def test_detail_periods_sum_into_their_interval():
    account = intervals.begin(900, 900)
    for number in range(15):
        account, closed = intervals.add(account, 60, (1 << number, number), 0)
        assert (closed is None) == (number < 14)
    assert (closed.import_mwh, closed.export_mwh) == ((1 << 15) - 1, 105)
    assert (closed.until, closed.measured, closed.quality) == (1800, 15, 0)
    assert account == intervals.begin(1800, 900, 1800)


def test_an_unmeasured_period_marks_its_interval():
    account, _ = intervals.add(intervals.begin(0, 120), 60, None, 0)
    account, closed = intervals.add(account, 60, (7, 0), wire.APPARENT_ONLY)
    assert closed.quality == wire.POWER_FAILED | wire.APPARENT_ONLY
    assert closed.import_mwh == 7
    assert account.quality == 0


def test_an_interval_in_which_nothing_was_measured_closes_as_nothing():
    account = intervals.begin(0, 120)
    for _ in range(2):
        account, closed = intervals.add(account, 60, None, 0)
    assert closed is None
    assert (account.until, account.sealed_until) == (120, 0)


def test_a_measured_zero_is_a_reading():
    assert intervals.add(intervals.begin(0, 60), 60, (0, 0), 0)[1].measured == 1


def test_lengths_that_do_not_divide_are_refused():
    intervals.check_lengths(900, 60)
    for interval_s, detail_s in ((900, 61), (900, 0), (0, 0), (60, 900), (65536, 1), (900, -60)):
        assert refuses(intervals.check_lengths, interval_s, detail_s)
