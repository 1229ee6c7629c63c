"""The fleet's health: who is silent, whose clock is off, what is missing, what was set aside; and no energy."""

import dataclasses
import time

import pytest
from mdms_bench import DAY, DEPLOYMENT, INTERVAL, MARCH, METERS, pseudonym
from pages_bench import PASSWORD, token_of
from sqlalchemy import select, update

from mdms.accounts.users import add_user
from mdms.config import load_mdms_config
from mdms.fleet.facts import Chore, Fleet, LoadSeen, MeterSeen, Refusal, SetAside, Street
from mdms.fleet.limits import Limits
from mdms.fleet.questions import look
from mdms.fleet.rules import findings
from mdms.ingest.admission import admit
from mdms.ingest.judgement import judge
from mdms.operation.chores import note_done
from mdms.tables import interval_loads, refusals
from protocol.documents import generate_signing_key, key_id
from protocol.rosters import Member
from protocol.windows import WINDOW_S, Span

NOW = MARCH + 10 * DAY
LIMITS = Limits()


def seen(end, late=300, contributors=METERS):
    return LoadSeen(end - INTERVAL, end, contributors, METERS, None if late is None else end + late)


def street(**changes):
    facts = {
        "name": "north",
        "members": METERS,
        "interval_s": INTERVAL,
        "roster": 1,
        "roster_since": MARCH,
        "reported_roster": 1,
        "concentrator": "key",
        "began": MARCH,
        "newest": seen(NOW - 600),
        "loads": [seen(NOW - 600 - at * INTERVAL) for at in range(96)],
        "windows": Span(NOW - 14 * DAY, NOW - 8 * DAY),
        "meters": [MeterSeen("meter", 8, 8, 0, 0, 0, NOW)],
        "refusals": [],
        "aside": [],
        "decided": {"released": 96},
    }
    return Street(**{**facts, **changes})


def fleet(*streets, **changes):
    facts = {
        "now": NOW,
        "streets": streets or (street(),),
        "waits_since": None,
        "waiting": 0,
        "bills": {},
        "prune": Chore(NOW - DAY, ""),
        "rows": True,
        "detail_days": 400,
        "free_bytes": 10**10,
    }
    return Fleet(**{**facts, **changes})


def names(found, limits=LIMITS):
    return [each.name for each in findings(found, limits)]


# --- Rules ----------------------------------------------------------------------------------------------------------


def test_a_fleet_that_is_well_has_no_finding():
    assert names(fleet()) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"newest": seen(NOW - 3600 - INTERVAL - 1)}, "silent:north"),
        ({"newest": None, "loads": []}, "silent:north"),
        ({"loads": [seen(NOW, 300), seen(NOW, -61)]}, "clock:north"),
        ({"loads": [seen(NOW, 1801), seen(NOW, 5000)]}, "clock:north"),
        ({"meters": [MeterSeen("meter", 8, 7, 0, 0, 0, NOW)]}, "windows:north"),
        ({"aside": [SetAside("id", "interval-load", NOW, "another", NOW)]}, "conflict:north"),
        ({"refusals": [Refusal("unknown roster version", NOW, 3)]}, "roster:north"),
        ({"roster": 2, "roster_since": NOW - DAY}, "roster:north"),
        ({"decided": {"released": 79, "too_late": 21}}, "refused:north"),
    ],
)
def test_each_thing_that_is_wrong_with_a_neighbourhood_is_one_finding(changes, name):
    assert names(fleet(street(**changes))) == [name]


