"""`make torture`, small: nothing is off, and every planted bug turns the same run red. Volume: `make torture`."""

import sqlite3
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gateway import damage
from gateway.ledger import Ledger
from scripts.torture import failures, planted
from scripts.torture.__main__ import main
from scripts.torture.causes import NO_BYTES, NO_PAGES, Limit, Line
from scripts.torture.disk import CREATE, DELETE, IOERR_WRITE, OK, SYNC, TRUNCATE, WRITE, Operation, watched
from scripts.torture.failures import LENGTHS, Failing, fail
from scripts.torture.frames import flood
from scripts.torture.kills import kill
from scripts.torture.platter import SECTOR, Platter, shared_index
from scripts.torture.power_cuts import LEDGER, Day, cut_power, record
from scripts.torture.quiet import quiet
from scripts.torture.run import FAILURES, FRAMES, parts
from scripts.torture.street import Concentrator
from scripts.torture.tally import Tally

LOG = f"{LEDGER}-wal"


def one_line(tally):
    return tally.line() + "\n" + "\n".join(tally.words)


# --- The disk ---------------------------------------------------------------------------------------------------


def test_every_commit_of_the_real_ledger_ends_with_a_sync_of_its_log(tmp_path):
    seen = []
    with quiet(), watched(lambda operation: seen.append(operation) or OK):
        concentrator = Concentrator(tmp_path / LEDGER)
        for number in range(3):
            seen.clear()
            with concentrator.ledger.transaction():
                concentrator.ledger.set_fact("a fact", number)
            assert {(each.kind, each.file) for each in seen[:-1]} == {(WRITE, LOG)}
            assert (seen[-1].kind, seen[-1].file) == (SYNC, LOG)
        seen.clear()
        concentrator.ledger.close()
    assert {each.kind for each in seen} == {WRITE, SYNC, TRUNCATE, DELETE}


def test_a_ledger_lets_go_of_its_file_where_the_disk_refuses_its_first_or_last_word(tmp_path):
    """What lives on would close at some later moment, and would write then."""
    refused = []

    def watch(operation):
        return IOERR_WRITE if refused and operation.kind == WRITE else OK

    with quiet(), watched(watch):
        kept = Ledger(tmp_path / LEDGER)
        with kept.transaction():
            kept.set_fact("a fact", 1)
        refused.append(True)
        with pytest.raises(sqlite3.OperationalError) as closing:
            kept.close()
        with pytest.raises(sqlite3.OperationalError) as opening:
            Ledger(tmp_path / LEDGER)
        refused.clear()
        again = Ledger(tmp_path / LEDGER)
        assert again.fact("a fact", 0) == 1
        again.close()
    for error in (closing, opening):
        assert "disk I/O error" in str(error.value)
    with pytest.raises(sqlite3.ProgrammingError):
        kept.execute("SELECT 1")


def test_behind_the_watch_nothing_is_watched(tmp_path):
    seen = []
    with watched(lambda operation: seen.append(operation) or OK):
        pass
    Concentrator(tmp_path / LEDGER).ledger.close()
    assert seen == []


def done(*operations):
    platter = Platter()
    platter.do(operations)
    return platter


def all_that_may_be_left(platter, tries=400):
    return {tuple(sorted(platter.after_cut(Random(seed)).items())) for seed in range(tries)}


def test_what_was_synced_is_left_by_every_cut():
    platter = done(Operation(CREATE, LOG), Operation(WRITE, LOG, 0, b"one"), Operation(SYNC, LOG))
    assert all_that_may_be_left(platter) == {((LOG, b"one"),)}


def test_each_unsynced_write_is_there_or_not_on_its_own():
    platter = done(
        Operation(CREATE, LOG),
        Operation(WRITE, LOG, 0, b"aabb"),
        Operation(SYNC, LOG),
        Operation(WRITE, LOG, 0, b"AA"),
        Operation(WRITE, LOG, 2, b"BB"),
    )
    assert {left[0][1] for left in all_that_may_be_left(platter)} == {b"aabb", b"AAbb", b"aaBB", b"AABB"}


