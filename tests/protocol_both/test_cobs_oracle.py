"""COBS against the cobs package, on CPython alone."""

import contextlib

from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from protocol import wire


@given(st.binary(max_size=800))
def test_encoding_agrees_with_the_cobs_package(data):
    assert wire.cobs_encode(data) == cobs.encode(data)


@given(st.binary(max_size=400))
def test_decoding_agrees_with_the_cobs_package(data):
    try:
        expected = cobs.decode(data)
    except cobs.DecodeError:
        expected = None
    if b"\x00" in data or not data:
        return  # the deframer never hands these on
    found = None
    with contextlib.suppress(wire.Malformed):
        found = wire.cobs_decode(data)
    assert found == expected


@given(st.lists(st.binary(min_size=24, max_size=250), max_size=5), st.binary(max_size=300), st.integers(1, 40))
def test_frames_survive_any_noise_before_them(frames, noise, size):
    line = noise + b"\x00" + b"".join(wire.encode_link(frame) for frame in frames)
    deframer = wire.Deframer()
    found = []
    for at in range(0, len(line), size):
        deframer.feed(line[at : at + size])
        found += list(deframer)
    assert found[len(found) - len(frames) :] == frames
