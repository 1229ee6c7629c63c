"""Time-of-use in the release gate: energy per band of a whole period, never of a window, and never a band too small."""

import json

import msgspec
import pytest
from mdms_bench import APRIL, DAY, DEPLOYMENT, MARCH, pseudonym
from tariff_bench import DAY_TIME, book_of, day_and_night, flat, tariff

from mdms.errors import CannotStart
from mdms.keyholder.bands import grouped, large_enough
from mdms.keyholder.log import check_answer, verify_log
from mdms.keyholder.messages import AskedSum, bill_request, release_request
from mdms.periods import parse_periods
from mdms.tariffs import check_beginnings
from protocol import releases
from protocol.documents import Document
from protocol.tariffs import Band, Times
from protocol.windows import WINDOW_S

ME = pseudonym("north", 0)
MAY = APRIL + 30 * DAY
WHOLE = (APRIL - MARCH) // WINDOW_S


@pytest.fixture
def tariffs(bench):
    return book_of(bench.operator, day_and_night())


@pytest.fixture
def april(bench, tmp_path, tariffs):
    """A key holder with monthly periods and a day and night tariff, on the first of April."""
    holder = bench.holder(tmp_path, APRIL, tariffs=tariffs)
    yield holder
    holder.close()


def by_hour(north, first=MARCH, last=APRIL, meter=0, **more):
    """Every window of a meter, with 1 mWh by day and 1,000 by night."""
    return [north.window(at, meter, 1000 if at // 3600 % 24 not in range(6, 21) else 1, **more)
            for at in range(first, last, WINDOW_S)]  # fmt: skip


def told(answer):
    return [([(band["name"], band["windows"]) for band in one["bands"]], one["import_mwh"]) for one in answer["sums"]]


def batch_of(bench, holder, name):
    document = msgspec.convert(json.loads(holder.answer(release_request(name)))["release"], Document)
    return releases.open_batch(document, DEPLOYMENT, bench.log_key)


def test_a_month_is_opened_as_one_sum_for_each_band(bench, april, north, tariffs):
    answer = april.bill(by_hour(north), ME)
    assert answer["status"] == "released"
    assert told(answer) == [([("day", 155)], 155), ([("night", 93)], 93_000)]
    assert (answer["import_mwh"], answer["adjusted"]) == (93_155, 0)
    batch = batch_of(bench, april, answer["sums"][0]["batch"])
    assert [(item.bands, len(item.documents), item.root) for item in batch.items] == [
        (one, count, told_["root"])
        for one, count, told_ in zip((["day"], ["night"]), (155, 93), answer["sums"], strict=True)
    ]
    [in_force] = tariffs
    assert {item.tariff for item in batch.items} == {in_force.id, answer["tariff"]}


def test_the_log_names_the_tariff_and_the_sums_and_commits_to_their_energies(bench, april, north, tariffs):
    message = april.answer(bill_request(ME, MARCH, by_hour(north)))
    [entry] = verify_log(april.log_lines(), DEPLOYMENT, bench.log_key).entries
    assert entry.asked.sums == [AskedSum(["day"], 155, 155), AskedSum(["night"], 93, 93)]
    assert entry.asked.tariff == next(iter(tariffs)).id
    check_answer(entry, message)
    changed = json.loads(message)
    changed["sums"][0]["import_mwh"] += 1
    with pytest.raises(Exception, match="another answer"):
        check_answer(entry, json.dumps(changed).encode())


def test_without_a_tariff_and_with_a_flat_one_a_period_is_one_sum(bench, tmp_path, north):
    for name, tariffs, bands in (("none", (), []), ("flat", (flat(),), [("all", WHOLE)])):
        (tmp_path / name).mkdir()
        holder = bench.holder(tmp_path / name, APRIL, tariffs=book_of(bench.operator, *tariffs))
        assert told(holder.bill(north.windows(MARCH, APRIL), ME)) == [(bands, WHOLE)]
        holder.close()


def with_small_band(*times):
    peak = Band("peak", list(times), 900_000, 0)
    rest = [Times("workdays", 0, 18), Times("workdays", 21, 24), Times("saturday", 0, 24), Times("sunday", 0, 24)]
    return tariff(peak, Band("rest", rest, 200_000, 0))


def test_a_band_of_few_windows_is_merged_and_never_opened_by_itself(bench, tmp_path, north):
    # 18 to 21 o'clock on workdays: 22 of March's windows.
    holder = bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, with_small_band(Times("workdays", 18, 21))))
    assert told(holder.bill(by_hour(north), ME)) == [([("peak", 22), ("rest", 226)], 93_155)]
    holder.close()


