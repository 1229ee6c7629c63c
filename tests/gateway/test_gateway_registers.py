"""Billing from registers: in whatever order readings come, the windows add up to last register minus first register.

A batch holds readings of 8**i mWh; the model knows only which of them were taken and the meter's own registers.
"""

import random
import tempfile

from gateway_bench import DAY, HOUR, RATING_W, START, WINDOW, Concentrator, Meter, decrypt
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.encryption import PaillierEncryption
from protocol import keychain

READINGS = 10  # of an hour each: 8**9 mWh fits the wire, and they span four windows
END = START + READINGS * HOUR
SEALED = START + 8 * DAY


def digits(total):
    """The digits in base 8 of a sum, the first reading's first."""
    return [total >> 3 * i & 7 for i in range(READINGS)]


class Day:
    """One meter's ten hours, delivered as told."""

    def __init__(self, folder):
        self.meter = Meter(interval_s=HOUR)
        self.gateway = Concentrator(folder, [self.meter], interval_s=HOUR, rating_w=RATING_W)
        # Sealed under the day on which it is sent at the earliest, so that late ones are not stale.
        self.frames = [
            self.meter.reading(START + i * HOUR, 8**i, i, epoch=keychain.epoch_of(START) + 2) for i in range(READINGS)
        ]

    def deliver(self, places, now):
        self.gateway.take([self.frames[i] for i in places], now)

    def bill(self):
        """Return the digits of import and the sum of export of every sealed window."""
        import_mwh, export_mwh = self.gateway.billed(self.meter)
        return digits(import_mwh), export_mwh


def what_registers_say(taken):
    """Everything up to the last reading that was taken: a gap loses no energy."""
    last = max(taken, default=-1)
    return [1 if i <= last else 0 for i in range(READINGS)], sum(range(last + 1))


orders = st.permutations(range(READINGS))


@settings(max_examples=40, deadline=None)
@given(order=orders, dropped=st.sets(st.integers(0, READINGS - 1)), rng=st.randoms(use_true_random=False))
def test_any_order_with_drops_repeats_and_restarts_bills_every_register_once(memory, order, dropped, rng):
    day = Day(tempfile.mkdtemp(dir=memory))
    taken = [place for place in order if place not in dropped]
    now = START + DAY + HOUR
    sent = []
    for place in taken:
        sent.append(place)
        day.deliver([place, *rng.sample(sent, rng.randrange(len(sent) + 1))], now)
        if rng.random() < 0.3:
            day.gateway.restart()
        if rng.random() < 0.3:
            now += rng.randrange(600)
            day.gateway.close(now)
    day.gateway.close(SEALED)
    assert day.bill() == what_registers_say(taken)
    counts = day.gateway.ledger.counts()
    assert counts.get("stored", 0) == len(taken)
    assert not counts.get("conflict")
    day.gateway.stop()


@settings(max_examples=25, deadline=None)
@given(order=orders, cut=st.integers(0, READINGS), rng=st.randoms(use_true_random=False))
def test_readings_that_come_after_their_window_was_sealed_lose_nothing_either(memory, order, cut, rng):
    day = Day(tempfile.mkdtemp(dir=memory))
    day.deliver(sorted(order[:cut]), START + DAY)
    for late in range(0, READINGS - cut, 3):
        # Some windows are sealed without them, the oldest first.
        day.gateway.close(START + 7 * DAY + rng.randrange(READINGS + 3) * HOUR)
        day.deliver(order[cut + late : cut + late + 3], START + 7 * DAY + 13 * HOUR)
        if rng.random() < 0.5:
            day.gateway.restart()
    day.gateway.close(START + 16 * DAY)
    assert day.bill() == what_registers_say(order)
    starts = [window.window_start for window in day.gateway.windows(day.meter)]
    assert starts == sorted(set(starts))
    day.gateway.stop()


def test_an_hour_by_hour_day_has_each_window_exactly(make):
    meter = Meter(interval_s=HOUR)
    gateway = make([meter], interval_s=HOUR)
    for i, frame in enumerate(meter.readings(9)):
        gateway.take([frame], START + (i + 1) * HOUR)
        gateway.close(START + (i + 1) * HOUR)
    found = [decrypt(window.energy) for window in gateway.windows(meter)]
    assert found == [(0o111, 0 + 1 + 2), (0o111000, 3 + 4 + 5), (0o111000000, 6 + 7 + 8)]


