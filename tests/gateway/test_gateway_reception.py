"""A batch of frames becomes verdicts: once per frame, once per reading, in answers that the meter can open."""

import pytest
from gateway_bench import CCM, DAY, HOUR, INTERVAL, START, K, Meter, decrypt, name_of
from structlog.testing import capture_logs

from gateway.answers import merge
from protocol import keychain, wire
from protocol.documents import to_base64url

TODAY = keychain.epoch_of(START)
NOW = START + HOUR


def again(meter, start, import_mwh, **changes):
    """Another frame over an interval that the registers hold already."""
    meter.imported -= import_mwh
    return meter.reading(start, import_mwh, **changes)


# --- Once per frame, once per reading ---------------------------------------------------------------------------


def test_a_replayed_frame_is_a_duplicate_and_not_counted(gateway, meter):
    frame = meter.reading(START, 5)
    assert gateway.judge(meter, [frame], NOW) == ["stored"]
    before = gateway.state()
    assert gateway.judge(meter, [frame], NOW) == ["duplicate"]
    assert gateway.take([frame, frame], NOW)
    assert gateway.state() == before
    assert gateway.ledger.counts()["duplicate"] == 3


def test_a_frame_twice_in_one_batch_counts_once(gateway, meter):
    first, second = meter.reading(START, 5), meter.reading(START + INTERVAL, 40)
    gateway.take([first, second, first, second], NOW)
    assert gateway.ledger.counts() == {"stored": 2, "duplicate": 2}


def test_one_nonce_with_two_contents_is_a_conflict_and_an_alarm(gateway, meter):
    frame = meter.reading(START, 5)
    clone = meter.seal(wire.READING, meter.body(START + INTERVAL, 7), TODAY, counter=0)
    assert gateway.judge(meter, [frame], NOW) == ["stored"]
    before = gateway.state()
    with capture_logs() as logs:
        assert gateway.judge(meter, [clone], NOW) == ["conflict"]
    assert gateway.state() == before
    assert [entry["log_level"] for entry in logs if "alarm" in entry["event"]] == ["error"]


def test_one_salt_is_not_another(gateway, meter):
    first = meter.seal(wire.READING, meter.body(START, 5), TODAY, counter=0)
    second = meter.seal(wire.READING, meter.body(START + INTERVAL, 7), TODAY, salt=b"new!", counter=0)
    assert gateway.judge(meter, [first, second], NOW) == ["stored", "stored"]


def test_an_interval_in_another_frame_is_a_duplicate_with_the_same_content_and_a_conflict_with_another(gateway, meter):
    assert gateway.judge(meter, [meter.reading(START, 5)], NOW) == ["stored"]
    same = again(meter, START, 5)
    other = again(meter, START, 6)
    assert gateway.judge(meter, [same, other], NOW) == ["duplicate", "conflict"]
    meter.imported = meter.first_import + 5
    gateway.take([meter.reading(START + INTERVAL, 40)], NOW)
    gateway.close(START + 8 * DAY)
    assert gateway.billed(meter)[0] == 45


def test_a_restart_forgets_no_frame_and_no_reading(gateway, meter):
    frame, second = meter.reading(START, 5), meter.reading(START + INTERVAL, 40)
    gateway.take([frame, second], NOW)
    gateway.restart()
    before = gateway.state()
    assert gateway.judge(meter, [frame, second], NOW) == ["duplicate", "duplicate"]
    assert gateway.state() == before
    # What was counted before the restart cannot be compared any more: another frame over it is refused.
    assert gateway.judge(meter, [again(meter, START + INTERVAL, 40)], NOW) == ["conflict"]
    clone = meter.seal(wire.READING, meter.body(START, 7), TODAY, counter=0)
    assert gateway.judge(meter, [clone], NOW) == ["duplicate"]
    gateway.close(START + 8 * DAY)
    assert gateway.billed(meter)[0] == 45


