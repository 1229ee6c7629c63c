"""The sealed frame on both interpreters, over the firmware's own CCM."""

from firmware.meter.seal import Ccm
from protocol import wire

TITLE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
KEY = bytes(range(32))
CCM = Ccm()
HEADER = wire.Header(wire.READING, TITLE, 19700, b"salt", 7)
READING = wire.Reading(1, 1, 1800, 900, 12345, 6, 99999, 66, wire.APPARENT_ONLY)
DETAIL = wire.Detail(1800, 60, 12345, 6, 99999, 66, 2301, 512, -998, 0)


def raises(error, call, *arguments):
    try:
        call(*arguments)
    except error:
        return True
    return False


READING_BITS = (32, 32, 32, 16, 32, 32, 64, 64, 8)
DETAIL_BITS = (32, 16, 32, 32, 64, 64, 16, 16, None, 8)


def with_field(record, kind, place, value):
    fields = list(record)
    fields[place] = value
    return kind(*fields)


def test_a_header_comes_back_as_it_went():
    packed = wire.pack_header(HEADER)
    assert len(packed) == wire.HEADER_BYTES
    assert wire.parse_header(packed) == HEADER


def test_a_header_field_that_does_not_fit_is_refused_and_not_truncated():
    for place, value in ((0, 256), (2, 65536), (4, 1 << 64), (4, -1), (1, b"short"), (3, b"salty")):
        assert raises(ValueError, wire.pack_header, with_field(HEADER, wire.Header, place, value))


def test_a_reading_comes_back_as_it_went():
    body = wire.pack_reading(READING)
    assert len(body) == wire.READING_BYTES
    assert wire.parse_reading(body) == READING


def test_a_reading_field_that_does_not_fit_is_refused_and_not_truncated():
    for place, bits in enumerate(READING_BITS):
        for value in (1 << bits, -1):
            assert raises(ValueError, wire.pack_reading, with_field(READING, wire.Reading, place, value))


def test_a_detail_comes_back_as_it_went_and_out_of_range_is_refused():
    body = wire.pack_detail(DETAIL)
    assert len(body) == wire.DETAIL_BYTES
    assert wire.parse_detail(body) == DETAIL
    for place, bits in enumerate(DETAIL_BITS):
        for value in (0x8000, -0x8001) if bits is None else (1 << bits, -1):
            assert raises(ValueError, wire.pack_detail, with_field(DETAIL, wire.Detail, place, value))


def test_a_reading_whose_interval_contradicts_itself_is_malformed():
    for place, value in ((1, 2), (2, 1801), (3, 0), (3, 901)):
        body = wire.pack_reading(with_field(READING, wire.Reading, place, value))
        assert raises(wire.Malformed, wire.parse_reading, body)
    body = wire.pack_reading(with_field(READING, wire.Reading, 8, 0x20))
    assert raises(wire.Malformed, wire.parse_reading, body)


def test_a_sealed_uplink_frame_opens_under_its_key_only():
    frame = wire.seal_uplink(CCM, KEY, HEADER, b"body")
    assert wire.open_uplink(CCM, KEY, frame) == (HEADER, b"body")
    assert raises(wire.Forged, wire.open_uplink, CCM, bytes(32), frame)


