"""Ingest: signed reports are accepted once, each with its own verdict, durable before the answer."""

import json

import pytest
from mdms_bench import DAY, DEPLOYMENT, INTERVAL, MARCH, Bench, pseudonym, row
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mdms.ingest import entries
from mdms.ingest.judgement import judge
from mdms.portal.questions import rows_behind
from mdms.records.documents import document_of
from mdms.records.loads import undecided_loads
from mdms.records.sealed import rows_of
from mdms.rosters import RosterBook
from mdms.tables import conflicts
from mdms.tables import reports as report_table
from protocol import documents, reports, wire
from protocol.documents import document_id, generate_signing_key, to_base64url
from protocol.rosters import Member
from protocol.windows import WINDOW_S

ME = pseudonym("north", 0)
ANOTHER_ROW = "another row of this meter, salt and counter is stored"


def test_every_kind_of_report_is_stored(web, north):
    sent = [
        north.load(),
        north.load(MARCH + INTERVAL, contributors=range(3), ciphertext=None),
        north.window(),
        north.window(MARCH + WINDOW_S, empty=True),
        north.segment([row(1), row(2)]),
    ]
    assert web.verdicts(sent) == ["stored"] * 5
    answer = web.post(sent).get_json()["verdicts"]
    assert [item["id"] for item in answer] == [document_id(d.type, DEPLOYMENT, d.content_bytes()) for d in sent]


def test_the_same_report_again_is_a_duplicate(web, north):
    sent = [north.load(), north.window(), north.segment([row(1)])]
    assert web.verdicts(sent) == ["stored"] * 3
    assert web.verdicts(sent) == ["duplicate"] * 3
    assert web.verdicts([*sent, *sent]) == ["duplicate"] * 6
    assert web.verdicts([north.load(MARCH + INTERVAL)] * 2)[0] == "stored"


def test_another_report_of_the_same_thing_is_set_aside(web, north):
    first = [north.load(), north.window()]
    other = [north.load(contributors=range(10)), north.window(import_mwh=2)]
    assert web.verdicts(first) == ["stored"] * 2
    assert web.verdicts(other) == ["conflict"] * 2
    assert web.verdicts(other) == ["conflict"] * 2
    assert web.verdicts(first) == ["duplicate"] * 2
    aside = web.store.ask(select(conflicts))
    assert {document_of(row) for row in aside} == set(other)
    assert [load.document for load in undecided_loads(web.store, MARCH + DAY)] == [first[0]]


def test_a_report_is_kept_as_the_exact_bytes_that_were_signed(web, north):
    spaced = b" " + north.load().content_bytes() + b"\n"
    sent = north.sign(reports.INTERVAL_LOAD, spaced)
    assert web.verdicts([sent]) == ["stored"]
    [kept] = web.store.ask(select(report_table))
    assert (bytes(kept.content), kept.signature, kept.signer) == (spaced, sent.signature, sent.signer)
    assert undecided_loads(web.store, MARCH + DAY)[0].document == sent


def test_one_bad_report_blocks_nothing(web, north):
    sent = [north.load(), north.load(key=generate_signing_key()), north.window()]
    assert web.verdicts(sent) == ["stored", "refused", "stored"]


def test_a_stranger_is_unknown_and_a_changed_report_is_badly_signed(web, north):
    load = north.load()
    assert web.reasons([north.load(key=generate_signing_key())]) == ["unknown concentrator"]
    forged = documents.Document(load.type, north.window().content, load.signer, load.signature)
    assert web.reasons([forged]) == ["bad signature"]
    elsewhere = documents.sign(north.key, load.type, "elsewhere", load.content_bytes())
    assert web.reasons([elsewhere]) == ["bad signature"]


def test_a_concentrator_speaks_for_its_own_neighbourhood_only(web, north, south):
    wrong = "wrong concentrator for this neighbourhood"
    sent = [
        north.load(key=south.key),
        north.window(key=south.key),
        north.segment([row(1)], key=south.key),
        south.load(neighbourhood="nowhere"),
    ]
    assert web.reasons(sent) == [wrong] * 4


