"""Rosters: the operator's word on who makes a neighbourhood."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_bench import KEY, OTHER_KEY, vectors

from protocol.documents import BadSignature, DocumentError, canonical_json, key_id, parse, sign, to_base64url
from protocol.rosters import (
    ROSTER,
    Member,
    Roster,
    check_versions,
    most_mwh,
    open_roster,
    sign_roster,
    tenancies,
)

DEPLOYMENT = "elm-street"
PLAIN = json.loads(
    bytes.fromhex(next(c["content"] for c in vectors("documents.json")["rosters"] if c["because"] == "a roster"))
)
GOOD = parse(json.dumps(PLAIN).encode(), Roster)


def opened(**altered):
    content = json.dumps({**PLAIN, **altered}).encode()
    return open_roster(sign(KEY, ROSTER, DEPLOYMENT, content), DEPLOYMENT, KEY)


def test_a_roster_comes_back_as_the_operator_signed_it():
    assert open_roster(sign_roster(KEY, DEPLOYMENT, GOOD), DEPLOYMENT, KEY.public_key()) == GOOD


def test_a_roster_of_another_operator_or_deployment_is_refused():
    document = sign_roster(KEY, DEPLOYMENT, GOOD)
    for deployment, key in (("oak-street", KEY), (DEPLOYMENT, OTHER_KEY)):
        with pytest.raises(BadSignature):
            open_roster(document, deployment, key)


def test_a_document_of_another_type_is_no_roster_even_with_a_rosters_content():
    document = sign(KEY, "interval-load", DEPLOYMENT, canonical_json(GOOD))
    with pytest.raises(DocumentError, match="not a roster"):
        open_roster(document, DEPLOYMENT, KEY)


def test_every_missing_member_of_a_roster_is_refused():
    for name in PLAIN:
        content = json.dumps({key: value for key, value in PLAIN.items() if key != name}).encode()
        with pytest.raises(DocumentError, match=name):
            open_roster(sign(KEY, ROSTER, DEPLOYMENT, content), DEPLOYMENT, KEY)


@pytest.mark.parametrize(
    "zone",
    [
        "",
        ".",
        "..",
        "/",
        "America",
        "Europe/",
        "Europe/Berlin/",
        "europe/berlin",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/Berlin\x00",
        "Europe/Berlin\n",
        "tzdata.zi",
        "zone.tab",
        "__init__.py",
        "a" * 300,
        "a/" * 3000,
        "é",
    ],
)
def test_what_names_no_time_zone_is_refused_with_a_short_reason(zone):
    with pytest.raises(DocumentError, match="no such time zone") as caught:
        opened(zone=zone)
    assert len(str(caught.value)) < 100


@given(st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_fuzz_any_text_for_a_zone_is_a_zone_or_a_document_error(zone):
    try:
        assert str(opened(zone=zone).tz()) == zone
    except DocumentError as error:
        assert "no such time zone" in str(error)


def test_a_zone_gives_its_wall_clock():
    assert str(opened(zone="Asia/Kathmandu").tz()) == "Asia/Kathmandu"


def test_the_concentrators_key_is_the_one_that_signs_its_reports():
    assert key_id(GOOD.concentrator_key()) == key_id(opened().concentrator_key())


@pytest.mark.parametrize("data", [b"", bytes(31), b"\xff" * 32])
def test_a_concentrator_without_a_key_is_refused(data):
    with pytest.raises(DocumentError):
        opened(concentrator=to_base64url(data))


def test_a_members_place_is_its_place_in_the_list():
    names = [member.pseudonym for member in GOOD.members]
    assert [GOOD.index(name) for name in names] == list(range(len(names)))
    assert GOOD.index("A" * 21 + "w") is None


def test_a_meter_that_stands_on_the_roster_twice_is_refused_wherever_it_stands():
    members = PLAIN["members"]
    for again in range(len(members)):
        with pytest.raises(DocumentError, match="twice"):
            opened(members=[*members, {**members[again], "since": 0}])


@pytest.mark.parametrize(
    "member",
    [
        {},
        {"pseudonym": "A" * 22},
        {"since": 0},
        {"pseudonym": "A" * 21, "since": 0},
        {"pseudonym": "A" * 23, "since": 0},
        {"pseudonym": "A" * 21 + "=", "since": 0},
        {"pseudonym": "A" * 22, "since": -1},
        None,
        "A" * 22,
        {"pseudonym": "A" * 22, "since": 0, "name": "x"},
    ],
)
def test_a_member_that_is_none_is_refused(member):
    with pytest.raises(DocumentError):
        opened(members=[member])


def test_a_roster_may_name_100000_meters_and_not_one_more():
    members = [{"pseudonym": to_base64url(n.to_bytes(16, "big")), "since": 0} for n in range(100_001)]
    whole = parse(json.dumps({**PLAIN, "members": members[:-1]}).encode(), Roster)
    assert whole.members[-1] == Member(members[-2]["pseudonym"], 0)
    with pytest.raises(DocumentError):
        parse(json.dumps({**PLAIN, "members": members}).encode(), Roster)


# --- Versions -----------------------------------------------------------------------------------------------------

THREE = [Member(letter * 21 + "A", 86_400) for letter in "abc"]


def version(number, members=THREE, **changes):
    facts = {"version": number, "valid_from": 86_400 * number, "members": members, "zone": "UTC", **changes}
    return Roster(**{name: getattr(GOOD, name) for name in Roster.__struct_fields__} | facts)


def test_a_tenancy_lasts_from_its_first_window_to_the_first_version_without_it():
    late = Member("d" * 21 + "A", 2 * 86_400 + 3601)
    found = {one.pseudonym[0]: one for one in tenancies([version(1), version(2, [*THREE[1:], late])])}
    assert {name: (one.first_window, one.until) for name, one in found.items()} == {
        "a": (86_400, 2 * 86_400),
        "b": (86_400, None),
        "c": (86_400, None),
        "d": (2 * 86_400, None),
    }
    assert [found["a"].covers(at) for at in (86_399, 86_400, 2 * 86_400 - 1, 2 * 86_400)] == [False, True, True, False]
    assert found["b"].covers(1 << 31)


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (version(1, THREE[1:], valid_from=2 * 86_400), "call themselves"),
        (version(2, valid_from=86_400), "valid no later"),
        (version(2, zone="Europe/Berlin"), "another time zone"),
    ],
)
def test_versions_that_contradict_each_other_are_refused(later, reason):
    check_versions([version(1), version(3)])
    with pytest.raises(DocumentError, match=reason):
        check_versions([version(1), later])


def test_a_tenancy_neither_moves_nor_comes_back():
    moved = [Member(THREE[0].pseudonym, 86_401), *THREE[1:]]
    for versions, reason in (
        ([version(1), version(2, moved)], "moves the since"),
        ([version(1), version(2, THREE[1:]), version(3)], "brings back"),
    ):
        with pytest.raises(DocumentError, match=reason):
            list(tenancies(versions))


def test_the_most_energy_is_power_times_time_rounded_down():
    assert most_mwh(20_000, 900) == 5_000_000
    assert (most_mwh(1, 3), most_mwh(1, 4), most_mwh(1, 0)) == (0, 1, 0)
