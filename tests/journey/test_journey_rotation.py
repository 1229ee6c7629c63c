"""The whole chain over a change of Paillier keys: the concentrator's reports, the MDMS's judgement, the key holder.

A street lives through two days that are billed each. One home is away over the change between them, so that its gap is
closed under the former key. Bills and loads of both days are opened by the key holder's own code and compared with the
meters' registers.
"""

import sys
from pathlib import Path

import msgspec
import pytest

from mdms.ingest.judgement import Arrival, judge
from mdms.keyholder.gate import Gate, Policy
from mdms.keyholder.keyring import hold
from mdms.periods import parse_periods
from mdms.rosters import load_rosters
from mdms.tariffs import NO_TARIFFS
from protocol import documents, reports

for room in ("gateway", "mdms"):
    sys.path.append(str(Path(__file__).parent.parent / room))

from gateway_bench import DEPLOYMENT, HOUR, IDENTITY, INTERVAL, NAME, OPERATOR, PRIVATE  # noqa: E402
from key_change_bench import SECOND, Street  # noqa: E402
from mdms_bench import BenchHolder  # noqa: E402

START = 1_772_323_200  # 2026-03-01T00:00Z
DAY = 86_400
CHANGE = START + DAY
END = START + 2 * DAY
AWAY = range(CHANGE - 2 * HOUR, CHANGE + HOUR)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A street that was cut for bills by the day: (street, its signed documents, its book)."""
    folder = tmp_path_factory.mktemp("rotation")
    street = Street(folder, homes=4)
    street.live(START, START + HOUR)
    assert street.rotate(CHANGE, SECOND) == []
    away = street.meters[0]
    street.live(START + HOUR, END, missing=lambda home, start: home is away and start in AWAY)
    street.close(END + 9 * DAY)
    rows = street.ledger.execute("SELECT document FROM outbox ORDER BY seq").fetchall()
    signed = [msgspec.json.decode(row[0], type=documents.Document) for row in rows]
    book = load_rosters(street.deployment.folder / "rosters", DEPLOYMENT, OPERATOR.public_key())
    yield street, signed, book
    street.stop()


@pytest.fixture
def holder(lived, tmp_path):
    _, _, book = lived
    policy = Policy(3, parse_periods("day"), ("unsafe_short_periods",))
    keyring = {key.public.fingerprint: hold(key) for key in (PRIVATE, SECOND)}
    made = BenchHolder(tmp_path, END + 10 * DAY, policy, book, NO_TARIFFS, keyring, documents.generate_signing_key())
    yield made
    made.close()


def windows_of(signed, book, home):
    """The documents of a home's windows by their start, as the MDMS has judged them."""
    found = {}
    for document in signed:
        if document.type == reports.BILLING_WINDOW:
            arrival = judge(document, book, DEPLOYMENT)
            assert isinstance(arrival, Arrival), arrival
            if arrival.report.pseudonym == home.pseudonym:
                found[arrival.report.window_start] = document
    return found


def bills(holder, signed, book, home):
    windows = windows_of(signed, book, home)
    answers = []
    for day in (START, CHANGE):
        of_day = [document for start, document in sorted(windows.items()) if day <= start < day + DAY]
        answers.append(holder.bill(of_day, home.pseudonym, day))
    return answers


def test_bills_over_the_change_are_the_registers_and_nothing_is_lost(lived, holder):
    street, signed, book = lived
    for home in street.meters:
        first, second = bills(holder, signed, book, home)
        boundary = CHANGE if home is not street.meters[0] else AWAY.start
        for answer, since, until in ((first, START, boundary), (second, boundary, END)):
            assert answer["status"] == "released", answer
            assert answer["import_mwh"] == home.at[until][0] - home.at[since][0]
            assert answer["export_mwh"] == home.at[until][1] - home.at[since][1]


def test_only_the_bill_of_the_gap_has_a_part_under_the_former_key_and_tells_the_total_alone(lived, holder):
    street, signed, book = lived
    away, whole, *_ = street.meters
    keys = [[one.get("paillier_key") for one in answer["sums"]] for answer in bills(holder, signed, book, whole)]
    assert keys == [[PRIVATE.public.fingerprint], [SECOND.public.fingerprint]]
    first, second = bills(holder, signed, book, away)
    assert first["sums"][0]["paillier_key"] == PRIVATE.public.fingerprint
    [total] = second["sums"]
    assert not {"root", "batch", "paillier_key"} & total.keys()


def test_loads_on_both_sides_of_the_change_are_opened(lived, holder):
    street, signed, book = lived
    loads = {}
    for document in signed:
        if document.type == reports.INTERVAL_LOAD:
            arrival = judge(document, book, DEPLOYMENT)
            assert isinstance(arrival, Arrival), arrival
            loads[arrival.report.interval_start] = document
    holder.clock.now = END
    for start in (CHANGE - INTERVAL, CHANGE, END - INTERVAL):
        answer = holder.load(loads[start])
        assert (answer["status"], answer["import_mwh"], answer["export_mwh"]) == ("released", *street.used[start])


def test_a_window_of_after_the_change_under_the_former_key_is_refused_without_its_gap(lived, holder):
    street, signed, book = lived
    home = street.meters[0]
    windows = windows_of(signed, book, home)
    content = msgspec.json.decode(windows[CHANGE].content_bytes())
    assert content["paillier_key"] == PRIVATE.public.fingerprint
    content["register_from"] = CHANGE
    forged = documents.sign(IDENTITY, reports.BILLING_WINDOW, DEPLOYMENT, documents.canonical_json(content))
    assert judge(forged, book, DEPLOYMENT).reason == "wrong paillier key"
    windows[CHANGE] = forged
    of_day = [document for start, document in sorted(windows.items()) if CHANGE <= start < CHANGE + DAY]
    assert holder.bill(of_day, home.pseudonym, CHANGE)["status"] == "wrong_key"


def test_a_gate_that_goes_by_the_windows_time_alone_turns_a_test_red(lived, holder, monkeypatch):
    monkeypatch.setattr(Gate, "_roster_at", lambda gate, report, _: gate._book.in_force(NAME, report.window_start))
    with pytest.raises(AssertionError):
        test_bills_over_the_change_are_the_registers_and_nothing_is_lost(lived, holder)