def test_a_band_of_one_window_a_period_is_merged(bench, tmp_path, north):
    # A fixed period of a week: one Sunday morning.
    sunday = Times("sunday", 3, 6)
    others = [Times("sunday", 0, 3), Times("sunday", 6, 24), Times("saturday", 0, 24), Times("workdays", 0, 24)]
    one = tariff(Band("one", [sunday], 1, 0), Band("rest", others, 1, 0))
    week = bench.policy(f"fixed:{MARCH}:{MARCH + 7 * DAY}")
    holder = bench.holder(tmp_path, MARCH + 7 * DAY, week, tariffs=book_of(bench.operator, one))
    answer = holder.bill(by_hour(north, MARCH, MARCH + 7 * DAY), ME)
    assert [bands for bands, _ in told(answer)] == [[("one", 1), ("rest", 55)]]
    holder.close()


def test_the_smallest_band_joins_the_smallest_of_the_others_until_all_are_large():
    # Of 248 windows: 155 by day, 31 at 21 o'clock, 31 at 0, 31 at 3. An eighth is 31: all stand alone in March.
    slots = [Times("all", hour, hour + 3) for hour in (21, 0, 3)]
    bands = [Band("day", DAY_TIME, 1, 0), *(Band(name, [at], 1, 0) for name, at in zip("abc", slots, strict=True))]
    one = tariff(*bands)
    starts = list(range(MARCH, APRIL, WINDOW_S))
    assert [group.bands for group in grouped(starts, [True] * WHOLE, one)] == [(0,), (1,), (2,), (3,)]
    # One window short of it, at 3 o'clock: it joins the first of the two smallest others.
    fewer = [start for start in starts if start != MARCH + 3 * 3600]
    assert [group.bands for group in grouped(fewer, [True] * len(fewer), one)] == [(0,), (1, 3), (2,)]
    # A band that is mostly empty joins, too, however long it is.
    filled = [start // 3600 % 24 != 21 for start in starts]
    assert [group.bands for group in grouped(starts, filled, one)] == [(0,), (1, 2), (3,)]
    groups = grouped(starts, filled, one)
    assert sorted(at for group in groups for at in group.members) == list(range(WHOLE))
    assert all(large_enough(len(g.members), sum(filled[at] for at in g.members), WHOLE) for g in groups)


def test_no_band_is_small_only_because_periods_may_be_short(bench, tmp_path, north, tariffs):
    daily = bench.policy("day", ["unsafe_short_periods"])
    holder = bench.holder(tmp_path, MARCH + DAY, daily, tariffs=tariffs)
    assert told(holder.bill(by_hour(north, MARCH, MARCH + DAY), ME)) == [([("day", 5), ("night", 3)], 3005)]
    holder.close()


def test_what_was_left_over_is_billed_by_the_later_tariff_and_marked(bench, tmp_path, north):
    later = day_and_night(version=2, valid_from=APRIL)
    holder = bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, flat(), later))
    empty = set(range(MARCH, APRIL, WINDOW_S)) - {MARCH + at * WINDOW_S for at in range(10)}
    march = north.windows(MARCH, APRIL, empty=empty)
    assert holder.bill(march, ME)["status"] == "period_too_short"
    holder.clock.now = MAY
    answer = holder.bill([*march, *north.windows(APRIL, MAY)], ME, APRIL)
    # The days' windows and the nights': half of each must be filled, and 250 of 488 are.
    assert (answer["status"], answer["adjusted"], answer["import_mwh"]) == ("released", 10, 250)
    assert sum(windows for bands, _ in told(answer) for _, windows in bands) == 488
    holder.close()


