"""The key holder's memory: an answer is given once, the same for ever, whatever is killed when."""

import json
import sqlite3

import pytest
from mdms_bench import DAY, INTERVAL, MARCH, energy, pseudonym, words_of

from mdms.errors import CannotStart
from mdms.keyholder.log import verify_log
from mdms.keyholder.messages import bill_request, load_request
from mdms.keyholder.process import check_published_head, check_roster_changes
from mdms.keyholder.state import State
from mdms.periods import parse_periods
from mdms.rosters import RosterBook
from protocol.windows import WINDOW_S

ME = pseudonym("north", 0)


def test_the_identical_request_gets_the_stored_answer_byte_for_byte(bench, north, tmp_path):
    policy = bench.policy("day", ["unsafe_short_periods"])
    requests = [
        load_request(north.load()),
        load_request(north.load(MARCH + INTERVAL, contributors=range(3))),
        load_request(north.load(paillier_key=bench.south.public.fingerprint)),
        bill_request(ME, MARCH, north.windows(MARCH, MARCH + DAY)),
        b"nonsense",
    ]
    holder = bench.holder(tmp_path, policy=policy)
    first = [holder.answer(request) for request in requests]
    assert [holder.answer(request) for request in requests] == first
    holder.close()
    # After a restart, years later, without a clock, and with spaces in the JSON.
    for now in (MARCH + 1000 * DAY, None):
        again = bench.holder(tmp_path, now, policy)
        assert [again.answer(request) for request in requests] == first
        spaced = json.dumps(json.loads(requests[0]), indent=2).encode()
        assert again.answer(spaced) == first[0]
        assert len(again.log_lines()) == len(requests)
        again.close()


def test_a_crash_before_the_commit_spends_nothing(bench, north, tmp_path, monkeypatch):
    holder = bench.holder(tmp_path)

    def crash(*_):
        raise KeyboardInterrupt

    load = north.load()
    for step in ("append", "keep_answer", "spend_load"):
        with monkeypatch.context() as broken:
            broken.setattr(holder.state, step, crash)
            with pytest.raises(KeyboardInterrupt):
                holder.load(load)
    assert not holder.state.load_is_spent("north", MARCH)
    assert holder.log_lines() == []
    holder.close()
    again = bench.holder(tmp_path)
    assert again.load(load)["status"] == "released"
    again.close()


def test_a_crash_between_commit_and_answer_repeats_the_answer(bench, north, tmp_path, monkeypatch):
    holder = bench.holder(tmp_path)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(holder.log_file, "follow", crash)
    load = north.load()
    with pytest.raises(KeyboardInterrupt):
        holder.load(load)
    holder.close()
    # The log's export was not written either: it catches up at the start.
    again = bench.holder(tmp_path)
    assert len(again.log_lines()) == 1
    answer = again.load(load)
    assert (answer["status"], answer["seq"]) == ("released", 1)
    assert again.load(north.load())["status"] == "already_released"
    again.close()


def test_a_database_that_fails_decides_nothing(bench, north, tmp_path, monkeypatch):
    holder = bench.holder(tmp_path)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(holder.state, "keep_answer", full)
        assert holder.load(north.load()) == {"status": "unavailable"}
    assert holder.load(north.load())["status"] == "released"
    holder.close()


def test_the_memory_itself_takes_no_second_spend(bench, tmp_path):
    state = State(tmp_path / "state.sqlite3")
    with state.deciding():
        state.spend_load("north", MARCH, "a")
        state.spend_windows(ME, [MARCH], "a")
    for spend in (
        lambda: state.spend_load("north", MARCH, "b"),
        lambda: state.spend_windows(ME, [MARCH + WINDOW_S, MARCH], "b"),
    ):
        with pytest.raises(sqlite3.IntegrityError), state.deciding():
            spend()
    assert state.spent_windows(ME) == {MARCH}
    state.close()


