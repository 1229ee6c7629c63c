"""The word on a quarantined reading: its energy enters the bill exactly once, or never; a closed load never."""

import pytest
from gateway_bench import DAY, HOUR, INTERVAL, NAME, START, WINDOW, Meter, decrypt

from gateway.operation import quarantine, status
from gateway.operation.quarantine import DISCARDED, RELEASED, Name, QuarantineError, decide, parse_name, waiting
from protocol import keychain
from scripts.balance import Named, Stretch, balance, named_by_concentrator, released_by_concentrator

RATING_W = 69_000
LIMIT = RATING_W * INTERVAL * 1000 // 3600
BAD = LIMIT + 8**7
END = START + 9 * DAY
TODAY = keychain.epoch_of(START)


def at(place):
    return START + place * INTERVAL


@pytest.fixture
def strict(make, meter):
    return make([meter], rating_w=RATING_W)


def say(gateway, decision, names=None):
    """The operator's word; the concentrator is stopped for it, and starts again."""
    names = waiting(gateway.ledger) if names is None else names
    decide(gateway.ledger, {NAME: gateway.place}, names, decision)
    gateway.restart()
    return names


def seen(gateway, meter):
    return [decrypt(window.energy)[0] for window in gateway.windows(meter) if window.energy]


def test_a_released_reading_is_in_the_oldest_unsealed_window_exactly_once(strict, meter):
    frames = [*meter.readings(3), meter.reading(at(3), BAD), *meter.readings(2, at(4), first=3)]
    strict.take(frames, START + 2 * HOUR)
    assert len(say(strict, RELEASED)) == 1
    strict.take(meter.readings(2, START + WINDOW, first=5), START + WINDOW + HOUR)
    strict.close(END)
    assert seen(strict, meter) == [0o11111 + BAD, 0o1100000]
    assert waiting(strict.ledger) == []
    assert strict.ledger.counts()["released from quarantine"] == 1


def test_a_release_after_the_window_was_sealed_is_in_the_next_one(strict, meter):
    frames = [*meter.readings(3), meter.reading(at(3), BAD), *meter.readings(8, at(4), first=0)]
    strict.take(frames, START + WINDOW)
    strict.close(START + 8 * DAY)
    assert len(strict.windows(meter)) > 0
    say(strict, RELEASED)
    strict.take([meter.reading(START + 8 * DAY, 5)], START + 8 * DAY + HOUR)
    strict.close(START + 17 * DAY)
    assert sum(seen(strict, meter)) == meter.imported - meter.first_import
    assert seen(strict, meter)[1:] == [BAD + 5]


@pytest.mark.parametrize("gap", [False, True], ids=["unbroken", "behind a gap"])
@pytest.mark.parametrize("restart", [False, True])
def test_released_before_between_or_after_gaps_the_bill_is_the_registers(strict, meter, gap, restart):
    strict.take([*meter.readings(2), meter.reading(at(2), BAD)], at(3))
    say(strict, RELEASED)
    if gap:
        meter.reading(at(3), 7)  # lost
    if restart:
        strict.restart()
    strict.take([meter.reading(at(4 if gap else 3), 64)], at(5))
    strict.close(END)
    assert sum(seen(strict, meter)) == meter.imported - meter.first_import


def test_a_closed_load_is_never_touched_by_a_release(make):
    street = [Meter(i) for i in range(3)]
    gateway = make(street, rating_w=RATING_W)
    gateway.take([street[0].reading(START, BAD), street[1].reading(START, 1), street[2].reading(START, 8)], at(1))
    before = gateway.ledger.execute("SELECT * FROM loads").fetchall()
    say(gateway, RELEASED)
    assert gateway.ledger.execute("SELECT * FROM loads").fetchall() == before
    gateway.close(at(1) + 300)
    closed = gateway.loads()[START]
    assert closed.ciphertext is None  # two of k = 3
    gateway.take([street[0].reading(at(1), 64)], at(2))
    gateway.close(END)
    assert gateway.loads()[START] == closed
    assert sum(seen(gateway, street[0])) == BAD + 64


def test_a_discarded_reading_is_in_no_bill_whatever_comes_after_it(strict, meter):
    strict.take([*meter.readings(2), meter.reading(at(2), BAD)], at(3))
    say(strict, DISCARDED)
    meter.reading(at(3), 7)  # lost: the next register is encrypted afresh
    strict.take([meter.reading(at(4), 64)], at(5))
    strict.close(END)
    assert sum(seen(strict, meter)) == meter.imported - meter.first_import - BAD
    assert waiting(strict.ledger) == []
    assert strict.ledger.counts()["discarded from quarantine"] == 1


def test_a_reading_of_another_series_is_added_once_when_it_is_released(strict, meter):
    strict.take(meter.readings(1), at(1))
    other = Meter(0, series=2)
    other.counter = 50
    strict.take([other.reading(at(1), 500)], at(2))
    say(strict, RELEASED)
    strict.take(meter.readings(2, at(3), first=1), at(5))
    strict.close(END)
    assert seen(strict, meter) == [0o111 + 500]


