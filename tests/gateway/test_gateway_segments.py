"""Sealed rows are kept by the hour: each in one segment of its meter, exact, once, whatever is killed between."""

import sqlite3
from itertools import pairwise

import pytest
from gateway_bench import CCM, DAY, HOUR, START, Meter
from test_gateway_ledger import failing

from gateway import bounds, schema, segments
from gateway.bounds import Bounds
from gateway.ledger import Ledger
from gateway.operation import status
from protocol import keychain, wire
from protocol.documents import from_base64url
from protocol.reports import DETAIL_SEGMENT, MAX_BATCH, ItemVerdict

STORED = ItemVerdict("", "stored")


@pytest.fixture
def street(make):
    return make([Meter(i) for i in range(7)])


@pytest.fixture
def two_at_once(monkeypatch):
    monkeypatch.setattr(segments, "METERS_AT_ONCE", 2)


def rows_of(frames, meter):
    """Return the rows that DETAIL frames must become: header and inner blob, as they came."""
    return [frame[:24] + wire.open_uplink(CCM, meter.chain.key(keychain.UP), frame)[1] for frame in frames]


def send(gateway, now, count=3, meters=None):
    """Send some rows of every meter, in turns; returns {pseudonym: rows}."""
    sent = {}
    for _ in range(count):
        for meter in meters or gateway.meters:
            frame = meter.detail(meter.epoch)
            gateway.take([frame], now)
            sent.setdefault(meter.pseudonym, []).extend(rows_of([frame], meter))
    return sent


def closed(gateway):
    """Return (pseudonym, rows) of every segment in the outbox, in order."""
    return [
        (segment.pseudonym, [from_base64url(row, "row") for row in segment.rows])
        for segment in gateway.reports(DETAIL_SEGMENT)
    ]


def held(gateway):
    return gateway.ledger.execute("SELECT count(*) FROM details").fetchone()[0]


def accept(gateway):
    while waiting := gateway.outbox.waiting(MAX_BATCH):
        with gateway.ledger.transaction():
            gateway.outbox.decide([(item.seq, STORED) for item in waiting], lambda *_: None)


def test_an_hours_segment_holds_exactly_the_rows_of_its_meter_in_their_order(street):
    gateway = street
    gateway.close(START)
    sent = send(gateway, START + 60)
    gateway.close(START + HOUR - 1)
    assert closed(gateway) == [], "the hour is not over"
    gateway.close(START + HOUR)
    assert closed(gateway) == sorted(sent.items(), key=lambda item: _title(gateway, item[0]))
    assert held(gateway) == 0
    later = send(gateway, START + HOUR + 60, 2, gateway.meters[:1])
    gateway.close(START + 2 * HOUR)
    assert closed(gateway)[len(sent) :] == list(later.items())


def _title(gateway, pseudonym):
    return next(meter.title for meter in gateway.meters if meter.pseudonym == pseudonym)


def test_rows_that_come_while_an_hour_is_closed_are_of_the_next_one(street, two_at_once):
    gateway = street
    gateway.close(START)
    sent = send(gateway, START + 60)
    now_ms = (START + HOUR) * 1000
    steps, late = 0, []
    while gateway.closing.close_segments(now_ms):
        steps += 1
        late.append(send(gateway, START + HOUR, 1))
    assert steps >= 4
    assert dict(closed(gateway)) == sent
    gateway.close(START + 2 * HOUR)
    expected = {name: [row for each in late for row in each[name]] for name in sent}
    assert dict(closed(gateway)[len(sent) :]) == expected


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_kill_between_any_two_steps_loses_no_row_and_doubles_none(street, two_at_once, steps):
    street.close(START)
    sent = send(street, START + 60)
    for _ in range(steps):
        street.closing.close_segments((START + HOUR) * 1000)
    street.restart()
    street.close(START + HOUR + 1)
    assert sorted(closed(street)) == sorted(sent.items())
    assert held(street) == 0


