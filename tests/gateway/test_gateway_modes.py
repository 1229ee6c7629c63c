"""Strict, pool and fold: the same sums from the same frames, and nothing is stored or sent that anyone can read."""

import gc
import tempfile
from contextlib import contextmanager
from itertools import pairwise

import pytest
from gateway_bench import DAY, DECRYPTOR, HOUR, INTERVAL, PRIVATE, START, Concentrator, Meter, decrypt
from hypothesis import given, settings
from hypothesis import strategies as st

import paillier
from gateway.counting import Counting
from gateway.encryption import FOLD, MODES, POOL, STRICT, PaillierEncryption, Settings, SettingsError
from gateway.folding import FoldedRegister
from gateway.holdings import enrolled, loads
from gateway.ledger import Ledger
from paillier import ENERGY_SLOTS, Accumulator
from protocol import keychain, reports

METERS = 2
READINGS = 9  # of an hour each: three windows
EPOCH = keychain.epoch_of(START) + 2  # of every frame, so that late ones are not stale
KEY = PRIVATE.public


def street():
    """Return meters and all their frames: readings in turn, one of them impossible, and one that is never measured."""
    meters = [Meter(i, interval_s=HOUR) for i in range(METERS)]
    frames = []
    for place in range(READINGS):
        for number, meter in enumerate(meters):
            changes = {"import_register": 0} if (number, place) == (0, 4) else {"quality": place % 3}
            frame = meter.reading(START + place * HOUR, 8**place, number + place, epoch=EPOCH, **changes)
            frames.append(frame)
    return meters, frames


def ciphertexts(gateway):
    """Every ciphertext in the ledger and in its reports."""
    columns = ("sum FROM loads", "tail_register FROM meters", "base_register FROM meters", "register FROM windows")
    held = {
        int.from_bytes(data, "big")
        for column in (*columns, "energy FROM quarantine")
        for (data,) in gateway.ledger.execute(f"SELECT {column}")
        if data is not None
    }
    sent = [load.ciphertext for load in gateway.reports(reports.INTERVAL_LOAD)]
    for window in gateway.reports(reports.BILLING_WINDOW):
        sent += [window.energy, window.closing_register]
    return held | {paillier.from_base64url(KEY, text) for text in sent if text is not None}


def readable(seen):
    """Ciphertexts that anyone can read something from: unblinded ones, and pairs under one randomiser.

    Two that are equal modulo n are (1 + d n) apart: d, the difference of their sums, is had by one division.
    """
    randomisers = [c % KEY.n for c in seen]
    return len(randomisers) - len(set(randomisers)) + sum(a in (1, KEY.n - 1) for a in randomisers)


class Life:
    """A concentrator of one mode that lives through a plan; ``seen`` is every ciphertext that was ever stored."""

    def __init__(self, folder, mode):
        self.meters, self.frames = street()
        self.gateway = Concentrator(folder, self.meters, interval_s=HOUR, accumulator=mode, k=METERS, days=1)
        self.seen = ciphertexts(self.gateway)

    def deliver(self, places, now):
        self.gateway.take([self.frames[place] for place in places], now)
        self.seen |= ciphertexts(self.gateway)

    def close(self, now):
        self.gateway.close(now)
        self.seen |= ciphertexts(self.gateway)

    def live(self, plan):
        """Each step: the frames of a batch, seconds that pass, whether loads and windows are then closed, a restart."""
        now = START + DAY
        for places, pause, closing, restart in plan:
            self.deliver(places, now)
            now += pause
            if closing:
                self.close(now)
            if restart:
                self.gateway.restart()
            self.gateway.reception.prepare()
        self.close(max(now, START + 2 * DAY + 12 * HOUR))
        return self

    def result(self):
        """Everything that is not random."""
        gateway = self.gateway
        loads = [
            (load.interval_start, load.contributors, load.ciphertext and decrypt(load.ciphertext))
            for load in gateway.reports(reports.INTERVAL_LOAD)
        ]
        windows = [
            [
                (
                    (w.window_start, w.present, w.quality, w.register_from, w.register_to),
                    [text and decrypt(text) for text in (w.energy, w.closing_register)],
                )
                for w in gateway.windows(meter)
            ]
            for meter in self.meters
        ]
        tails = [
            (end, register and ENERGY_SLOTS.unpack(DECRYPTOR.decrypt(int.from_bytes(register, "big"))))
            for end, register in gateway.ledger.execute("SELECT tail_end, tail_register FROM meters ORDER BY title")
        ]
        return loads, windows, tails, gateway.ledger.counts()