def test_a_write_is_torn_at_sectors_and_nowhere_else():
    old, new = bytes(3 * SECTOR), b"\xff" * (3 * SECTOR)
    platter = done(
        Operation(CREATE, LOG), Operation(WRITE, LOG, 0, old), Operation(SYNC, LOG), Operation(WRITE, LOG, 0, new)
    )
    left = {dict(each)[LOG] for each in all_that_may_be_left(platter)}
    assert len(left) == 8
    assert all(set(each[at : at + SECTOR]) in ({0}, {255}) for each in left for at in range(0, len(each), SECTOR))


def test_an_unsynced_file_may_be_missing_and_an_unsynced_deletion_undone():
    assert () in all_that_may_be_left(done(Operation(CREATE, LOG), Operation(WRITE, LOG, 0, b"one")))
    platter = done(
        Operation(CREATE, LOG), Operation(WRITE, LOG, 0, b"one"), Operation(SYNC, LOG), Operation(DELETE, LOG)
    )
    assert all_that_may_be_left(platter) == {(), ((LOG, b"one"),)}
    platter.do([Operation(CREATE, LOG), Operation(DELETE, LOG, durable=True)])
    assert all_that_may_be_left(platter) == {()}


def test_the_shared_index_may_be_missing_empty_noise_or_of_an_earlier_moment():
    found = {shared_index(Random(seed), [b"earlier"]) for seed in range(60)}
    assert {None, b"", b"earlier"} < found
    assert len(found) > 5


# --- Power cuts -------------------------------------------------------------------------------------------------


def test_no_power_cut_loses_what_was_acknowledged_or_counts_it_twice():
    found = cut_power("test", 50)
    assert not found.off, one_line(found)
    assert found.cuts == 50
    assert found.acknowledged > 100


@pytest.mark.parametrize("plant", [planted.LAZY_SYNC, planted.LYING_DISK, planted.EARLY_ACK])
def test_a_ledger_that_answers_before_the_disk_has_it_is_seen_by_power_cuts(plant):
    found = cut_power("test", 20, plant)
    assert found.lost, one_line(found)
    assert "power cut before operation" in found.words[0]


def test_a_ledger_that_knows_nothing_again_is_seen_by_power_cuts():
    assert cut_power("test", 10, planted.FORGETFUL).twice


def test_a_recorded_day_holds_commits_checkpoints_and_the_midnights_erasure(tmp_path):
    with quiet():
        recording = record(Day("test"), tmp_path)
    kinds = {(each.kind, each.file) for each in recording.operations}
    assert {(WRITE, LOG), (SYNC, LOG), (WRITE, LEDGER), (SYNC, LEDGER), (TRUNCATE, LOG)} <= kinds
    assert len(recording.marks[-1].acknowledged) == 18
    assert recording.shared


# --- Kills ------------------------------------------------------------------------------------------------------


def test_a_daemon_that_is_killed_again_and_again_loses_nothing_and_counts_nothing_twice():
    found = kill("test", 5)
    assert not found.off, one_line(found)
    assert found.kills == 5


def test_a_daemon_that_answers_before_its_commit_is_seen_by_kills():
    found = kill("test", 5, planted.EARLY_ACK, deaths=["ack"])
    assert found.lost, one_line(found)


# --- Frames -----------------------------------------------------------------------------------------------------


def test_no_hostile_frame_counts_and_none_shuts_an_honest_meter_out():
    found = flood("test", 2_000)
    assert not found.off, one_line(found)
    assert found.frames == 2_000


def test_a_tag_that_is_not_compared_whole_is_seen_by_hostile_frames():
    found = flood("test", 2_000, planted.CARELESS_TAG)
    assert found.mutated, one_line(found)


def test_a_ledger_that_knows_nothing_again_is_seen_by_replayed_frames():
    found = flood("test", 500, planted.FORGETFUL)
    assert found.mutated, one_line(found)
    assert found.twice


# --- Failing disks ----------------------------------------------------------------------------------------------


def test_the_ledger_recovers_from_a_failing_disk_when_the_cause_is_gone():
    found = fail("test", 15)
    assert not found.off, one_line(found)
    assert found.failures == 15