def test_no_reading_is_decided_twice_and_one_wrong_name_changes_nothing(strict, meter):
    strict.take([meter.reading(at(0), BAD), meter.reading(at(1), BAD)], at(2))
    first, second = waiting(strict.ledger)
    say(strict, RELEASED, [first])
    before = strict.state()
    for names, words in (
        ([second, first], "has been released already"),
        ([second, Name(meter.title, 1, 5)], "is not in quarantine"),
        ([second, second], "has been released already"),
    ):
        with pytest.raises(QuarantineError, match=words):
            decide(strict.ledger, {NAME: strict.place}, names, RELEASED)
        assert strict.state() == before
    say(strict, DISCARDED, [second])
    with pytest.raises(QuarantineError, match="has been discarded already"):
        decide(strict.ledger, {NAME: strict.place}, [second], RELEASED)


def test_a_released_reading_that_comes_again_is_not_held_back_again(strict, meter):
    """Sealed by a clock that ran ahead, and sent again when its frame is no longer remembered."""
    future = START + 60 * DAY
    strict.take(meter.readings(1), at(1))
    bad = {"epoch": TODAY, "import_register": meter.imported + 5}
    strict.take([meter.reading(future, 5, **bad)], at(2))
    say(strict, RELEASED)
    strict.ledger.execute("DELETE FROM readings")
    meter.imported -= 5
    assert strict.judge(meter, [meter.reading(future, 5, **bad)], at(2)) == ["quarantined"]
    assert waiting(strict.ledger) == []
    assert strict.ledger.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)


def test_the_list_shows_meter_time_and_reason_and_never_an_energy(strict, meter):
    strict.take([meter.reading(at(3), BAD)], at(4))
    [line] = quarantine.lines(status.read(strict.path))
    assert line == (
        f"{meter.title.hex()}:1:{at(3) // INTERVAL}  2026-03-01 00:45:00Z to 2026-03-01 01:00:00Z"
        "  more energy than the meter's rating allows"
    )
    [name] = waiting(strict.ledger)
    assert parse_name(line.split()[0]) == name
    say(strict, RELEASED)
    assert quarantine.lines(status.read(strict.path)) == ["no reading is in quarantine"]


@pytest.mark.parametrize("text", ["", "x", "1:2", "zz:1:2", "00:1:x", "::"])
def test_a_name_that_is_none_is_refused(text):
    with pytest.raises(QuarantineError, match="names no reading"):
        parse_name(text)


def test_planted_releases_that_lose_or_double_the_energy_are_found(make, meter, monkeypatch):
    def lost(*arguments):
        pass

    def doubled(ledger, place, meter, end, energies, honest=quarantine.give_back):
        honest(ledger, place, meter, end, energies)
        era = place.era(meter.base_end)
        quarantine._add_beside(ledger, era.public_key, meter, energies[era.name])

    for number, bug in enumerate((lost, doubled)):
        monkeypatch.setattr(quarantine, "give_back", bug)
        planted = Meter()
        gateway = make([planted], f"planted {number}", rating_w=RATING_W)
        with pytest.raises(AssertionError):
            test_a_released_reading_is_in_the_oldest_unsealed_window_exactly_once(gateway, planted)


# --- The balance: measured = billed + queued + quarantined ---------------------------------------------------------


def taken_balance(gateway, meter, energies, billed_until):
    """The run's balance as scripts/balance.py makes it; bills are the windows sealed up to a time."""
    title = meter.title.hex()
    queued, aside, counts = named_by_concentrator(gateway.path)
    done = [w for w in gateway.windows(meter) if w.window_end <= billed_until]
    accepted = {(w.register_from, w.register_to) for w in done}
    waiting = [s for s in queued.stretches if (s.after, s.until) not in accepted]
    spans = [(title, w.window_start, w.register_from, w.register_to) for w in done]
    released = {(g.title, g.start) for g in released_by_concentrator(gateway.path) if not g.in_one_of(spans)}
    return balance(
        {(title, start): energy for start, energy in energies.items()},
        INTERVAL,
        billed_mwh=sum(decrypt(w.energy)[0] for w in done if w.energy),
        billed=[Stretch(title, w.register_from, w.register_to) for w in done],
        queued=Named(queued.readings, waiting),
        quarantined=aside,
        counts=counts,
        released=released,
    )


@pytest.mark.parametrize("decision", [RELEASED, DISCARDED])
@pytest.mark.parametrize("sealed_first", [False, True])
def test_the_balance_holds_before_and_after_a_decision_and_when_it_is_billed(strict, meter, decision, sealed_first):
    energies = {at(i): 8**i for i in range(3)} | {at(3): BAD} | {START + WINDOW + i * INTERVAL: 7 for i in range(12)}
    frames = {start: meter.reading(start, energy) for start, energy in energies.items()}
    strict.take(list(frames.values())[:4], START + HOUR)
    sent = dict(list(energies.items())[:4])
    if sealed_first:
        strict.close(START + WINDOW + 7 * DAY)

    def holds(billed_until, quarantined):
        found = taken_balance(strict, meter, sent, billed_until)
        assert found.balances(), found
        assert found.quarantined_mwh == quarantined
        return found

    holds(END, BAD)
    say(strict, decision)
    held = BAD if decision == DISCARDED else 0
    holds(0, held)
    holds(END, held)
    strict.take(list(frames.values())[4:], START + 2 * WINDOW)
    sent.update(energies)
    for billed_until in (0, START + WINDOW, END):
        holds(billed_until, held)
    strict.close(END)
    for billed_until in (0, START + WINDOW, START + 2 * WINDOW, END):
        holds(billed_until, held)
    assert holds(END, held).billed_mwh == sum(energies.values()) - held
