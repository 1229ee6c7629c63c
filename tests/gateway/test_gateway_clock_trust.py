"""A Pi without a clock: frames are kept by their own times; nothing is closed, erased or told before it is trusted."""

import ctypes
import time

import pytest
from gateway_bench import CCM, DAY, GRACE, HOUR, INTERVAL, START, WINDOW, Meter
from roll_bench import Pole
from structlog.testing import capture_logs

from gateway import trusted_clock
from gateway.clock import ConductedClock, SystemClock
from gateway.config import ConfigError, load
from gateway.holdings import meter_keys
from gateway.operation import status
from gateway.trusted_clock import ClockTrust, kernel_says_synchronised, synchronised, trust_of
from protocol import keychain, wire

LONG_AGO = 3 * HOUR  # what a Pi without a battery believes when it starts
FAR_AHEAD = START + 3 * 365 * DAY


class Trust:
    """A machine whose clock will be synchronised when the test says so."""

    def __init__(self):
        self.yes = False
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.yes


@pytest.fixture
def trust():
    return Trust()


@pytest.fixture
def pole(folder, trust):
    made = Pole(folder, [Meter(i) for i in range(4)], trusted=trust)
    yield made
    made.stop()


@pytest.mark.parametrize("wrong", [LONG_AGO, FAR_AHEAD])
def test_frames_are_taken_and_kept_by_their_own_times(pole, trust, wrong):
    meters = pole.meters
    for at in range(14):
        for meter in meters:
            assert pole.judge(meter, [meter.reading(START + at * INTERVAL, 4**at)], wrong) == ["stored"]
    pole.close(wrong)
    assert pole.loads() == {}
    trust.yes = True
    pole.close(START + 14 * INTERVAL + GRACE)
    assert [pole.billed(meter)[0] for meter in meters] == [(4**12 - 1) // 3] * 4
    loads = pole.loads()
    assert [loads[START + at * INTERVAL].ciphertext is not None for at in range(14)] == [True] * 14


@pytest.mark.parametrize("wrong", [LONG_AGO, FAR_AHEAD])
def test_nothing_is_closed_or_erased_until_the_clock_is_trusted(pole, trust, wrong):
    meter = pole.meters[0]
    pole.take([meter.reading(START + at * INTERVAL, 4**at) for at in range(12)], wrong)
    before = pole.state()
    for day in range(10):
        pole.tick(wrong + day * DAY)
    # Sealed rows go by the hour of any clock, so that one is written down.
    assert {**pole.state(), "closing_hour": None} == {**before, "closing_hour": None}
    assert meter_keys.get(pole.ledger, meter.title).chain.epoch == meter.epoch
    trust.yes = True
    pole.tick(START + WINDOW + GRACE)
    assert len(pole.windows(meter)) == 1


def test_no_hello_is_answered_until_the_clock_is_trusted(pole, trust):
    meter = pole.meters[0]
    assert pole.take([meter.hello()], LONG_AGO) == []
    trust.yes = True
    (reply,) = pole.take([meter.hello()], START)
    assert wire.open_downlink(CCM, meter.time_key, reply)[0].type == wire.TIME


def test_sealed_rows_are_passed_on_without_a_clock(pole):
    meter = pole.meters[0]
    assert pole.judge(meter, [meter.detail(meter.epoch)], LONG_AGO) == ["stored"]
    pole.close(LONG_AGO + HOUR)
    assert len(pole.reports("detail-segment")) == 1


def test_an_event_is_kept_under_the_day_of_its_frame(pole, trust):
    meter = pole.meters[0]
    body = wire.pack_event(wire.Event(wire.TAMPER, START, 1, ""))
    assert pole.judge(meter, [meter.seal(wire.EVENT, body, meter.epoch)], LONG_AGO) == ["stored"]
    trust.yes = True
    pole.tick(START + HOUR)
    pole.tick(START + DAY + HOUR)  # erases what is older than a year
    assert pole.ledger.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_frames_of_a_far_day_cost_no_hash_without_a_clock_either(pole, monkeypatch):
    """A forged frame may cost a year of ratchet steps at most."""
    meter = pole.meters[0]
    epochs = []
    at = keychain.Chain.at
    monkeypatch.setattr(keychain.Chain, "at", lambda chain, epoch: epochs.append(epoch) or at(chain, epoch))
    for epoch in (meter.epoch - 1, meter.epoch + 367, 0xFFFE):
        frame = meter.seal(wire.READING, bytes(39), epoch, key=bytes(32))
        assert pole.take([frame], LONG_AGO) == []
    assert pole.ledger.counts()["stale epoch"] == 3
    assert epochs == []


def test_a_reading_from_beyond_its_own_day_is_quarantined_without_a_clock_too(pole):
    meter = pole.meters[0]
    frame = meter.reading(START + 2 * DAY, 5, epoch=meter.epoch)
    assert pole.judge(meter, [frame], LONG_AGO) == ["quarantined"]


# --- What the machine says --------------------------------------------------------------------------------------


def test_the_trust_is_asked_for_once_a_second_and_given_once(trust):
    now = [0.0]
    clock = ClockTrust(trust, lambda: now[0])
    assert [clock.given() for _ in range(5)] == [False] * 5
    assert trust.asked == 1
    trust.yes = True
    assert not clock.given()
    now[0] = 1.0
    assert clock.given()
    trust.yes = False  # NTP is away for a while: the clock goes on as it went
    now[0] = 99.0
    assert clock.given()
    assert trust.asked == 2


def test_waiting_for_the_clock_is_said_once_and_shown_in_the_status(pole, trust):
    now = iter(range(1000))
    clock = ClockTrust(trust, lambda: next(now))
    with capture_logs() as logs:
        for _ in range(3):
            clock.note(pole.ledger)
    assert ["not synchronised" in entry["event"] for entry in logs] == [True]
    assert ["clock" in alarm.what for alarm in status.read(pole.path).alarms] == [True]
    trust.yes = True
    with capture_logs() as logs:
        for _ in range(3):
            clock.note(pole.ledger)
    assert ["is synchronised" in entry["event"] for entry in logs] == [True]
    assert status.read(pole.path).alarms == []


def test_a_trusted_machine_says_and_writes_nothing(pole):
    changes = pole.ledger.execute("SELECT total_changes()").fetchone()
    with capture_logs() as logs:
        trust_of("system").note(pole.ledger)
    assert logs == []
    assert pole.ledger.execute("SELECT total_changes()").fetchone() == changes


def test_the_kernel_or_the_marker_makes_a_clock_synchronised(monkeypatch, tmp_path):
    monkeypatch.setattr(trusted_clock, "MARKER", tmp_path / "synchronized")
    monkeypatch.setattr(trusted_clock, "kernel_says_synchronised", lambda: False)
    assert not synchronised()
    (tmp_path / "synchronized").touch()
    assert synchronised()
    (tmp_path / "synchronized").unlink()
    monkeypatch.setattr(trusted_clock, "kernel_says_synchronised", lambda: True)
    assert synchronised()


@pytest.mark.parametrize(
    ("state", "flags", "expected"),
    [
        (0, 0x2001, True),  # TIME_OK; STA_NANO | STA_PLL, as chrony and timesyncd leave it
        (1, 0x0011, True),  # a leap second is announced
        (0, 0x0040, False),
        (5, 0x0041, False),
        (5, 0x2001, False),  # TIME_ERROR for another reason: the kernel does not vouch for it
        (-1, 0, False),  # it may not be asked: EPERM under a seccomp filter
    ],
)
def test_the_kernels_answer_is_read_as_adjtimex_says(monkeypatch, state, flags, expected):
    class Library:
        def adjtimex(self, pointer):
            assert pointer._obj.modes == 0, "nothing is changed"
            pointer._obj.status = flags
            return state

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library())
    assert kernel_says_synchronised() is expected