def test_the_log_file_is_cut_where_a_crash_tore_it_and_catches_up(bench, north, tmp_path):
    holder = bench.holder(tmp_path)
    for at in range(3):
        holder.load(north.load(MARCH + at * INTERVAL))
    whole = holder.log_path.read_bytes()
    holder.close()
    for kept in (whole[:-1], whole[: len(whole) // 2], b""):
        holder.log_path.write_bytes(kept)
        again = bench.holder(tmp_path)
        assert again.log_path.read_bytes() == whole
        again.close()


def test_a_database_older_than_its_log_file_refuses_to_start(bench, north, tmp_path):
    holder = bench.holder(tmp_path)
    holder.load(north.load())
    holder.close()
    backup = (tmp_path / "keyholder.sqlite3").read_bytes()
    holder = bench.holder(tmp_path)
    holder.load(north.load(MARCH + INTERVAL))
    holder.close()
    for name in ("keyholder.sqlite3-wal", "keyholder.sqlite3-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "keyholder.sqlite3").write_bytes(backup)
    with pytest.raises(CannotStart, match="restored from a backup"):
        bench.holder(tmp_path)


def test_a_log_behind_its_published_head_refuses_to_start(bench, north, tmp_path):
    holder = bench.holder(tmp_path)
    holder.load(north.load())
    holder.load(north.load(MARCH + INTERVAL))
    published = tmp_path / "head.json"
    head = holder.state.head()
    for seq, name, fits in (
        (head.seq, head.hash, True),
        (1, holder.state.entry_hash(1), True),
        (0, "0" * 64, True),
        (head.seq + 1, head.hash, False),
        (1, head.hash, False),
    ):
        published.write_text(json.dumps({"seq": seq, "hash": name}))
        if fits:
            check_published_head(holder.state, published)
        else:
            with pytest.raises(CannotStart, match="does not contain"):
                check_published_head(holder.state, published)
    for broken in ("", "[]", '{"seq": 1}'):
        published.write_text(broken)
        with pytest.raises(CannotStart):
            check_published_head(holder.state, published)
    published.unlink()
    with pytest.raises(CannotStart):
        check_published_head(holder.state, published)
    holder.close()


def test_refusals_that_may_change_are_neither_kept_nor_logged(holder, north):
    holder.clock.now = MARCH
    load = north.load()
    assert holder.load(load) == {"status": "not_closed"}
    holder.clock.now = MARCH + INTERVAL
    assert holder.load(load)["status"] == "released"
    assert len(holder.log_lines()) == 1


def test_a_request_that_is_none_is_answered_and_logged(bench, holder):
    requests = [b"", b"{}", b"[]", b"null", b"\xff", b"1" * 5000, b"[" * 100_000, b'{"policy": false}']
    requests += [b'{"load": null, "bill": null}', b'{"policy": true, "load": null, "x": 1}']
    requests += [b'{"load": {"type": "\\ud800", "content": "", "signer": "", "signature": ""}}']
    for at, request in enumerate(requests):
        answer = json.loads(holder.answer(request))
        assert (answer["status"], answer["seq"]) == ("bad_document", at + 1), request
    verify_log(holder.log_lines(), "bench", bench.log_key)


def test_the_policy_is_told_with_its_flags(bench, tmp_path, north):
    holder = bench.holder(tmp_path, policy=bench.policy("day", ["unsafe_short_periods"], k=11))
    holder.load(north.load())
    head = holder.state.head()
    assert json.loads(holder.answer(b'{"policy": true}')) == {
        "status": "policy",
        "k": 11,
        "period": "day",
        "unsafe": ["unsafe_short_periods"],
        "head": {"seq": 1, "hash": head.hash},
    }
    holder.close()


def test_a_key_that_is_not_held_is_refused_before_anything_is_spent(bench, north, tmp_path, monkeypatch):
    holder = bench.holder(tmp_path)
    monkeypatch.setattr(holder.holder, "_keyring", {})
    assert holder.load(north.load())["status"] == "wrong_key"
    assert not holder.state.load_is_spent("north", MARCH)
    holder.close()


def test_members_change_only_at_a_periods_start(bench):
    street = bench.north
    for change, period, fits in (
        (MARCH + 31 * DAY, "month", True),
        (MARCH + DAY, "month", False),
        (MARCH + DAY, "day", True),
        (MARCH + 3600, "day", False),
    ):
        book = RosterBook([street.roster, street.make_roster(2, change, street.members)])
        if fits:
            check_roster_changes(book, parse_periods(period))
        else:
            with pytest.raises(CannotStart, match="period's start"):
                check_roster_changes(book, parse_periods(period))


def test_no_answer_and_no_log_line_tells_a_single_meters_energy(holder, north):
    sums = holder.load(north.load())["import_mwh"]
    words = words_of(holder.log_lines())
    assert {"decision", "released"} < words, "it is open"
    assert not words & {str(sums), *(str(energy(meter)) for meter in range(4, 12))}
