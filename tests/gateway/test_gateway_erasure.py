"""Forgetting: what is stolen today opens nothing from before the accepted delay."""

import pytest
from gateway_bench import CCM, DAY, HOUR, START, Meter
from structlog.testing import capture_logs

from gateway.closing import confirm_clock
from gateway.holdings import meter_keys
from protocol import keychain, wire

TODAY = keychain.epoch_of(START)


def opening(gateway, meter, until):
    """Return the epochs before ``until`` whose chain value or keys lie in the ledger's files."""
    files = b"".join(gateway.files().values())
    found = []
    for epoch in range(meter.epoch, until):
        chain = meter.chain.at(epoch)
        secrets = (chain.value, chain.key(keychain.UP), chain.key(keychain.DOWN))
        if any(secret in files or secret.hex().encode() in files for secret in secrets):
            found.append(epoch)
    return found


def live(gateway, meters, days):
    """Every meter sends a reading a day, and every day is closed."""
    for day in range(days):
        now = START + day * DAY + 12 * HOUR
        gateway.take([meter.reading(now - HOUR, 5) for meter in meters], now)
        gateway.close(now)


@pytest.fixture
def street(make):
    return make([Meter(i) for i in range(4)])


def test_no_chain_value_that_opens_older_frames_is_left_in_any_file(street):
    assert all(opening(street, meter, TODAY + 1) == [TODAY] for meter in street.meters)
    live(street, street.meters, 10)
    for later in range(10, 13):
        street.close(START + later * DAY)
        for meter in street.meters:
            assert opening(street, meter, TODAY + later - 7) == []
            assert meter_keys.get(street.ledger, meter.title).chain.epoch == TODAY + later - 7


def test_the_frames_and_readings_of_an_erased_day_are_forgotten_with_it(street):
    live(street, street.meters[:1], 1)
    frame = street.meters[0].reading(START + 13 * HOUR, 5)
    for day in range(1, 8):
        street.close(START + day * DAY)
    assert street.ledger.execute("SELECT count(*) FROM frames").fetchone() == (1,)
    street.close(START + 8 * DAY)
    assert street.ledger.execute("SELECT count(*) FROM frames").fetchone() == (0,)
    assert street.ledger.execute("SELECT count(*) FROM readings").fetchone() == (0,)
    assert street.judge(street.meters[0], [frame], START + 8 * DAY) == [None]
    assert street.ledger.counts()["stale epoch"] == 1


def test_days_that_are_still_accepted_can_still_be_opened(street):
    meter = street.meters[0]
    old = meter.reading(START, 5)
    live(street, street.meters[1:], 7)
    street.close(START + 7 * DAY + 23 * HOUR)
    assert street.judge(meter, [old], START + 7 * DAY + 23 * HOUR) == ["stored"]


def test_a_jump_of_more_than_a_day_stops_erasure_until_the_operator_confirms_the_clock(street):
    street.close(START)
    meter = street.meters[0]
    with capture_logs() as logs:
        for second in range(3):
            street.close(START + 30 * DAY + second)
    assert [entry["event"][:13] for entry in logs if entry["log_level"] == "warning"] == ["erasure waits"]
    street.restart()
    street.close(START + 31 * DAY)
    assert meter_keys.get(street.ledger, meter.title).chain.epoch == TODAY
    # The clock was wrong and comes right: nothing was lost, and days are counted again.
    frame = meter.reading(START, 5)
    assert street.judge(meter, [frame], START + HOUR) == ["stored"]
    # Or it was right: the operator says so.
    with street.ledger.transaction():
        confirm_clock(street.ledger, (START + 31 * DAY) * 1000)
    street.close(START + 31 * DAY + HOUR)
    assert meter_keys.get(street.ledger, meter.title).chain.epoch == TODAY + 24
    assert opening(street, meter, TODAY + 24) == []


def test_a_clock_that_goes_back_erases_nothing(street):
    live(street, street.meters, 9)
    before = [meter_keys.get(street.ledger, meter.title).chain.epoch for meter in street.meters]
    street.close(START)
    assert [meter_keys.get(street.ledger, meter.title).chain.epoch for meter in street.meters] == before


def test_keys_in_memory_are_forgotten_with_the_chains(street):
    live(street, street.meters, 7)
    street.take([street.meters[0].reading(START + 7 * DAY, 5)], START + 7 * DAY + HOUR)
    street.close(START + 7 * DAY + HOUR)
    street.take([street.meters[0].hello(), street.meters[0].reading(START, 5)], START + 7 * DAY + HOUR)
    assert street.decryption._keys
    street.close(START + 8 * DAY)
    assert street.decryption._keys == {}


def test_accepted_reports_are_forgotten_after_the_accepted_delay_and_open_ones_never(street):
    live(street, street.meters, 2)
    street.ledger.execute("UPDATE outbox SET verdict = 'stored' WHERE seq % 2 = 0")
    for day in range(2, 12):
        street.close(START + day * DAY)
    row = street.ledger.execute("SELECT count(*) FROM outbox WHERE verdict = 'stored'").fetchone()
    waiting = street.ledger.execute("SELECT min(created) FROM outbox WHERE verdict IS NULL").fetchone()
    assert row == (0,)
    assert waiting[0] < START + 2 * DAY


def test_the_time_of_a_hello_is_answered_after_every_chain_was_erased(street):
    live(street, street.meters, 9)
    meter = street.meters[0]
    (reply,) = street.take([meter.hello()], START + 9 * DAY)
    assert wire.open_downlink(CCM, meter.time_key, reply)[0].type == wire.TIME


def test_the_scan_notices_a_ledger_that_leaves_its_write_ahead_log(street, monkeypatch):
    execute = type(street.ledger).execute

    def careless(self, sql, parameters=()):
        return execute(self, "SELECT 1" if "wal_checkpoint" in sql else sql, parameters)

    monkeypatch.setattr(type(street.ledger), "execute", careless)
    live(street, street.meters, 8)
    street.close(START + 8 * DAY)
    street.close(START + 9 * DAY)
    assert any(opening(street, meter, TODAY + 2) for meter in street.meters)