@pytest.mark.parametrize(
    "changes",
    [
        {"newest": seen(NOW - 3600 - INTERVAL)},
        {"loads": [seen(NOW, -60)]},
        {"loads": [seen(NOW, 1800), seen(NOW, 90_000)]},
        {"loads": [seen(NOW, None)]},
        {"meters": [MeterSeen("meter", 8, 8, 8, 8, 8, None)]},
        {"refusals": [Refusal("malformed", NOW, 3)]},
        # The newest load is of before the new roster: it could not count by it.
        {"roster": 2, "roster_since": NOW},
        {"decided": {"released": 80, "too_late": 20}},
        {"decided": {"too_late": 19}},
    ],
)
def test_what_is_just_within_its_limit_is_no_finding(changes):
    assert names(fleet(street(**changes))) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"waits_since": NOW - 3601, "waiting": 1}, "releases-wait"),
        ({"prune": Chore(NOW - 3 * DAY - 1, "")}, "prune"),
        ({"prune": None}, "prune"),
        ({"free_bytes": 999_999_999}, "disk"),
        ({"rosters_usable": False}, "rosters"),
    ],
)
def test_each_thing_that_is_wrong_with_the_deployment_is_one_finding(changes, name):
    assert names(fleet(**changes)) == [name]


def test_nothing_is_to_be_pruned_where_there_is_no_row():
    assert names(fleet(prune=None, rows=False)) == []


def test_a_finding_keeps_its_name_while_its_numbers_change_and_names_no_account():
    account = pseudonym("north", 0)
    for missing in (1, 5):
        found = findings(fleet(street(meters=[MeterSeen(account, 8, 8 - missing, 0, 0, 0, None)])), LIMITS)
        assert [each.name for each in found] == ["windows:north"]
        assert account not in found[0].said


# --- What is asked of the database ----------------------------------------------------------------------------------


def admit_all(pages, documents, arrived):
    return admit(pages.store, [judge(each, pages.bench.book, DEPLOYMENT) for each in documents], arrived)


@pytest.fixture
def looked(pages, tmp_path):
    config = load_mdms_config(tmp_path / "mdms.toml")

    def one(now, limits=LIMITS):
        found = look(config, pages.store, pages.bench.book, limits, now)
        return found, {each.name: each for each in found.streets}

    return one


def test_when_a_load_came_is_kept_and_its_lateness_is_told(pages, looked, north):
    for at, late in enumerate((310, 305, 900)):
        start = MARCH + at * INTERVAL
        admit_all(pages, [north.load(start, contributors=range(11))], start + INTERVAL + late)
    found, streets = looked(MARCH + 3600)
    timing = streets["north"].timing()
    assert dataclasses.astuple(timing) == (305, 310, 900, 3)
    assert streets["north"].heard == MARCH + 3 * INTERVAL
    assert (streets["north"].newest.contributors, streets["north"].reported_roster) == (11, 1)
    assert streets["south"].newest is None
    assert (found.waiting, found.waits_since) == (3, MARCH + INTERVAL)


def test_a_load_through_the_door_gets_the_time(pages, north):
    pages.ingest(north.load())
    [row] = pages.store.ask(select(interval_loads.c.arrived))
    assert abs(row.arrived - time.time()) < 60


def test_the_clock_of_a_simulation_is_not_mixed_with_the_machines(bench, tmp_path, north):
    from pages_bench import BenchPages

    pages = BenchPages(bench, tmp_path, clock="conducted:127.0.0.1:1", unsafe_simulated_clock=True)
    pages.ingest(north.load())
    assert pages.store.ask(select(interval_loads.c.arrived))[0].arrived is None
    text = pages.signed_in("ope").get("/operator/").text
    assert "Time is simulated" in text
    assert "900 s" not in text
    pages.close()


def test_missing_and_empty_windows_are_counted_by_account(pages, looked, north):
    # Ten days on, the windows of the first two days are due.
    starts = range(MARCH, MARCH + 2 * DAY, WINDOW_S)
    documents = [north.window(start, 0, empty=start == MARCH) for start in starts]
    documents += [north.window(start, 1) for start in list(starts)[:-3]]
    documents += [north.window(MARCH + 9 * DAY, 1, quality=0x02)]
    admit_all(pages, documents, NOW)
    _, streets = looked(NOW)
    by_name = {each.pseudonym: each for each in streets["north"].meters}
    first, second, third = (by_name[pseudonym("north", at)] for at in range(3))
    assert (first.expected, first.missing, first.empty) == (16, 0, 1)
    assert (second.missing, second.newest) == (3, MARCH + 9 * DAY + WINDOW_S)
    assert (third.missing, third.newest) == (16, None)
    assert [each.pseudonym for each in streets["north"].behind()[-2:]] == [second.pseudonym, first.pseudonym]


