"""The release gate on bills: a whole period or nothing, and every window in at most one released sum, ever."""

import pytest
from mdms_bench import APRIL, DAY, MARCH, Bench, pseudonym

from mdms.keyholder import gate
from mdms.keyholder.messages import BillRequest, Item
from mdms.rosters import RosterBook
from paillier import ENERGY_SLOTS
from protocol import documents, reports
from protocol.windows import WINDOW_S

ME = pseudonym("north", 0)
MAY = APRIL + 30 * DAY
WHOLE = (APRIL - MARCH) // WINDOW_S


@pytest.fixture
def april(bench, tmp_path):
    """A key holder with monthly periods on the first of April."""
    holder = bench.holder(tmp_path, APRIL)
    yield holder
    holder.close()


@pytest.fixture(scope="module")
def march(bench):
    """Every window of meter 0 in March, one mWh each."""
    return bench.north.windows(MARCH, APRIL)


@pytest.fixture
def daily(bench, tmp_path):
    """A key holder whose periods are days, which only an unsafe flag lets it open."""
    holder = bench.holder(tmp_path, APRIL, bench.policy("day", ["unsafe_short_periods"]))
    yield holder
    holder.close()


def test_a_months_windows_are_released_as_one_sum(april, march):
    answer = april.bill(march, ME)
    assert (answer["status"], answer["import_mwh"], answer["export_mwh"]) == ("released", WHOLE, 0)


def test_a_period_is_not_opened_before_it_has_ended(april, march):
    april.clock.now = APRIL - 1
    assert april.bill(march, ME) == {"status": "not_closed"}


def test_the_asker_does_not_choose_the_period(april, march):
    for start in (MARCH + WINDOW_S, MARCH + DAY, MARCH - DAY):
        assert april.bill(march, ME, start)["status"] == "bad_document"


def test_one_window_left_out_is_refused(april, march):
    tries = (march[1:], march[:-1], march[:5] + march[6:], [])
    for partial in (*tries, *tries):
        assert april.bill(partial, ME)["status"] == "windows_missing"
    # Each try is logged, once, and none decides anything for good.
    assert len(april.log_lines()) == len(tries)
    assert april.bill(march[1:], ME) == april.bill(march[1:], ME)
    assert april.bill(march, ME)["status"] == "released"
    assert april.bill(march[1:], ME)["status"] == "window_spent"


def test_one_window_more_is_refused(april, north, march):
    assert april.bill([*march, north.window(APRIL)], ME)["status"] == "windows_missing"
    assert april.bill([north.window(MARCH - WINDOW_S), *march], ME)["status"] == "windows_missing"


def test_a_window_listed_twice_is_refused(april, march):
    assert april.bill([*march, march[0]], ME)["status"] == "bad_document"
    assert april.bill([march[0], *march[:-1]], ME)["status"] == "bad_document"


def test_a_window_of_another_meter_or_street_is_refused(april, north, south, march):
    for foreign in (
        north.window(MARCH, meter=1),
        south.window(MARCH),
        north.window(MARCH, key=south.key),
        south.window(MARCH, neighbourhood="north", pseudonym=ME),
        north.load(MARCH),
    ):
        assert april.bill([foreign, *march[1:]], ME)["status"] == "bad_document"
    wrong_key = north.window(MARCH, paillier_key=south.public.fingerprint)
    assert april.bill([wrong_key, *march[1:]], ME)["status"] == "wrong_key"


def test_a_pseudonym_that_no_roster_names_is_refused(april, march):
    assert april.bill(march, pseudonym("north", 99))["status"] == "not_on_roster"


def test_a_window_that_is_none_is_refused(april, north, march):
    for changes in ({"window_end": MARCH + 2 * WINDOW_S}, {"register_to": MARCH + WINDOW_S + 1}):
        assert april.bill([north.window(MARCH, **changes), *march[1:]], ME)["status"] == "bad_document"


def test_no_window_enters_a_second_sum(april, north, march):
    assert april.bill(march, ME)["status"] == "released"
    # The same period with one window reported anew, then the next period with one of the old.
    corrected = [north.window(MARCH, import_mwh=500), *march[1:]]
    assert april.bill(corrected, ME)["status"] == "window_spent"
    april.clock.now = MAY
    following = north.windows(APRIL, MAY)
    assert april.bill([march[-1], *following], ME, APRIL)["status"] == "window_spent"
    assert april.bill(following, ME, APRIL)["status"] == "released"