def test_segments_that_are_accepted_while_their_hour_is_being_closed_are_not_made_again(street, two_at_once):
    street.close(START)
    sent = send(street, START + 60)
    taken = []
    while street.closing.close_segments((START + HOUR) * 1000):
        taken += closed(street)
        accept(street)
        street.restart()
    assert sorted(taken) == sorted(sent.items())


def test_a_step_of_which_any_statement_fails_was_never_taken(make, two_at_once):
    gateway = make([Meter(i) for i in range(5)])
    gateway.close(START)
    sent = send(gateway, START + 60)
    failures, nth, now = 0, 1, START + HOUR
    while True:
        with failing(gateway) as db:
            db.left = nth
            try:
                gateway.close(now)
            except sqlite3.OperationalError:
                failures += 1
                nth += 3
            else:
                break
        assert all(first[0] != second[0] for first, second in pairwise(closed(gateway)))
    assert failures > 5
    assert sorted(closed(gateway)) == sorted(sent.items())


def test_a_planted_closing_that_forgets_what_is_done_is_found(make, two_at_once, monkeypatch):
    honest = segments.Segments._set_state
    monkeypatch.setattr(
        segments.Segments, "_set_state", lambda self, hour, through, title: honest(self, hour, through, b"")
    )
    gateway = make([Meter(i) for i in range(3)])
    gateway.close(START)
    send(gateway, START + 60)
    with pytest.raises(sqlite3.IntegrityError):  # the same segment again
        gateway.close(START + HOUR)


def test_more_rows_than_a_report_takes_are_split(gateway, meter, monkeypatch):
    monkeypatch.setattr(segments, "MAX_SEGMENT_ROWS", 4)
    sent = send(gateway, START + 60, 10)
    gateway.close(START + HOUR)
    assert [len(rows) for _, rows in closed(gateway)] == [4, 4, 2]
    assert [row for _, rows in closed(gateway) for row in rows] == sent[meter.pseudonym]


def test_the_rows_that_wait_are_bounded_before_the_hour_ends(street, monkeypatch):
    monkeypatch.setattr(segments, "MAX_WAITING_ROWS", 20)
    street.close(START)
    for _ in range(10):
        send(street, START + 60, 1)
        street.close(START + 60)
        assert held(street) <= 20
    assert sum(len(rows) for _, rows in closed(street)) + held(street) == 70


def test_a_row_is_nowhere_opened(gateway, meter, monkeypatch):
    """The inner seal is the customer's: what leaves is the bytes that came, under no key that is here."""
    opened = []
    monkeypatch.setattr(wire, "open_row", lambda *given: opened.append(given))
    noise = bytes(range(200, 200 + 66 - 13))
    header = wire.Header(wire.DETAIL, meter.title, meter.epoch, meter.salt, meter.counter)
    blob = wire.uplink_nonce(wire.LAYER_CUSTOMER, header.salt, header.counter) + noise
    gateway.take([meter.detail(meter.epoch, blob)], START + 60)
    gateway.close(START + HOUR)
    [(_, [row])] = closed(gateway)
    assert row == wire.pack_header(header) + blob
    assert opened == []


# --- What becomes of accepted ones --------------------------------------------------------------------------------


def test_an_accepted_segment_is_forgotten_at_once_and_a_refused_one_kept(street):
    street.close(START)
    send(street, START + 60)
    street.close(START + HOUR)
    waiting = [item for item in street.outbox.waiting(MAX_BATCH) if item.document.type == DETAIL_SEGMENT]
    kinds = ["stored", "duplicate", "refused", "conflict"]
    with street.ledger.transaction():
        street.outbox.decide(
            [(item.seq, ItemVerdict("", kind)) for item, kind in zip(waiting, kinds, strict=False)], lambda *_: None
        )
    verdicts = street.ledger.execute("SELECT verdict FROM outbox WHERE substr(document, 1, 24) = ?", (BEGINS,))
    assert [row[0] for row in verdicts] == ["refused", "conflict", None, None, None]
    assert street.ledger.execute("PRAGMA secure_delete").fetchone() == (1,), "chain values are overwritten again"