def test_an_unbroken_day_encrypts_one_register_only(make, monkeypatch):
    encrypted = []
    encrypt = PaillierEncryption.encrypt

    def counted(self, reading, *, with_register, with_energy=True):
        encrypted.append(with_register)
        return encrypt(self, reading, with_register=with_register, with_energy=with_energy)

    monkeypatch.setattr(PaillierEncryption, "encrypt", counted)
    meter = Meter(interval_s=HOUR)
    gateway = make([meter], interval_s=HOUR)
    gateway.take(meter.readings(8), START + 9 * HOUR)
    assert encrypted == [True] + [False] * 7
    meter.reading(START + 8 * HOUR, 5)  # lost
    gateway.take([meter.reading(START + 9 * HOUR, 5)], START + 10 * HOUR)
    assert encrypted[8:] == [True]


def test_a_gap_is_billed_with_the_window_of_the_next_reading_and_marked(make):
    meter = Meter(interval_s=HOUR)
    gateway = make([meter], interval_s=HOUR)
    frames = meter.readings(9)
    gateway.take(frames[:2] + frames[6:], START + 9 * HOUR)
    gateway.close(SEALED)
    first, empty, third = gateway.windows(meter)[:3]
    assert (first.present, first.expected, decrypt(first.energy)[0]) == (2, 3, 0o11)
    assert (empty.present, empty.energy, empty.closing_register) == (0, None, None)
    assert empty.register_from == empty.register_to == START + 2 * HOUR
    assert (third.present, decrypt(third.energy)[0]) == (3, 0o111111100)
    assert (third.register_from, third.register_to) == (START + 2 * HOUR, START + 9 * HOUR)


def test_a_late_reading_joins_the_oldest_unsealed_window_and_none_of_its_intervals(make):
    meter = Meter(interval_s=HOUR)
    gateway = make([meter], interval_s=HOUR)
    late = meter.reading(START + HOUR, 8, epoch=keychain.epoch_of(START) + 1)
    gateway.close(START + 7 * DAY + WINDOW)
    gateway.take([late], START + 7 * DAY + WINDOW + 60)
    gateway.close(START + 7 * DAY + 2 * WINDOW)
    first, second = gateway.windows(meter)
    assert first.energy is None
    assert (second.present, decrypt(second.energy)[0], second.register_to) == (0, 8, START + 2 * HOUR)


def test_registers_at_the_ends_of_their_range_are_exact(make):
    meter = Meter(interval_s=HOUR)
    meter.imported = meter.first_import = (1 << 63) - 1
    meter.exported = meter.first_export = (1 << 63) - 1
    gateway = make([meter], interval_s=HOUR)
    most = (1 << 32) - 1
    gateway.take([meter.reading(START + i * HOUR, most, most) for i in range(3)], START + WINDOW)
    meter.reading(START + WINDOW, most, most)  # lost
    meter.imported = meter.exported = (1 << 64) - 1
    last = meter.reading(START + WINDOW + HOUR, 0, 0)
    gateway.take([last], START + 2 * WINDOW)
    gateway.close(SEALED)
    (first, second) = [window for window in gateway.windows(meter) if window.energy]
    assert decrypt(first.energy) == (3 * most, 3 * most)
    assert decrypt(second.energy)[0] == (1 << 64) - (1 << 63) - 3 * most
    assert decrypt(second.closing_register) == ((1 << 64) - 1, (1 << 64) - 1)


def test_a_thousand_shuffled_readings_of_a_week_are_billed_once(make):
    meter = Meter()
    gateway = make([meter])
    rng = random.Random(1)
    frames = [meter.reading(START + i * 900, rng.randrange(1, 1 << 20)) for i in range(600)]
    end = START + 600 * 900
    shuffled = frames + rng.sample(frames, 400)
    rng.shuffle(shuffled)
    for at in range(0, len(shuffled), 50):
        gateway.take(shuffled[at : at + 50], end)
    gateway.close(end + 8 * DAY)
    assert gateway.billed(meter)[0] == meter.imported - meter.first_import
    assert gateway.ledger.counts() == {"stored": 600, "duplicate": 400}