def test_a_correction_that_is_one_late_window_is_refused(april, north, march):
    assert april.bill(march, ME)["status"] == "released"
    late = north.window(MARCH, import_mwh=77)
    assert april.bill([late], ME)["status"] == "window_spent"
    april.clock.now = MAY
    assert april.bill([north.window(APRIL, import_mwh=77)], ME, APRIL)["status"] == "windows_missing"


def test_a_day_is_too_short_without_the_unsafe_flag(bench, tmp_path, north):
    holder = bench.holder(tmp_path, MARCH + DAY, bench.policy("day"))
    day = north.windows(MARCH, MARCH + DAY)
    assert holder.bill(day, ME)["status"] == "period_too_short"
    # It joins the following days until there are 28 windows.
    for days in (2, 3):
        holder.clock.now = MARCH + days * DAY
        so_far = north.windows(MARCH, MARCH + days * DAY)
        assert holder.bill(so_far, ME, MARCH + (days - 1) * DAY)["status"] == "period_too_short"
    holder.clock.now = MARCH + 4 * DAY
    answer = holder.bill(north.windows(MARCH, MARCH + 4 * DAY), ME, MARCH + 3 * DAY)
    assert (answer["status"], answer["import_mwh"]) == ("released", 32)
    holder.close()


def test_a_day_is_released_under_the_flag_which_every_answer_names(daily, north):
    answer = daily.bill(north.windows(MARCH, MARCH + DAY), ME)
    assert (answer["status"], answer["import_mwh"]) == ("released", 8)
    assert answer["unsafe"] == ["unsafe_short_periods"]