def test_the_structure_has_the_kernels_offsets_and_room():
    assert trusted_clock._Timex.status.offset == 5 * ctypes.sizeof(ctypes.c_long)
    assert ctypes.sizeof(trusted_clock._Timex) >= 208  # of struct timex on 64-bit Linux
    assert kernel_says_synchronised() in (True, False)


# --- The clock itself -------------------------------------------------------------------------------------------


def test_a_clock_that_is_put_right_is_not_held_to_what_it_said_before(monkeypatch, trust):
    times = iter([FAR_AHEAD, START, START + 1, START - 5])
    monkeypatch.setattr(time, "time_ns", lambda: next(times) * 10**9)
    clock = SystemClock(trusted=trust)
    assert clock.now_ms() == FAR_AHEAD * 1000
    trust.yes = True
    assert [clock.now_ms() // 1000 for _ in range(3)] == [START, START + 1, START + 1]


def test_a_jump_of_more_than_a_day_still_waits_for_the_operator_when_the_clock_is_trusted(pole, trust):
    trust.yes = True
    pole.tick(START + HOUR)
    trust.yes = False
    pole.tick(START + 40 * DAY)
    trust.yes = True
    pole.tick(START + 40 * DAY)
    assert meter_keys.get(pole.ledger, pole.meters[0].title).chain.epoch == keychain.epoch_of(START)


def test_the_setting_has_two_values_and_a_conducted_clock_is_trusted(pole):
    assert load(pole.deployment.write()).clock_trust == "system"
    assert load(pole.deployment.write(clock_trust="synchronised")).clock_trust == "synchronised"
    with pytest.raises(ConfigError, match="'clock_trust'"):
        load(pole.deployment.write(clock_trust="ntp"))
    assert trust_of("system").given()
    assert ConductedClock("127.0.0.1", 1).now_ms() == 0


@pytest.mark.parametrize("bug", ["closing", "reception"])
def test_the_tests_notice_a_part_that_believes_a_wrong_clock(pole, bug):
    part = getattr(pole, bug)
    part._trusted = lambda: True
    meter = pole.meters[0]
    verdicts = pole.judge(meter, [meter.reading(START, 5)], LONG_AGO)
    pole.tick(START + 30 * DAY)
    assert (verdicts == ["stored"]) == (bug == "closing")
    assert (pole.loads() == {}) == (bug == "reception")
