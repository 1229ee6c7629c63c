"""The live relay: fresh rows leave within a second, nothing waits for it, and nothing is lost where it fails."""

import asyncio
import threading
import time
from types import SimpleNamespace

import msgspec
import pytest
from gateway_bench import DAY, DEPLOYMENT, HOUR, START, Meter
from service_bench import Ticking, served
from test_gateway_segments import closed, held, send
from uploads_bench import answer, honest, verdicts_of

from gateway import live, segments
from protocol import reports
from protocol.documents import document_id, from_base64url, to_base64url
from protocol.wire import encode_link


@pytest.fixture
def mdms(serve):
    return serve(honest)


def rows_in(bodies):
    """Return (pseudonym, row) of every row that an MDMS was sent, in order."""
    found = []
    for body in list(bodies):
        for document in msgspec.json.decode(body, type=reports.Batch).reports:
            if document.type == reports.DETAIL_SEGMENT:
                segment = reports.parse_report(document.type, document.content_bytes())
                found += [(segment.pseudonym, row) for row in segment.rows]
    return found


def serving(gateway, url, talk):
    """Run the daemon's tasks while a meter talks over TCP: ``talk(write)``."""

    async def connected(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await talk(lambda frame: writer.write(encode_link(frame)))
        finally:
            writer.close()

    clock = Ticking(START + HOUR // 2)  # in the middle of an hour
    return asyncio.run(served(gateway, connected, clock, mdms_url=url, commit_delay_ms=0))


async def until(condition, patience_s=30):
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.01)


def relay(gateway, mdms, meter, rows=4):
    """Return how long each of some rows took from the wire to the MDMS, in seconds of machine time."""
    looks, fresh_rows = [], gateway.outbox.segments.fresh

    def look(limit):
        looks.append(fresh_rows(limit))
        return looks[-1]

    gateway.outbox.segments.fresh = look

    async def talk(write):
        took = []
        for number in range(1, rows + 1):
            await until(lambda: looks and looks[-1] == [])  # the look that has just sent a row looks once more
            started = time.perf_counter()
            write(meter.detail(meter.epoch))
            await until(lambda wanted=number: len(rows_in(mdms.bodies)) >= wanted)
            took.append(time.perf_counter() - started)
        return took

    return serving(gateway, mdms.url, talk)


def waits_of(monkeypatch):
    """Return the list of what the relay waits between its looks, in seconds, as it grows."""
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        return asyncio.sleep(seconds)

    monkeypatch.setattr(live, "asyncio", SimpleNamespace(sleep=sleep))
    return waits


def test_a_row_is_at_the_mdms_within_a_second_and_is_kept_for_its_hour(gateway, meter, mdms, monkeypatch, capsys):
    waits = waits_of(monkeypatch)
    gateway.close(START)
    before = gateway.ledger.execute("SELECT id FROM outbox").fetchall()
    took = relay(gateway, mdms, meter)
    with capsys.disabled():
        print(f"\nlive relay: {', '.join(f'{each * 1000:.0f}' for each in took)} ms from the wire to the MDMS")
    # Each is sent a moment behind a look, and waits for nearly a whole one. Not the time it took: this machine has
    # other work.
    assert len(waits) >= len(took) and max(waits) <= 0.5
    assert held(gateway) == 4
    assert closed(gateway) == [], "nothing live is kept in the outbox"
    assert gateway.ledger.execute("SELECT id FROM outbox").fetchall()[: len(before)] == before
    gateway.close(START + HOUR)
    [(pseudonym, rows)] = closed(gateway)
    assert [row for _, row in rows_in(mdms.bodies)] == [to_base64url(row) for row in rows]
    assert pseudonym == meter.pseudonym


def test_a_planted_relay_that_waits_too_long_is_found(gateway, meter, mdms, monkeypatch, capsys):
    monkeypatch.setattr(live, "LIVE_S", 3)
    with pytest.raises(AssertionError, match="max"):
        test_a_row_is_at_the_mdms_within_a_second_and_is_kept_for_its_hour(gateway, meter, mdms, monkeypatch, capsys)


def test_an_mdms_that_fails_takes_nothing_from_the_ledger_and_holds_no_frame(gateway, meter, mdms, monkeypatch):
    monkeypatch.setattr(live, "BACK_OFF_S", (0.01,))
    monkeypatch.setattr(live, "LIVE_S", 0.01)
    mdms.script = [lambda body: answer(b"", 503)]
    gateway.close(START)

    async def talk(write):
        for _ in range(3):
            tried = len(rows_in(mdms.bodies))
            write(meter.detail(meter.epoch))
            await until(lambda behind=tried: len(rows_in(mdms.bodies)) > behind)
        await until(lambda: held(gateway) == 3)

    serving(gateway, mdms.url, talk)
    gateway.close(START + HOUR)
    [(_, rows)] = closed(gateway)
    assert len(rows) == 3


def test_a_relay_that_hangs_holds_neither_the_frames_nor_the_reports(gateway, meter, mdms):
    """Live uploads have a thread of their own: while one hangs, closed reports are carried."""
    hanging = threading.Event()

    def hangs_on_rows(body):
        if rows_in([body]):
            hanging.wait(20)
        return honest(body)

    mdms.script = [hangs_on_rows]
    gateway.close(START)

    async def talk(write):
        write(meter.detail(meter.epoch))
        await until(lambda: rows_in(mdms.bodies))
        for start in range(2):
            write(meter.reading(START + start * 900, 5))
        await until(lambda: gateway.reception.readings == 2)
        await until(lambda: gateway.outbox.waiting(1) == [] and len(mdms.bodies) > 1)
        taken = not hanging.is_set()
        hanging.set()
        return taken

    assert serving(gateway, mdms.url, talk)


def test_a_verdict_decides_nothing_about_a_live_row(gateway, meter, mdms):
    mdms.script = [lambda body: answer(verdicts_of(body, "conflict", "another row"))]
    gateway.close(START)
    relay(gateway, mdms, meter, 1)
    assert held(gateway) == 1


# --- Which rows are fresh -----------------------------------------------------------------------------------------


def fresh(gateway, limit=reports.MAX_BATCH):
    found = gateway.outbox.segments.fresh(limit)
    return [(segment.pseudonym, from_base64url(row, "row")) for segment in found for row in segment.rows]


def test_every_row_is_fresh_once_also_behind_a_closed_hour(gateway, meter):
    gateway.close(START)
    for hour in range(3):
        sent = send(gateway, START + hour * HOUR + 60)
        assert [row for _, row in fresh(gateway, 2) + fresh(gateway, 2)] == sent[meter.pseudonym]
        assert fresh(gateway) == []
        gateway.close(START + (hour + 1) * HOUR)


def test_what_an_earlier_start_has_left_is_not_fresh(gateway, meter):
    send(gateway, START + 60)
    gateway.restart()
    assert fresh(gateway) == []
    assert [row for _, row in fresh(gateway)] == []
    sent = send(gateway, START + 61, 1)
    assert [row for _, row in fresh(gateway)] == sent[meter.pseudonym]


def test_a_relay_that_lags_leaves_the_oldest_rows_to_their_hour(gateway, meter, monkeypatch):
    monkeypatch.setattr(segments, "MAX_FRESH_ROWS", 3)
    sent = send(gateway, START + 60, 10)
    assert [row for _, row in fresh(gateway, 2) + fresh(gateway, 2)] == sent[meter.pseudonym][-3:]
    assert held(gateway) == 10


def test_live_segments_are_of_one_meter_each_and_signed_as_any(make):
    gateway = make([Meter(i) for i in range(3)])
    sent = send(gateway, START + DAY, 2)
    found = gateway.outbox.segments.fresh(100)
    assert {segment.pseudonym: len(segment.rows) for segment in found} == dict.fromkeys(sent, 2)
    waiting = gateway.outbox.transient(found[0])
    content = waiting.document.content_bytes()
    assert waiting.seq == 0
    assert waiting.id == document_id(waiting.document.type, DEPLOYMENT, content)
    assert gateway.outbox.waiting(100) == []