def test_the_batch_notices_a_ledger_that_does_not_remember_frames(make, meter, monkeypatch):
    monkeypatch.setattr("gateway.holdings.seen.frame", lambda *_: None)
    monkeypatch.setattr("gateway.holdings.seen.add_frame", lambda *_: None)
    gateway = make([meter])
    frame = meter.detail(TODAY)
    gateway.take([frame, frame], NOW)
    assert gateway.ledger.counts() == {"stored": 2}


# --- Answers ----------------------------------------------------------------------------------------------------


def test_verdicts_are_exact_ranges_joined_where_counters_follow(gateway, meter):
    frames = meter.readings(4)
    meter.counter += 10  # reserved and never used
    frames += [meter.detail(TODAY), meter.detail(TODAY)]
    (reply,) = gateway.take([frames[i] for i in (3, 0, 5, 1, 4, 2)], NOW)
    body = wire.open_downlink(CCM, meter.chain.key(keychain.DOWN), reply)[1]
    assert wire.parse_ack(body) == [wire.Range(b"boot", 0, 4, wire.STORED), wire.Range(b"boot", 14, 2, wire.STORED)]


def test_ranges_are_joined_for_one_salt_and_one_verdict_only():
    def ranges(*items):
        return [wire.Range(salt, first, count, verdict) for salt, first, count, verdict in items]

    single = ranges((b"aaaa", 1, 1, 0), (b"aaaa", 2, 1, 1), (b"bbbb", 3, 1, 1), (b"aaaa", 3, 1, 1), (b"aaaa", 3, 1, 1))
    assert merge(single) == ranges((b"aaaa", 1, 1, 0), (b"aaaa", 2, 2, 1), (b"bbbb", 3, 1, 1))
    many = ranges(*((b"aaaa", i, 1, 0) for i in range(0x10001)))
    assert merge(many) == ranges((b"aaaa", 0, 0xFFFF, 0), (b"aaaa", 0xFFFF, 2, 0))


def test_more_than_thirteen_ranges_are_split_over_frames(gateway, meter):
    frames = []
    for i in range(30):
        frames.append(meter.seal(wire.EVENT, bytes(i), TODAY))
        meter.counter += 1
    replies = gateway.take(frames, NOW)
    assert len(replies) == 3
    assert max(map(len, replies)) <= wire.MAX_FRAME
    assert meter.verdicts(replies) == {name_of(frame): "quarantined" for frame in frames}


def test_an_answer_is_sealed_under_the_highest_epoch_that_was_opened(gateway, meter):
    def epoch_of_answer(frame, now):
        (reply,) = gateway.take([frame], now)
        assert meter.verdicts([reply])
        return wire.parse_header(reply).epoch

    assert epoch_of_answer(meter.reading(START, 5), NOW) == TODAY
    assert epoch_of_answer(meter.reading(START + DAY, 40), NOW + DAY) == TODAY + 1
    assert epoch_of_answer(meter.reading(START + INTERVAL, 320, epoch=TODAY), NOW + DAY) == TODAY + 1
    gateway.restart()
    assert epoch_of_answer(meter.reading(START + 2 * INTERVAL, 1, epoch=TODAY), NOW + DAY) == TODAY + 1


def test_a_meter_that_was_silent_for_days_is_answered_after_its_old_chain_is_gone(gateway, meter):
    for day in range(6):
        gateway.close(START + day * DAY)
    late = meter.reading(START, 5)
    gateway.close(START + 9 * DAY)
    frame = meter.reading(START + 9 * DAY, 40)
    assert gateway.judge(meter, [late, frame], START + 9 * DAY + HOUR) == [None, "stored"]


def test_every_answer_has_its_own_randomness(gateway, meter):
    frame = meter.reading(START, 5)
    replies = [gateway.take([frame], NOW)[0] for _ in range(50)]
    assert len({reply[24:36] for reply in replies}) == 50


def test_each_meter_is_answered_by_itself(make):
    meters = [Meter(i) for i in range(3)]
    gateway = make(meters)
    frames = [meter.reading(START, 5) for meter in meters]
    replies = gateway.take(frames, NOW)
    assert [wire.parse_header(reply).system_title for reply in replies] == [meter.title for meter in meters]
    for meter, frame in zip(meters, frames, strict=True):
        assert meter.verdicts(replies) == {name_of(frame): "stored"}