BEGINS = b'{"type":"detail-segment"'


def test_the_bound_counts_rows_in_reports_rows_in_none_and_rows_that_are_gone(street):
    counted = Bounds(street.ledger, street.path, outbox_max_mb=1, disk_floor_mb=0)
    street.close(START)
    before = counted.waiting_bytes()
    send(street, START + 60, 40)
    assert counted.waiting_bytes() == before + 7 * 40 * segments.ROW_BYTES_IN_REPORT
    assert status.read(street.path, simulated=True).outbox.waiting_bytes == counted.waiting_bytes()
    street.close(START + HOUR)
    real = street.ledger.execute("SELECT sum(length(document)) FROM outbox").fetchone()[0]
    assert counted.waiting_bytes() == real
    # What a row is counted as while it waits is what it comes to, within the report's own members.
    size = max(length for (length,) in street.ledger.execute("SELECT length(document) FROM outbox"))
    assert 40 * segments.ROW_BYTES_IN_REPORT < size < 41 * segments.ROW_BYTES_IN_REPORT + 400
    rates = [bounds.measured(street.ledger, START + DAY)]
    accept(street)
    assert counted.waiting_bytes() == 0
    send(street, START + HOUR + 60, 40)
    street.close(START + 2 * HOUR)
    rates.append(bounds.measured(street.ledger, START + DAY))
    accept(street)
    rates.append(bounds.measured(street.ledger, START + DAY))
    assert rates[0] is None, "an hour of reports is needed"
    assert rates[1] == rates[2], "what is gone still counts"
    assert rates[1].bytes_a_day > 24 * 7 * 40 * segments.ROW_BYTES_IN_REPORT


def test_an_outage_of_days_is_caught_up_from_the_segments_alone(street):
    street.close(START)
    sent = {}
    for hour in range(1, 73):
        for name, rows in send(street, START + hour * HOUR - 60, 1).items():
            sent.setdefault(name, []).extend(rows)
        street.close(START + hour * HOUR)
        while street.outbox.segments.fresh(MAX_BATCH):
            pass  # the live relay has nobody to send them to
    taken = {}
    for name, rows in closed(street):
        taken.setdefault(name, []).extend(rows)
    assert taken == sent
    assert len(closed(street)) == 72 * 7
    accept(street)
    assert closed(street) == []


# --- A ledger of the version before ------------------------------------------------------------------------------


def test_rows_and_reports_of_the_version_before_are_closed_and_counted(make, meter):
    gateway = make([meter])
    gateway.close(START)
    sent = send(gateway, START + 60)
    gateway.close(START + HOUR)  # a report that waits
    left = send(gateway, START + HOUR + 60)
    real = gateway.ledger.execute("SELECT sum(length(document)) FROM outbox").fetchone()[0]
    gateway.stop()
    db = sqlite3.connect(gateway.path)
    db.executescript(
        "DROP TABLE closing_hour; DROP TABLE segments_gone; DROP TRIGGER outbox_added; DROP TRIGGER outbox_decided;"
        "DROP TRIGGER outbox_removed; DROP TABLE outbox_waiting_bytes;"
        "DROP TABLE paillier_keys; DROP TABLE former_registers; DROP TABLE quarantine_keys;"
        f"PRAGMA user_version={schema.STEPS.index(schema.SEGMENTS)};"
    )
    db.close()
    gateway.start()
    assert isinstance(gateway.ledger, Ledger)
    rows = held(gateway) * segments.ROW_BYTES_IN_REPORT
    assert bounds.waiting_bytes(gateway.ledger.execute) == real + rows
    gateway.close(START + HOUR + 61)
    assert closed(gateway) == [*sent.items(), *left.items()]
    accept(gateway)
    assert closed(gateway) == []
    assert bounds.waiting_bytes(gateway.ledger.execute) == 0