def test_what_a_rostered_concentrator_sent_and_was_refused_is_counted_and_a_strangers_is_not(pages, looked, north):
    stranger = generate_signing_key()
    refused = [north.load(roster_version=9), north.load(roster_version=8), north.sign("nonsense", b"{}")]
    verdicts = admit_all(pages, [*refused, north.load(key=stranger)], NOW)
    assert {each.verdict for each in verdicts} == {"refused"}
    admit_all(pages, [north.load(roster_version=9)], NOW + 5)
    kept = {row.reason: (row.number, row.first, row.last) for row in pages.store.ask(select(refusals))}
    assert kept == {"unknown roster version": (3, NOW, NOW + 5), "malformed": (1, NOW, NOW)}
    assert [row.signer for row in pages.store.ask(select(refusals))] == [key_id(north.key)] * 2
    _, streets = looked(NOW + 10)
    assert {each.reason for each in streets["north"].refusals} == set(kept)
    assert streets["south"].refusals == []
    _, streets = looked(NOW + DAY + 6)
    assert streets["north"].refusals == []


def test_a_flood_of_reasons_fills_no_table(pages, north):
    wild = [north.sign(f"type {at}", b"{}") for at in range(50)]
    wild += [north.sign("interval-load", b'{"x%d": 1}' % at) for at in range(50)]
    admit_all(pages, wild, NOW)
    assert [(row.reason, row.number) for row in pages.store.ask(select(refusals))] == [("malformed", 100)]


def test_an_old_roster_is_seen_in_the_newest_load(bench, pages, tmp_path, north):
    admit_all(pages, [north.load(NOW - INTERVAL)], NOW)
    roster = north.make_roster(2, NOW - DAY, [*north.members, Member(pseudonym("north", 99), NOW - DAY)])
    from mdms.rosters import RosterBook

    book = RosterBook([north.roster, roster, bench.south.roster])
    config = load_mdms_config(tmp_path / "mdms.toml")
    found = look(config, pages.store, book, LIMITS, NOW)
    assert "roster:north" in names(found)


# --- The pages ------------------------------------------------------------------------------------------------------


def test_the_fleets_page_says_what_is_wrong_and_shows_no_energy(pages, north):
    pages.ingest(north.load(), north.window())
    text = pages.signed_in("ope").get("/operator/").text
    assert "No load for" in text
    assert text.count("<section class") == 4, "two neighbourhoods, the key holder, the detail"
    assert "kWh" not in text
    assert "never" in text, "nothing was pruned yet"
    note_done(pages.store, "prune", int(time.time()), "7 rows older than 400 days deleted")
    assert "7 rows older" in pages.signed_in("ope").get("/operator/").text


def test_a_neighbourhoods_page_names_who_is_behind_by_pseudonym(pages, north):
    text = pages.signed_in("ope").get("/operator/neighbourhoods/north/").text
    assert pseudonym("north", 0) in text, "no window of it ever came"
    assert pseudonym("south", 0) not in text
    assert pages.signed_in("ope").get("/operator/neighbourhoods/nowhere/").status_code == 404


def test_a_conflict_is_listed_until_somebody_looked_into_it_and_that_is_noted(pages, north):
    client = pages.client()
    pages.ingest(north.load())
    import msgspec

    from protocol.reports import Batch

    body = msgspec.json.encode(Batch([north.load(contributors=range(10))]))
    client.post("/api/v1/reports", data=body, content_type="application/json")
    operator = pages.signed_in("ope")
    page = "/operator/neighbourhoods/north/"
    text = operator.get(page).text
    assert "another load of this interval is stored" in text
    (url,) = {part.split('"')[0] for part in text.split('action="')[1:] if part.startswith("/operator/conflicts/")}
    form = {"csrf_token": token_of(operator, page), "street": "north"}
    answer = operator.post(url, data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, page)
    assert "another load of this interval" not in operator.get(page).text
    assert operator.post(url, data=form).status_code == 404
    log = operator.get("/operator/log").text
    assert "looked into a conflict" in log
    assert ">ope<" in log


