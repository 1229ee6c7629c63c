"""The frame's codec against nonsense. Rule 1: `parse_`, `open_` and the Deframer raise WireError and nothing else."""

import contextlib
import random

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.intake import Ccm
from protocol import wire

CCM = Ccm()
KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))
TITLE, SALT = b"HUS\x00\x00\x00\x01\x2a", b"salt"
PARSERS = (wire.parse_header, wire.parse_reading, wire.parse_detail, wire.parse_hello, wire.parse_time, wire.parse_ack)
LENGTHS = (0, 15, 17, 23, 24, 25, 30, 37, 39, 40, 52, 90, 195, 250, 251)

some_bytes = st.binary(max_size=300) | st.sampled_from(LENGTHS).flatmap(lambda n: st.binary(min_size=n, max_size=n))
uplink_types = st.integers(0, 0x7F)
salts = st.binary(min_size=4, max_size=4)


def unsigned(bits):
    """Integers of a field, its ends among them."""
    return st.integers(0, (1 << bits) - 1) | st.sampled_from([0, 1, (1 << bits) - 1])


@st.composite
def headers(draw, types=uplink_types):
    title = draw(st.binary(min_size=8, max_size=8))
    return wire.Header(draw(types), title, draw(unsigned(16)), draw(salts), draw(unsigned(64)))