def lives(memory, plan, modes=MODES):
    return [Life(tempfile.mkdtemp(dir=memory), mode).live(plan) for mode in modes]


def differences(made):
    """How many lives came out otherwise than the first."""
    first, *others = [life.result() for life in made]
    return sum(other != first for other in others)


EVERYTHING = list(range(METERS * READINGS))
# One batch over three windows with an impossible reading in it, a gap that is filled late, and everything twice.
STORY = [
    (EVERYTHING[:1], 0, False, False),
    ([*EVERYTHING[1:9], *EVERYTHING[10:15], 3, 5], HOUR, True, True),
    (EVERYTHING[15:], 60, False, False),
    (EVERYTHING, DAY + 6 * HOUR, True, False),
]


def test_the_three_modes_tell_one_story(memory):
    made = lives(memory, STORY)
    assert differences(made) == 0
    loads, windows, tails, counts = made[0].result()
    assert counts["quarantined"] == 1
    assert counts["late for its load"] > 0
    assert [sum(energy is not None for _, (energy, _) in each) for each in windows] == [3, 3]
    assert tails[1][1][0] == made[0].meters[1].imported
    assert any(ciphertext for _, _, ciphertext in loads)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_that_is_ever_stored_or_sent_can_be_read_without_the_key(memory, mode):
    (life,) = lives(memory, STORY, [mode])
    assert len(life.seen) > 30
    assert readable(life.seen) == 0


def test_a_reading_from_before_the_folded_ones_meets_the_register_with_them(memory):
    made = lives(memory, [([14], 0, True, True), ([16, 6], 60, True, False)])
    assert differences(made) == 0
    assert made[0].result()[2][0][0] == START + 9 * HOUR


batches = st.lists(st.sampled_from(EVERYTHING), max_size=20)
steps = st.tuples(batches, st.sampled_from((0, 60, HOUR, 7 * HOUR, DAY)), st.booleans(), st.booleans())


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(EVERYTHING), plan=st.lists(steps, max_size=5), cuts=st.sets(st.integers(1, 17)))
def test_the_three_modes_agree_whatever_comes_in_whatever_order(memory, order, plan, cuts):
    edges = [0, *sorted(cuts), len(order)]
    shuffled = [(order[a:b], 60, b % 3 == 0, b % 4 == 0) for a, b in pairwise(edges)]
    in_order = [(sorted(batch), *rest) for batch, *rest in shuffled[: len(shuffled) // 2]]
    made = lives(memory, plan + in_order + shuffled)
    assert differences(made) == 0
    for life in made:
        assert readable(life.seen) == 0
        life.gateway.stop()


# --- What folding costs, and that a crash costs nothing -----------------------------------------------------------


@contextmanager
def drawn(monkeypatch):
    """Count the randomisers that are drawn."""
    count = []
    draw = paillier.HalfSizeTable.draw
    with monkeypatch.context() as patched:
        patched.setattr(paillier.HalfSizeTable, "draw", lambda self: count.append(1) or draw(self))
        yield count


def test_a_commit_costs_randomisers_by_what_it_touches_and_not_by_its_readings(make, monkeypatch):
    cost = {}
    for mode in (STRICT, FOLD):
        meters = [Meter(i) for i in range(8)]
        gateway = make(meters, name=mode, accumulator=mode)
        gateway.take([meter.reading(START, 5) for meter in meters], START + DAY)
        with drawn(monkeypatch) as count:
            gateway.take([frame for meter in meters for frame in meter.readings(10, START + INTERVAL)], START + DAY)
        cost[mode] = len(count)
    # Eight registers and ten loads, each opened under a randomiser and let out under that one.
    assert cost == {STRICT: 8 * 10, FOLD: 8 + 10}


def test_a_crash_between_the_fold_and_the_commit_loses_and_doubles_nothing(make, monkeypatch):
    meter = Meter()
    gateway = make([meter], accumulator=FOLD)
    frames = meter.readings(6)
    gateway.take(frames[:2], START + DAY)
    before = gateway.state()

    def fails(*_):
        raise OSError("the disk is full")

    for owner, broken in ((enrolled, "set_tail"), (loads, "set_total"), (Ledger, "add_count")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, broken, fails)
            with pytest.raises(OSError, match="full"):
                gateway.take(frames[2:], START + DAY)
        assert gateway.state() == before
    assert set(gateway.judge(meter, frames[2:], START + DAY)) == {"stored"}
    gateway.close(START + 9 * DAY)
    assert gateway.billed(meter) == (0o111111, sum(range(6)))


def test_a_batch_leaves_nothing_open(make):
    meter = Meter()
    gateway = make([meter], accumulator=FOLD)
    gateway.take(meter.readings(6), START + DAY)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Accumulator)]


