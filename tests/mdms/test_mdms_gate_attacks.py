"""Every attack of `make test-gate`: refused for the right reason, logged, and its allowed twin passes."""

import pytest
from gate_attacks import ATTACKS, Attack, contributors, outcome, whole_march

from mdms.keyholder import bands
from mdms.keyholder.state import State


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.name)
def test_the_attack_is_refused_and_logged_and_its_twin_passes(bench, tmp_path, attack):
    found = outcome(attack, bench, tmp_path)
    assert (found.actual, found.twin) == (attack.expected, attack.allowed)
    assert found.logged


def test_the_suite_has_one_of_each_name():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize(
    ("where", "name", "planted", "attacks"),
    [
        (State, "spent_windows", lambda *_: set(), ["a correction that is one late window"]),
        (State, "load_is_spent", lambda *_: False, ["a load minus one meter: 12, then 11"]),
        (bands, "large_enough", lambda *_: True, ["a band of one window a period"]),
    ],
)
def test_a_planted_hole_turns_the_suite_red(bench, tmp_path, monkeypatch, where, name, planted, attacks):
    monkeypatch.setattr(where, name, planted)
    for attack in ATTACKS:
        if attack.name in attacks:
            assert not outcome(attack, bench, tmp_path).right(attack)


def test_an_attack_that_is_not_logged_is_not_right(bench, tmp_path):
    unlogged = Attack("a load that is allowed", "too_few_contributors", contributors(12), whole_march)
    assert not outcome(unlogged, bench, tmp_path).right(unlogged)
