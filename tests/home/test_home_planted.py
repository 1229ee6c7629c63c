"""The tests of the tests: a bug in the agent is planted, and the test that is there for it turns red."""

import pytest
import test_home_agent as tests
import test_home_export as export_tests
from home_bench import Home

from scripts.customer_agent import agent, espi, home_assistant, opening, portal
from scripts.customer_agent.exporting import fetch_all


def red(test, *fixtures):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test(*fixtures)


def test_the_last_row_to_arrive_taken_for_the_newest_is_seen(home, monkeypatch):
    monkeypatch.setattr(agent, "newest", lambda readings, before: readings[-1] if readings else before)
    red(tests.test_a_late_row_does_not_take_the_registers_back, home)


def test_publishing_before_everything_was_looked_at_is_seen(home, monkeypatch):
    monkeypatch.setattr(agent.Follower, "newest", property(lambda self: self._newest))
    red(tests.test_nothing_is_published_before_everything_was_looked_at, home, monkeypatch)


def test_a_number_kept_behind_the_newest_row_is_seen(pages, tmp_path, monkeypatch):
    """The restart would then show a late row as the newest."""
    keep = agent.Follower._keep
    monkeypatch.setattr(agent.Follower, "_keep", lambda self, anchor: keep(self, anchor + 1))
    red(tests.test_a_restart_begins_behind_the_kept_number_and_still_knows_the_newest, pages, tmp_path)


def test_an_old_power_shown_as_now_is_seen(home, monkeypatch):
    monkeypatch.setattr(agent.Follower, "server_time", lambda self, now: None)
    red(tests.test_power_of_hours_ago_is_not_shown_as_now_and_registers_are, home)


def test_one_identity_for_every_meter_is_seen(pages, bench, monkeypatch):
    announce = home_assistant._announcement
    monkeypatch.setattr(home_assistant, "_announcement", lambda home, _title, sensor: announce(home, bytes(8), sensor))
    red(tests.test_a_replaced_meter_is_a_device_of_its_own, pages, bench)


def test_a_page_that_is_lost_with_its_damaged_row_is_seen(home, monkeypatch):
    def all_or_nothing(self, rows):
        found = [self._open_one(rows[at : at + 90]) for at in range(0, len(rows), 90)]
        return (found, 0) if None not in found else ([], len(found))

    monkeypatch.setattr(opening.Opener, "open", all_or_nothing)
    red(tests.test_a_row_changed_in_the_middle_is_counted_said_and_left_out, home)


def test_an_envelope_that_is_not_looked_at_is_seen(pages, bench, monkeypatch):
    monkeypatch.setattr(portal.documents, "verify", lambda document, _deployment, _key: document.content_bytes())
    red(tests.test_the_operators_signature_on_the_envelope_is_verified_where_its_key_is_given, pages, bench)


def test_a_broker_that_gets_what_waited_is_seen(home, monkeypatch):
    monkeypatch.setattr(home.broker, "connect", lambda _now: setattr(home.broker, "connected", True))
    red(tests.test_a_broker_that_was_gone_gets_the_newest_and_nothing_older, home)


def test_asking_without_a_pause_is_seen(pages, monkeypatch):
    monkeypatch.setattr(agent.Agent, "_wait", lambda self, now, wrong, least_s: None)
    red(tests.test_cookies_that_do_not_hold_are_no_busy_loop, Home(pages))
    red(tests.test_the_wait_that_a_server_asks_for_is_kept, Home(pages))


def test_import_and_export_swapped_in_green_button_are_seen(pages, tmp_path, monkeypatch):
    home = Home(pages)
    home.send(
        *(home.me.row(export_tests.NOON + export_tests.SPAN_S * i, *e) for i, e in enumerate(export_tests.ENERGIES))
    )
    readings, _ = fetch_all(home.portal, opening.Opener(home.key, home.portal.sign_in()))
    export_tests.test_another_reader_of_green_button_finds_the_sealed_energies(readings, tmp_path)
    monkeypatch.setattr(espi, "DIRECTIONS", (("import", 19), ("export", 1)))
    red(export_tests.test_another_reader_of_green_button_finds_the_sealed_energies, readings, tmp_path)