# --- The pool -----------------------------------------------------------------------------------------------------


def test_a_pool_is_filled_one_at_a_time_up_to_its_size():
    encryption = PaillierEncryption(KEY, Settings(POOL, table_window_bits=4, pool_size=3))
    assert encryption.has_pool
    assert [encryption.prepare() for _ in range(5)] == [True, True, True, False, False]
    encryption.encrypt_slots(1, 1)
    assert [encryption.prepare() for _ in range(2)] == [True, False]


def test_only_the_pool_mode_makes_randomisers_ahead():
    for mode in (STRICT, FOLD):
        encryption = PaillierEncryption(KEY, Settings(mode, table_window_bits=0))
        assert not encryption.has_pool
        assert not encryption.prepare()


def test_readings_that_the_pool_covers_draw_nothing(make, monkeypatch):
    meter = Meter()
    gateway = make([meter], accumulator=POOL)
    while gateway.reception.prepare():
        pass
    with drawn(monkeypatch) as count:
        gateway.take(meter.readings(4), START + DAY)  # and one register, behind no reading
    assert count == []
    gateway.take([meter.reading(START + DAY, 1)], START + 2 * DAY)
    gateway.close(START + 9 * DAY)
    assert gateway.billed(meter)[0] == meter.imported - meter.first_import


# --- Settings -----------------------------------------------------------------------------------------------------


def test_an_exponent_longer_than_half_of_the_key_is_refused_by_name():
    with pytest.raises(SettingsError, match="'exponent_bits'"):
        PaillierEncryption(KEY, Settings(exponent_bits=KEY.bits // 2 + 1))


def test_what_a_log_says_of_the_encryption_is_its_mode_and_its_table():
    described = PaillierEncryption(KEY, Settings(FOLD, table_window_bits=4)).described()
    assert (described["accumulator"], described["table_window_bits"], described["exponent_bits"]) == (FOLD, 4, 256)
    assert described["table_mb"] > 0
    none = PaillierEncryption(KEY, Settings(table_window_bits=0)).described()
    assert (none["accumulator"], none["table_mb"], none["table_s"]) == (STRICT, 0, 0)


# --- The tests of the tests ---------------------------------------------------------------------------------------


class Forgetful:
    """An accumulator that is opened without a randomiser of its own over what is stored."""

    def __init__(self, public_key, state):
        self.public_key = public_key
        self.state = state

    def fold(self, m):
        self.state = paillier.add_plain(self.public_key, self.state, m)

    def close(self):
        return self.state


def test_an_accumulator_that_is_opened_without_a_randomiser_is_seen(memory, monkeypatch):
    def forgetful(self, ciphertext):
        return Forgetful(self.public_key, ciphertext or self.encrypt_slots(0, 0))

    monkeypatch.setattr(PaillierEncryption, "accumulator", forgetful)
    (life,) = lives(memory, STORY, [FOLD])
    assert readable(life.seen) > 0


def test_a_pool_that_gives_a_randomiser_out_twice_is_seen(memory, monkeypatch):
    draw, given_out = paillier.RandomiserPool.draw, []

    def twice(self):
        given_out.append(draw(self) if len(given_out) % 2 == 0 else given_out[-1])
        return given_out[-1]

    monkeypatch.setattr(paillier.RandomiserPool, "draw", twice)
    (life,) = lives(memory, [*STORY[:1], (EVERYTHING[1:4], 60, False, False)], [POOL])
    assert readable(life.seen) > 0


def dropped(self, meter):
    """The ledger's standing, and what was folded of the meter is lost."""
    self._folding.registers.pop(meter.title, None)
    return meter


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [
        (FoldedRegister, "takes", lambda self, start: start == self._end),  # past its window's end
        (Counting, "emit", lambda self: None),  # not at the end of a batch
        (Counting, "_settled", dropped),  # not before the ordinary way is taken
    ],
)
def test_a_forgotten_emission_is_seen(memory, monkeypatch, owner, name, bug):
    (sound,) = lives(memory, STORY, [STRICT])
    monkeypatch.setattr(owner, name, bug)
    (life,) = lives(memory, STORY, [FOLD])
    assert differences([sound, life]) == 1
