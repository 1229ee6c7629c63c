"""A CONFIG: which one a meter takes, when it takes effect, and that no interval overlaps and no energy is lost."""

import bench
from bench import INTERVAL_S, START, World

import firmware.main
from firmware.meter.lengths import Lengths
from firmware.meter.link import FORGED, IMPOSSIBLE, MALFORMED, OUT_OF_DAYS, UNASKED
from protocol import keychain, wire

HALF_S = 450
CHANGE = START + 3 * INTERVAL_S


class Steady:
    """10 mWh a second."""

    def take(self, start_s, end_s):
        return 10 * (end_s - start_s), 0


def boot(world, interval_s=INTERVAL_S, detail_s=INTERVAL_S):
    world.board = bench.Board(world.storage, world)
    provisioning = None if world.storage.read("keys") else world.enrolled.provisioning()
    world.meter = firmware.main.build(world.board, Steady(), interval_s, detail_s, provisioning)
    return world


def sent(world):
    deframer = wire.Deframer()
    deframer.feed(world.meter.link.to_send(world.board.monotonic_ms(), world.machine_ms))
    return list(deframer)


def give(world, *frames):
    data = b"".join(wire.encode_link(frame) for frame in frames)
    world.meter.link.receive(data, world.board.monotonic_ms(), world.machine_ms)
    return dict(world.meter.link.counts)


def ask(world, interval_s=INTERVAL_S, detail_s=INTERVAL_S):
    """Boot, let the HELLO be answered by TIME; returns the HELLO's header."""
    boot(world, interval_s, detail_s)
    world.concentrator.now_ms = world.now_ms
    world.machine_ms += 3000
    hello = sent(world)[0]
    give(world, world.concentrator.take(hello))
    world.meter.instrument.tick(world.board.monotonic_ms())
    return wire.parse_header(hello)


def sealed(world, hello, config, epoch=None, kind=wire.CONFIG):
    epoch = world.enrolled.epoch if epoch is None else epoch
    header = wire.Header(kind, bench.TITLE, epoch, hello.salt, hello.counter)
    body = config if isinstance(config, bytes) else wire.pack_config(config)
    return world.concentrator.seal(world.enrolled.hop.at(epoch).key(keychain.DOWN), header, body)


def stored(world):
    return world.storage.read("lengths")


def live(world, until):
    while world.now_ms < until * 1000:
        world.now_ms += 150 * 1000
        world.settle()


def spans(world):
    found = [each[0] for each in world.concentrator.readings.values()]
    return sorted((each.interval_end - each.interval_s, each.interval_end) for each in found)


def test_a_config_takes_effect_at_its_beginning_and_not_before():
    world = World()
    hello = ask(world)
    assert give(world, sealed(world, hello, wire.Config(HALF_S, 150, CHANGE)))["config"] == 1
    live(world, START + 5 * INTERVAL_S)
    lengths = [(end - start, end <= CHANGE) for start, end in spans(world)]
    assert lengths == [(INTERVAL_S, True)] * 3 + [(HALF_S, False)] * 4
    details = [each[0].length_s for key, each in sorted(world.concentrator.details.items())]
    assert details == [INTERVAL_S] * 3 + [150] * 12


def test_no_interval_overlaps_and_the_registers_keep_all_energy_where_the_lengths_do_not_fit():
    # From one hour to quarters of one, at a beginning inside an hour.
    world = World()
    world.now_ms = (START - START % 3600) * 1000
    hello = ask(world, 3600, 1200)
    change = START - START % 3600 + 3600 + 2700
    give(world, sealed(world, hello, wire.Config(900, 300, change)))
    live(world, change + 1800)
    found = spans(world)
    assert all(found[n][1] <= found[n + 1][0] for n in range(len(found) - 1))
    assert found[0][1] - found[0][0] == 3600
    assert found[1:] == [(change, change + 900), (change + 900, change + 1800)]
    begun = START - START % 3600
    assert world.meter.store.registers.import_mwh == 10 * (change + 1800 - begun)


def test_a_config_survives_a_restart_before_and_behind_its_beginning():
    world = World()
    hello = ask(world)
    give(world, sealed(world, hello, wire.Config(HALF_S, HALF_S, CHANGE)))
    live(world, CHANGE - INTERVAL_S)
    boot(world)
    live(world, CHANGE + INTERVAL_S)
    boot(world)
    live(world, CHANGE + 2 * INTERVAL_S)
    assert [end - start for start, end in spans(world)] == [INTERVAL_S] * 3 + [HALF_S] * 4


def test_a_config_that_says_nothing_new_is_not_written():
    world = World()
    hello = ask(world)
    give(world, sealed(world, hello, wire.Config(INTERVAL_S, INTERVAL_S, CHANGE)))
    assert world.meter.link.counts["config"] == 1
    assert stored(world) is None
    hello = ask(world)
    give(world, sealed(world, hello, wire.Config(HALF_S, 150, CHANGE)))
    before = stored(world)
    hello = ask(world)
    give(world, sealed(world, hello, wire.Config(HALF_S, 150, CHANGE + 10800)))
    assert stored(world) == before


