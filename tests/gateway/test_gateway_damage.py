"""A ledger that is damaged, foreign or gone: found, set aside whole, and no empty one started in its place unasked."""

import asyncio
import sqlite3

import pytest
from gateway_bench import HOUR, INTERVAL, START, Meter, decrypt
from service_bench import Still, started

from gateway import damage
from gateway.holdings import enrolled
from gateway.ledger import Ledger, LedgerError
from gateway.roll import first_standing
from protocol.wire import encode_link

NOW = START + HOUR


@pytest.fixture
def used(make, meter):
    """A stopped concentrator whose ledger holds an hour of readings."""
    gateway = make([meter])
    gateway.take(meter.readings(4), NOW)
    gateway.stop()
    damage.lock_of(gateway.path).write_text(damage.KEPT)
    return gateway.path


def opened(path, **how):
    return damage.open_ledger(path, **{"start_empty": False, "now": NOW, **how})


def asides(path):
    return sorted(each.name for each in path.parent.glob("*.damaged-*"))


def overwrite(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


DAMAGES = {
    "header": lambda path: overwrite(path, 0, b"no database at all"),
    "first page": lambda path: overwrite(path, 100, bytes(3000)),
    "a page in the middle": lambda path: overwrite(path, 3 * 4096, b"\xff" * 4096),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: 5 * 4096]),
    "cut to nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_ledger_is_set_aside_and_nothing_starts_in_its_place(used, how):
    DAMAGES[how](used)
    damaged = used.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"is damaged|is gone") as refusal:
            opened(used)
        words = str(refusal.value)
        assert "Lost with it" in words and "restore" in words and "--start-empty" in words
        assert "\n" not in words
    if how == "cut to nothing":  # nothing to keep
        assert asides(used) == []
    else:
        assert asides(used) == [f"{used.name}.damaged-20260301T010000Z"]
        assert (used.parent / asides(used)[0]).read_bytes() == damaged


def test_a_database_of_something_else_is_set_aside_and_whole(used):
    used.unlink()
    with sqlite3.connect(used) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
    db.close()
    with pytest.raises(LedgerError, match="it is a database, and no ledger"):
        opened(used)
    with sqlite3.connect(used.parent / asides(used)[0]) as db:
        assert db.execute("SELECT count(*) FROM photos").fetchone() == (0,)
    db.close()


def test_a_ledger_that_is_gone_is_missed(used):
    used.unlink()
    with pytest.raises(LedgerError, match="is gone"):
        opened(used)


def test_the_operator_may_start_empty_and_the_damaged_one_is_kept(used):
    DAMAGES["header"](used)
    ledger = opened(used, start_empty=True)
    assert enrolled.titles(ledger) == []
    ledger.close()
    assert len(asides(used)) == 1
    opened(used).close()  # and from then on it starts by itself


def test_the_first_start_and_every_whole_ledger_just_open(folder, used):
    opened(folder / "new" / "ledger.sqlite3").close()
    for _ in range(2):
        ledger = opened(used)
        assert len(enrolled.titles(ledger)) == 1
        ledger.close()
    assert asides(used) == []


def test_a_write_ahead_log_goes_aside_with_its_database(used):
    parts = {part: used.with_name(used.name + part) for part in ("-wal", "-shm")}
    for part, path in parts.items():
        path.write_bytes(part.encode())
    DAMAGES["header"](used)
    with pytest.raises(LedgerError, match="is damaged"):
        opened(used)
    aside = used.parent / f"{used.name}.damaged-20260301T010000Z"
    assert all(aside.with_name(aside.name + part).read_bytes() == part.encode() for part in parts)


def test_a_second_damaged_ledger_of_the_same_second_has_a_name_of_its_own(used):
    for _ in range(2):
        used.write_bytes(b"no database at all" * 100)
        with pytest.raises(LedgerError, match="is damaged"):
            opened(used)
    assert len(asides(used)) == 2


def test_a_disk_that_cannot_be_read_is_no_damage(used, monkeypatch):
    def broken(*arguments, **named):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(damage.sqlite3, "connect", broken)
    with pytest.raises(LedgerError, match="disk I/O error; it is left as it is"):
        opened(used)
    assert asides(used) == [] and used.exists()


def test_a_ledger_in_use_is_neither_examined_nor_moved(used):
    running = Ledger(used)
    with pytest.raises(LedgerError, match="in use by another concentrator"):
        opened(used)
    running.close()
    assert asides(used) == []


def test_damage_while_running_stops_the_daemon_and_acknowledges_nothing(make):
    """The pages on the disk turn to noise; the next commit meets them."""
    meter = Meter()
    gateway = make([meter])
    gateway.take([meter.reading(START + i * INTERVAL, i) for i in range(40)], START + 10 * HOUR)
    gateway.ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    gateway.ledger.execute("PRAGMA cache_size=0")
    answered = []

    async def run():
        clock = Still(START + 41 * INTERVAL)
        running, port = await started(gateway, clock, Idle(), commit_delay_ms=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        overwrite(gateway.path, 4096, b"\xa5" * (gateway.path.stat().st_size - 4096))
        writer.write(encode_link(meter.reading(START + 40 * INTERVAL, 5)))
        try:
            await running
        finally:
            answered.append(await reader.read())
            writer.close()

    with pytest.raises(sqlite3.DatabaseError) as error:
        asyncio.run(run())
    assert damage.is_damage(error.value)
    assert answered == [b""]
    words = damage.explain(error.value, gateway.path)
    assert "nothing was acknowledged since" in words and "next start" in words
    gateway.ledger._db.close()
    gateway.ledger._lock.close()
    gateway.ledger = None
    with pytest.raises(LedgerError, match="is damaged"):
        opened(gateway.path)


class Idle:
    """No closing: only the frame touches the ledger."""

    def close(self, now_ms):
        pass

    def close_segments(self, now_ms):
        return False


def test_what_the_meters_still_hold_refills_what_it_can(make, meter):
    """A ledger that was lost and started with the meter enrolled anew: what had no acknowledgement is counted."""
    gateway = make([meter])
    frames = meter.readings(4)
    gateway.take(frames[:2], START + HOUR)
    gateway.stop()
    DAMAGES["header"](gateway.path)
    damage.lock_of(gateway.path).write_text(damage.KEPT)
    opened(gateway.path, start_empty=True).close()
    gateway.start()
    with gateway.ledger.transaction():
        enrolled.add(gateway.ledger, meter.record(), *first_standing(meter.record(), gateway.place))
    assert gateway.judge(meter, frames[2:], NOW) == ["stored", "stored"]
    gateway.close(START + 9 * 86_400)
    assert gateway.billed(meter)[0] == 0o1111, "the register has what was acknowledged, too"
    assert [decrypt(window.energy)[0] for window in gateway.windows(meter) if window.energy] == [0o1111]


def test_a_planted_start_that_skips_the_check_is_found(used, monkeypatch):
    monkeypatch.setattr(damage, "examine", lambda path: None)
    with pytest.raises(pytest.fail.Exception):
        test_a_damaged_ledger_is_set_aside_and_nothing_starts_in_its_place(used, "a page in the middle")
