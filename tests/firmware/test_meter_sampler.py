"""Raw counts become blocks of whole cycles, without a gap."""

from array import array

import waves

from firmware.meter import calibration
from firmware.meter.sampler import REST, Sampler, isqrt

TABLE = calibration.table(waves.ADC)


def blocks_of(counts, channels, rate_hz=2000, piece=200, lost=()):
    sampler = Sampler(channels, rate_hz, TABLE)
    found = []
    for number, at in enumerate(range(0, len(counts), piece * channels)):
        part = array("H", counts[at : at + piece * channels])
        found += sampler.feed(part, len(part) // channels, 7 if number in lost else 0)
    return found


def test_every_sample_is_in_exactly_one_block():
    counts = waves.sine(20000, 2000, 49.7, 500, 500)
    whole = blocks_of(counts, 2)
    turns = sum(block.turns for block in whole)
    assert 20000 - 440 <= turns <= 20000
    for number, channel in enumerate(("current", "voltage")):
        total = sum(getattr(b, channel).total + b.turns * getattr(b, channel).bias for b in whole)
        assert total == sum(10 * count for count in list(counts)[number : 2 * turns : 2])


def test_the_size_of_the_pieces_makes_no_difference():
    counts = waves.sine(8000, 2000, 50.3, 500, 500)
    assert blocks_of(counts, 2, piece=200) == blocks_of(counts, 2, piece=37) == blocks_of(counts, 2, piece=8000)


def test_a_block_is_whole_cycles_of_50_and_of_60_hertz():
    for hertz, cycles in ((49.5, 10), (50.0, 10), (50.5, 10), (59.4, 12), (60.0, 12), (60.6, 12)):
        for channels, volts in ((1, None), (2, 600)):
            found = blocks_of(waves.sine(12000, 2000, hertz, 800, volts), channels)[3:]
            assert len(found) > 20
            for block in found:
                assert abs(block.turns - cycles * 2000 / hertz) <= 1, (hertz, channels, block.turns)
                assert abs(block.millihertz - 1000 * hertz) < 100, (hertz, channels, block.millihertz)


def test_without_a_crossing_a_block_is_a_fifth_of_a_second():
    for counts in (waves.sine(8000, 2000), waves.sine(8000, 2000, noise=1.0)):
        assert {(b.turns, b.millihertz) for b in blocks_of(counts, 1)} == {(400, 0)}


def test_noise_about_zero_is_no_cycle():
    found = blocks_of(waves.sine(8000, 2000, 50, 400, 20, noise=0), 2)
    assert all(abs(b.millihertz - 50000) < 200 for b in found[3:])


def test_the_bias_is_followed_slowly_and_a_step_at_once():
    slow = blocks_of(waves.sine(4000, 2000), 1) + blocks_of(waves.sine(400, 2000), 1)
    assert slow[-1].current.bias == 10 * waves.MIDDLE
    sampler = Sampler(1, 2000, TABLE)
    for bias, expected in ((2048, 20480), (2060, 20480), (2060, 20487)):
        block = sampler.feed(waves.sine(400, 2000, bias=bias), 400)[0]
        assert block.current.bias + block.current.rest256 // REST == expected
    block = sampler.feed(waves.sine(400, 2000, bias=1000), 400)[0]
    assert block.current.bias * REST + block.current.rest256 == 10000 * REST


def test_lost_turns_are_told_by_the_block_that_they_precede():
    found = blocks_of(waves.sine(4000, 2000), 1, lost=(4,))
    assert [b.lost for b in found] == [0, 0, 7, 0, 0, 0, 0, 0, 0, 0]


def test_an_integer_root_is_exact():
    for root in (0, 1, 2, 3, 1000, 46340, (1 << 64) + 1):
        for square, expected in ((root * root, root), (root * root + 2 * root, root)):
            assert isqrt(square) == expected


def test_a_converter_that_no_loop_is_for_is_refused():
    for channels, rate_hz in ((0, 2000), (3, 2000), (1, 999), (1, 4001)):
        try:
            Sampler(channels, rate_hz, TABLE)
        except ValueError:
            continue
        raise AssertionError((channels, rate_hz))