def test_what_a_roster_does_not_say_is_refused_with_its_reason(web, north, south):
    theirs = pseudonym("south", 0)
    ten = {"contributors": range(10)}
    expected = {
        "unknown roster version": north.load(roster_version=2),
        "wrong paillier key": north.load(paillier_key=south.public.fingerprint),
        "contributor not on the roster": bitmap(north, bytes([0xFF, 0xF3])),
        "contributors: the bitmap is not the roster's length": bitmap(north, bytes([0xFF])),
        "pseudonym not on the roster": north.window(pseudonym=theirs),
        "interval or window misaligned": north.load(interval_start=MARCH + 1),
        "ciphertext out of range": north.load(ciphertext=north.raw(0), **ten),
        "a register from after the window's end": north.window(register_to=MARCH + WINDOW_S + 1),
        "no such type of report: roster": north.sign("roster", north.load().content_bytes()),
    }
    assert web.reasons(list(expected.values())) == list(expected)


def bitmap(street, bits):
    content = json.loads(street.load().content_bytes())
    changed = {**content, "contributors": to_base64url(bits)}
    return street.sign(reports.INTERVAL_LOAD, json.dumps(changed).encode())


def test_misaligned_intervals_and_windows_are_refused(web, north):
    bad = [
        north.load(interval_s=300),
        north.load(interval_start=MARCH + 300),
        north.window(window_start=MARCH + 3600, window_end=MARCH + 3600 + WINDOW_S, register_from=MARCH),
        north.window(window_end=MARCH + WINDOW_S + 3600),
        north.window(interval_s=300),
        north.window(expected=13),
        north.window(MARCH + WINDOW_S, expected=11, present=11),
    ]
    assert set(web.reasons(bad)) == {"interval or window misaligned"}
    first = north.window(expected=11, present=11)
    assert web.verdicts([first]) == ["stored"], "a first window may have begun before the meter was there"


def test_a_window_from_before_the_tenancy_is_refused(web, north):
    assert web.reasons([north.window(MARCH - WINDOW_S)]) == ["pseudonym not on the roster"]


def test_ciphertexts_that_are_none_are_refused(web, north):
    n, most = north.public.n, north.public.n_squared
    bad = [0, 1, most - 1, most, 1 + 5 * n, north.private.p * 3]
    loads = [north.load(ciphertext=north.raw(c)) for c in bad]
    windows = [north.window(energy=north.raw(c)) for c in bad]
    registers = [north.window(closing_register=north.raw(c)) for c in bad]
    sent = [*loads, *windows, *registers, north.load(ciphertext="A"), north.load(ciphertext="A" * 100_000)]
    assert set(web.reasons(sent)) == {"ciphertext out of range"}


def test_content_that_is_not_its_type_is_refused(web, north):
    for content in (b"", b"{}", b"[" * 50_000, b"\xff", b'{"neighbourhood":"\xff"}', b"1" * 5000, b"1.5", b"null"):
        [item] = web.post([north.sign(reports.INTERVAL_LOAD, content)]).get_json()["verdicts"]
        assert item["verdict"] == "refused", content
        assert item["reason"], content


def test_rows_are_stored_once_and_given_back_in_order(web, north):
    assert web.verdicts([north.segment([row(3), row(2)])]) == ["stored"]
    assert web.verdicts([north.segment([row(1), row(2)])]) == ["stored"], "a row that is there is no harm"
    assert web.verdicts([north.segment([row(9, epoch=20_512)])]) == ["stored"]
    assert list(rows_of(web.store, ME)) == [row(9, epoch=20_512), row(1), row(2), row(3)]
    assert list(rows_of(web.store, pseudonym("north", 1))) == []


def test_another_row_under_the_same_number_is_a_conflict(web, north):
    other = row(2, blob=b"x" * 66)
    assert web.verdicts([north.segment([row(1), row(2)])]) == ["stored"]
    assert web.verdicts([north.segment([row(3), other])]) == ["conflict"]
    assert web.verdicts([north.segment([row(5), row(5, blob=b"y" * 66)])]) == ["conflict"]
    assert web.verdicts([north.segment([row(1)], meter=1)]) == ["conflict"], "another tenancy's row"
    assert list(rows_of(web.store, ME)) == [row(1), row(2)], "nothing of a conflicting segment is stored"
    assert len(web.store.ask(select(conflicts))) == 3