def test_every_flipped_bit_of_a_frame_is_refused():
    frame = wire.seal_uplink(CCM, KEY, HEADER, b"body")
    for place in range(len(frame) * 8):
        altered = bytearray(frame)
        altered[place // 8] ^= 1 << place % 8
        assert raises(wire.WireError, wire.open_uplink, CCM, KEY, bytes(altered))


def test_a_frame_of_every_length_of_zeros_or_ones_raises_a_wire_error_only():
    for length in range(0, 300):
        for fill in (b"\x00", b"\x01", b"\xff"):
            assert raises(wire.WireError, wire.open_uplink, CCM, KEY, fill * length)
            assert raises(wire.WireError, wire.open_downlink, CCM, KEY, fill * length)


def test_a_reflected_frame_is_no_answer():
    uplink = wire.seal_uplink(CCM, KEY, HEADER, bytes(40))
    assert raises(wire.Malformed, wire.open_downlink, CCM, KEY, uplink)
    header = wire.Header(wire.ACK, TITLE, 19700, b"salt", 7)
    downlink = wire.seal_downlink(CCM, KEY, header, bytes(15), bytes(12))
    assert raises(wire.Malformed, wire.open_uplink, CCM, KEY, downlink)
    assert wire.open_downlink(CCM, KEY, downlink) == (header, bytes(15))


def test_the_customers_row_opens_only_with_its_own_header():
    header = wire.Header(wire.DETAIL, TITLE, 19700, b"salt", 7)
    blob = wire.seal_detail(CCM, KEY, header, wire.pack_detail(DETAIL))
    assert len(blob) == wire.DETAIL_BLOB_BYTES
    assert wire.open_row(CCM, KEY, wire.pack_header(header) + blob) == (header, DETAIL)
    for place, value in ((1, b"another!"), (2, 19701), (3, b"talS"), (4, 8)):
        other = wire.pack_header(with_field(header, wire.Header, place, value))
        assert raises(wire.WireError, wire.open_row, CCM, KEY, other + blob)


def test_acks_hellos_and_times_come_back_as_they_went():
    ranges = [wire.Range(b"salt", 1 << 40, 65535, verdict) for verdict in range(4)]
    assert wire.parse_ack(wire.pack_ack(ranges)) == ranges
    assert wire.parse_hello(wire.pack_hello(wire.PERIODIC, b"c" * 16)) == (wire.PERIODIC, b"c" * 16)
    assert wire.parse_time(wire.pack_time(1 << 41, b"c" * 16)) == (1 << 41, b"c" * 16)


def test_an_ack_with_nothing_in_it_or_an_unknown_verdict_is_malformed():
    assert raises(wire.Malformed, wire.parse_ack, b"")
    assert raises(wire.Malformed, wire.parse_ack, bytes(14))
    assert raises(wire.Malformed, wire.parse_ack, bytes(15))
    assert raises(wire.Malformed, wire.parse_ack, bytes(13) + b"\x01\x04")
    assert raises(ValueError, wire.pack_ack, [])
    assert raises(ValueError, wire.pack_ack, [wire.Range(b"salt", 1, 1, 0)] * (wire.MAX_RANGES + 1))


def test_a_full_ack_fits_a_frame():
    header = wire.Header(wire.ACK, TITLE, 19700, b"salt", 7)
    body = wire.pack_ack([wire.Range(b"salt", 7, 1, 0)] * wire.MAX_RANGES)
    assert len(wire.seal_downlink(CCM, KEY, header, body, bytes(12))) <= wire.MAX_FRAME


def test_cobs_holds_no_zero_and_comes_back():
    for length in (0, 1, 2, 253, 254, 255, 256, 508, 509):
        for data in (bytes(length), b"\x01" * length, bytes(n % 256 for n in range(length))):
            encoded = wire.cobs_encode(data)
            assert 0 not in encoded
            assert wire.cobs_decode(encoded) == data


def frames_of(data, size):
    deframer = wire.Deframer()
    frames = []
    for at in range(0, len(data), size):
        deframer.feed(data[at : at + size])
        frames += list(deframer)
    return frames, deframer.corrupt


def test_the_deframer_gives_the_same_frames_for_pieces_of_any_size():
    sent = [wire.seal_uplink(CCM, KEY, HEADER, bytes(length)) for length in (0, 1, 39, 200)]
    line = b"".join(wire.encode_link(frame) for frame in sent)
    for size in (1, 2, 3, 7, 64, 1000):
        assert frames_of(line, size) == (sent, 0)


def test_runs_of_delimiters_are_no_fault():
    frame = wire.seal_uplink(CCM, KEY, HEADER, b"")
    line = bytes(50) + wire.encode_link(frame) + bytes(50) + wire.encode_link(frame)
    assert frames_of(line, 1) == ([frame, frame], 0)


def test_noise_costs_the_frame_that_it_touches_and_no_other():
    frame = wire.seal_uplink(CCM, KEY, HEADER, b"x" * 30)
    encoded = wire.encode_link(frame)
    for place in range(len(encoded) - 1):
        for bit in range(8):
            damaged = bytearray(encoded)
            damaged[place] ^= 1 << bit
            frames, corrupt = frames_of(bytes(damaged) + encoded, 1000)
            assert frames == [frame]
            assert 1 <= corrupt <= 2


def test_an_oversized_piece_is_thrown_away_as_one_and_bounded_in_memory():
    frame = wire.seal_uplink(CCM, KEY, HEADER, b"")
    deframer = wire.Deframer()
    for _ in range(1000):
        deframer.feed(b"\x01" * 100)
        assert len(deframer._piece) <= wire.MAX_ENCODED
    deframer.feed(b"\x00" + wire.encode_link(frame))
    assert list(deframer) == [frame]
    assert deframer.corrupt == 1


def test_the_longest_frame_fits_the_line_and_a_longer_one_is_refused():
    longest = bytes(range(1, 251))
    encoded = wire.encode_link(longest)
    assert len(encoded) <= wire.MAX_ENCODED + 1
    assert frames_of(encoded, 5) == ([longest], 0)
    assert raises(ValueError, wire.encode_link, longest + b"x")
