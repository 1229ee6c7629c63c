"""DataDecryption: what is refused, as what, and that a refusal moves nothing."""

import json

import pytest
from gateway_bench import DAY, INTERVAL, START, CarelessCcm, Meter
from structlog.testing import capture_logs

from gateway import intake
from gateway.holdings import meter_keys
from gateway.intake import CORRUPT, STALE_EPOCH, UNKNOWN_METER, WRONG_KEY, DataDecryption, Opened, Refused
from protocol import keychain, wire

TODAY = keychain.epoch_of(START)
NOW = START + INTERVAL


def refusal(gateway, frame, now=NOW):
    """The one kind as which a frame is counted, or None; whatever it is, it is not answered and moves nothing."""
    counts, state = gateway.ledger.counts(), gateway.state()
    replies = gateway.take([frame], now)
    grown = {kind: n - counts.get(kind, 0) for kind, n in gateway.ledger.counts().items() if n != counts.get(kind)}
    if set(grown) & {"stored", "duplicate", "conflict", "quarantined"}:
        return None
    assert replies == []
    assert gateway.state() == state
    assert list(grown.values()) == [1]
    return next(iter(grown))


def changed(frame, at, value):
    return frame[:at] + bytes((value,)) + frame[at + 1 :]


def test_an_authentic_frame_is_opened_and_taken(gateway, meter):
    assert gateway.judge(meter, [meter.reading(START, 5)], NOW) == ["stored"]


def test_what_is_no_frame_is_corrupt(gateway, meter):
    frame = meter.reading(START, 5)
    for data in (b"", b"\x01", frame[:23], frame + bytes(200), changed(frame, 0, 2), changed(frame, 0, 0)):
        assert refusal(gateway, data) == CORRUPT
    assert refusal(gateway, frame[:39]) == CORRUPT  # a header and less than a tag


def test_a_meter_that_was_never_enrolled_is_unknown(gateway):
    assert refusal(gateway, Meter(7).reading(START, 5)) == UNKNOWN_METER
    assert refusal(gateway, Meter(7).hello()) == UNKNOWN_METER


def test_a_frame_under_another_meters_key_is_forged(gateway, meter):
    frame = meter.seal(wire.READING, meter.body(START, 5), TODAY, key=bytes(32))
    assert refusal(gateway, frame) == WRONG_KEY
    hello = meter.seal(wire.HELLO, wire.pack_hello(0, bytes(16)), wire.EPOCH_NONE)
    assert refusal(gateway, changed(hello, 10, 0xFF)) == WRONG_KEY


def test_a_downlink_type_on_the_uplink_is_corrupt(gateway, meter):
    reading = meter.reading(START, 5)
    reflected = gateway.take([reading, meter.hello()], NOW)
    assert len(reflected) == 2
    for frame in (*reflected, changed(reading, 1, wire.READING | 0x80), changed(reading, 1, wire.CONFIG)):
        assert refusal(gateway, frame) == CORRUPT


def test_a_hello_with_an_epoch_and_a_reading_without_one_are_corrupt(gateway, meter):
    key = meter.hello_key
    assert refusal(gateway, meter.seal(wire.HELLO, bytes(17), TODAY, key=key)) == CORRUPT
    body = meter.body(START, 5)
    assert refusal(gateway, meter.seal(wire.READING, body, wire.EPOCH_NONE, key=bytes(32))) == CORRUPT


def test_an_epoch_outside_the_accepted_days_is_stale(make):
    meter = Meter(since=START - 30 * DAY)
    gateway = make([meter], valid_from=START - 30 * DAY)
    for epoch in (TODAY - 8, TODAY + 2, TODAY + 1000, 0, wire.EPOCH_NONE - 1):
        body = meter.body(START - INTERVAL, 5)
        frame = meter.seal(wire.READING, body, epoch, key=bytes(32))
        assert refusal(gateway, frame) == STALE_EPOCH, epoch
    for place, epoch in enumerate((TODAY - 7, TODAY, TODAY + 1)):
        frame = meter.reading(START - INTERVAL * (4 - place), 5, epoch=epoch)
        assert gateway.judge(meter, [frame], START) == ["stored"], epoch


def test_an_epoch_before_the_enrolment_is_stale(gateway, meter):
    frame = meter.seal(wire.READING, meter.body(START, 5), TODAY - 1, key=bytes(32))
    assert refusal(gateway, frame) == STALE_EPOCH


