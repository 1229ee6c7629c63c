"""The door for a concentrator that must be restored: its own newest reports, for a signed question, nobody else's."""

import time

import msgspec
import pytest
from mdms_bench import DEPLOYMENT, INTERVAL, MARCH, METERS, pseudonym

from mdms.ingest.standing import NotAnswered, admit_request
from mdms.rosters import RosterBook
from protocol import documents
from protocol.documents import generate_signing_key
from protocol.standing import FRESH_S, METERS_AT_ONCE, STANDING_REQUEST, Standing, StandingRequest
from protocol.windows import WINDOW_S


def ask(web, document):
    return web.client.post("/api/v1/standing", data=msgspec.json.encode(document), content_type="application/json")


def question(street, asked=None, after="", key=None, kind=STANDING_REQUEST, **changes):
    request = StandingRequest(street.name, int(time.time()) if asked is None else asked, after)
    return street.sign(kind, msgspec.structs.replace(request, **changes), key)


def standing(web, document):
    answer = ask(web, document)
    assert answer.status_code == 200, answer.get_data()
    return msgspec.json.decode(answer.get_data(), type=Standing)


def test_the_newest_load_and_windows_come_back_as_they_were_signed(web, north):
    loads = [north.load(), north.load(MARCH + INTERVAL)]
    windows = [north.window(), north.window(MARCH + WINDOW_S), north.window(MARCH + 2 * WINDOW_S, empty=True)]
    only_empty = north.window(meter=1, empty=True)
    assert set(web.verdicts([*loads, *windows, only_empty])) == {"stored"}
    found = standing(web, question(north))
    assert (found.load, found.more) == (loads[1], False)
    meters = {meter.pseudonym: (meter.newest, meter.newest_filled) for meter in found.meters}
    assert meters == {
        pseudonym("north", 0): (windows[2], windows[1]),
        pseudonym("north", 1): (only_empty, None),
    }


def test_a_neighbourhood_without_reports_has_an_empty_standing(web, north):
    assert standing(web, question(north)) == Standing(None, [], False)


def test_only_the_neighbourhoods_own_concentrator_is_answered(web, north, south):
    web.verdicts([north.load(), north.window()])
    for document, reason in (
        (question(north, key=generate_signing_key()), "unknown concentrator"),
        (question(north, key=south.key), "wrong concentrator for this neighbourhood"),
        (question(north, neighbourhood="nowhere"), "wrong concentrator for this neighbourhood"),
        (question(north, kind="interval-load"), "not a standing request"),
        (documents.sign(north.key, STANDING_REQUEST, "elsewhere", question(north).content_bytes()), "bad signature"),
        (north.sign(STANDING_REQUEST, b"{}"), "content is not what its type says"),
    ):
        answer = ask(web, document)
        assert answer.status_code == 403
        assert answer.get_json()["detail"].startswith(reason)
        assert set(answer.get_json()) == {"type", "title", "status", "detail"}


def test_a_question_that_was_asked_at_another_time_is_refused(web, north):
    now = int(time.time())
    for asked in (now - 2 * FRESH_S, now + 2 * FRESH_S, MARCH):
        answer = ask(web, question(north, asked=asked))
        assert (answer.status_code, "clock" in answer.get_json()["detail"]) == (403, True)


def test_an_earlier_concentrator_of_the_neighbourhood_is_not_answered(north):
    """Its key may be gone astray since it was replaced."""
    successor = generate_signing_key()
    key = documents.to_base64url(documents.public_key_bytes(successor))
    later = north.make_roster(2, MARCH + 86_400, north.members, concentrator=key)
    book = RosterBook([north.roster, later])
    with pytest.raises(NotAnswered, match="wrong concentrator"):
        admit_request(question(north, asked=MARCH), book, DEPLOYMENT, MARCH)
    admitted = admit_request(question(north, asked=MARCH, key=successor), book, DEPLOYMENT, MARCH)
    assert admitted.neighbourhood == "north"


def test_what_is_no_document_gets_a_reason_and_nothing_else(web):
    for body, kind, status in (
        (b"[]", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
    ):
        answer = web.client.post("/api/v1/standing", data=body, content_type=kind)
        assert (answer.status_code, set(answer.get_json())) == (status, {"type", "title", "status", "detail"})


def test_a_page_ends_and_the_next_goes_on_behind_it(web, north, monkeypatch):
    assert METERS_AT_ONCE * 2 * 4000 < 1 << 20
    monkeypatch.setattr("mdms.ingest.standing.METERS_AT_ONCE", 5)
    web.verdicts([north.window(meter=meter) for meter in range(METERS)])
    found, after, pages = [], "", 0
    while True:
        page = standing(web, question(north, after=after))
        found += [meter.pseudonym for meter in page.meters]
        pages += 1
        if not page.more:
            break
        after = found[-1]
    assert found == sorted(pseudonym("north", meter) for meter in range(METERS))
    assert pages == 3
