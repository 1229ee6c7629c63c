"""When the meter asks for the time, and which answers count."""

from firmware.meter.clock import ANSWER_MS, REFRESH_MS, TRUSTED_MS, Clock
from protocol import wire

CHALLENGE = b"c" * 16
UTC_MS = 1700000000000


def synchronised(monotonic_ms=5000):
    clock = Clock()
    clock.ask(CHALLENGE, 0)
    assert clock.answer(UTC_MS, CHALLENGE, monotonic_ms, 0, 0)
    return clock


def test_the_time_is_unknown_until_the_first_answer():
    clock = Clock()
    assert clock.utc_ms(0) is None
    assert clock.today(0) is None
    assert not clock.trusted(0)


def test_utc_is_the_monotonic_clock_plus_what_was_learnt():
    clock = synchronised(5000)
    assert clock.utc_ms(5000) == UTC_MS
    assert clock.utc_ms(7500) == UTC_MS + 2500
    assert clock.today(5000) == UTC_MS // 86400000


def test_an_answer_counts_only_within_two_seconds_of_its_hello():
    for waited, counts in ((0, True), (ANSWER_MS, True), (ANSWER_MS + 1, False), (-1, False)):
        clock = Clock()
        clock.ask(CHALLENGE, 100)
        assert clock.answer(UTC_MS, CHALLENGE, 0, 100 + waited, 0) == counts


def test_an_answer_to_another_challenge_or_to_none_does_not_count():
    clock = Clock()
    assert not clock.answer(UTC_MS, CHALLENGE, 0, 0, 0)
    clock.ask(CHALLENGE, 0)
    assert not clock.answer(UTC_MS, b"d" * 16, 0, 0, 0)
    clock.ask(b"e" * 16, 0)
    assert not clock.answer(UTC_MS, CHALLENGE, 0, 0, 0)


def test_an_answer_counts_once():
    clock = synchronised()
    assert not clock.answer(UTC_MS + 1, CHALLENGE, 5000, 0, 0)
    assert clock.utc_ms(5000) == UTC_MS


def test_the_time_never_precedes_the_end_of_the_last_sealed_period():
    sealed_until = UTC_MS // 1000
    clock = Clock()
    clock.ask(CHALLENGE, 0)
    assert not clock.answer(UTC_MS - 1, CHALLENGE, 0, 0, sealed_until)
    assert clock.utc_ms(0) is None
    assert clock.answer(UTC_MS, CHALLENGE, 0, 0, sealed_until)


def test_a_time_beyond_the_wires_range_does_not_count():
    clock = Clock()
    clock.ask(CHALLENGE, 0)
    assert not clock.answer((1 << 32) * 1000, CHALLENGE, 0, 0, 0)
    assert not clock.answer((1 << 64) - 1, CHALLENGE, 0, 0, 0)


def test_the_meter_asks_at_boot_while_it_does_not_know_and_every_six_hours():
    clock = Clock()
    assert clock.reason_to_ask(0) == wire.BOOT
    clock.ask(CHALLENGE, 0)
    assert clock.reason_to_ask(0) == wire.TIME_UNKNOWN
    assert clock.answer(UTC_MS, CHALLENGE, 5000, 0, 0)
    assert clock.reason_to_ask(5000 + REFRESH_MS - 1) is None
    assert clock.reason_to_ask(5000 + REFRESH_MS) == wire.PERIODIC


def test_a_clock_that_nobody_refreshes_loses_its_trust_and_not_its_time():
    clock = synchronised(0)
    assert clock.trusted(TRUSTED_MS - 1)
    assert not clock.trusted(TRUSTED_MS)
    assert clock.utc_ms(TRUSTED_MS) == UTC_MS + TRUSTED_MS
