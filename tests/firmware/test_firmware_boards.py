"""What a board's files do without the board: the ring, storage in files."""

import random
from array import array

import pytest

from firmware.board.files import Storage
from firmware.board.ring import Ring

SIZE = 64


class Writer:
    """Something that fills a ring in the background: the count of conversion n is n."""

    def __init__(self, channels):
        self.counts = array("H", bytes(2 * SIZE))
        self.ring = Ring(memoryview(self.counts), channels)
        self.written = 0

    def convert(self, conversions):
        for _ in range(conversions):
            self.counts[self.written % SIZE] = self.written % 65536
            self.written += 1


@pytest.mark.parametrize("channels", [1, 2])
def test_every_turn_comes_once_in_order_or_is_counted_as_lost(channels):
    rng = random.Random(channels)
    writer = Writer(channels)
    buffer = array("H", bytes(2 * 24))
    seen = 0  # turns accounted for: seen or lost
    lost = 0
    for _ in range(2000):
        writer.convert(channels * rng.choice((0, 1, 5, 12, 20, 40, 90)))
        turns = writer.ring.sample(buffer, writer.written)
        assert turns <= len(buffer) // channels
        seen += writer.ring.lost - lost
        lost = writer.ring.lost
        for place in range(turns * channels):
            assert buffer[place] == (seen * channels + place) % 65536
        seen += turns
    assert lost > 0
    assert seen <= writer.written // channels
    assert writer.written // channels - seen <= SIZE // channels


def test_half_a_turn_waits_for_its_other_half():
    writer = Writer(2)
    buffer = array("H", bytes(2 * 24))
    writer.convert(3)
    assert writer.ring.sample(buffer, writer.written) == 1
    writer.convert(1)
    assert writer.ring.sample(buffer, writer.written) == 1
    assert list(buffer[:2]) == [2, 3]


def test_the_newest_count_of_a_channel_is_of_a_whole_turn():
    writer = Writer(2)
    writer.convert(7)
    assert (writer.ring.newest(0, writer.written), writer.ring.newest(1, writer.written)) == (4, 5)


def test_the_count_of_conversions_wraps_without_a_loss():
    writer = Writer(1)
    writer.ring._taken = 0x3FFFFFF0
    writer.written = 0x3FFFFFF0
    buffer = array("H", bytes(2 * 48))
    writer.convert(40)
    assert writer.ring.sample(buffer, writer.written & 0x3FFFFFFF) == 40
    assert writer.ring.lost == 0
    assert buffer[39] == (0x3FFFFFF0 + 39) % 65536


def test_a_ring_of_another_size_is_refused():
    for size, channels in ((63, 1), (64, 3)):
        with pytest.raises(ValueError, match="power of two"):
            Ring(memoryview(array("H", bytes(2 * size))), channels)


def test_a_piece_is_replaced_as_a_whole_and_a_missing_one_is_none(tmp_path):
    storage = Storage(str(tmp_path / "a" / "b"))
    assert storage.read("keys") is None
    storage.replace("keys", b"one")
    storage.append("keys", b"two")
    assert storage.read("keys") == b"onetwo"
    storage.replace("keys", b"three")
    assert Storage(str(tmp_path / "a" / "b")).read("keys") == b"three"