def test_eight_parts_of_a_hundred_fail_every_operation_of_a_day(monkeypatch):
    firsts, total = set(), 720

    class Noted(Failing):
        def __init__(self, first, length, *, full):
            super().__init__(first, length, full=full)
            self.asked = total
            firsts.add(first)

    monkeypatch.setattr(failures, "Failing", Noted)
    monkeypatch.setattr(failures, "Line", lambda *_: SimpleNamespace(sent=1))
    monkeypatch.setattr(failures, "_live", lambda *_, **__: None)
    monkeypatch.setattr(failures, "_judge", lambda *_: None)
    for part in parts(FAILURES, 800, 1):
        fail(part.seed, part.number)
    assert firsts == set(range(total))


def test_a_sync_that_syncs_nothing_is_seen_behind_a_failing_disk():
    assert fail("test", 4, planted.LYING_DISK).off


def test_each_cause_keeps_the_ledger_from_something_and_it_goes_on(monkeypatch):
    lines, limits = [], []
    monkeypatch.setattr(failures, "Line", lambda *settings: lines.append(Line(*settings)) or lines[-1])
    monkeypatch.setattr(
        failures, "Limit", lambda *settings: limits.append((settings[0], Limit(*settings))) or limits[-1][1]
    )
    found = fail("causes", 40)
    assert not found.off, one_line(found)
    assert {kind for kind, limit in limits if limit.refused} == {NO_PAGES, NO_BYTES}
    assert all(line.refused for line in lines[1:])
    assert lines[0].sent < 40, "every thing that is sent in a day has failed once"


def test_an_error_that_is_swallowed_is_seen_behind_a_failing_disk(monkeypatch):
    class Swallowing(Ledger):
        @contextmanager
        def transaction(self):
            with suppress(sqlite3.Error), super().transaction():
                yield

    monkeypatch.setattr(damage, "Ledger", Swallowing)
    assert fail("test", 10).off


def test_a_limit_is_on_in_its_step_alone_and_for_its_tries(tmp_path):
    with quiet():
        ledger = Ledger(tmp_path / LEDGER)
    limit = Limit(NO_PAGES, 3, 0, 2)
    for step, refused in ((2, False), (3, True), (3, True), (3, False)):
        with ExitStack() as stack:
            if refused:
                stack.enter_context(pytest.raises(sqlite3.OperationalError, match="full"))
            with limit.within(step, ledger, tmp_path / LEDGER), ledger.transaction():
                for row in range(50):
                    ledger.set_fact(f"{'x' * 200} {step} {row}", row)
    assert limit.refused == 2
    ledger.close()


def test_enospc_is_of_writes_and_eio_of_everything():
    for full in (False, True):
        failing = Failing(0, max(LENGTHS), full=full)
        answers = [failing.watch(Operation(kind, LOG)) for kind in (WRITE, SYNC, TRUNCATE, DELETE, CREATE)]
        assert [answer != OK for answer in answers] == [True, not full, not full, not full, False]
        assert failing.refused == (1 if full else 4)


# --- The command ------------------------------------------------------------------------------------------------


def test_the_command_ends_with_one_line_of_totals_and_status_0(capfd):
    options = ["--kills", "1", "--power-cuts", "3", "--frames", "50", "--failures", "2", "--jobs", "1"]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith(
        "1 kills, 3 power cuts, 50 replayed or mutated frames, 2 I/O failures"
    )
    assert done.stdout.splitlines()[-1].endswith(
        ": 0 mWh off, 0 acknowledged lost, 0 counted twice, 0 mutated counted, 0 shut out, 0 broken"
    )


def test_a_run_with_a_planted_bug_ends_with_status_1_and_says_where():
    options = ["--kills", "0", "--power-cuts", "10", "--frames", "0", "--failures", "0", "--jobs", "1"]
    done = CliRunner().invoke(main, [*options, "--plant", planted.LYING_DISK])
    assert done.exit_code == 1
    assert "torture: power cut before operation" in done.stderr


def test_anything_off_is_off():
    assert not Tally(kills=1, cuts=1, frames=1, failures=1, acknowledged=1).off
    for name in ("mwh_off", "lost", "twice", "mutated", "shut_out", "broken"):
        assert Tally(**{name: 1}).off, name


def test_a_number_is_divided_into_parts_with_seeds_of_their_own():
    found = list(parts(FRAMES, 45_000, 7))
    assert [(each.number, each.seed) for each in found] == [(20_000, "7/0"), (20_000, "7/1"), (5_000, "7/2")]