def test_the_api_tells_an_operator_the_same_and_only_of_what_is_theirs(bench, tmp_path):
    from api_bench import BenchApi

    api = BenchApi(bench, tmp_path)
    api.fill()
    whole = api.get("/fleet", "operator").get_json()
    assert {each["name"] for each in whole["neighbourhoods"]} == {"north", "south"}
    assert "silent:south" in {each["name"] for each in whole["findings"]}
    part = api.get("/fleet", "operator of north").get_json()
    assert {each["name"] for each in part["neighbourhoods"]} == {"north"}
    assert "south" not in str(part)
    for other in ("supplier", "third-party", "auditor"):
        assert api.get("/fleet", other).status_code == 403
    api.close()


def test_an_operator_whose_role_was_changed_is_out(pages):
    client = pages.signed_in("ope")
    assert client.get("/operator/").status_code == 200
    add_user(pages.store, "ope", "supplier", PASSWORD)
    assert client.get("/operator/").status_code == 302


def test_a_planted_finding_without_its_limit_is_seen(monkeypatch):
    from mdms.fleet import rules

    monkeypatch.setattr(rules, "OF_A_STREET", tuple(each for each in rules.OF_A_STREET if each is not rules._silent))
    with pytest.raises(AssertionError):
        test_each_thing_that_is_wrong_with_a_neighbourhood_is_one_finding({"newest": None, "loads": []}, "silent:north")


def test_rows_of_before_arrivals_were_kept_are_no_guess(pages, looked, north):
    admit_all(pages, [north.load()], MARCH + INTERVAL)
    pages.store.write(lambda it: it.execute(update(interval_loads).values(arrived=None)))
    _, streets = looked(MARCH + 3600)
    assert streets["north"].timing() is None


def test_whoever_looks_every_minute_counts_the_windows_now_and_then(pages, tmp_path, north):
    from mdms.fleet.questions import CountedWindows

    config, counted = load_mdms_config(tmp_path / "mdms.toml"), CountedWindows(600)

    def missing(now):
        found = look(config, pages.store, pages.bench.book, LIMITS, now, counted)
        return sum(each.missing for each in found.streets[0].meters)

    before = missing(NOW)
    admit_all(pages, [north.window(MARCH, 0)], NOW)
    assert missing(NOW + 599) == before
    assert missing(NOW + 600) == before - 1


@pytest.mark.parametrize("until", [None, 0, 1, 50, 99, 100, 101, 10**6])
@pytest.mark.parametrize("first", [0, 1, 50, 99, 100, 10**6])
def test_what_a_tenancy_covers_is_counted_as_it_would_be_one_by_one(first, until):
    from mdms.fleet.questions import _covered
    from protocol.rosters import Tenancy

    tenancy, starts = Tenancy("x", "north", first, first, until), range(0, 100, 3)
    assert _covered(tenancy, starts) == sum(tenancy.covers(start) for start in starts)


def test_a_window_that_is_not_due_yet_hides_none_that_is_missing(pages, looked, north):
    # An hour into a window: what has come of it does not stand in for the one before.
    due = NOW - 8 * DAY
    admit_all(pages, [north.window(start) for start in range(MARCH, due - WINDOW_S, WINDOW_S)], NOW)
    admit_all(pages, [north.window(due)], NOW)
    _, streets = looked(NOW + 3600)
    first = next(each for each in streets["north"].meters if each.pseudonym == pseudonym("north", 0))
    assert (first.expected, first.missing) == (16, 1)