def test_a_later_config_replaces_one_that_has_not_begun():
    world = World()
    give(world, sealed(world, ask(world), wire.Config(HALF_S, 150, CHANGE)))
    give(world, sealed(world, ask(world), wire.Config(INTERVAL_S, INTERVAL_S, CHANGE)))
    live(world, CHANGE + INTERVAL_S)
    assert [end - start for start, end in spans(world)] == [INTERVAL_S] * 4


def test_a_config_that_is_impossible_is_counted_and_changes_nothing():
    good = wire.pack_config(wire.Config(HALF_S, 150, CHANGE))
    for body in (
        wire.pack_config(wire.Config(HALF_S, 150, START)),  # the present
        wire.pack_config(wire.Config(HALF_S, 150, START - 10800)),
        wire.pack_config(wire.Config(225, 75, CHANGE)),  # a finer look into the house
        good[:-1],
        good + b"\x00",
        b"",
        bytes(8),
        b"\x01\xc2\x00\x97" + good[4:],  # 151 s do not divide 450 s
        b"\x02\xbc\x00\x0a" + (700 * 100000).to_bytes(4, "big"),  # 700 s do not divide 3 hours
    ):
        world = World()
        hello = ask(world)
        assert give(world, sealed(world, hello, body))[IMPOSSIBLE] == 1
        assert stored(world) is None


def test_intervals_that_are_short_already_may_stay_short():
    storage = bench.Storage()
    lengths = Lengths(storage, 60, 60)
    assert not lengths.set(wire.Config(30, 30, CHANGE), START)
    assert lengths.set(wire.Config(60, 30, CHANGE), START)
    assert lengths.at(CHANGE - 1) == (60, 60)
    assert Lengths(storage, 60, 60).at(CHANGE) == (60, 30)


def test_a_config_counts_once_for_the_hello_whose_time_was_taken_last():
    world = World()
    first = ask(world)
    again = sealed(world, first, wire.Config(HALF_S, 150, CHANGE))
    give(world, again)
    assert give(world, again)[UNASKED] == 1
    hello = ask(world)
    assert give(world, again)[UNASKED] == 1  # an old one that is replayed names another HELLO
    other = wire.Header(hello.type, hello.system_title, hello.epoch, hello.salt, hello.counter + 1)
    assert give(world, sealed(world, other, wire.Config(HALF_S, 150, CHANGE)))[UNASKED] == 2


def test_a_config_before_the_time_is_known_is_not_taken():
    world = World()
    boot(world)
    hello = wire.parse_header(sent(world)[0])
    assert give(world, sealed(world, hello, wire.Config(HALF_S, 150, CHANGE)))[UNASKED] == 1
    assert stored(world) is None


def test_a_config_that_does_not_verify_is_counted_by_kind_and_changes_nothing():
    world = World()
    hello = ask(world)
    config = wire.Config(HALF_S, 150, CHANGE)
    good = sealed(world, hello, config)
    damaged = bytearray(good)
    damaged[-1] ^= 1
    reflected = bytearray(sealed(world, hello, wire.pack_config(config), kind=wire.ACK))
    reflected[1] = wire.CONFIG
    for kind, frame in (
        (FORGED, bytes(damaged)),
        (FORGED, bytes(reflected)),
        (MALFORMED, good[:40]),
        (OUT_OF_DAYS, sealed(world, hello, config, world.enrolled.epoch + 1)),
    ):
        before = world.meter.link.counts.get(kind, 0)
        assert give(world, frame)[kind] == before + 1, kind
        assert stored(world) is None
    assert give(world, good)["config"] == 1


def test_stored_lengths_that_are_damaged_do_not_count_and_are_named():
    world = World()
    give(world, sealed(world, ask(world), wire.Config(HALF_S, 150, CHANGE)))
    whole = stored(world)
    for data in (whole[:-1], whole + b"\x00", bytes(len(whole)), b"\x02" + whole[1:]):
        world.storage.pieces["lengths"] = data
        lengths = Lengths(world.storage, INTERVAL_S, INTERVAL_S)
        assert lengths.trouble == "the stored lengths are damaged"
        assert lengths.at(CHANGE) == (INTERVAL_S, INTERVAL_S)
    world.storage.pieces["lengths"] = whole
    assert Lengths(world.storage, INTERVAL_S, INTERVAL_S).trouble is None


def test_a_config_that_does_not_fit_is_not_packed():
    for config in (
        wire.Config(0, 0, 10800),
        wire.Config(900, 0, 10800),
        wire.Config(900, 61, 10800),
        wire.Config(700, 70, 70000),
        wire.Config(900, 60, 10801),
        wire.Config(900, 60, 0),
        wire.Config(900, 60, 1 << 32),
        wire.Config(1 << 16, 60, 10800),
        wire.Config(900, -60, 10800),
    ):
        try:
            wire.pack_config(config)
        except ValueError:
            continue
        raise AssertionError(config)
