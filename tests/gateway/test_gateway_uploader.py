"""Uploads: a report leaves the outbox on a verdict of its own, and nothing that an MDMS answers can lose one."""

import asyncio
import socket
import threading

import msgspec
import pytest
from gateway_bench import DAY, DEPLOYMENT, IDENTITY, START
from structlog.testing import capture_logs
from uploads_bench import answer, honest, verdicts_of

import gateway.uploader as uploader_module
from gateway.uploader import MAX_BATCH, Uploader, UploadFailed, post
from protocol import documents
from protocol.reports import Batch


@pytest.fixture
def full(gateway, meter):
    """A concentrator with some reports to carry."""
    gateway.take([*meter.readings(4), meter.detail(meter.epoch)], START + 3600)
    gateway.close(START + 3600)
    assert len(gateway.outbox.waiting(MAX_BATCH)) == 4
    return gateway


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(uploader_module, "BACK_OFF_S", (0.001,))


def upload(gateway, url, until=None, patience_s=120):
    """Run the real task until the outbox is drained, or until a condition holds."""

    async def run():
        async def here(call, *arguments):
            return call(*arguments)

        async def in_transaction(call, *arguments):
            with gateway.ledger.transaction():
                call(*arguments)

        task = Uploader(url, gateway.outbox, in_transaction, here, asyncio.to_thread)
        task.wake()
        running = asyncio.create_task(task.run())
        waiting = asyncio.create_task(task.drained() if until is None else _until(until))
        done, _ = await asyncio.wait([running, waiting], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        assert waiting in done, "not drained"
        assert not (running in done and running.exception())

    asyncio.run(run())


async def _until(condition):
    while not condition():
        await asyncio.sleep(0.005)


# A load or three and a segment; once accepted, the segment is forgotten.
WAITING = [(None,)] * 4
STORED = [("stored",)] * 3


def kept(gateway):
    return gateway.ledger.execute("SELECT verdict FROM outbox ORDER BY seq").fetchall()


def test_every_report_gets_its_verdict_and_is_sent_once(full, serve):
    mdms = serve(honest)
    upload(full, mdms.url)
    assert kept(full) == STORED
    assert full.outbox.is_empty()
    assert len(mdms.bodies) == 1
    upload(full, mdms.url)
    assert len(mdms.bodies) == 1


def test_reports_leave_as_the_exact_documents_that_were_closed(full, serve):
    before = [row[0] for row in full.ledger.execute("SELECT document FROM outbox ORDER BY seq")]
    mdms = serve(lambda _: answer(b"", 500), honest)
    upload(full, mdms.url)
    assert mdms.bodies[0] == mdms.bodies[1]
    assert msgspec.json.decode(mdms.bodies[0], type=Batch).reports == [
        msgspec.json.decode(document, type=documents.Document) for document in before
    ]
    for document in msgspec.json.decode(mdms.bodies[0], type=Batch).reports:
        assert documents.verify(document, DEPLOYMENT, IDENTITY)


def test_verdicts_are_per_item_and_a_refused_report_blocks_nothing(full, serve):
    def mixed(body):
        verdicts = verdicts_of(body)
        for item, verdict in zip(verdicts["verdicts"], ("stored", "refused", "conflict", "duplicate"), strict=True):
            item["verdict"] = verdict
        return answer(verdicts)

    with capture_logs() as logs:
        upload(full, serve(mixed).url)
    assert kept(full) == [("stored",), ("refused",), ("conflict",)]
    assert [entry["verdict"] for entry in logs if entry["log_level"] == "error"] == ["refused", "conflict"]
    # Refused and contradicted reports are kept for good.
    for day in range(10):
        full.close(START + day * DAY)
    assert ("refused",) in kept(full)
    assert ("conflict",) in kept(full)


def test_more_than_a_batch_is_sent_in_order_and_in_batches(gateway, meter, serve):
    gateway.close(START)
    gateway.close(START + 3 * DAY)
    mdms = serve(honest)
    upload(gateway, mdms.url)
    sizes = [len(msgspec.json.decode(body, type=Batch).reports) for body in mdms.bodies]
    assert sizes == [100, 100, len(kept(gateway)) - 200]
    assert all(len(body) < 1 << 20 for body in mdms.bodies)
    sent = [d for body in mdms.bodies for d in msgspec.json.decode(body, type=Batch).reports]
    stored = gateway.ledger.execute("SELECT document FROM outbox ORDER BY seq").fetchall()
    assert sent == [msgspec.json.decode(row[0], type=documents.Document) for row in stored]


def test_a_batch_of_great_rows_stays_below_what_the_mdms_takes(gateway, meter, serve):
    for hour in range(1, 8):
        gateway.take([meter.detail(meter.epoch) for _ in range(1000)], START + hour * 3600 - 1)
        gateway.close(START + hour * 3600)
    mdms = serve(honest)
    upload(gateway, mdms.url)
    assert len(mdms.bodies) > 1
    assert all(len(body) < 1 << 20 for body in mdms.bodies)
    assert set(kept(gateway)) == {("stored",)}


def test_an_mdms_that_is_down_loses_nothing(full, serve):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with capture_logs() as logs:
        upload(full, url, until=lambda: len(logs) > 3)
    assert {entry["event"] for entry in logs} == {"upload failed; the reports are kept and sent again"}
    assert kept(full) == WAITING
    full.restart()
    upload(full, serve(honest).url)
    assert kept(full) == STORED


def test_a_lost_response_is_answered_as_a_duplicate_the_next_time(full, serve):
    taken = []

    def takes_and_hangs_up(body):
        taken.append(body)
        return b""

    def knows_them(body):
        return answer(verdicts_of(body, "duplicate" if body in taken else "stored"))

    upload(full, serve(takes_and_hangs_up, knows_them).url)
    assert kept(full) == [("duplicate",)] * 3


def with_verdicts(change):
    def make(body):
        said = verdicts_of(body)
        change(said["verdicts"])
        return answer(said)

    return make


HOSTILE = {
    "nothing": lambda _: b"",
    "garbage": lambda _: b"\x00\xff garbage \r\n\r\n",
    "no http": lambda _: b"SSH-2.0-OpenSSH_9.9\r\n",
    "a line without end": lambda _: b"HTTP/1.1 200 " + b"x" * 100_000,
    "a thousand headers": lambda _: b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    "a cut body": lambda body: honest(body)[:-5],
    "a chunk without end": lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
    "500": lambda _: answer(b"oops", 500),
    "503 with verdicts": lambda body: answer(verdicts_of(body), 503),
    "201 with verdicts": lambda body: answer(verdicts_of(body), 201),
    "a redirect": lambda _: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "an empty body": lambda _: answer(b""),
    "no json": lambda _: answer(b"<html>"),
    "no utf-8": lambda _: answer(b'{"verdicts":[{"id":"\xff\xfe","verdict":"stored"}]}'),
    "deep json": lambda _: answer(b"[" * 100_000),
    "a great number": lambda _: answer(b'{"verdicts":' + b"9" * 10_000 + b"}"),
    "a great answer": lambda body: answer(honest(body) + b" " * (2 << 20)),
    "null": lambda _: answer(None),
    "a list": lambda _: answer([]),
    "no verdicts": lambda _: answer({}),
    "one too few": with_verdicts(lambda verdicts: verdicts.pop()),
    "one too many": with_verdicts(lambda verdicts: verdicts.append(verdicts[0])),
    "in another order": with_verdicts(lambda verdicts: verdicts.reverse()),
    "of another report": with_verdicts(lambda verdicts: verdicts[0].update(id="0" * 64)),
    "an unknown verdict": with_verdicts(lambda verdicts: verdicts[2].update(verdict="perhaps")),
    "no verdict": with_verdicts(lambda verdicts: verdicts[1].update(verdict=None)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_decides_nothing(full, serve, kind):
    waiting = full.outbox.waiting(MAX_BATCH)
    mdms = serve(HOSTILE[kind])
    with pytest.raises(UploadFailed) as failure:
        post(mdms.url, waiting)
    assert len(str(failure.value)) < 100
    assert kept(full) == WAITING


def test_after_every_hostile_answer_each_report_is_stored_once(full, serve):
    mdms = serve(*HOSTILE.values(), honest)
    upload(full, mdms.url)
    assert len(mdms.bodies) == len(HOSTILE) + 1
    assert len(set(mdms.bodies)) == 1
    assert kept(full) == STORED


def test_an_mdms_that_never_answers_is_given_up(full, serve, monkeypatch):
    monkeypatch.setattr(uploader_module, "TIMEOUT_S", 0.1)
    silent = threading.Event()

    def never(_):
        monkeypatch.setattr(uploader_module, "TIMEOUT_S", 30)  # for the next try: the honest answer may be slow
        return b"" if silent.wait(5) else b"late"

    mdms = serve(never, honest)
    upload(full, mdms.url)
    silent.set()
    assert kept(full) == STORED
    assert len(mdms.bodies) == 2


def test_a_host_that_is_no_host_fails_as_any_other(full):
    for url in ("http://" + "a" * 70 + ".localhost", "http://nobody.invalid:80"):
        with pytest.raises(UploadFailed):
            post(url, full.outbox.waiting(MAX_BATCH))


def test_https_is_spoken_where_it_is_configured(full, serve):
    # The far end speaks no TLS: nothing of a report may have left in clear.
    mdms = serve(honest)
    with pytest.raises(UploadFailed):
        post(mdms.url.replace("http://", "https://"), full.outbox.waiting(MAX_BATCH))
    assert mdms.bodies == []