@st.composite
def readings(draw):
    length = draw(st.integers(1, 0xFFFF))
    number = draw(st.integers(0, ((1 << 32) - 1) // length - 1))
    return wire.Reading(
        draw(unsigned(32)),
        number,
        (number + 1) * length,
        length,
        draw(unsigned(32)),
        draw(unsigned(32)),
        draw(unsigned(64)),
        draw(unsigned(64)),
        draw(st.integers(0, wire.QUALITY_MASK)),
    )


details = st.builds(
    wire.Detail,
    *[unsigned(bits) for bits in (32, 16, 32, 32, 64, 64, 16, 16)],
    st.integers(-0x8000, 0x7FFF),
    unsigned(8),
)
ranges = st.builds(wire.Range, salts, unsigned(64), st.integers(1, 0xFFFF), st.integers(0, 3))
challenges = st.binary(min_size=16, max_size=16)


# --- What is written comes back -----------------------------------------------------------------------------------


@given(headers(types=unsigned(8)))
def test_every_header_comes_back(header):
    assert wire.parse_header(wire.pack_header(header)) == header


@given(readings())
def test_every_reading_comes_back(reading):
    assert wire.parse_reading(wire.pack_reading(reading)) == reading


@given(details)
def test_every_detail_comes_back(detail):
    assert wire.parse_detail(wire.pack_detail(detail)) == detail


@given(st.lists(ranges, min_size=1, max_size=wire.MAX_RANGES), unsigned(8), unsigned(64), challenges)
def test_every_ack_hello_and_time_comes_back(items, reason, utc_ms, challenge):
    assert wire.parse_ack(wire.pack_ack(items)) == items
    assert wire.parse_hello(wire.pack_hello(reason, challenge)) == (reason, challenge)
    assert wire.parse_time(wire.pack_time(utc_ms, challenge)) == (utc_ms, challenge)


@given(headers(), st.binary(max_size=210), headers(types=st.sampled_from(wire.DOWNLINK_TYPES)))
@settings(max_examples=200, deadline=None)
def test_every_sealed_frame_opens_to_what_went_in(up, body, down):
    assert wire.open_uplink(CCM, KEY, wire.seal_uplink(CCM, KEY, up, body)) == (up, body)
    short = body[: wire.MAX_FRAME - wire.HEADER_BYTES - wire.RANDOM_BYTES - wire.TAG_BYTES]
    frame = wire.seal_downlink(CCM, KEY, down, short, bytes(12))
    assert wire.open_downlink(CCM, KEY, frame) == (down, short)


@given(headers(types=st.just(wire.DETAIL)), details)
@settings(max_examples=100, deadline=None)
def test_every_row_opens_to_what_went_in(header, detail):
    row = wire.pack_header(header) + wire.seal_detail(CCM, KEY, header, wire.pack_detail(detail))
    assert len(row) == wire.ROW_BYTES
    assert wire.open_row(CCM, KEY, row) == (header, detail)


@pytest.mark.parametrize("salt", [b"", b"sal", b"salty"])
def test_a_range_whose_salt_has_another_length_is_not_packed(salt):
    with pytest.raises(ValueError, match="salt"):
        wire.pack_ack([wire.Range(salt, 1, 1, wire.STORED)])


# --- Nonsense -----------------------------------------------------------------------------------------------------


@given(st.sampled_from(PARSERS), some_bytes)
@settings(max_examples=600, deadline=None)
def test_fuzz_parsing_raises_a_wire_error_only(parse, data):
    with contextlib.suppress(wire.WireError):
        parse(data)


@given(some_bytes, st.booleans())
@settings(max_examples=400, deadline=None)
def test_fuzz_no_bytes_are_a_frame_or_a_row(data, has_version):
    data = b"\x01" + data[1:] if has_version else data
    for open_ in (wire.open_uplink, wire.open_downlink, wire.open_row):
        with pytest.raises(wire.WireError):
            open_(CCM, KEY, data)


def authentic():
    up = wire.Header(wire.READING, TITLE, 20_000, SALT, 7)
    down = wire.Header(wire.ACK, TITLE, 20_000, SALT, 7)
    detail = wire.Header(wire.DETAIL, TITLE, 20_000, SALT, 8)
    blob = wire.seal_detail(CCM, KEY, detail, bytes(wire.DETAIL_BYTES))
    return (
        (wire.open_uplink, wire.seal_uplink(CCM, KEY, up, bytes(39))),
        (wire.open_downlink, wire.seal_downlink(CCM, KEY, down, bytes(15), bytes(range(12)))),
        (wire.open_uplink, wire.seal_uplink(CCM, KEY, detail, blob)),
        (wire.open_row, wire.pack_header(detail) + blob),
    )


AUTHENTIC = authentic()
FRAMES = tuple(frame for _, frame in AUTHENTIC)


def test_every_flipped_bit_is_refused_by_the_concentrators_ccm():
    for open_, frame in AUTHENTIC:
        open_(CCM, KEY, frame)
        for place in range(len(frame) * 8):
            altered = bytearray(frame)
            altered[place // 8] ^= 1 << place % 8
            with pytest.raises(wire.WireError):
                open_(CCM, KEY, bytes(altered))


@given(st.sampled_from(FRAMES), st.sampled_from(FRAMES), st.integers(0, 120), st.integers(0, 120))
@settings(max_examples=600, deadline=None)
def test_fuzz_a_splice_of_two_frames_is_refused_unless_it_is_one_of_them(a, b, cut, resume):
    splice = a[:cut] + b[resume:]
    for open_ in (wire.open_uplink, wire.open_downlink, wire.open_row):
        try:
            open_(CCM, KEY, splice)
        except wire.WireError:
            assert (open_, splice) not in AUTHENTIC
        else:
            assert (open_, splice) in AUTHENTIC


@given(st.sampled_from(AUTHENTIC), st.binary(min_size=32, max_size=32))
@settings(max_examples=100, deadline=None)
def test_no_other_key_opens_a_frame(sealed, key):
    open_, frame = sealed
    if key != KEY:
        with pytest.raises(wire.Forged):
            open_(CCM, key, frame)


@given(headers(), some_bytes.filter(lambda body: len(body) <= 210))
@settings(max_examples=300, deadline=None)
def test_fuzz_an_authentic_frame_of_any_body_is_opened_and_its_body_parsed_or_malformed(header, body):
    _, opened = wire.open_uplink(CCM, KEY, wire.seal_uplink(CCM, KEY, header, body))
    for parse in PARSERS[1:]:
        with contextlib.suppress(wire.Malformed):
            parse(opened)


def test_a_body_too_long_for_a_frame_is_not_sealed():
    header = wire.Header(wire.EVENT, TITLE, 20_000, SALT, 7)
    assert len(wire.seal_uplink(CCM, KEY, header, bytes(210))) == wire.MAX_FRAME
    with pytest.raises(ValueError, match="too long"):
        wire.seal_uplink(CCM, KEY, header, bytes(211))
    down = header._replace(type=wire.ACK)
    assert len(wire.seal_downlink(CCM, KEY, down, bytes(198), bytes(12))) == wire.MAX_FRAME
    with pytest.raises(ValueError, match="too long"):
        wire.seal_downlink(CCM, KEY, down, bytes(199), bytes(12))


# --- The line -----------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=400) | st.sampled_from([b"\x00", b"\xff\x00", b"\x01" * 200]), max_size=12))
@settings(max_examples=300, deadline=None)
def test_fuzz_the_deframer_takes_any_bytes_and_gives_whole_frames_only(pieces):
    deframer = wire.Deframer()
    for piece in pieces:
        deframer.feed(piece)
        assert len(deframer._piece) <= wire.MAX_ENCODED
    for frame in deframer:
        assert wire.HEADER_BYTES <= len(frame) <= wire.MAX_FRAME
    assert list(deframer) == []


@given(st.lists(st.binary(min_size=24, max_size=250), max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_a_line_gives_its_frames_in_order_however_it_is_cut(frames, rng):
    line = b"".join(wire.encode_link(frame) + bytes(rng.randrange(3)) for frame in frames)
    deframer, found = wire.Deframer(), []
    while line:
        size = rng.choice([1, 2, 17, 100, 1000])
        deframer.feed(line[:size])
        line = line[size:]
        if rng.random() < 0.5:
            found += deframer
    assert found + list(deframer) == frames
    assert deframer.corrupt == 0


@given(st.binary(min_size=24, max_size=250))
def test_what_goes_on_the_line_is_what_the_cobs_package_reads(frame):
    line = wire.encode_link(frame)
    assert 0 not in line[:-1]
    assert len(line) <= wire.MAX_ENCODED + 1
    assert cobs.decode(line[:-1])[:-4] == frame


def test_every_lost_or_doubled_byte_costs_its_frame_and_at_most_the_next():
    frames = FRAMES[:3]
    encoded = [wire.encode_link(frame) for frame in frames]
    line = b"".join(encoded)
    for place in range(len(encoded[0])):
        for damaged in (line[:place] + line[place + 1 :], line[: place + 1] + line[place:]):
            deframer = wire.Deframer()
            deframer.feed(damaged)
            found = list(deframer)
            assert found[-1] == frames[2]
            assert all(frame in frames for frame in found)


def test_a_megabyte_of_noise_gives_no_frame_and_is_counted():
    noise = random.Random(1).randbytes(1 << 20)
    deframer = wire.Deframer()
    deframer.feed(noise + b"\x00")
    assert list(deframer) == []
    assert deframer.corrupt == sum(bool(piece) for piece in noise.split(b"\x00"))


# --- The tests of the tests ---------------------------------------------------------------------------------------


def crashes(test):
    with pytest.raises(BaseException) as caught:
        test()
    return repr(caught.value) + repr(getattr(caught.value, "exceptions", ""))


def test_a_parser_that_does_not_check_its_length_would_be_seen(monkeypatch):
    monkeypatch.setattr(wire, "HEADER_BYTES", 0)
    assert "error" in crashes(test_fuzz_no_bytes_are_a_frame_or_a_row)


def test_a_seal_that_does_not_bind_the_header_would_be_seen(monkeypatch):
    class Unbound(Ccm):
        def seal(self, key, nonce, plaintext, aad):
            return super().seal(key, nonce, plaintext, b"")

        def open(self, key, nonce, sealed, aad):
            return super().open(key, nonce, sealed, b"")

    monkeypatch.setitem(globals(), "CCM", Unbound())
    monkeypatch.setitem(globals(), "AUTHENTIC", authentic())
    assert "DID NOT RAISE" in crashes(test_every_flipped_bit_is_refused_by_the_concentrators_ccm)


def test_a_tag_whose_last_byte_is_ignored_would_be_seen(monkeypatch):
    class Short(Ccm):
        def __init__(self):
            super().__init__(14)

        def seal(self, key, nonce, plaintext, aad):
            return super().seal(key, nonce, plaintext, aad) + bytes(2)

        def open(self, key, nonce, sealed, aad):
            return super().open(key, nonce, sealed[:-2], aad)

    monkeypatch.setitem(globals(), "CCM", Short())
    monkeypatch.setitem(globals(), "AUTHENTIC", authentic())
    assert "DID NOT RAISE" in crashes(test_every_flipped_bit_is_refused_by_the_concentrators_ccm)


def test_a_deframer_without_a_crc_would_be_seen(monkeypatch):
    monkeypatch.setattr(wire.binascii, "crc32", lambda data: 0)
    noise = cobs.encode(FRAMES[0][:-1] + b"x" + bytes(4)) + b"\x00"
    deframer = wire.Deframer()
    deframer.feed(noise)
    assert list(deframer) == [FRAMES[0][:-1] + b"x"]  # which the real one throws away:
    monkeypatch.undo()
    deframer.feed(noise)
    assert (list(deframer), deframer.corrupt) == ([], 1)
