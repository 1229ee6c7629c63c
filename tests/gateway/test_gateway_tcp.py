"""The TCP link of a whole service in this process: bad peers cost themselves their connection and nobody else."""

import asyncio
import contextlib
import os
import socket
import time

import pytest
from gateway_bench import Meter
from service_bench import NOW, PATIENCE_S, Line, served

from gateway.links import tcp
from gateway.service import BATCH_FRAMES, FOLDED_BATCH_FRAMES, QUEUE_FRAMES
from protocol import keychain, wire

TODAY = keychain.epoch_of(NOW)


def serving(gateway, talk, **settings):
    return asyncio.run(served(gateway, talk, **settings))


@pytest.fixture
def street(make):
    return make([Meter(i, since=NOW // 10_800 * 10_800 - 86_400) for i in range(6)])


def readings(meter, count, first=0):
    return [meter.reading(meter.since + (first + i) * 900, 5) for i in range(count)]


def test_every_meter_gets_its_own_answers_on_its_own_connection(street):
    async def talk(port):
        lines = [await Line.open(meter, port) for meter in street.meters]
        found = await asyncio.gather(*(line.verdicts(readings(line.meter, 20)) for line in lines))
        for line in lines:
            assert all(wire.parse_header(frame).system_title == line.meter.title for frame in line.answers)
        return found

    assert serving(street, talk) == [["stored"] * 20] * 6
    assert street.ledger.counts() == {"stored": 120}


def test_frames_may_come_a_byte_at_a_time_and_joined(street):
    async def talk(port):
        line = await Line.open(street.meters[0], port)
        frames = readings(line.meter, 4)
        await line.send(*frames[:1], piece=1)
        line.writer.write(b"\x00\x00\x00")
        await line.send(*frames[1:3], piece=7)
        return await line.verdicts(frames[3:])

    assert serving(street, talk) == ["stored"]
    assert street.ledger.counts() == {"stored": 4}


def test_no_answer_precedes_its_commit(street, monkeypatch):
    """Where the transaction fails, the meter hears nothing and the service ends."""

    def fails(*_):
        raise OSError("the card is gone")

    async def talk(port):
        line = await Line.open(street.meters[0], port)
        monkeypatch.setattr(street.ledger, "add_count", fails)
        await line.send(*readings(line.meter, 3))
        return await line.hear()

    with pytest.raises(OSError, match="card"):
        serving(street, talk)
    assert street.ledger.execute("SELECT count(*) FROM frames").fetchone() == (0,)


def test_garbage_is_counted_and_the_good_meter_is_served(street):
    async def talk(port):
        good = await Line.open(street.meters[0], port)
        bad = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        for _, writer in bad:
            writer.write(os.urandom(3000) + b"\x00" + b"\x01" * 5000 + b"\x00\x05abc\x00")
            writer.write(bytes((1, 2, 3, 4)) * 10)
            await writer.drain()
        found = await good.verdicts(readings(good.meter, 10))
        for _, writer in bad:
            writer.close()
        # What a cut connection leaves is dropped with it.
        return found

    assert serving(street, talk) == ["stored"] * 10
    counts = street.ledger.counts()
    assert counts["stored"] == 10
    assert counts["corrupt"] >= 20


def test_slow_and_silent_peers_keep_nobody_waiting(street):
    async def talk(port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        slow = await Line.open(street.meters[1], port)
        data = wire.encode_link(slow.meter.reading(slow.meter.since, 5))
        good = await Line.open(street.meters[0], port)
        for place, byte in enumerate(data):
            slow.writer.write(bytes((byte,)))
            await slow.writer.drain()
            if place % 20 == 0:
                assert await good.verdicts(readings(good.meter, 2, place)) == ["stored", "stored"]
        await slow.hear()
        for _, writer in silent:
            writer.close()
        return slow.meter.verdicts(slow.answers)

    assert list(serving(street, talk).values()) == ["stored"]


def test_a_silent_connection_is_closed_in_the_end(street, monkeypatch):
    monkeypatch.setattr(tcp, "SILENT_S", 0.05)

    async def talk(port):
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        return await asyncio.wait_for(reader.read(), PATIENCE_S)

    assert serving(street, talk) == b""


@pytest.fixture
def expiries(monkeypatch):
    """What would happen to newcomers when their time is over, for the test to let it happen."""
    waiting = []

    class Handle:
        def __init__(self, call):
            self.call = call
            waiting.append(self)

        def cancel(self):
            if self in waiting:
                waiting.remove(self)

    monkeypatch.setattr(tcp, "later", lambda _, call, *arguments: Handle(lambda: call(*arguments)))
    return waiting


def expire(expiries):
    """Let the time be over of whoever has connected so far."""
    for handle in list(expiries):
        handle.cancel()
        handle.call()


async def connected(expiries, number):
    while len(expiries) < number:
        await asyncio.sleep(0.01)


def test_whoever_has_sent_nothing_authentic_in_time_is_closed_and_the_others_stay(street, expiries):
    async def talk(port):
        good = await Line.open(street.meters[0], port)
        assert await good.verdicts(readings(good.meter, 1)) == ["stored"]
        asked = await Line.open(street.meters[1], port)
        await asked.send(asked.meter.hello())
        await asked.hear()
        bad = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        forged = wire.encode_link(Meter(0, since=NOW).seal(wire.READING, bytes(39), TODAY, key=bytes(32)))
        for (_, writer), data in zip(bad, (b"", forged * 20, b"\x01" * 900, forged[:20]), strict=True):
            writer.write(data)
            await writer.drain()
        await connected(expiries, 6)
        expire(expiries)
        for reader, _ in bad:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        return [await line.verdicts(readings(line.meter, 2, 1)) for line in (good, asked)]

    assert serving(street, talk) == [["stored", "stored"]] * 2


def test_whoever_is_kept_waiting_by_the_concentrator_itself_has_more_time(street, expiries, monkeypatch):
    meter, take = street.meters[0], street.reception.take
    monkeypatch.setattr("gateway.service.QUEUE_FRAMES", 1)

    async def talk(port):
        loop, released = asyncio.get_running_loop(), asyncio.Event()

        def slowly(batch, now_ms):
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
            return take(batch, now_ms)

        monkeypatch.setattr(street.reception, "take", slowly)
        other = await Line.open(street.meters[1], port)
        await other.send(*[other.meter.hello() for _ in range(8)])
        while not any(peer.busy for peer in busy_peers):
            await asyncio.sleep(0.01)
        line = await Line.open(meter, port)
        frames = readings(meter, 2)
        await line.send(*frames)
        while sum(peer.busy for peer in busy_peers) < 2:
            await asyncio.sleep(0.01)
        for _ in range(3):
            expire(expiries)
        released.set()
        return await line.verdicts(frames)

    busy_peers, admit = [], tcp.TcpLink._admit
    monkeypatch.setattr(tcp.TcpLink, "_admit", lambda link, peer: busy_peers.append(peer) or admit(link, peer))
    assert set(serving(street, talk)) <= {"stored", "duplicate"}


def test_one_address_cannot_take_every_place(street):
    """Who comes from elsewhere displaces the oldest newcomer of the address that has the most."""

    async def talk(port):
        known = await Line.open(street.meters[0], port)
        assert await known.verdicts(readings(known.meter, 1)) == ["stored"]
        flood = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(30)]
        found = []
        for place, meter in enumerate(street.meters[1:4]):
            local = (f"127.0.0.{place + 3}", 0)
            line = Line(meter, *await asyncio.open_connection("127.0.0.1", port, local_addr=local))
            found.append(await line.verdicts(readings(meter, 2)))
        found.append(await known.verdicts(readings(known.meter, 2, 1)))
        for _, writer in flood:
            writer.close()
        return found

    assert serving(street, talk, max_connections=8) == [["stored", "stored"]] * 4


class Ends:
    """A connection's writer, as far as it takes to say where it comes from."""

    def __init__(self, address):
        self.address = address

    def get_extra_info(self, _):
        return self.address


def test_who_gives_way_is_the_oldest_of_the_origin_that_has_the_most():
    newcomers = tcp.Newcomers()
    assert newcomers.to_displace("10.0.0.1") is None
    many = [tcp.TcpPeer(Ends(("10.0.0.1", 4000 + n)), newcomers) for n in range(3)]
    for peer in many:
        newcomers.add(peer)
    assert newcomers.to_displace("10.0.0.2") is many[0]
    assert newcomers.to_displace("10.0.0.1") is None  # nobody displaces their own
    newcomers.discard(many[0])
    assert newcomers.to_displace("10.0.0.2") is many[1]
    newcomers.add(tcp.TcpPeer(Ends(("10.0.0.2", 1)), newcomers))
    assert newcomers.to_displace("10.0.0.2") is None  # it would go on and on
    newcomers.discard(many[1])
    newcomers.discard(many[2])
    newcomers.discard(many[2])
    assert newcomers.to_displace("10.0.0.3") is None


def test_an_ipv6_network_is_one_origin_and_a_mapped_address_is_the_one_it_maps():
    assert tcp.origin(("2001:db8:1:2::1", 1, 0, 0)) == tcp.origin(("2001:db8:1:2:ffff::9", 2, 0, 0))
    assert tcp.origin(("2001:db8:1:3::1", 1, 0, 0)) != tcp.origin(("2001:db8:1:2::1", 1, 0, 0))
    assert tcp.origin(("::ffff:10.0.0.1", 1, 0, 0)) == tcp.origin(("10.0.0.1", 1)) == "10.0.0.1"
    assert tcp.origin(("fe80::1%eth0", 1, 0, 2)) == "fe80::/64"
    assert tcp.origin(None) == tcp.origin(("",)) == ""


def test_a_flood_of_noise_costs_no_commit_a_piece(street, monkeypatch):
    commits, count = [], street.reception.count_corrupt

    def counted(number):
        commits.append(number)
        count(number)

    monkeypatch.setattr("gateway.service.TALLY_S", PATIENCE_S)

    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(200):
            writer.write(b"\x05abc\x00" * 100)
            await writer.drain()
        writer.write_eof()
        await asyncio.wait_for(reader.read(), PATIENCE_S)

    monkeypatch.setattr(street.reception, "count_corrupt", counted)
    serving(street, talk)
    assert commits == [20_000]
    assert street.ledger.counts() == {"corrupt": 20_000}


def test_beyond_the_limit_connections_are_closed_and_places_come_free_again(street):
    async def talk(port):
        lines = [await Line.open(meter, port) for meter in street.meters[:3]]
        assert await lines[0].verdicts(readings(lines[0].meter, 1)) == ["stored"]
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
            writer.close()
        assert await lines[2].verdicts(readings(lines[2].meter, 1)) == ["stored"]
        lines[1].close()
        late = street.meters[4]
        while True:
            line = await Line.open(late, port)
            with contextlib.suppress(AssertionError, OSError):
                return await line.verdicts(readings(late, 1))
            await asyncio.sleep(0.01)

    assert serving(street, talk, max_connections=3) == ["stored"]


def test_a_peer_that_does_not_read_its_answers_is_dropped_and_the_rest_are_served(street, monkeypatch):
    monkeypatch.setattr(tcp, "MAX_UNSENT", 1000)

    async def talk(port):
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        small.connect(("127.0.0.1", port))
        deaf = Line(street.meters[0], *await asyncio.open_connection(sock=small))
        deaf.writer.transport.pause_reading()
        hello = wire.encode_link(deaf.meter.hello())
        good = await Line.open(street.meters[1], port)
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(OSError):
            while not deaf.writer.transport.is_closing() and time.monotonic() < deadline:
                deaf.writer.write(hello * 50)
                await asyncio.wait_for(deaf.writer.drain(), PATIENCE_S)
        assert deaf.writer.transport.is_closing()
        return await good.verdicts(readings(good.meter, 3))

    assert serving(street, talk, commit_delay_ms=0) == ["stored"] * 3


def test_a_service_that_is_stopped_in_the_middle_of_a_flood_says_nothing(street, caplog):
    async def talk(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(wire.encode_link(street.meters[0].hello()) * 5000)
        await writer.drain()

    serving(street, talk)
    assert caplog.records == []


def test_a_flood_of_forged_frames_does_not_starve_a_meter(street):
    async def talk(port):
        forged = wire.encode_link(Meter(0, since=NOW).seal(wire.READING, bytes(39), TODAY, key=bytes(32))) * 50

        async def flood():
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    writer.write(forged)
                    await writer.drain()
            finally:
                writer.transport.abort()

        floods = [asyncio.create_task(flood()) for _ in range(3)]
        good = await Line.open(street.meters[1], port)
        found = [await good.verdicts(readings(good.meter, 2, i)) for i in range(0, 10, 2)]
        for flooding in floods:
            flooding.cancel()
        await asyncio.wait(floods)
        return found

    assert serving(street, talk) == [["stored", "stored"]] * 5
    counts = street.ledger.counts()
    assert counts["stored"] == 10
    assert counts["wrong key or forged"] > 100


# --- Groups and idle time ---------------------------------------------------------------------------------------


def groups(street, monkeypatch, **settings):
    """Return the sizes of the commits in which 200 frames that arrive together are taken."""
    sizes, take = [], street.reception.take

    def counted(batch, now_ms):
        sizes.append(len(batch))
        return take(batch, now_ms)

    async def talk(port):
        line = await Line.open(street.meters[0], port)
        return await line.verdicts(readings(line.meter, 70) + [line.meter.detail(TODAY) for _ in range(130)])

    monkeypatch.setattr(street.reception, "take", counted)
    assert set(serving(street, talk, commit_delay_ms=300, **settings)) == {"stored"}
    assert sum(sizes) == 200
    return sizes


def test_a_commit_takes_no_more_frames_than_it_may(street, monkeypatch):
    assert max(groups(street, monkeypatch)) == BATCH_FRAMES


def test_in_fold_mode_a_commit_takes_all_that_may_wait(make, monkeypatch):
    folding = make([Meter(0, since=NOW // 10_800 * 10_800 - 86_400)], accumulator="fold")
    assert max(groups(folding, monkeypatch, batch_frames=FOLDED_BATCH_FRAMES)) > BATCH_FRAMES
    assert FOLDED_BATCH_FRAMES == QUEUE_FRAMES


def test_a_pool_is_filled_while_nothing_arrives(make, monkeypatch):
    street = make([Meter(0, since=NOW // 10_800 * 10_800 - 86_400)], accumulator="pool")
    made, waiting = [], street.reception.prepare

    def counted():
        made.append(waiting())
        return made[-1]

    async def talk(port):
        line = await Line.open(street.meters[0], port)
        while False not in made:  # full
            await asyncio.sleep(0.01)
        return await line.verdicts(readings(line.meter, 3))

    monkeypatch.setattr(street.reception, "prepare", counted)
    assert serving(street, talk) == ["stored"] * 3
    assert made.index(False) <= 8  # the pool's size in these tests: one randomiser at each call


def test_nothing_is_made_ahead_without_a_pool(street, monkeypatch):
    def never():
        raise AssertionError("there is no pool")

    async def talk(port):
        line = await Line.open(street.meters[0], port)
        return await line.verdicts(readings(line.meter, 2))

    monkeypatch.setattr(street.reception, "prepare", never)
    assert serving(street, talk) == ["stored"] * 2
