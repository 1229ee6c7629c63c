"""A change of Paillier keys at a period's start: what was left under the old key is billed, and never told alone."""

import json

import pytest
from mdms_bench import APRIL, FAST, MARCH, PASSPHRASE, pseudonym
from rotation_bench import MAY, WHOLE, Rotated
from tariff_bench import book_of, day_and_night

from mdms.errors import CannotStart
from mdms.keyholder import parts
from mdms.keyholder.keyring import open_keyring, seal_private_key
from mdms.keyholder.messages import release_request
from mdms.tariffs import NO_TARIFFS

ME = pseudonym("north", 0)


@pytest.fixture
def rotated_holder(bench, tmp_path):
    """Make a key holder of a street that changed its key in April, with so many windows under the old one."""
    made = []

    def make(old_windows, tariffs=NO_TARIFFS, **more):
        rotated = Rotated(bench.north, old_windows)
        more = {"keyring": rotated.keyring, "now": MAY, **more}
        made.append(bench.holder(tmp_path, book=rotated.book, tariffs=tariffs, **more))
        old, new = rotated.windows()
        return rotated, made[-1], [*old, *new]

    yield make
    for holder in made:
        holder.close()


def test_a_period_under_one_key_is_billed_after_the_change_as_before(rotated_holder):
    rotated, holder, windows = rotated_holder(WHOLE)
    old, new = holder.bill(windows[:WHOLE], ME, MARCH), holder.bill(windows[WHOLE:], ME, APRIL)
    assert [answer["import_mwh"] for answer in (old, new)] == [WHOLE, 240]
    keys = [answer["sums"][0]["paillier_key"] for answer in (old, new)]
    assert keys == [rotated.before.public.fingerprint, rotated.after.public.fingerprint]


@pytest.mark.parametrize("left", [1, 2, 27])
def test_a_few_windows_under_the_old_key_are_told_only_in_the_total(rotated_holder, left):
    _, holder, windows = rotated_holder(left)
    answer = holder.bill(windows, ME, APRIL)
    [total] = answer["sums"]
    assert (total["import_mwh"], total["filled"], answer["adjusted"]) == (240 + left, 240 + left, left)
    # Neither part has a root, which would open it, and so would the other's beside the total.
    assert not {"root", "batch", "paillier_key"} & total.keys()
    assert holder.state._db.execute("SELECT count(*) FROM release_batches").fetchone() == (0,)
    assert holder.bill(windows, ME, APRIL) == answer
    assert holder.bill(windows[left:], ME, APRIL)["status"] == "window_spent"


def test_two_parts_that_are_large_enough_are_told_and_proved_each(rotated_holder):
    _, holder, windows = rotated_holder(WHOLE)
    answer = holder.bill(windows, ME, APRIL)
    assert [one["import_mwh"] for one in answer["sums"]] == [WHOLE, 240]
    assert answer["import_mwh"] == WHOLE + 240
    for one in answer["sums"]:
        assert json.loads(holder.answer(release_request(one["batch"])))["status"] == "release"


def test_each_band_is_a_total_of_its_own(bench, rotated_holder):
    # The last window of March, from 21 o'clock: the night has it, the day is proved as ever.
    _, holder, windows = rotated_holder(1, book_of(bench.operator, day_and_night()))
    day, night = holder.bill(windows, ME, APRIL)["sums"]
    assert [(one["bands"], one["import_mwh"], "root" in one) for one in (day, night)] == [
        ([{"name": "day", "windows": 150}], 150, True),
        ([{"name": "night", "windows": 91}], 91, False),
    ]


def test_a_window_is_under_the_key_of_its_own_time(rotated_holder):
    rotated, holder, windows = rotated_holder(1)
    early = rotated.after.window(APRIL - 3 * 3600)
    late = rotated.before.window(APRIL)
    assert holder.bill([early, *windows[1:]], ME, APRIL)["status"] == "wrong_key"
    assert holder.bill([windows[0], late, *windows[2:]], ME, APRIL)["status"] == "wrong_key"


def test_a_key_that_is_gone_opens_nothing_and_spends_nothing(rotated_holder, bench):
    _, holder, windows = rotated_holder(1, keyring={})
    assert holder.bill(windows, ME, APRIL)["status"] == "wrong_key"
    assert holder.state.spent_windows(ME) == set()


def test_an_impossible_part_makes_the_bill_impossible(rotated_holder):
    rotated, holder, windows = rotated_holder(1)
    heavy = rotated.before.window(APRIL - 3 * 3600, import_mwh=1 << 40)
    answer = holder.bill([heavy, *windows[1:]], ME, APRIL)
    assert set(answer) == {"status", "seq", "unsafe", "opening"}
    assert answer["status"] == "not_releasable"


def test_parts_that_are_told_however_small_turn_a_test_red(rotated_holder, monkeypatch):
    monkeypatch.setattr(parts, "large_enough", lambda *_: True)
    with pytest.raises((AssertionError, ValueError)):
        test_a_few_windows_under_the_old_key_are_told_only_in_the_total(rotated_holder, 1)


def test_the_key_holder_opens_every_key_of_a_neighbourhood(bench, tmp_path):
    rotated = Rotated(bench.north)
    seal_private_key(tmp_path, "north", rotated.before.private, PASSPHRASE, FAST)
    with pytest.raises(CannotStart, match="newest roster of north names is missing"):
        open_keyring(tmp_path, rotated.book, PASSPHRASE, unsafe_small_key=True)
    path = seal_private_key(tmp_path, "north", rotated.after.private, PASSPHRASE, FAST, number=2)
    assert path.name == "north.2.key.json"
    held = open_keyring(tmp_path, rotated.book, PASSPHRASE, unsafe_small_key=True)
    assert held.keys() == rotated.keyring.keys()
    # When everything under it is billed the old key may go.
    (tmp_path / "north.key.json").unlink()
    assert open_keyring(tmp_path, rotated.book, PASSPHRASE, unsafe_small_key=True).keys() == {
        rotated.after.public.fingerprint
    }
    seal_private_key(tmp_path, "north", bench.south.private, PASSPHRASE, FAST, number=3)
    with pytest.raises(CannotStart, match="not the key that the roster of north names"):
        open_keyring(tmp_path, rotated.book, PASSPHRASE, unsafe_small_key=True)
