"""The meter's end of the line: the window, the answers that count, and those that count for nothing."""

import bench
from bench import INTERVAL_S, START, World

from firmware.meter import link as link_module
from firmware.meter.link import CORRUPT, FORGED, MALFORMED, MISDIRECTED, OUT_OF_DAYS, UNASKED, UNSUPPORTED
from protocol import keychain, wire


def awake(intervals=0):
    """A meter that knows the time, with the frames of some intervals waiting."""
    world = World()
    world.boot()
    world.settle()
    world.now_ms += intervals * INTERVAL_S * 1000
    while world.meter.instrument.tick(world.board.monotonic_ms()):
        pass
    world.concentrator.now_ms = world.now_ms
    return world


def sent(world):
    """Return the frames that leave now."""
    deframer = wire.Deframer()
    deframer.feed(world.meter.link.to_send(world.board.monotonic_ms(), world.machine_ms))
    return list(deframer)


def give(world, *frames):
    data = b"".join(wire.encode_link(frame) for frame in frames)
    world.meter.link.receive(data, world.board.monotonic_ms(), world.machine_ms)
    return world.meter.link.counts


def state(world):
    return dict(world.storage.pieces), len(world.meter.store)


def test_only_hellos_leave_until_the_time_is_known():
    world = awake(3)
    world.boot()
    kinds = [wire.parse_header(frame).type for frame in sent(world)]
    assert kinds == [wire.HELLO]
    assert len(world.meter.store) == 6


def test_a_verdict_of_every_kind_frees_the_slot_and_is_counted():
    world = awake(2)
    frames = sent(world)
    assert len(frames) == 4
    before = dict(world.meter.link.counts)
    for verdict, frame in enumerate(frames):
        header = wire.parse_header(frame)
        give(
            world,
            world.concentrator.acknowledge(world.enrolled, [wire.Range(header.salt, header.counter, 1, verdict)]),
        )
        assert len(world.meter.store) == 3 - verdict
    for name in wire.VERDICTS:
        assert world.meter.link.counts[name] == before.get(name, 0) + 1


def test_a_range_frees_exactly_its_numbers():
    world = awake(4)
    headers = [wire.parse_header(frame) for frame in sent(world)]
    first = headers[2]
    give(world, world.concentrator.acknowledge(world.enrolled, [wire.Range(first.salt, first.counter, 3, 0)]))
    assert [held.counter for held in world.meter.store.oldest(9)] == [
        header.counter for header in headers[:2] + headers[5:]
    ]


def test_an_ack_with_another_salt_frees_nothing():
    world = awake(1)
    header = wire.parse_header(sent(world)[0])
    give(world, world.concentrator.acknowledge(world.enrolled, [wire.Range(b"none", header.counter, 9, 0)]))
    assert len(world.meter.store) == 2


def test_an_ack_frees_only_what_was_sent():
    world = awake(1)
    held = world.meter.store.oldest(1)[0]
    give(world, world.concentrator.acknowledge(world.enrolled, [wire.Range(held.salt, held.counter, 9, 0)]))
    assert len(world.meter.store) == 2


def test_a_replayed_ack_frees_nothing():
    world = awake(1)
    replies = [world.concentrator.take(frame) for frame in sent(world)]
    give(world, *replies)
    assert len(world.meter.store) == 0
    world.now_ms += INTERVAL_S * 1000
    world.meter.instrument.tick(world.board.monotonic_ms())
    sent(world)
    before = state(world)
    give(world, *(replies * 3))
    assert state(world) == before
    assert len(world.meter.store) == 2


def test_a_frame_is_sent_again_with_a_growing_pause_until_its_verdict():
    world = awake(1)
    world.meter.store.free([(held.salt, held.counter) for held in world.meter.store.oldest(9)[1:]])
    times = []
    for world.machine_ms in range(10000, 400000, 500):
        times += [world.machine_ms] * len(sent(world))
    pauses = [times[n + 1] - times[n] for n in range(len(times) - 1)]
    assert pauses[:6] == [2000, 4000, 8000, 16000, 32000, 60000]
    assert max(pauses) == link_module.RESEND_LIMIT_MS


def test_a_frame_sent_again_is_the_same_frame():
    world = awake(1)
    first = sent(world)
    world.machine_ms += 2000
    assert sent(world) == first


def test_the_window_bounds_what_is_in_flight_and_moves_on_verdicts():
    world = awake(10)
    frames = sent(world)
    assert len(frames) == link_module.WINDOW
    assert sent(world) == []
    give(world, *[world.concentrator.take(frame) for frame in frames[:2]])
    assert len(sent(world)) == 2


def test_a_new_connection_sends_what_is_in_flight_again_at_once():
    world = awake(1)
    first = sent(world)
    assert sent(world) == []
    world.meter.link.connected()
    assert sent(world) == first


def test_wait_says_when_something_is_due():
    world = awake(0)
    moment = world.board.monotonic_ms()
    assert world.meter.link.wait_ms(moment, world.machine_ms) is None
    world = awake(1)
    moment = world.board.monotonic_ms()
    assert world.meter.link.wait_ms(moment, world.machine_ms) == 0
    sent(world)
    assert world.meter.link.wait_ms(moment, world.machine_ms) == link_module.RESEND_MS
    assert world.meter.link.wait_ms(moment, world.machine_ms + 500) == link_module.RESEND_MS - 500