def test_an_impossible_band_makes_the_whole_bill_impossible(april, north):
    march = by_hour(north)
    march[3] = north.window(MARCH + 3 * WINDOW_S, import_mwh=1 << 40)  # 9 o'clock
    answer = april.bill(march, ME)
    assert answer["status"] == "not_releasable"
    assert set(answer) == {"status", "seq", "unsafe", "opening"}
    assert april.bill(by_hour(north), ME)["status"] == "window_spent"


# --- Which tariff -------------------------------------------------------------------------------------------------


def shifted():
    """The same prices, with one window moved from night to day."""
    night = [Times("all", 0, 3), Times("workdays", 3, 6), Times("saturday", 3, 6), Times("all", 21, 24)]
    day = [*DAY_TIME, Times("sunday", 3, 6)]
    return [Band("day", day, 400_000, 80_000), Band("night", night, 200_000, 60_000)]


def test_two_tariffs_that_differ_in_one_window_are_not_both_applied(bench, tmp_path, north):
    first, second = day_and_night(), tariff(*shifted(), version=2, valid_from=MAY)
    holder = bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, first))
    march = by_hour(north)
    assert holder.bill(march, ME)["status"] == "released"
    holder.close()
    # Restarted with another tariff for the same time: refused, whether beside the first or instead of it.
    for replaced in ((first, tariff(*shifted(), version=2, valid_from=MARCH + DAY)), (tariff(*shifted()),)):
        with pytest.raises(CannotStart, match=r"has passed before it was taken in|is missing"):
            bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, *replaced))
    # For a later period it is taken, and March stays spent; April keeps the tariff that it began with.
    again = bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, first, second))
    again.clock.now = MAY
    assert again.bill(march, ME) == holder_answer(again, march)
    assert again.bill([*march[:-1], north.window(APRIL - WINDOW_S, import_mwh=9)], ME)["status"] == "window_spent"
    april = again.bill(by_hour(north, APRIL, MAY), ME, APRIL)
    assert told(april) == [([("day", 150)], 150), ([("night", 90)], 90_000)]
    again.close()


def holder_answer(holder, march):
    return json.loads(holder.answer(bill_request(ME, MARCH, march)))


def test_a_tariff_does_not_reach_into_the_past_by_a_clock_that_was_set_back(bench, tmp_path, north):
    first = day_and_night()
    holder = bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, first))
    holder.bill(by_hour(north), ME)
    holder.close()
    late = tariff(*shifted(), version=2, valid_from=APRIL)
    with pytest.raises(CannotStart, match="has passed"):
        bench.holder(tmp_path, MARCH, tariffs=book_of(bench.operator, first, late))
    # One that has not begun may be taken back.
    ahead = tariff(*shifted(), version=2, valid_from=MAY)
    bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, first, ahead)).close()
    bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, first)).close()


def test_a_tariff_begins_with_a_period(bench):
    periods = parse_periods("month")
    check_beginnings(book_of(bench.operator, flat()), periods)
    with pytest.raises(CannotStart, match="not a period's start"):
        check_beginnings(book_of(bench.operator, flat(valid_from=MARCH + DAY)), periods)


def test_a_neighbourhood_has_its_own_tariff_and_the_others_the_default(bench, tmp_path, north, south):
    own = flat(name="south", neighbourhoods=["south"])
    holder = bench.holder(tmp_path, APRIL, tariffs=book_of(bench.operator, day_and_night(), own))
    assert len(told(holder.bill(north.windows(MARCH, APRIL), ME))) == 2
    answer = holder.bill(south.windows(MARCH, APRIL), pseudonym("south", 0))
    assert told(answer) == [([("all", WHOLE)], WHOLE)]
    holder.close()