def test_a_hello_is_answered_with_the_time_and_its_challenge_and_stored_nowhere(gateway, meter):
    before = gateway.state()
    hello = meter.hello(b"0123456789abcdef")
    (reply,) = gateway.take([hello], NOW)
    header, body = wire.open_downlink(CCM, meter.time_key, reply)
    assert (header.type, header.epoch, header.salt, header.counter) == (wire.TIME, wire.EPOCH_NONE, b"boot", 0)
    assert wire.parse_time(body) == (NOW * 1000, b"0123456789abcdef")
    assert gateway.state() == before
    assert gateway.ledger.counts() == {}


def test_a_malformed_hello_is_not_answered(gateway, meter):
    hello = meter.seal(wire.HELLO, b"short", wire.EPOCH_NONE, key=meter.hello_key)
    assert gateway.take([hello], NOW) == []


# --- Authentic, and not understood ------------------------------------------------------------------------------


def test_an_authentic_frame_that_is_not_understood_is_quarantined_so_that_it_blocks_no_store(gateway, meter):
    good = meter.body(START, 5)
    bodies = [
        (wire.EVENT, b""),
        (wire.EVENT, b"anything"),
        (0x7F, bytes(39)),
        (0x00, b""),
        (wire.READING, b""),
        (wire.READING, good[:-1]),
        (wire.READING, good + b"\x00"),
        (wire.READING, bytes(39)),  # an interval of no length
        (wire.READING, good[:38] + b"\xff"),  # unknown quality bits
        (wire.READING, good[:8] + bytes(4) + good[12:]),  # an end that is not the number's
        (wire.DETAIL, b""),
        (wire.DETAIL, bytes(66)),  # a nonce that is not its header's
        (wire.DETAIL, bytes(65)),
    ]
    frames = [meter.seal(kind, body, TODAY) for kind, body in bodies]
    assert set(gateway.judge(meter, frames, NOW)) == {"quarantined"}
    assert gateway.judge(meter, frames, NOW) == ["duplicate"] * len(frames)
    state = gateway.state()
    assert not any(state[name] for name in ("readings", "quarantine", "windows", "loads", "details", "outbox"))


def test_a_sealed_row_is_carried_as_it_came(gateway, meter):
    frame = meter.detail(TODAY)
    assert gateway.judge(meter, [frame], NOW) + gateway.judge(meter, [frame], NOW) == ["stored", "duplicate"]
    gateway.close(NOW)
    (segment,) = gateway.reports("detail-segment")
    _, blob = wire.open_uplink(CCM, meter.chain.key(keychain.UP), frame)
    assert segment.rows == [to_base64url(frame[:24] + blob)]
    assert gateway.outbox.is_empty() is False


# --- Loads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def street(make):
    """Four meters and k = 3."""
    return make([Meter(i) for i in range(4)])


def test_a_load_is_the_sum_of_its_contributors(street):
    street.take([meter.reading(START, 8**i, i) for i, meter in enumerate(street.meters)], NOW)
    street.close(START + INTERVAL + 300)
    load = street.loads()[START]
    assert decrypt(load.ciphertext) == (0o1111, 0 + 1 + 2 + 3)


def test_a_reading_that_is_late_for_its_load_is_billed_and_not_in_the_load(street):
    on_time = street.meters[:K]
    street.take([meter.reading(START, 8**i) for i, meter in enumerate(on_time)], START + INTERVAL)
    street.close(START + INTERVAL + 300)
    before = street.loads()[START]
    late = street.meters[3]
    frames = [late.reading(START, 8**3)]
    assert street.judge(late, frames, START + INTERVAL + 301) == ["stored"]
    assert street.ledger.counts()["late for its load"] == 1
    street.close(START + 2 * INTERVAL + 300)
    assert street.loads()[START] == before
    assert decrypt(before.ciphertext)[0] == 0o111
    street.close(START + 8 * DAY)
    assert street.loads()[START] == before
    assert street.billed(late)[0] == 8**3