def test_a_month_that_is_mostly_empty_waits_for_the_next(april, north):
    starts = range(MARCH, APRIL, WINDOW_S)
    mostly_empty = north.windows(MARCH, APRIL, empty=set(list(starts)[WHOLE // 2 - 1 :]))
    assert april.bill(mostly_empty, ME)["status"] == "period_too_short"
    april.clock.now = MAY
    joined = mostly_empty + north.windows(APRIL, MAY)
    answer = april.bill(joined, ME, APRIL)
    assert answer["status"] == "released"
    assert answer["import_mwh"] == WHOLE // 2 - 1 + 30 * 8


def test_a_period_without_energy_is_not_opened_and_uses_its_windows_up(daily, north):
    empty = north.windows(MARCH, MARCH + DAY, empty=range(MARCH, MARCH + DAY, WINDOW_S))
    assert daily.bill(empty, ME)["status"] == "no_energy"
    second = north.windows(MARCH + DAY, MARCH + 2 * DAY)
    assert daily.bill(empty + second, ME, MARCH + DAY)["status"] == "window_spent"
    answer = daily.bill(second, ME, MARCH + DAY)
    assert (answer["status"], answer["import_mwh"]) == ("released", 8)


def test_windows_that_are_not_in_order_of_time_are_refused_and_not_spent(daily, north):
    day = north.windows(MARCH, MARCH + DAY)
    assert daily.bill(day[::-1], ME)["status"] == "bad_document"
    assert daily.bill([*day[1:], day[0]], ME)["status"] == "bad_document"
    assert daily.bill(day, ME)["status"] == "released"


def test_more_windows_than_a_batch_may_name_are_refused_alone(daily, north, monkeypatch):
    monkeypatch.setattr(gate, "MAX_DOCUMENTS", 7)
    bill = Item(bill=BillRequest(ME, MARCH, north.windows(MARCH, MARCH + DAY)))
    load = Item(load=north.load(daily.clock.now - 3600))
    assert [answer["status"] for answer in daily.items(bill, load)] == ["bad_document", "released"]


def test_a_bill_above_rating_x_time_covered_is_not_releasable(daily, north):
    most = 20_000 * DAY * 1000 // 3600
    day = north.windows(MARCH, MARCH + DAY)
    for meter, extra, status in ((0, 1, "not_releasable"), (1, 0, "released")):
        heavy = north.window(MARCH, meter, import_mwh=most - 7 + extra)
        rest = north.windows(MARCH + WINDOW_S, MARCH + DAY, meter)
        assert daily.bill([heavy, *rest], pseudonym("north", meter))["status"] == status
    assert daily.bill(day, ME)["status"] == "window_spent"


def test_invalid_ciphertexts_in_a_bill_are_not_opened(daily, north):
    rest = north.windows(MARCH + WINDOW_S, MARCH + DAY)
    for c in (0, 1, 1 + 9 * north.public.n, north.public.n_squared, north.private.q):
        bad = north.window(MARCH, energy=north.raw(c))
        assert daily.bill([bad, *rest], ME)["status"] == "bad_document"


def test_terms_that_cancel_their_randomisers_are_not_opened(daily, north):
    # Each is a proper ciphertext; their product is 1 + mn, which anybody reads.
    c = north.seal(3)
    inverse = pow(c, -1, north.public.n_squared)
    pair = [north.window(MARCH, energy=north.text(c)), north.window(MARCH + WINDOW_S, energy=north.text(inverse))]
    empty = range(MARCH + 2 * WINDOW_S, MARCH + DAY, WINDOW_S)
    rest = north.windows(MARCH + 2 * WINDOW_S, MARCH + DAY, empty=empty)
    assert daily.bill([*pair, *rest], ME)["status"] == "not_releasable"


def test_guard_bits_in_a_bill_are_a_constant_refusal(daily, north):
    slot = ENERGY_SLOTS.slot_bits
    overflown = north.window(MARCH, energy=north.text(north.encryptor.encrypt(1 << slot - 1)))
    rest = north.windows(MARCH + WINDOW_S, MARCH + DAY)
    answer = daily.bill([overflown, *rest], ME)
    assert answer["status"] == "not_releasable"
    assert set(answer) == {"status", "seq", "unsafe", "opening"}


def test_a_fixed_period_owns_the_windows_that_start_in_it(bench, tmp_path, north):
    end = MARCH + 4 * DAY
    holder = bench.holder(tmp_path, end, bench.policy(f"fixed:{MARCH}:{end}"))
    for start in (MARCH + DAY, end):
        assert holder.bill(north.windows(MARCH, end), ME, start)["status"] == "bad_document"
    assert holder.bill(north.windows(MARCH, end), ME)["status"] == "released"
    holder.close()


def test_who_leaves_is_billed_up_to_the_end_of_the_tenancy(tmp_path):
    bench = Bench()
    street = bench.north
    leaving = MARCH + 10 * DAY
    book = RosterBook([street.roster, street.make_roster(2, leaving, street.members[1:])])
    policy = bench.policy("day", ["unsafe_short_periods"])
    holder = bench.holder(tmp_path, leaving, policy, book)
    name = pseudonym("north", 0)
    stays = street.windows(MARCH, leaving)
    assert holder.bill([*stays, street.window(leaving)], name, leaving - DAY)["status"] == "windows_missing"
    assert holder.bill(stays, name, leaving - DAY)["status"] == "released"
    holder.close()


def test_a_replaced_concentrator_signs_no_later_window(tmp_path):
    bench = Bench()
    street, thief = bench.north, bench.north.key
    change = MARCH + DAY
    successor = bench.south.key
    newer = street.make_roster(2, change, street.members, concentrator=bench.south.roster.concentrator)
    book = RosterBook([street.roster, newer])
    holder = bench.holder(tmp_path, change + DAY, bench.policy("day", ["unsafe_short_periods"]), book)
    first = street.windows(MARCH, change)
    late_seal = [street.window(MARCH, key=successor), *first[1:]]
    forged = [street.window(change + i * WINDOW_S, key=thief) for i in range(8)]
    honest = [street.window(change + i * WINDOW_S, key=successor) for i in range(8)]
    assert holder.bill(late_seal, ME)["status"] == "released"
    assert holder.bill(forged, ME, change)["status"] == "bad_document"
    assert holder.bill(honest, ME, change)["status"] == "released"
    holder.close()


def test_a_window_signed_under_another_deployments_name_is_refused(april, north, march):
    content = north.window(MARCH).content_bytes()
    elsewhere = documents.sign(north.key, reports.BILLING_WINDOW, "elsewhere", content)
    assert april.bill([elsewhere, *march[1:]], ME)["status"] == "bad_document"
