"""The invocation counter and the boot salt."""

import bench

from firmware.meter import counter
from firmware.meter.counter import BLOCK, Counter

SECRET = b"s" * 32


def constant(count):
    return b"r" * count


def test_a_number_is_reserved_in_storage_before_it_is_handed_out():
    storage = bench.Storage()
    numbers = Counter(storage, SECRET, constant)
    for _ in range(3 * BLOCK):
        taken = numbers.take()
        assert int.from_bytes(storage.pieces["counter"][:8], "big") > taken


def test_numbers_ascend_without_gaps_within_a_boot():
    numbers = Counter(bench.Storage(), SECRET, constant)
    assert [numbers.take() for _ in range(2 * BLOCK + 1)] == list(range(2 * BLOCK + 1))


def test_a_restart_skips_what_was_reserved():
    storage = bench.Storage()
    first = Counter(storage, SECRET, constant)
    used = [first.take() for _ in range(5)]
    second = Counter(storage, SECRET, constant)
    assert second.take() == BLOCK > max(used)


def test_the_boot_salt_differs_at_every_boot_even_where_the_random_numbers_do_not():
    storage = bench.Storage()
    salts = [Counter(storage, SECRET, constant).salt for _ in range(50)]
    assert len(set(salts)) == 50


def test_the_boot_salt_differs_where_the_storage_was_restored():
    salts = [Counter(bench.Storage(), SECRET, lambda count, b=b: bytes((b,)) * count).salt for b in range(50)]
    assert len(set(salts)) == 50


def test_the_boot_salt_depends_on_the_secret():
    assert Counter(bench.Storage(), SECRET, constant).salt != Counter(bench.Storage(), b"t" * 32, constant).salt


def test_a_used_up_counter_stops_rather_than_wraps():
    storage = bench.Storage()
    storage.pieces["counter"] = counter.pack((1 << 64) - 1)
    try:
        Counter(storage, SECRET, constant)
    except ValueError:
        return
    raise AssertionError("the counter wrapped")


def test_a_damaged_counter_is_refused():
    whole = counter.pack(640)
    for place in range(len(whole)):
        storage = bench.Storage()
        for damaged in (whole[:place] or b"x", whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :]):
            storage.pieces["counter"] = damaged
            try:
                Counter(storage, SECRET, constant)
            except ValueError:
                continue
            raise AssertionError("a damaged counter was read as a number")


def test_the_block_keeps_the_flash_for_ten_years():
    numbers_a_day = 1440 + 96 + 4
    assert numbers_a_day / counter.BLOCK * 3650 < 100000 / 10 * 100  # a tenth of a sector's erasures, 100 writes each
