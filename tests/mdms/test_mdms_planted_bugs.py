"""Tests of the tests: each plants a bug and sees that the test which guards against it turns red."""

import pytest
import test_mdms_gate_bills as bills
import test_mdms_gate_loads as loads
import test_mdms_ingest as ingest
import test_mdms_release_batches as batches
import test_mdms_release_memory as memory
import test_mdms_releases as releases
from mdms_bench import APRIL

from mdms.ingest import judgement
from mdms.keyholder import gate, holder, log, opening
from mdms.keyholder.state import State
from paillier import proofs

RED = (AssertionError, KeyError, pytest.fail.Exception)


def test_k_counted_on_registered_meters_turns_a_test_red(holder, north, monkeypatch):
    monkeypatch.setattr(gate.Gate, "_contributors", lambda self, report, roster: range(len(roster.members)))
    with pytest.raises(RED):
        loads.test_nine_contributors_are_too_few(holder, north)


def test_a_window_opened_again_turns_a_test_red(bench, north, tmp_path, monkeypatch):
    monkeypatch.setattr(State, "spent_windows", lambda *_: set())
    holder = bench.holder(tmp_path, APRIL)
    march = north.windows(bills.MARCH, APRIL)
    with pytest.raises(RED):
        bills.test_no_window_enters_a_second_sum(holder, north, march)
    # The memory's own keys let nothing out all the same.
    assert holder.bill([north.window(bills.MARCH), *march[1:]], bills.ME) == {"status": "unavailable"}
    holder.close()


def test_a_load_revised_after_closing_turns_a_test_red(holder, north, monkeypatch):
    monkeypatch.setattr(State, "load_is_spent", lambda *_: False)
    with pytest.raises(RED):
        loads.test_a_load_is_released_once_and_never_revised(holder, north)


def test_an_impossible_sum_that_is_not_spent_turns_a_test_red(holder, north, monkeypatch):
    monkeypatch.setattr(State, "spend_load", lambda *_: None)
    with pytest.raises(RED):
        loads.test_an_impossible_sum_is_spent_so_that_it_is_no_oracle(holder, north)


def test_a_signature_that_is_not_checked_turns_a_test_red(holder, north, monkeypatch):
    monkeypatch.setattr(gate, "verified_content", lambda document, deployment, key: document.content_bytes())
    with pytest.raises(RED):
        loads.test_what_nobody_signed_is_not_opened(holder, north)


def test_a_key_that_is_not_compared_turns_a_test_red(holder, north, south, monkeypatch):
    monkeypatch.setattr(gate, "WRONG_KEY", "ignored")
    with pytest.raises(RED):
        loads.test_a_stolen_key_of_one_street_opens_nothing_of_another(holder, north, south)


def test_answers_that_are_not_kept_turn_a_test_red(bench, north, tmp_path, monkeypatch):
    monkeypatch.setattr(State, "keep_answer", lambda *_: None)
    with pytest.raises(RED):
        memory.test_the_identical_request_gets_the_stored_answer_byte_for_byte(bench, north, tmp_path)


def test_a_chain_that_is_not_followed_turns_a_test_red(bench, north, tmp_path, monkeypatch):
    import test_mdms_release_log as release_log

    holder = bench.holder(tmp_path)
    for at in range(4):
        holder.load(north.load(bills.MARCH + at * 900))
    real = log._follow

    def careless(line, before, deployment, key):
        try:
            return real(line, before, deployment, key)
        except log.LogBroken:
            return None, before

    monkeypatch.setattr(log, "_follow", careless)
    with pytest.raises(RED):
        release_log.test_every_change_of_a_log_is_seen(bench, (None, None, holder.log_lines(), None))
    holder.close()


def test_reports_that_are_not_known_again_turn_a_test_red(web, north, monkeypatch):
    monkeypatch.setattr(ingest.entries.Entries, "enter", lambda *_: "")
    with pytest.raises(RED):
        ingest.test_the_same_report_again_is_a_duplicate(web, north)


def test_a_report_of_any_signer_turns_a_test_red(web, north, south, monkeypatch):
    monkeypatch.setattr(judgement, "_check_neighbourhood", lambda *_: None)
    monkeypatch.setattr(judgement.RosterBook, "signer_of", lambda self, roster: south.load().signer)
    with pytest.raises(RED):
        ingest.test_a_concentrator_speaks_for_its_own_neighbourhood_only(web, north, south)


def test_answers_that_are_not_repeated_turn_a_test_red(bench, north, tmp_path, monkeypatch):
    monkeypatch.setattr(State, "stored_answer", lambda *_: None)
    with pytest.raises(RED):
        releases.test_a_worker_killed_between_answer_and_store_loses_nothing(bench, north, tmp_path)


def day_holder(bench, folder):
    folder.mkdir()
    return bench.holder(folder, bills.MARCH + batches.DAY, bench.policy("day", ["unsafe_short_periods"]))


def test_an_item_that_is_not_spent_at_once_turns_a_test_red(bench, north, tmp_path, monkeypatch):
    monkeypatch.setattr(holder.KeyHolder, "_spend", lambda *_: None)
    with pytest.raises(RED):
        batches.test_an_item_finds_spent_what_the_one_before_it_spent(day_holder(bench, tmp_path / "h"), north)


def test_a_proof_that_is_not_verified_turns_a_test_red(bench, north, tmp_path, monkeypatch):
    one = day_holder(bench, tmp_path / "h")
    with monkeypatch.context() as planted:
        planted.setattr(proofs, "verify_decryptions", lambda *_: None)
        with pytest.raises(RED):
            batches.test_a_decryption_that_is_wrong_is_not_proved(north, one, monkeypatch)
    one.close()


def test_a_fault_that_is_taken_for_a_refusal_turns_a_test_red(bench, north, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "DecryptionFailed", KeyError)
    with pytest.raises(RED):
        batches.test_a_fault_in_a_decryption_lets_nothing_out_and_spends_nothing(
            north, day_holder(bench, tmp_path / "h"), monkeypatch
        )


def test_a_batch_that_mixes_loads_and_bills_turns_a_test_red(bench, north, south, tmp_path, monkeypatch):
    monkeypatch.setattr(holder, "together", lambda opened: [list(opened)])
    with pytest.raises(RED):
        batches.test_loads_and_bills_of_one_request_are_proved_apart(
            bench, north, south, day_holder(bench, tmp_path / "h")
        )