def test_a_stale_epoch_is_refused_before_anything_is_hashed(gateway, meter, monkeypatch):
    frames = [
        meter.seal(wire.READING, meter.body(START, 5), epoch, key=bytes(32)) for epoch in (TODAY - 8, TODAY + 2, 60_000)
    ]

    def hashed(*_):
        raise AssertionError("the ratchet was turned")

    monkeypatch.setattr(keychain, "hmac_sha256", hashed)
    for frame in frames:
        assert refusal(gateway, frame) == STALE_EPOCH
    with pytest.raises(AssertionError, match="ratchet"):
        gateway.take([meter.seal(wire.READING, bytes(39), TODAY, key=bytes(32))], NOW)


def everything_but(frame, other):
    """Every single flipped bit, every cut and every splice of two frames."""
    for bit in range(8 * len(frame)):
        yield changed(frame, bit // 8, frame[bit // 8] ^ 1 << bit % 8)
    for cut in range(len(frame)):
        yield frame[:cut]
        yield frame[cut:]
        yield frame[:cut] + other[cut:]
    for tail in (b"\x00", bytes(16), frame[-16:], other):
        yield frame + tail


def test_no_flipped_bit_cut_or_splice_is_accepted(gateway, meter):
    meters = meter_keys.get(gateway.ledger, meter.title)
    frame, other = meter.reading(START, 5), meter.reading(START + INTERVAL, 40)
    decryption = DataDecryption(7)
    tried = 0
    for mutant in everything_but(frame, other):
        if mutant in (frame, other):
            continue
        with pytest.raises(Refused):
            decryption.open(mutant, decryption.header(mutant), meters, NOW * 1000)
        tried += 1
    assert tried > 800
    assert decryption.open(frame, decryption.header(frame), meters, NOW * 1000).header.counter == 0


def test_mutants_of_every_type_move_no_state(gateway, meter):
    frames = [meter.reading(START, 5), meter.detail(TODAY), meter.hello()]
    mutants = [m for frame in frames for m in everything_but(frame, frames[0]) if m not in frames]
    before = gateway.state()
    assert gateway.take(mutants, NOW) == []
    assert gateway.state() == before
    counts = gateway.ledger.counts()
    assert sum(counts.values()) == len(mutants)
    assert set(counts) <= {CORRUPT, UNKNOWN_METER, STALE_EPOCH, WRONG_KEY}


def test_the_mutants_notice_a_ccm_that_ignores_the_last_byte_of_the_tag(gateway, meter, monkeypatch):
    monkeypatch.setattr(intake, "CCM", CarelessCcm())
    frame = meter.reading(START, 5)
    assert gateway.judge(meter, [changed(frame, len(frame) - 1, frame[-1] ^ 1)], NOW) == ["stored"]


def test_a_refusal_is_logged_by_its_kind_and_nothing_else(gateway, meter):
    frames = [b"", Meter(7).hello(), meter.seal(wire.READING, bytes(39), TODAY + 9, key=bytes(32))]
    frames.append(meter.seal(wire.READING, bytes(39), TODAY, key=bytes(32)))
    with capture_logs() as logs:
        gateway.take(frames, NOW)
    assert {entry["kind"] for entry in logs} == {CORRUPT, UNKNOWN_METER, STALE_EPOCH, WRONG_KEY}
    for entry in logs:
        assert set(entry) == {"event", "kind", "number", "log_level"}
        assert meter.title.hex() not in json.dumps(entry)


def test_pieces_that_a_link_cannot_frame_are_counted(gateway):
    with capture_logs() as logs:
        gateway.reception.count_corrupt(3)
    assert gateway.ledger.counts() == {CORRUPT: 3}
    assert logs == [{"event": "frames", "kind": CORRUPT, "number": 3, "log_level": "warning"}]


def test_neither_an_opened_frame_nor_a_refusal_shows_a_body():
    header = wire.Header(wire.READING, b"HSM00001", TODAY, b"salt", 1)
    assert "secret" not in repr(Opened(header, b"secret"))
    assert str(Refused(WRONG_KEY)) == WRONG_KEY
    assert "5" * 64 not in repr(Meter(5).record())
    assert Meter(5).record().hop_chain not in repr(Meter(5).record())


def test_derived_keys_in_memory_are_bounded(gateway, meter, monkeypatch):
    monkeypatch.setattr(intake, "MAX_CACHED_KEYS", 4)
    keys = meter_keys.get(gateway.ledger, meter.title)
    decryption = DataDecryption(7)
    for epoch in range(TODAY, TODAY + 20):
        assert decryption.daily_key(meter.title, keys, epoch, keychain.UP) == keys.chain.at(epoch).key(keychain.UP)
        assert len(decryption._keys) <= 4