@pytest.mark.parametrize("order", ["live first", "hour first", "no live at all", "in one batch"])
def test_a_row_is_stored_once_whichever_way_it_comes_first(web, north, order):
    rows = [row(number) for number in range(1, 5)]
    live, hour = [north.segment([each]) for each in rows[:3]], north.segment(rows)
    if order == "live first":
        assert web.verdicts(live) == ["stored"] * 3
        assert web.verdicts([hour]) == ["stored"], "it has a row that did not come live"
        assert web.verdicts([hour]) == ["duplicate"]
    elif order == "hour first":
        assert web.verdicts([hour]) == ["stored"]
        assert web.verdicts(live) == ["duplicate"] * 3
    elif order == "in one batch":
        assert web.verdicts([*live, hour, *live]) == ["stored"] * 4 + ["duplicate"] * 3
    else:
        assert web.verdicts([hour, hour]) == ["stored", "duplicate"]
    assert list(rows_of(web.store, ME)) == rows
    assert [number for number, _ in rows_behind(web.store, ME, 0)] == [1, 2, 3, 4], "a page is given each once"


def test_an_hour_that_contradicts_a_live_row_names_it_every_time_it_comes(web, north):
    assert web.verdicts([north.segment([row(2)])]) == ["stored"]
    other = north.segment([row(1), row(2, blob=b"x" * 66)])
    for _ in range(2):
        [item] = web.post([other]).get_json()["verdicts"]
        assert (item["verdict"], item["reason"]) == ("conflict", f"{ANOTHER_ROW}: {row(2)[12:16].hex()}/2")
    assert list(rows_of(web.store, ME)) == [row(2)]
    assert len(web.store.ask(select(conflicts))) == 1, "kept aside once"


def test_rows_of_the_highest_counter_are_stored(web, north):
    highest = row((1 << 64) - 1)
    assert web.verdicts([north.segment([highest, row(0)])]) == ["stored"]
    assert list(rows_of(web.store, ME)) == [row(0), highest]


def test_rows_that_are_none_are_refused(web, north):
    bad = {
        "row has 89 bytes, not 90": row(1)[:-1],
        "row: not a DETAIL": row(1, kind=wire.READING),
        "row: unknown version": b"\x02" + row(1)[1:],
    }
    assert web.reasons([north.segment([data]) for data in bad.values()]) == list(bad)
    assert web.reasons([north.segment([row(1), row(2, title=b"METER--2")])]) == ["rows of more than one meter"]


def test_a_batch_is_whole_or_not_at_all(web, north, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(entries, "_window", crash)
        with pytest.raises(KeyboardInterrupt):
            web.post([north.load(), north.window()])
    assert undecided_loads(web.store, MARCH + DAY) == []
    assert web.verdicts([north.load(), north.window()]) == ["stored"] * 2


def test_two_uploads_at_the_same_time_store_once(web, north, monkeypatch):
    # The other upload commits between this one's look and its insert: the unique key makes it look again.
    load = north.load()
    real = entries.Entries.write
    raced = []

    def slow(noted):
        if not raced:
            raced.append(noted)
            raise IntegrityError("insert", {}, Exception("unique"))
        real(noted)

    monkeypatch.setattr(entries.Entries, "write", slow)
    assert web.verdicts([load]) == ["stored"]
    assert web.verdicts([load]) == ["duplicate"]


def test_a_later_roster_version_may_be_used_before_the_mdms_asks_about_time():
    bench = Bench()
    street = bench.north
    wider = [*street.members, Member(to_base64url(b"newcomer" * 2), MARCH + 31 * DAY)]
    book = RosterBook([street.roster, street.make_roster(2, MARCH + 31 * DAY, wider)])
    arrival = judge(street.load(MARCH + 31 * DAY, contributors=range(13), size=13, roster_version=2), book, DEPLOYMENT)
    assert (arrival.contributors, arrival.expected) == (13, 13)


def test_a_judgement_never_raises_whatever_was_signed(north, bench):
    content = north.window().content_bytes()
    for at in range(0, len(content), 7):
        for byte in (b"", b"\x00", b"\xff", b"-", b'"', b"9" * 30):
            document = north.sign(reports.BILLING_WINDOW, content[:at] + byte + content[at + 1 :])
            judge(document, bench.book, DEPLOYMENT)
