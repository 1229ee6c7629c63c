"""The outbox is bounded: when it is full, frames stay unopened with their meters, and everything goes on by itself."""

import asyncio

import msgspec
import pytest
from gateway_bench import DAY, HOUR, INTERVAL, START, Meter
from service_bench import Line, Ticking, served
from structlog.testing import capture_logs
from uploads_bench import answer, honest

from gateway import bounds
from gateway.bounds import MB, Bounds, Rate
from gateway.operation import status
from protocol import reports

STORED = reports.ItemVerdict("", "stored")


def bounded(gateway, outbox_max_mb=1000, disk_floor_mb=0):
    return Bounds(gateway.ledger, gateway.path, outbox_max_mb=outbox_max_mb, disk_floor_mb=disk_floor_mb)


def real_bytes(gateway):
    return gateway.ledger.execute(
        "SELECT coalesce(sum(length(document)), 0) FROM outbox WHERE verdict IS NULL"
    ).fetchone()[0]


def decide(gateway, number):
    with gateway.ledger.transaction():
        gateway.outbox.decide([(item.seq, STORED) for item in gateway.outbox.waiting(number)], lambda *_: None)


def test_what_waits_is_counted_to_the_byte_whatever_comes_and_goes(gateway, meter):
    counted = bounded(gateway)
    now = START
    for step, taken in enumerate([0, 3, 100, 0, 7, 1, 1000, 0, 2]):
        gateway.take(meter.readings(2, START + 2 * step * INTERVAL), START + 2 * DAY)
        now += 5 * HOUR
        gateway.close(now)
        assert counted.waiting_bytes() == real_bytes(gateway)
        decide(gateway, taken)
        assert counted.waiting_bytes() == real_bytes(gateway)
    gateway.close(START + 10 * DAY)
    decide(gateway, 5)
    with gateway.ledger.transaction():
        gateway.outbox.prune(START + 20 * DAY)
    assert counted.waiting_bytes() == real_bytes(gateway) > 0
    assert bounded(gateway).waiting_bytes() == real_bytes(gateway)


def test_a_full_outbox_holds_frames_and_an_emptier_one_takes_them_again(gateway):
    counted = bounded(gateway)
    gateway.close(START + DAY)
    counted._max_bytes = real_bytes(gateway)
    with capture_logs() as logs:
        assert counted.holds_frames() and counted.holds_frames()
        decide(gateway, 1)
        assert not counted.holds_frames() and not counted.holds_frames()
    assert [(entry["event"], entry.get("reason")) for entry in logs] == [
        ("frames are not taken: the meters keep them", "the outbox is full"),
        ("frames are taken again", None),
    ]


def test_a_disk_below_its_floor_holds_frames_and_closings(gateway, monkeypatch):
    counted = bounded(gateway, disk_floor_mb=200)
    free = iter([201 * MB, 199 * MB, 199 * MB, 201 * MB])
    monkeypatch.setattr(bounds, "free_bytes", lambda folder: next(free))
    assert not counted.holds_frames()
    assert counted.holds_frames()
    assert counted.below_floor()
    assert not counted.holds_frames()


def test_while_the_mdms_is_away_nothing_is_acknowledged_and_when_it_is_back_everything_is(make, serve, monkeypatch):
    """Over TCP, with the daemon's own tasks: no answer, no reading, then all of it, oldest first."""
    monkeypatch.setattr("gateway.service.FULL_S", 0.02)
    meter = Meter()
    gateway = make([meter])
    gateway.close(START + DAY)  # a day of loads waits
    limit = bounded(gateway)
    limit._max_bytes = real_bytes(gateway)
    opened, honest_open = [], gateway.decryption.open
    monkeypatch.setattr(gateway.decryption, "open", lambda *given: opened.append(1) or honest_open(*given))
    frames = meter.readings(4, START + DAY - 4 * INTERVAL)
    mdms = serve(lambda body: answer(b"", 503))
    stored = []

    def stores(body):
        stored.extend(msgspec.json.decode(body, type=reports.Batch).reports)
        return honest(body)

    async def talk(port):
        line = await Line.open(meter, port)
        await line.send(*frames)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await line.hear()
        assert opened == []
        mdms.script = [stores]
        while len(meter.verdicts(line.answers)) < len(frames):
            assert await line.hear()
        line.close()
        return meter.verdicts(line.answers)

    settings = {"mdms_url": mdms.url, "commit_delay_ms": 0, "bounds": limit}
    verdicts = asyncio.run(served(gateway, talk, Ticking(START + DAY), **settings))
    assert set(verdicts.values()) == {"stored"}
    starts = [
        reports.parse_report(item.type, item.content_bytes()).interval_start
        for item in stored
        if item.type == reports.INTERVAL_LOAD
    ]
    assert len(starts) >= 90 and starts == sorted(set(starts)), "oldest first, each once"


def test_a_planted_daemon_without_a_bound_is_found(make, serve, monkeypatch):
    monkeypatch.setattr(Bounds, "holds_frames", lambda self: False)
    with pytest.raises((pytest.fail.Exception, AssertionError)):
        test_while_the_mdms_is_away_nothing_is_acknowledged_and_when_it_is_back_everything_is(make, serve, monkeypatch)


def test_the_bound_is_said_in_days_from_what_the_meters_cause(gateway, meter):
    for hour in range(24):
        gateway.take(meter.readings(4, START + hour * HOUR), START + (hour + 1) * HOUR)
        gateway.close(START + (hour + 1) * HOUR)
    found = bounds.measured(gateway.ledger, START + DAY)
    total = real_bytes(gateway)
    assert found == Rate(total * DAY // (23 * HOUR), 23 * HOUR)
    with capture_logs() as logs:
        bounded(gateway, outbox_max_mb=1).announce(START + DAY)
    [said] = logs
    assert said["event"] == "outbox bound"
    assert said["days"] == round((MB - total) / found.bytes_a_day, 1) > 0
    outbox = status.read(gateway.path, simulated=True).outbox
    assert (outbox.waiting_bytes, outbox.bytes_a_day) == (total, found.bytes_a_day)
    assert f"lasts {(MB - total) / found.bytes_a_day:.1f} days" in bounds.in_words(total, 1, found.bytes_a_day)


def test_before_an_hour_of_reports_the_days_are_not_guessed(gateway):
    assert bounds.measured(gateway.ledger, START) is None
    assert "not known yet" in bounds.in_words(0, 1000, None)
    assert "not known yet" in bounds.describe(0, MB, MB, None)["days"]