def test_answers_that_do_not_verify_are_counted_by_kind_and_change_nothing():
    world = awake(1)
    header = wire.parse_header(sent(world)[0])
    good = world.concentrator.take(world.meter.store.oldest(1)[0].frame)
    tampered = bytearray(good)
    tampered[-1] ^= 1
    other = bench.Enrolled(b"\x09" * 8, world.enrolled.epoch)
    item = [wire.Range(header.salt, header.counter, 1, 0)]
    stranger = bench.Concentrator(bench.Ccm(), [other], world.now_ms)
    epoch = world.enrolled.epoch
    stolen = world.concentrator.seal(
        other.hop.key(keychain.DOWN),
        wire.Header(wire.ACK, bench.TITLE, epoch, header.salt, header.counter),
        wire.pack_ack(item),
    )
    downlink = world.enrolled.hop.key(keychain.DOWN)
    before = state(world)

    def sealed(kind, body, counter=header.counter):
        frame_header = wire.Header(kind, bench.TITLE, epoch, header.salt, counter)
        return world.concentrator.seal(downlink, frame_header, body)

    for kind, frame in (
        (FORGED, bytes(tampered)),
        (FORGED, stolen),
        (MISDIRECTED, stranger.acknowledge(other, item)),
        (UNSUPPORTED, world.meter.store.oldest(1)[0].frame),
        (UNASKED, sealed(wire.CONFIG, b"x")),
        (MALFORMED, sealed(wire.ACK, wire.pack_ack(item)[:-1])),
        (MALFORMED, sealed(wire.ACK, b"")),
        (MALFORMED, sealed(wire.ACK, wire.pack_ack(item), header.counter + 1)),
        (MALFORMED, good[:30]),
        (MALFORMED, b"\x07" + good[1:]),
        (OUT_OF_DAYS, world.concentrator.acknowledge(world.enrolled, item, epoch + 1)),
        (UNASKED, sealed(wire.TIME, bytes(24))),
    ):
        counts = dict(world.meter.link.counts)
        counts[kind] = counts.get(kind, 0) + 1
        assert give(world, frame) == counts, kind
        assert state(world) == before, kind
    damaged = bytearray(wire.encode_link(good))
    damaged[9] ^= 1
    world.meter.link.receive(bytes(damaged), world.board.monotonic_ms(), world.machine_ms)
    assert world.meter.link.counts[CORRUPT] == 1
    assert state(world) == before
    give(world, good)
    assert len(world.meter.store) == 1


def test_noise_of_every_kind_raises_nothing():
    world = awake(1)
    frames = sent(world)
    good = wire.encode_link(world.concentrator.take(frames[0]))
    for value in range(256):
        for place in range(0, len(good), 7):
            damaged = bytearray(good)
            damaged[place] = value
            if damaged != good:
                world.meter.link.receive(
                    bytes(damaged) + bytes((value, 0)), world.board.monotonic_ms(), world.machine_ms
                )
    assert len(world.meter.store) == 2
    assert world.meter.link.counts[CORRUPT] > 100


def test_an_answer_may_come_in_pieces_of_one_byte_between_noise():
    world = awake(1)
    for frame in sent(world):
        for byte in b"\x00\x03\x00" + wire.encode_link(world.concentrator.take(frame)):
            world.meter.link.receive(bytes((byte,)), world.board.monotonic_ms(), world.machine_ms)
    assert len(world.meter.store) == 0


def test_a_time_that_comes_late_or_twice_or_for_another_hello_is_not_taken():
    world = World()
    world.boot()
    world.concentrator.now_ms = world.now_ms
    late = world.concentrator.take(sent(world)[0])
    world.machine_ms += 2001
    assert give(world, late)[UNASKED] == 1
    assert world.meter.link.wait_ms(world.board.monotonic_ms(), world.machine_ms) == 0
    hello = sent(world)[0]
    assert give(world, late)[UNASKED] == 2
    give(world, world.concentrator.take(hello))
    assert world.meter.link.counts["time"] == 1
    assert give(world, world.concentrator.take(hello))[UNASKED] == 3


def test_hellos_give_boot_then_unknown_then_periodic_as_their_reason():
    world = World()
    world.boot()
    world.concentrator.now_ms = world.now_ms
    reasons = []

    def hello():
        frame = sent(world)[0]
        body = wire.open_uplink(bench.Ccm(), world.enrolled.hello, frame)[1]
        reasons.append(wire.parse_hello(body)[0])
        return frame

    hello()
    world.machine_ms += 2000
    give(world, world.concentrator.take(hello()))
    assert sent(world) == []
    world.now_ms += 6 * 3600 * 1000
    hello()
    assert reasons == [wire.BOOT, wire.TIME_UNKNOWN, wire.PERIODIC]
    assert not world.meter.link.idle(world.board.monotonic_ms())


def test_an_ack_before_the_time_is_known_frees_nothing():
    world = awake(1)
    reply = world.concentrator.take(sent(world)[0])
    world.boot()
    assert give(world, reply)[OUT_OF_DAYS] == 1
    assert len(world.meter.store) == 2


def test_the_old_hop_chain_is_kept_until_an_ack_of_the_new_epoch():
    world = awake(4)
    first_day = world.meter.keys.confirmed_epoch
    world.now_ms += 2 * INTERVAL_S * 1000
    while world.meter.instrument.tick(world.board.monotonic_ms()):
        pass
    frames = sent(world)
    world.concentrator.now_ms = START * 1000  # the concentrator's day changes later than the meter's
    give(world, world.concentrator.take(frames[0]))
    assert world.meter.keys.epoch == first_day + 1
    assert world.meter.keys.confirmed_epoch == first_day
    world.concentrator.now_ms = world.now_ms
    give(world, world.concentrator.take(frames[1]))
    assert world.meter.keys.confirmed_epoch == first_day + 1
